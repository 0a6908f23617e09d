"""`signals`: the same documents as the feed's."""

from __future__ import annotations

import uuid

import msgspec
from aiohttp import web

from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.watch import SYSTEM
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest.endpoint import Endpoint, identifier, integer, limit, only
from pricewatch.ports.journal import FeedLog
from pricewatch.wire.signal import document


class Signals:
    """One account's feed, stored."""

    def __init__(self, log: FeedLog) -> None:
        self._log = log

    def endpoints(self) -> list[Endpoint]:
        """Read only."""
        return [Endpoint("GET", "/signals", self.listing), Endpoint("GET", "/signals/{id}", self.get)]

    async def listing(self, request: web.Request, who: Identity) -> web.Response:
        """Ascending by `seq`: those after `after_seq`, else the newest ones (below `before_seq`).

        `feed=system`: what the service tells of itself, instead of the account's own.
        """
        only(request, "feed", "after_seq", "before_seq", "limit")
        feed, wanted = _feed(request, who), limit(request)
        head = await self._log.head(feed)
        after = integer(request, "after_seq", None)
        if after is None:
            before = integer(request, "before_seq", None)
            entries = (await self._log.latest(feed, before_seq=before, limit=wanted))[::-1]
        else:
            entries = await self._log.read(feed, after_seq=after, limit=wanted)
        # A transaction may have come in between: the head is never behind what is shown.
        newest = max(head.seq, entries[-1].seq if entries else 0)
        return reply({"epoch": head.epoch, "seq": newest, "signals": [document(entry) for entry in entries]})

    async def get(self, request: web.Request, who: Identity) -> web.Response:
        """One signal, the account's own or the system's."""
        only(request)
        number = identifier(request)
        entry = await self._log.get(who.account.id, number) or await self._log.get(SYSTEM, number)
        if entry is None:
            raise NotFound("there is no such signal, or it is not yours")
        return reply(msgspec.to_builtins(document(entry)))


def _feed(request: web.Request, who: Identity) -> uuid.UUID:
    name = request.query.get("feed", "own")
    if name not in {"own", "system"}:
        raise Invalid("feed", f"{name[:40]!r} is none; write own or system")
    return SYSTEM if name == "system" else who.account.id
