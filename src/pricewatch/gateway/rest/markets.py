"""`symbols`, `candles` and `forecast`."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.market import Market
from pricewatch.domain.time import DAY, HOUR, MINUTE
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest.endpoint import Endpoint, instant, limit, only, required
from pricewatch.ports.clock import Clock
from pricewatch.ports.models import ModelStore
from pricewatch.ports.ticks import History
from pricewatch.wire.rest import candle, forecast

_SPANS = {"1m": (MINUTE, 12 * HOUR), "1h": (HOUR, 30 * DAY)}
_MOST = 10_000


class Markets:
    """What is known of markets; the same for every account."""

    def __init__(self, board: Board, history: History, models: ModelStore, clock: Clock) -> None:
        self._board = board
        self._history = history
        self._models = models
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """Read only."""
        return [
            Endpoint("GET", "/symbols", self.symbols),
            Endpoint("GET", "/candles", self.candles),
            Endpoint("GET", "/forecast", self.forecast),
        ]

    async def symbols(self, request: web.Request, _: Identity) -> web.Response:
        """All markets with their last price and feed age."""
        only(request)
        markets = self._board.everything()
        ages = self._board.ages([market.id for market in markets])
        return reply({"symbols": [self._row(market, ages[market.key]) for market in markets]})

    def _row(self, market: Market, age: Any) -> dict[str, Any]:
        row: dict[str, Any] = msgspec.to_builtins(self._board.ticker(market))
        return {**row, "feed_age": age.age, "state": age.state}

    async def candles(self, request: web.Request, _: Identity) -> web.Response:
        """`from <= at < to`, oldest first; without `from` the last hours or days."""
        only(request, "market", "from", "to", "interval", "limit")
        market = self._market(request)
        interval = request.query.get("interval", "1m")
        if interval not in _SPANS:
            raise Invalid("interval", f"{interval[:40]!r} is not stored; write 1m or 1h")
        span, back = _SPANS[interval]
        end = instant(request, "to", self._clock.now() + span)
        start = instant(request, "from", end - back)
        if start >= end:
            raise Invalid("from", "is not before `to`")
        found = await self._history.candles(market.id, start, end, span=span, limit=limit(request, _MOST, _MOST))
        return reply({"market": market.key, "interval": interval, "candles": [candle(one) for one in found]})

    async def forecast(self, request: web.Request, _: Identity) -> web.Response:
        """The newest stored baseline with its bands."""
        only(request, "market")
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
