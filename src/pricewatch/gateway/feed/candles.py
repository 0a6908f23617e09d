"""The channel `candles`: snapshots from the store, then minutes made of the trades that come by."""

from __future__ import annotations

import msgspec
import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Quote
from pricewatch.domain.time import MINUTE
from pricewatch.gateway.board import Board, Selection
from pricewatch.gateway.feed.bars import Bar, Bars, gathered
from pricewatch.gateway.feed.seats import Reader, Seats
from pricewatch.ports.clock import Clock
from pricewatch.ports.ticks import History
from pricewatch.wire.candle import CandleSnapshot, CandleUpdate, candle_frame, update
from pricewatch.wire.feed import encode

log = structlog.get_logger(__name__)

_SETTLED = 2 * MINUTE
"""Stored candles older than this are brought up to every trade."""
_EACH, _ALL, _EXACT = 60, 1_200, 20
"""Minutes of a market in a snapshot, of all markets together, and markets whose newest minutes are recounted."""


class Candles:
    """A `Desk` and a `PriceTape`. `flush` is called in its rhythm by the gateway."""

    def __init__(self, board: Board, history: History, clock: Clock) -> None:
        self._history = history
        self._clock = clock
        self._bars = Bars()
        self.seats = Seats(board)
        self.trade = self._bars.trade
        """Count a trade; on the hot path."""

    def quote(self, quote: Quote, seen: int) -> None:
        """Quotes make no candles."""

    def select(self, reader: Reader, selection: Selection) -> None:
        """Its markets are watched from now on."""
        self.seats.select(reader, selection)
        self._bars.watch(self.seats.markets(), self._clock.now())

    async def snapshot(self, selection: Selection) -> bytes:
        """The newest closed minutes, by market and time."""
        markets = self.seats.named(self.seats.markets_of(selection))
        each = max(1, min(_EACH, _ALL // max(1, len(markets))))
        data: list[CandleUpdate] = []
        for market, name in markets:
            data.extend(await self._past(market, name, each, exact=len(markets) <= _EXACT))
        return encode(CandleSnapshot(data=data))

    async def flush(self) -> None:
        """What changed, to everybody who reads it; who lags gets the newest of each minute later."""
        if not self.seats:
            return
        self._bars.watch(self.seats.markets(), self._clock.now())  # markets may have come
        closed, changed = self._bars.take(self._clock.now())
        documents = {(bar.market, bar.at): self._document(bar, closed=False) for bar in changed}
        documents.update({(bar.market, bar.at): await self._final(bar) for bar in closed})
        self.seats.deliver(documents, candle_frame)

    async def _past(self, market: int, name: str, each: int, *, exact: bool) -> list[CandleUpdate]:
        now = self._clock.now()
        minute = now - now % MINUTE
        found = await self._history.candles(market, minute - each * MINUTE, minute, span=MINUTE, limit=each)
        recent = set(range(minute - _SETTLED, minute, MINUTE)) if exact else set()
        known = {one.at: one for one in found if one.at not in recent}
        for at in recent:
            stored = await self._history.trades(market, at, at + MINUTE)
            counted = gathered((one.trade for one in stored), at)
            if counted is not None:
                known[at] = counted
        return [update(known[at], name, closed=True, partial=False) for at in sorted(known)[-each:]]

    async def _final(self, bar: Bar) -> bytes:
        """A minute that was watched from its middle on is counted again from what is stored."""
        if bar.is_partial:
            try:
                stored = await self._history.trades(bar.market, bar.at, bar.at + MINUTE)
            except Unavailable as error:
                log.info("gateway.candle_partial", market=bar.market, error=str(error))
            else:
                counted = gathered((one.trade for one in stored), bar.at)
                if counted is not None and counted.trades >= bar.trades:
                    whole = update(counted, self.seats.name(bar.market), closed=True, partial=False)
                    return msgspec.json.encode(whole)
        return self._document(bar, closed=True)

    def _document(self, bar: Bar, *, closed: bool) -> bytes:
        name = self.seats.name(bar.market)
        return msgspec.json.encode(update(bar.candle(), name, closed=closed, partial=bar.is_partial))
