"""`rules/{id}/pause`, `snooze`, `resume`, `commands`: what owners tell their rules."""

from __future__ import annotations

import uuid

from aiohttp import web

from pricewatch.domain.errors import Invalid
from pricewatch.domain.rule import Order
from pricewatch.domain.time import DAY, parse_span, rfc3339
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest.endpoint import Access, Docs, Endpoint, document, identifier, limit, moment
from pricewatch.ports.clock import Clock
from pricewatch.ports.rules import RuleBook, RuleChanges
from pricewatch.wire.rest import CommandDocument, CommandPage, Snooze, command

_LONGEST = 366 * DAY


class Commands:
    """The newest command counts, for later versions too, from where the engine takes it up."""

    def __init__(self, book: RuleBook, changes: RuleChanges, clock: Clock) -> None:
        self._book = book
        self._changes = changes
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """Reading for everybody, telling for users."""
        told = Docs(CommandDocument, query=())
        return [
            Endpoint("GET", "/rules/{id}/commands", self.listing, docs=Docs(CommandPage, query=("limit",))),
            Endpoint("POST", "/rules/{id}/pause", self.pause, Access.WRITE, told),
            Endpoint("POST", "/rules/{id}/snooze", self.snooze, Access.WRITE, told._replace(body=Snooze)),
            Endpoint("POST", "/rules/{id}/resume", self.resume, Access.WRITE, told),
        ]

    async def listing(self, request: web.Request, who: Identity) -> web.Response:
        """What the rule was told, newest first."""
        found = await self._book.commands(who.account.id, identifier(request), limit=limit(request, 50))
        return reply(CommandPage([command(one) for one in found], None))

    async def pause(self, request: web.Request, who: Identity) -> web.Response:
        """It says nothing until it is told to go on."""
        return await self._tell(identifier(request), who, Order.PAUSE)

    async def snooze(self, request: web.Request, who: Identity) -> web.Response:
        """It says nothing `for` so long, or `until` then, and goes on by itself."""
        number, wish, now = identifier(request), await document(request, Snooze), self._clock.now()
        if (wish.span is None) == (wish.until is None):
            raise Invalid("for", 'give one of the two: {"for": "2h"} or {"until": "2026-01-31T12:00:00Z"}')
        until = (
            moment(wish.until, "until") if wish.until is not None else now + parse_span(wish.span or "", field="for")
        )
        if not now < until <= now + _LONGEST:
            field = "for" if wish.until is None else "until"
            raise Invalid(field, f"ends at {rfc3339(min(until, now + 10 * _LONGEST))}: not within a year from now")
        return await self._tell(number, who, Order.SNOOZE, until=until)

    async def resume(self, request: web.Request, who: Identity) -> web.Response:
        """It goes on: what holds already makes no signal."""
        return await self._tell(identifier(request), who, Order.RESUME)

    async def _tell(self, rule: uuid.UUID, who: Identity, order: Order, *, until: int = 0) -> web.Response:
        told = await self._book.command(who.account.id, rule, order, until=until)
        self._changes.rules_changed()
        return reply(command(told))
