"""`consumers`: the named consumers of an account; they are made and used on the feed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Literal

import msgspec
from aiohttp import web

from pricewatch.domain.errors import Invalid
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest.endpoint import Access, Endpoint, json_body, only
from pricewatch.ports.consumers import Consumers, Start
from pricewatch.wire.consumer import document
from pricewatch.wire.feed import Place


class _Reset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    start: Literal["newest", "oldest"] | Place


_decode = msgspec.json.Decoder(_Reset).decode


class NamedConsumers:
    """One account's consumers. `nudge` tells its connections that there may be something to hand out."""

    def __init__(self, consumers: Consumers, nudge: Callable[[uuid.UUID], None]) -> None:
        self._consumers = consumers
        self._nudge = nudge

    def endpoints(self) -> list[Endpoint]:
        """List, reset, delete."""
        return [
            Endpoint("GET", "/consumers", self.listing),
            Endpoint("POST", "/consumers/{name}/reset", self.reset, Access.WRITE),
            Endpoint("DELETE", "/consumers/{name}", self.delete, Access.WRITE),
        ]

    async def listing(self, request: web.Request, who: Identity) -> web.Response:
        """All of them, by name."""
        only(request)
        states = await self._consumers.listing(who.account.id)
        return reply({"consumers": [document(state) for state in states]})

    async def reset(self, request: web.Request, who: Identity) -> web.Response:
        """Begin again at `start`; what was in flight is forgotten."""
        only(request)
        try:
            asked = _decode(await json_body(request))
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise Invalid("start", f"{error}; write newest, oldest, or a place like {_EXAMPLE}") from error
        start: Start = (asked.start.epoch, asked.start.seq) if isinstance(asked.start, Place) else asked.start
        state = await self._consumers.reset(who.account.id, request.match_info["name"], start)
        self._nudge(who.account.id)
        return reply(document(state))

    async def delete(self, request: web.Request, who: Identity) -> web.Response:
        """Forget it; connections that have joined it are told."""
        only(request)
        await self._consumers.delete(who.account.id, request.match_info["name"])
        self._nudge(who.account.id)
        return web.Response(status=204)


_EXAMPLE = '{"epoch": 1, "seq": 41}'
