"""`symbols`, `candles`, `ticks` and `forecast`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.market import Market
from pricewatch.domain.time import DAY, HOUR, MINUTE, SECOND
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest import cursor
from pricewatch.gateway.rest.endpoint import Docs, Endpoint, instant, limit, required
from pricewatch.ports.clock import Clock
from pricewatch.ports.models import ModelStore
from pricewatch.ports.ticks import History
from pricewatch.wire.pages import CandlePage, SymbolPage, TickPage, symbol, tick
from pricewatch.wire.rest import ForecastDocument, candle, forecast

_SPANS = {"1s": (SECOND, 10 * MINUTE), "1m": (MINUTE, 12 * HOUR), "1h": (HOUR, 30 * DAY)}
_MOST = 10_000
_MOST_SECONDS = 6 * HOUR


class Markets:
    """What is known of markets; the same for every account."""

    def __init__(self, board: Board, history: History, models: ModelStore, clock: Clock) -> None:
        self._board = board
        self._history = history
        self._models = models
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """Read only."""
        span = ("from", "to", "cursor", "limit")
        return [
            Endpoint("GET", "/symbols", self.symbols, docs=Docs(SymbolPage, query=())),
            Endpoint("GET", "/candles", self.candles, docs=Docs(CandlePage, query=("market", "interval", *span))),
            Endpoint("GET", "/ticks", self.ticks, docs=Docs(TickPage, query=("market", *span))),
            Endpoint("GET", "/forecast", self.forecast, docs=Docs(ForecastDocument, query=("market",), also=(404,))),
        ]

    async def symbols(self, _: web.Request, __: Identity) -> web.Response:
        """All markets with their last price and feed age."""
        markets = self._board.everything()
        ages = self._board.ages([market.id for market in markets])
        rows = []
        for market in markets:
            age = ages[market.key]
            rows.append(symbol(self._board.ticker(market), age.age, age.state))
        return reply(SymbolPage(rows))

    async def candles(self, request: web.Request, _: Identity) -> web.Response:
        """`from <= at < to`, oldest first; without `from` the last ten minutes, hours or days.

        Seconds have only those in which something was traded, of six hours at most.
        """
        market = self._market(request)
        interval = request.query.get("interval", "1m")
        if interval not in _SPANS:
            raise Invalid("interval", f"{interval[:40]!r} is not stored; write 1s, 1m or 1h")
        span, back = _SPANS[interval]
        end = instant(request, "to", self._clock.now() + span)
        start = instant(request, "from", end - back)
        _check_order(start, end)
        if span == SECOND and end - start > _MOST_SECONDS:
            raise Invalid("from", "is more than 6 hours before `to`: seconds are counted from trades; ask in pieces")
        listing, wanted = f"candles {market.key} {interval}", limit(request, _MOST, _MOST)
        start = max(start, cursor.read_number(request, listing) or start)
        found = await self._history.candles(market.id, start, end, span=span, limit=wanted)
        follow = cursor.write(listing, found[-1].at + 1) if len(found) == wanted else None
        return reply(CandlePage(market.key, interval, [candle(one) for one in found], follow))

    async def ticks(self, request: web.Request, _: Identity) -> web.Response:
        """Stored trades with `from <= at < to`, oldest first; without `from` those of the last minutes."""
        market = self._market(request)
        end = instant(request, "to", self._clock.now() + SECOND)
        start = instant(request, "from", end - 10 * MINUTE)
        _check_order(start, end)
        listing, wanted = f"ticks {market.key}", limit(request, 1_000, _MOST)
        place = cursor.read(request, listing, cursor.NUMBER, Annotated[int, msgspec.Meta(ge=0, le=_MOST)])
        skip = 0
        if place is not None:
            start, skip = max(start, place[0]), place[1] if place[0] >= start else 0
        found = await self._history.trades(market.id, start, end, limit=wanted + skip)
        page = found[skip:]
        follow = None
        if len(page) == wanted:
            at = page[-1].trade.at
            shown = sum(one.trade.at == at for one in found)
            follow = cursor.write(listing, at, shown) if shown <= _MOST else cursor.write(listing, at + 1, 0)
        return reply(TickPage(market.key, [tick(one) for one in page], follow))

    async def forecast(self, request: web.Request, _: Identity) -> web.Response:
        """The newest stored baseline with its bands."""
        market = self._market(request)
        found = await self._models.forecast(market.id)
        if found is None:
            raise NotFound(f"there is no forecast of {market.key} yet")
        return reply(forecast(market.key, found, now=self._clock.now()))

    def _market(self, request: web.Request) -> Market:
        text = required(request, "market", "coinbase:BTC-USD")
        market = self._board.market(text)
        if market is None:
            near = ", ".join(name for name in self._board.nearest(text) if ":" in name)
            raise Invalid("market", f"there is no market {text[:64]!r}" + (f"; did you mean {near}?" if near else ""))
        return market


def _check_order(start: int, end: int) -> None:
    if start >= end:
        raise Invalid("from", "is not before `to`")
