"""`signals`: the same documents as the feed's, and what their owner says of them."""

from __future__ import annotations

import uuid

from aiohttp import web

from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.signal import FeedEntry
from pricewatch.domain.watch import SYSTEM
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest import cursor
from pricewatch.gateway.rest.endpoint import (
    Access,
    Docs,
    Endpoint,
    document,
    identifier,
    integer,
    limit,
)
from pricewatch.ports.journal import FeedHead, FeedLog
from pricewatch.ports.outbox import Outbox
from pricewatch.ports.records import Verdicts
from pricewatch.wire.owed import DeliveryPage, delivery
from pricewatch.wire.pages import SignalPage
from pricewatch.wire.people import FeedbackBody, VerdictDocument, verdict
from pricewatch.wire.signal import SignalDocument
from pricewatch.wire.signal import document as signal_document


class Signals:
    """One account's feed, stored."""

    def __init__(self, log: FeedLog, verdicts: Verdicts, outbox: Outbox) -> None:
        self._log = log
        self._verdicts = verdicts
        self._outbox = outbox

    def endpoints(self) -> list[Endpoint]:
        """Signals never change; words on them are kept beside."""
        query = ("feed", "epoch", "after_seq", "before_seq", "cursor", "limit")
        said = Docs(VerdictDocument, query=())
        return [
            Endpoint("GET", "/signals", self.listing, docs=Docs(SignalPage, query=query)),
            Endpoint("GET", "/signals/{id}", self.get, docs=Docs(SignalDocument, query=())),
            Endpoint("GET", "/signals/{id}/deliveries", self.deliveries, docs=Docs(DeliveryPage, query=())),
            Endpoint("GET", "/signals/{id}/verdict", self.verdict, docs=said),
            Endpoint("POST", "/signals/{id}/ack", self.acknowledge, Access.WRITE, said),
            Endpoint("PUT", "/signals/{id}/feedback", self.judge, Access.WRITE, said._replace(body=FeedbackBody)),
        ]

    async def listing(self, request: web.Request, who: Identity) -> web.Response:
        """Ascending by `seq`: those after `after_seq`, else the newest ones (below `before_seq`).

        `next` goes on in the same direction. `feed=system`: what the service tells of itself. A place that the feed
        has never come to, or another `epoch` than its own, is refused: a restored backup has begun a new one.
        """
        feed, wanted = _feed(request, who), limit(request)
        head = await self._log.head(feed)
        after, before = _place(request)
        _check_place(request, head, after)
        if after is None:
            entries = (await self._log.latest(feed, before_seq=before, limit=wanted))[::-1]
        else:
            entries = await self._log.read(feed, after_seq=after, limit=wanted)
        follow = None
        if len(entries) == wanted:
            place = ("after", entries[-1].seq) if after is not None else ("before", entries[0].seq)
            follow = cursor.write("signals", *place)
        return reply(_page(head, entries, follow, after))

    async def get(self, request: web.Request, who: Identity) -> web.Response:
        """One signal, the account's own or the system's."""
        return reply(signal_document(await self._found(request, who)))

    async def deliveries(self, request: web.Request, who: Identity) -> web.Response:
        """To whom it was brought on the account's channels, and how far that has come."""
        entry = await self._found(request, who)
        rows = await self._outbox.listing(who.account.id, signal=entry.signal.id)
        return reply(DeliveryPage([delivery(row) for row in rows], None))

    async def verdict(self, request: web.Request, who: Identity) -> web.Response:
        """What the account said of it."""
        entry = await self._found(request, who)
        return reply(verdict(await self._verdicts.get(who.account.id, entry.signal.id)))

    async def acknowledge(self, request: web.Request, who: Identity) -> web.Response:
        """It was seen; the first time counts."""
        entry = await self._found(request, who)
        return reply(verdict(await self._verdicts.acknowledge(who.account.id, entry.signal.id)))

    async def judge(self, request: web.Request, who: Identity) -> web.Response:
        """It was useful, or noise."""
        wish = await document(request, FeedbackBody)
        entry = await self._found(request, who)
        return reply(verdict(await self._verdicts.judge(who.account.id, entry.signal.id, wish.feedback)))

    async def _found(self, request: web.Request, who: Identity) -> FeedEntry:
        number = identifier(request)
        entry = await self._log.get(who.account.id, number) or await self._log.get(SYSTEM, number)
        if entry is None:
            raise NotFound("there is no such signal, or it is not yours")
        return entry


def _page(head: FeedHead, entries: list[FeedEntry], follow: str | None, after: int | None) -> SignalPage:
    # A transaction may have come in between: the head is never behind what is shown.
    newest = max(head.seq, entries[-1].seq if entries else 0)
    first = entries[0].seq if entries else newest + 1  # the numbers have no holes
    missing = 0 if after is None else first - 1 - after
    return SignalPage(head.epoch, newest, [signal_document(entry) for entry in entries], follow, missing)


def _check_place(request: web.Request, head: FeedHead, after: int | None) -> None:
    """Who asks for what follows a place that is not of this feed would hear nothing, and think that nothing was."""
    epoch = integer(request, "epoch", None)
    if epoch is not None and epoch != head.epoch:
        raise Invalid("epoch", f"{epoch} is over: this feed is in epoch {head.epoch}; begin anew with after_seq=0")
    if after is not None and after > head.seq:
        problem = f"{after} has never been: the newest place is {head.seq}, in epoch {head.epoch}"
        raise Invalid("after_seq", f"{problem}; it is another feed's, or from before a backup was restored")


def _place(request: web.Request) -> tuple[int | None, int | None]:
    """After and before which `seq`."""
    place = cursor.read(request, "signals", str, cursor.NUMBER)
    if place is None:
        return integer(request, "after_seq", None), integer(request, "before_seq", None)
    if {"after_seq", "before_seq"} & set(request.query):
        raise Invalid("cursor", "says where to go on; leave out after_seq and before_seq")
    return (place[1], None) if place[0] == "after" else (None, place[1])


def _feed(request: web.Request, who: Identity) -> uuid.UUID:
    name = request.query.get("feed", "own")
    if name not in {"own", "system"}:
        raise Invalid("feed", f"{name[:40]!r} is none; write own or system")
    return SYSTEM if name == "system" else who.account.id
