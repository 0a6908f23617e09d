"""Who is asking: keys in headers, sessions in a cookie, tickets for WebSockets; and from which pages they may."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web

from pricewatch.accounts import tokens
from pricewatch.domain.account import Scope
from pricewatch.gateway.credentials import Identity, KeyRing
from pricewatch.gateway.limits import RateLimits
from pricewatch.gateway.problems import Denied
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ports.accounts import Tickets
from pricewatch.ports.clock import Clock

__all__ = ["COOKIE", "Door", "Identity", "address_of", "refuse_key_in_url", "unauthorised"]

COOKIE = "pricewatch_session"
TICKET = "ticket."
"""In front of a ticket among the subprotocols a WebSocket asks for."""
_SECOND = 1_000_000
_KEY_NAMES = re.compile(r"(?i)(api[_-]?)?(key|token|ticket)|access[_-]?token|authorization|password|secret")
_KEY_VALUES = ("pw_", "pwt_")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Door:
    """Lets requests in, or says why not."""

    def __init__(
        self, ring: KeyRing, tickets: Tickets, settings: GatewaySettings, clock: Clock, limits: RateLimits
    ) -> None:
        self.ring = ring
        self._tickets = tickets
        self._settings = settings
        self._clock = clock
        self._limits = limits

    async def admit(self, request: web.Request) -> Identity:
        """The identity behind a request; raises `Denied` with 400, 401, 403 or 429."""
        refuse_key_in_url(request)
        self.check_origin(request)
        try:
            identity = await self._identify(request)
        except Denied as error:
            if error.status == 401:
                (await self._limits.spend("anonymous", address_of(request, self._settings.proxies))).refuse()
            raise
        if _is_upgrade(request) and not identity.may(Scope.READ):
            raise Denied(403, "scope_missing", "this key has not the scope `read`, which the feed needs")
        return identity

    async def _identify(self, request: web.Request) -> Identity:
        text = _key_in_header(request)
        if text is not None:
            known = await self.ring.key(text)
            if known is None:
                raise unauthorised("this API key is unknown, expired or revoked")
            return known.identity
        ticket = _ticket_in_header(request)
        return await (self._by_cookie(request) if ticket is None else self._by_ticket(ticket))

    async def _by_cookie(self, request: web.Request) -> Identity:
        cookie = request.cookies.get(COOKIE)
        known = await self.ring.find(tokens.digest(cookie), is_session=True) if cookie else None
        if known is None:
            raise unauthorised("send an API key as `Authorization: Bearer pw_...`, or log in on the page")
        if (_is_upgrade(request) or request.method not in _READING) and "Origin" not in request.headers:
            raise Denied(403, "foreign_origin", "a request with a cookie must say its Origin")
        return known.identity

    async def _by_ticket(self, text: str) -> Identity:
        ticket = await self._tickets.take(tokens.digest(text)) if tokens.is_ticket(text) else None
        known = None
        if ticket is not None and self._clock.now() < ticket.expires:
            known = await self.ring.find(ticket.credential, is_session=ticket.is_session)
        if known is None:
            raise unauthorised("this ticket is unknown, used or expired; POST /api/v1/tickets makes a new one")
        return known.identity

    def check_origin(self, request: web.Request) -> None:
        """Only pages of this host or of listed origins may write or open WebSockets; raises `Denied` (403).

        Programs send no Origin and are not asked for one, unless they come with a cookie.
        """
        origin = request.headers.get("Origin")
        if origin is None or (request.method in _READING and not _is_upgrade(request)):
            return
        if origin in self._settings.origins:
            return
        place = _place(origin)
        if not place or place != request.host.lower():
            raise Denied(403, "foreign_origin", f"{origin[:100]} may not do this; list it in gateway.origins")

    async def standing(self, identities: Iterable[Identity]) -> frozenset[bytes]:
        """The digests of those whose connections may stay."""
        return await self.ring.standing(identities)

    async def issue_ticket(self, who: Identity) -> tokens.Issued:
        """For one WebSocket, once, soon."""
        expires = self._clock.now() + round(self._settings.ticket_lifetime * _SECOND)
        issued = tokens.issue(who.account.id, credential=who.digest, is_session=who.is_session, expires=expires)
        await self._tickets.issue(issued.ticket)
        return issued


def address_of(request: web.Request, proxies: int) -> str:
    """Who asks, as the outermost of our own proxies saw it; without any, the other end of the connection."""
    if proxies:
        hops = [hop.strip() for hop in ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")]
        if len(hops) >= proxies and hops[-proxies]:
            return hops[-proxies][:64]
    return request.remote or ""


def refuse_key_in_url(request: web.Request) -> None:
    """URLs end up in logs and histories; raises `Denied` (400)."""
    for name, value in request.query.items():
        if _KEY_NAMES.fullmatch(name) or value.startswith(_KEY_VALUES):
            raise Denied(
                400, "key_in_url", "never put a key into a URL: send `Authorization: Bearer ...`; revoke this one"
            )


def unauthorised(detail: str) -> Denied:
    """401, saying how to come in."""
    return Denied(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="pricewatch"'})


def _place(origin: str) -> str:
    """Host and port; empty for what is no origin."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _is_upgrade(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _ticket_in_header(request: web.Request) -> str | None:
    if not _is_upgrade(request):
        return None
    for name in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
        if name.strip().startswith(TICKET):
            return name.strip().removeprefix(TICKET)
    return None


def _key_in_header(request: web.Request) -> str | None:
    authorization = request.headers.get("Authorization")
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise unauthorised("send the key as `Authorization: Bearer pw_...`")
        return value.strip()
    return request.headers.get("X-API-Key")
