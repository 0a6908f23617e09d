"""`features`: the documents of the feed's channel, asked for once."""

from __future__ import annotations

from aiohttp import web

from pricewatch.domain.errors import Invalid
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.lookup import Lookup
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest.endpoint import Docs, Endpoint, required
from pricewatch.wire.features import FeaturesPage

_MOST = 100


class FeatureLookups:
    """The same for every account."""

    def __init__(self, board: Board, lookup: Lookup) -> None:
        self._board = board
        self._lookup = lookup

    def endpoints(self) -> list[Endpoint]:
        """Read only."""
        return [Endpoint("GET", "/features", self.listing, docs=Docs(FeaturesPage, query=("symbols",)))]

    async def listing(self, request: web.Request, _: Identity) -> web.Response:
        """Price, returns, spread, score and bands of the markets of some symbols, as they are now, by market."""
        names = [name.strip() for name in required(request, "symbols", "BTC-USD,kraken:ETH-USD").split(",")]
        chosen = self._board.resolve(frozenset(self._named(name) for name in names if name))
        if not 0 < len(chosen) <= _MOST:
            raise Invalid("symbols", f"these are {len(chosen)} markets; name 1 to {_MOST}, as venue:BASE-QUOTE for one")
        markets = [market for market in self._board.everything() if market.id in chosen]
        return reply(FeaturesPage([await self._lookup.market(market.id, market.key) for market in markets]))

    def _named(self, text: str) -> str:
        name = self._board.named(text)
        if name is None:
            near = ", ".join(self._board.nearest(text))
            raise Invalid("symbols", f"there is no market {text[:64]!r}" + (f"; did you mean {near}?" if near else ""))
        return name
