"""Logging in by password or key, and out again. Unknown names cost and answer the same as known ones."""

from __future__ import annotations

import uuid
from typing import NamedTuple

import structlog
from aiohttp import web

from pricewatch.accounts import passwords, tokens
from pricewatch.accounts.passwords import Passwords
from pricewatch.domain.account import Account, ApiKey
from pricewatch.domain.errors import Invalid, NotFound, Unavailable
from pricewatch.gateway.auth import COOKIE, address_of, unauthorised
from pricewatch.gateway.credentials import Identity, KeyRing
from pricewatch.gateway.limits import RateLimits
from pricewatch.gateway.problems import Denied
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ports.accounts import Accounts, Sessions
from pricewatch.ports.clock import Clock

log = structlog.get_logger(__name__)
_SECOND = 1_000_000


class Entered(NamedTuple):
    """Who came in, and the cookie to go on with."""

    account: Account
    cookie: str


class Logins:
    """Begins and ends browser sessions."""

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        hasher: Passwords,
        *,
        ring: KeyRing,
        settings: GatewaySettings,
        clock: Clock,
        limits: RateLimits,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._hasher = hasher
        self._ring = ring
        self._settings = settings
        self._clock = clock
        self._limits = limits

    async def by_key(self, request: web.Request, text: str) -> Entered:
        """Raises `Denied` with 401 or 429."""
        await self._slow_down(request)
        known = await self._ring.key(text)
        if known is None:
            raise self._refused(request, "this API key is unknown, expired or revoked")
        return await self._begin(request, known.identity.account, known.key)

    async def by_password(self, request: web.Request, name: str, password: str) -> Entered:
        """Raises `Denied` with 401, 429 or 503."""
        await self._slow_down(request)
        await self._slow_down_name(name)
        found = await self._accounts.password(name)
        account, hashed = found if found is not None else (None, None)
        if not await self._is_right(hashed, password) or account is None or account.disabled is not None:
            raise self._refused(request, "there is no account with this name and password")
        await self._limits.forgive("name", _short(name))
        if hashed is not None and self._hasher.is_outdated(hashed):
            await self._accounts.set_password(account.id, await self._hash(password), quietly=True)
        return await self._begin(request, account, None)

    async def set_password(self, who: Identity, current: str | None, new: str) -> None:
        """Ends all other sessions. Who has a password must know it; raises `Invalid` or `Denied`."""
        passwords.check(new, name=who.account.name)
        await self._slow_down_name(who.account.name)
        found = await self._accounts.password(who.account.name)
        if found is None:
            raise NotFound("this account is gone")
        if found[1] is not None and not await self._is_right(found[1], current or ""):
            raise Invalid("current", "is not the password this account has now")
        keep = who.credential if who.is_session else None
        await self._accounts.set_password(who.account.id, await self._hash(new), by=who.account.id, keep=keep)

    async def hash_for(self, account: Account, new: str) -> str:
        """A checked password to store for somebody; raises `Invalid`."""
        passwords.check(new, name=account.name)
        return await self._hash(new)

    def forget(self, account: uuid.UUID) -> None:
        """What was known of its credentials counts no more."""
        self._ring.forget_account(account)

    async def log_out(self, request: web.Request) -> None:
        """End the cookie's session, if there is one."""
        cookie = request.cookies.get(COOKIE)
        known = await self._ring.find(tokens.digest(cookie), is_session=True, fresh=True) if cookie else None
        if known is not None and known.identity.credential is not None:
            await self._sessions.end(known.identity.account.id, known.identity.credential)
            self._ring.forget(known.identity.digest)

    def set_cookie(self, request: web.Request, answer: web.Response, cookie: str) -> None:
        """One that scripts cannot read and other sites cannot use."""
        answer.set_cookie(
            COOKIE,
            cookie,
            max_age=round(self._settings.session_lifetime),
            httponly=True,
            samesite="Strict",
            secure=self._settings.secure_cookie or request.secure,
            path="/",
        )

    async def _slow_down(self, request: web.Request) -> None:
        standing = await self._limits.spend("login", address_of(request, self._settings.proxies))
        standing.refuse("login_throttled", "too many tries from this address")

    async def _slow_down_name(self, name: str) -> None:
        standing = await self._limits.spend("name", _short(name))
        standing.refuse("login_throttled", "too many tries for this name")

    async def _begin(self, request: web.Request, account: Account, key: ApiKey | None) -> Entered:
        lifetime = round(self._settings.session_lifetime * _SECOND)
        agent = request.headers.get("User-Agent", "")
        opened = tokens.open_session(account.id, now=self._clock.now(), lifetime=lifetime, agent=agent, key=key)
        await self._sessions.begin(opened.session)
        return Entered(account, opened.cookie)

    async def _is_right(self, hashed: str | None, password: str) -> bool:
        try:
            return await self._hasher.verify(hashed, password[: passwords.LONGEST + 1])
        except Unavailable as error:
            raise _busy() from error

    async def _hash(self, password: str) -> str:
        try:
            return await self._hasher.hash(password)
        except Unavailable as error:
            raise _busy() from error

    def _refused(self, request: web.Request, detail: str) -> Denied:
        log.info("gateway.login_refused", address=address_of(request, self._settings.proxies))
        return unauthorised(detail)


def _short(name: str) -> str:
    """Names come from anybody, in any length."""
    return tokens.digest(name).hex()[:32]


def _busy() -> Denied:
    return Denied(503, "login_busy", "too many log in at once; try again in a moment", headers={"Retry-After": "2"})
