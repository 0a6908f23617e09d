"""Who is asking: API keys in headers, and browser sessions in a cookie that only pages of allowed origins may use."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import OrderedDict
from typing import NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

from pricewatch.accounts import tokens
from pricewatch.domain.account import Account, ApiKey
from pricewatch.domain.errors import Unavailable
from pricewatch.gateway.problems import Denied
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ports.accounts import Accounts
from pricewatch.ports.clock import Clock

COOKIE = "pricewatch_session"
_SECOND = 1_000_000
_CACHED = 10_000
_KEY_NAMES = re.compile(r"(?i)(api[_-]?)?(key|token)|access[_-]?token|authorization")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Identity(NamedTuple):
    """Whose request this is, by which key, and by which browser session if any."""

    account: Account
    digest: bytes
    browser: bytes | None = None


class _Looked(NamedTuple):
    found: tuple[Account, ApiKey] | None
    at: int


class KeyRing:
    """API keys looked up in the store, believed for a few seconds (longer while the store is away)."""

    def __init__(self, accounts: Accounts, settings: GatewaySettings, clock: Clock) -> None:
        self._accounts = accounts
        self._ttl = round(settings.key_ttl * _SECOND)
        self._grace = round(settings.key_grace * _SECOND)
        self._clock = clock
        self._cache: OrderedDict[bytes, _Looked] = OrderedDict()

    async def owner(self, digest: bytes, *, fresh: bool = False) -> Account | None:
        """The account of a valid key. Raises `Unavailable` for a key not seen lately while the store is away."""
        now = self._clock.now()
        looked = self._cache.get(digest)
        if looked is None or fresh or not 0 <= now - looked.at < self._ttl:
            looked = await self._look_up(digest, looked, now)
        if looked.found is None or not tokens.is_valid(looked.found[1], now):
            return None
        return looked.found[0]

    async def _look_up(self, digest: bytes, known: _Looked | None, now: int) -> _Looked:
        try:
            found = await self._accounts.by_digest(digest)
        except Unavailable:
            if known is not None and known.found is not None and now - known.at < self._grace:
                return known
            raise
        looked = self._cache[digest] = _Looked(found, now)
        self._cache.move_to_end(digest)
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return looked


class _Browser(NamedTuple):
    key: bytes
    expires: int


class BrowserSessions:
    """Opaque cookies in memory: a restart logs browsers out, a revoked key ends its sessions."""

    def __init__(self, settings: GatewaySettings, clock: Clock) -> None:
        self._lifetime = round(settings.session_lifetime * _SECOND)
        self._most = settings.max_browser_sessions
        self._clock = clock
        self._open: OrderedDict[bytes, _Browser] = OrderedDict()

    def start(self, key: bytes) -> str:
        """A new cookie for whoever showed this key."""
        cookie = secrets.token_urlsafe(32)
        self._open[_hash(cookie)] = _Browser(key, self._clock.now() + self._lifetime)
        if len(self._open) > self._most:
            self._open.popitem(last=False)
        return cookie

    def key_of(self, browser: bytes) -> bytes | None:
        """The key behind a session that is still open."""
        found = self._open.get(browser)
        if found is None:
            return None
        if self._clock.now() >= found.expires:
            del self._open[browser]
            return None
        return found.key

    def end(self, browser: bytes) -> None:
        """Log out."""
        self._open.pop(browser, None)


class _Failures(NamedTuple):
    since: int
    times: int


class Throttle:
    """Failed logins by address in the current minute."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._most = most
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def check(self, address: str) -> None:
        """Raises `Denied` (429) for an address that failed too often."""
        known = self._failures.get(address)
        if known is None:
            return
        left = 60 * _SECOND - (self._clock.now() - known.since)
        if left <= 0:
            del self._failures[address]
        elif known.times >= self._most:
            seconds = str(left // _SECOND + 1)
            raise Denied(429, "login_throttled", f"try again in {seconds} s", headers={"Retry-After": seconds})

    def failed(self, address: str) -> None:
        """Count one."""
        known = self._failures.get(address) or _Failures(self._clock.now(), 0)
        self._failures[address] = known._replace(times=known.times + 1)
        if len(self._failures) > _CACHED:
            self._failures.popitem(last=False)


class Door:
    """Lets requests in, or says why not."""

    def __init__(self, accounts: Accounts, settings: GatewaySettings, clock: Clock) -> None:
        self.ring = KeyRing(accounts, settings, clock)
        self.browsers = BrowserSessions(settings, clock)
        self.throttle = Throttle(settings.login_attempts, clock)
        self._settings = settings

    async def admit(self, request: web.Request) -> Identity:
        """The identity behind a request; raises `Denied` with 400, 401 or 403."""
        refuse_key_in_url(request)
        text = _key_in_header(request)
        if text is not None:
            digest = tokens.digest(text)
            account = await self.ring.owner(digest) if tokens.is_well_formed(text) else None
            if account is None:
                raise _unauthorised("this API key is unknown, expired or revoked")
            return Identity(account, digest)
        return await self._by_cookie(request)

    async def _by_cookie(self, request: web.Request) -> Identity:
        cookie = request.cookies.get(COOKIE)
        browser = _hash(cookie) if cookie else b""
        digest = self.browsers.key_of(browser) if cookie else None
        account = await self.ring.owner(digest) if digest is not None else None
        if digest is None or account is None:
            raise _unauthorised("send an API key as `Authorization: Bearer pw_...`, or log in on the page")
        is_upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
        if is_upgrade or request.method not in _READING:
            self.check_origin(request)
        return Identity(account, digest, browser)

    def check_origin(self, request: web.Request) -> None:
        """A cookie acts only for pages of this host or of listed origins; raises `Denied` (403)."""
        origin = request.headers.get("Origin", "")
        if origin in self._settings.origins:
            return
        if not origin or not request.host or urlsplit(origin).netloc.lower() != request.host.lower():
            raise Denied(403, "foreign_origin", "this origin may not use the cookie; list it in gateway.origins")

    async def is_still_good(self, identity: Identity) -> bool:
        """Whether an open connection may stay; true while nobody can tell."""
        if identity.browser is not None and self.browsers.key_of(identity.browser) is None:
            return False
        try:
            return await self.ring.owner(identity.digest, fresh=True) is not None
        except Unavailable:
            return True

    async def log_in(self, request: web.Request, text: str) -> tuple[Account, str]:
        """The account and a new cookie for a key; raises `Denied` with 401 or 429."""
        address = request.remote or ""
        self.throttle.check(address)
        digest = tokens.digest(text)
        account = await self.ring.owner(digest) if tokens.is_well_formed(text) else None
        if account is None:
            self.throttle.failed(address)
            raise _unauthorised("this API key is unknown, expired or revoked")
        return account, self.browsers.start(digest)

    def log_out(self, request: web.Request) -> None:
        """End the cookie's session, if there is one."""
        cookie = request.cookies.get(COOKIE)
        if cookie:
            self.browsers.end(_hash(cookie))

    def cookie_is_secure(self, request: web.Request) -> bool:
        """Whether the cookie may only travel by TLS."""
        return self._settings.secure_cookie or request.secure


def refuse_key_in_url(request: web.Request) -> None:
    """URLs end up in logs and histories; raises `Denied` (400)."""
    for name, value in request.query.items():
        if _KEY_NAMES.fullmatch(name) or value.startswith("pw_"):
            raise Denied(
                400, "key_in_url", "never put a key into a URL: send `Authorization: Bearer ...`; revoke this one"
            )


def _key_in_header(request: web.Request) -> str | None:
    authorization = request.headers.get("Authorization")
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise _unauthorised("send the key as `Authorization: Bearer pw_...`")
        return value.strip()
    return request.headers.get("X-API-Key")


def _unauthorised(detail: str) -> Denied:
    return Denied(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="pricewatch"'})


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
