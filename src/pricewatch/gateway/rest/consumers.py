"""`consumers`: the named consumers of an account; they are made and used on the feed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Literal

import msgspec
from aiohttp import web

from pricewatch.gateway.auth import Identity
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest import cursor
from pricewatch.gateway.rest.endpoint import Access, Docs, Endpoint, limit, no_content
from pricewatch.gateway.rest.endpoint import document as body_of
from pricewatch.ports.consumers import Consumers, Start
from pricewatch.wire.consumer import ConsumerDocument, document
from pricewatch.wire.feed import Place
from pricewatch.wire.pages import ConsumerPage


class Reset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a consumer begins again."""

    start: Literal["newest", "oldest"] | Place


class NamedConsumers:
    """One account's consumers. `nudge` tells its connections that there may be something to hand out."""

    def __init__(self, consumers: Consumers, nudge: Callable[[uuid.UUID], None]) -> None:
        self._consumers = consumers
        self._nudge = nudge

    def endpoints(self) -> list[Endpoint]:
        """List, reset, delete."""
        return [
            Endpoint("GET", "/consumers", self.listing, docs=Docs(ConsumerPage, query=("cursor", "limit"))),
            Endpoint(
                "POST",
                "/consumers/{name}/reset",
                self.reset,
                Access.WRITE,
                Docs(ConsumerDocument, body=Reset, query=()),
            ),
            Endpoint("DELETE", "/consumers/{name}", self.delete, Access.WRITE, Docs(status=204, query=())),
        ]

    async def listing(self, request: web.Request, who: Identity) -> web.Response:
        """By name, a page at a time; one that was made or deleted meanwhile shifts no page."""
        place, wanted = cursor.read(request, "consumers", str), limit(request)
        states = await self._consumers.listing(who.account.id)
        left = [state for state in states if place is None or state.consumer.name > place[0]]
        page = left[:wanted]
        follow = cursor.write("consumers", page[-1].consumer.name) if len(left) > wanted else None
        return reply(ConsumerPage([document(state) for state in page], follow))

    async def reset(self, request: web.Request, who: Identity) -> web.Response:
        """Begin again at `start`; what was in flight is forgotten."""
        asked = await body_of(request, Reset)
        start: Start = (asked.start.epoch, asked.start.seq) if isinstance(asked.start, Place) else asked.start
        state = await self._consumers.reset(who.account.id, request.match_info["name"], start)
        self._nudge(who.account.id)
        return reply(document(state))

    async def delete(self, request: web.Request, who: Identity) -> web.Response:
        """Forget it; connections that have joined it are told."""
        await self._consumers.delete(who.account.id, request.match_info["name"])
        self._nudge(who.account.id)
        return no_content()
