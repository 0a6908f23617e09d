"""`deliveries` and `dead-letters`: what is owed to people, and how far it has come."""

from __future__ import annotations

from aiohttp import web

from pricewatch.domain.errors import Invalid
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest import cursor
from pricewatch.gateway.rest.endpoint import Access, Docs, Endpoint, identifier, limit, no_content
from pricewatch.ports.clock import Clock
from pricewatch.ports.outbox import DeliveryState, Outbox
from pricewatch.ports.records import AuditLog
from pricewatch.wire.owed import DeliveryDetail, DeliveryPage, delivery, detail


class Deliveries:
    """One's own deliveries; everybody's dead letters for administrators."""

    def __init__(self, outbox: Outbox, audit: AuditLog, clock: Clock) -> None:
        self._outbox = outbox
        self._audit = audit
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """What was given up is sent again by its owner or by an administrator."""
        page = ("cursor", "limit")
        return [
            Endpoint("GET", "/deliveries", self.listing, docs=Docs(DeliveryPage, query=("state", *page))),
            Endpoint("GET", "/deliveries/{id}", self.get, docs=Docs(DeliveryDetail, query=())),
            Endpoint("POST", "/deliveries/{id}/replay", self.repeat, Access.WRITE, Docs(status=204, query=())),
            Endpoint("GET", "/dead-letters", self.dead, Access.ADMIN, Docs(DeliveryPage, query=page)),
            Endpoint("POST", "/dead-letters/{id}/replay", self.replay, Access.ADMIN, Docs(status=204, query=())),
        ]

    async def listing(self, request: web.Request, who: Identity) -> web.Response:
        """The account's deliveries, newest first."""
        before, wanted = cursor.read_id(request, "deliveries"), limit(request)
        rows = await self._outbox.listing(who.account.id, state=_state(request), limit=wanted, before=before)
        follow = cursor.write("deliveries", rows[-1].id) if len(rows) == wanted else None
        return reply(DeliveryPage([delivery(row) for row in rows], follow))

    async def get(self, request: web.Request, who: Identity) -> web.Response:
        """One of the account's deliveries, with every attempt and what the other side replied."""
        row, attempts = await self._outbox.get(who.account.id, identifier(request))
        return reply(detail(row, attempts))

    async def repeat(self, request: web.Request, who: Identity) -> web.Response:
        """Bring one of one's own deliveries again, now, under its old id: one that was given up or sent."""
        number = identifier(request)
        await self._outbox.revive(number, account=who.account.id)
        await self._audit.note(
            "delivery.replay", str(number), at=self._clock.now(), by=who.account.id, account=who.account.id
        )
        return no_content()

    async def dead(self, request: web.Request, _: Identity) -> web.Response:
        """Everybody's deliveries that were given up, newest first."""
        before, wanted = cursor.read_id(request, "dead"), limit(request)
        rows = await self._outbox.listing(state=DeliveryState.DEAD, limit=wanted, before=before)
        follow = cursor.write("dead", rows[-1].id) if len(rows) == wanted else None
        return reply(DeliveryPage([delivery(row) for row in rows], follow))

    async def replay(self, request: web.Request, who: Identity) -> web.Response:
        """Try a dead letter again, now."""
        number = identifier(request)
        await self._outbox.revive(number)
        await self._audit.note("delivery.replay", str(number), at=self._clock.now(), by=who.account.id)
        return no_content()


def _state(request: web.Request) -> DeliveryState | None:
    text = request.query.get("state")
    if text is None:
        return None
    try:
        return DeliveryState(text)
    except ValueError as error:
        known = ", ".join(state.value for state in DeliveryState)
        raise Invalid("state", f"{text[:40]!r} is none; known: {known}") from error
