"""`gaps`: the ledger of holes in the data; the same for every account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Market
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest import cursor
from pricewatch.gateway.rest.endpoint import Docs, Endpoint, instant, integer, limit
from pricewatch.ports.ticks import GapBook
from pricewatch.wire.gap import document
from pricewatch.wire.pages import GapPage

_ANSWERS: Mapping[str, bool | None] = {"true": True, "false": False}


class Gaps:
    """Read only."""

    def __init__(self, book: GapBook, board: Board) -> None:
        self._book = book
        self._board = board

    def endpoints(self) -> list[Endpoint]:
        """One listing."""
        query = ("symbol", "open", "since", "after", "before", "cursor", "limit")
        return [Endpoint("GET", "/gaps", self.listing, docs=Docs(GapPage, query=query))]

    async def listing(self, request: web.Request, _: Identity) -> web.Response:
        """Ascending by id: those after `after`, else the newest ones (below `before`)."""
        wanted = limit(request)
        after, before = _place(request)
        markets = {market.id: market for market in self._board.everything()}
        rows = await self._book.page(
            markets=self._wanted(request),
            is_open=_is_open(request),
            since=instant(request, "since", 0),
            after=after,
            before=before,
            limit=wanted,
        )
        follow = None
        if len(rows) == wanted:
            follow = cursor.write("gaps", *(("after", rows[-1].id) if after is not None else ("before", rows[0].id)))
        return reply(GapPage([document(row, _named(markets, row.gap.market)) for row in rows], follow))

    def _wanted(self, request: web.Request) -> Sequence[int] | None:
        text = request.query.get("symbol")
        if text is None:
            return None
        name = self._board.named(text)
        if name is None:
            near = ", ".join(self._board.nearest(text))
            raise Invalid("symbol", f"there is no market {text[:64]!r}" + (f"; did you mean {near}?" if near else ""))
        return sorted(self._board.resolve(frozenset({name})))


def _place(request: web.Request) -> tuple[int | None, int | None]:
    """After and before which id."""
    place = cursor.read(request, "gaps", str, cursor.NUMBER)
    if place is None:
        return integer(request, "after", None), integer(request, "before", None)
    if {"after", "before"} & set(request.query):
        raise Invalid("cursor", "says where to go on; leave out after and before")
    return (place[1], None) if place[0] == "after" else (None, place[1])


def _named(markets: Mapping[int, Market], number: int) -> Market:
    """A market listed since the last look has no name here yet."""
    return markets.get(number) or Market(number, "", "", "")


def _is_open(request: web.Request) -> bool | None:
    text = request.query.get("open")
    if text is not None and text not in _ANSWERS:
        raise Invalid("open", f"{text[:40]!r} is neither true nor false")
    return None if text is None else _ANSWERS[text]
