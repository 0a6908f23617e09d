"""`gaps`: the ledger of holes in the data; the same for every account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Market
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest.endpoint import Endpoint, instant, integer, limit, only
from pricewatch.ports.ticks import GapBook
from pricewatch.wire.gap import document

_ANSWERS: Mapping[str, bool | None] = {"true": True, "false": False}


class Gaps:
    """Read only."""

    def __init__(self, book: GapBook, board: Board) -> None:
        self._book = book
        self._board = board

    def endpoints(self) -> list[Endpoint]:
        """One listing."""
        return [Endpoint("GET", "/gaps", self.listing)]

    async def listing(self, request: web.Request, _: Identity) -> web.Response:
        """Ascending by id: those after `after`, else the newest ones (below `before`)."""
        only(request, "symbol", "open", "since", "after", "before", "limit")
        markets = {market.id: market for market in self._board.everything()}
        rows = await self._book.page(
            markets=self._wanted(request),
            is_open=_is_open(request),
            since=instant(request, "since", 0),
            after=integer(request, "after", None),
            before=integer(request, "before", None),
            limit=limit(request),
        )
        return reply({"gaps": [document(row, _named(markets, row.gap.market)) for row in rows]})

    def _wanted(self, request: web.Request) -> Sequence[int] | None:
        text = request.query.get("symbol")
        if text is None:
            return None
        name = self._board.named(text)
        if name is None:
            near = ", ".join(self._board.nearest(text))
            raise Invalid("symbol", f"there is no market {text[:64]!r}" + (f"; did you mean {near}?" if near else ""))
        return sorted(self._board.resolve(frozenset({name})))


def _named(markets: Mapping[int, Market], number: int) -> Market:
    """A market listed since the last look has no name here yet."""
    return markets.get(number) or Market(number, "", "", "")


def _is_open(request: web.Request) -> bool | None:
    text = request.query.get("open")
    if text is not None and text not in _ANSWERS:
        raise Invalid("open", f"{text[:40]!r} is neither true nor false")
    return None if text is None else _ANSWERS[text]
