"""The channel `candles`: snapshots from the store, then minutes made of the trades that come by."""

from __future__ import annotations

from typing import Protocol

import msgspec
import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Market, Trade
from pricewatch.domain.time import MINUTE
from pricewatch.gateway.board import Board, Selection
from pricewatch.gateway.feed.bars import Bar, Bars, gathered
from pricewatch.gateway.feed.framing import Message, framed
from pricewatch.gateway.feed.outlet import Outlet
from pricewatch.ports.clock import Clock
from pricewatch.ports.ticks import History
from pricewatch.wire.candle import CandleSnapshot, CandleUpdate, candle_frame, update
from pricewatch.wire.feed import encode

log = structlog.get_logger(__name__)

_SETTLED = 2 * MINUTE
"""Stored candles older than this are brought up to every trade."""
_EACH, _ALL, _EXACT = 60, 1_200, 20
"""Minutes of a market in a snapshot, of all markets together, and markets whose newest minutes are recounted."""
_Key = tuple[int, int]


class Reader(Protocol):
    """A client of the channel."""

    @property
    def outlet(self) -> Outlet:
        """Its way out."""
        ...


class _Seat:
    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.pending: dict[_Key, bytes] = {}
        """What could not go out while the client lagged: of each minute the newest."""


class Candles:
    """Everybody who reads candles. `flush` is called in its rhythm by the gateway."""

    def __init__(self, board: Board, history: History, clock: Clock) -> None:
        self._board = board
        self._history = history
        self._clock = clock
        self._bars = Bars()
        self._seats: dict[Reader, _Seat] = {}
        self._names: dict[int, str] = {}
        self._resolved: dict[Selection, frozenset[int]] = {}
        self._version = -1
        self.sent = 0

    def trade(self, trade: Trade) -> None:
        """On the hot path."""
        self._bars.trade(trade)

    def select(self, reader: Reader, selection: Selection) -> None:
        """It reads these from now on; an empty selection ends it."""
        seat = self._seats.get(reader)
        if not selection:
            self._seats.pop(reader, None)
        elif seat is None:
            self._seats[reader] = _Seat(selection)
        else:
            seat.selection = selection
        self._watch()

    async def snapshot(self, selection: Selection) -> bytes:
        """The newest closed minutes, oldest first; raises `Unavailable`."""
        numbers = self._markets_of(selection)
        markets = [market for market in self._board.everything() if market.id in numbers]
        each = max(1, min(_EACH, _ALL // max(1, len(markets))))
        data: list[CandleUpdate] = []
        for market in markets:
            data.extend(await self._past(market, each, exact=len(markets) <= _EXACT))
        return encode(CandleSnapshot(data=data))

    async def flush(self) -> None:
        """What changed, to everybody who reads it; who lags gets the newest of each minute later."""
        if not self._seats:
            return
        self._watch()  # markets may have come
        closed, changed = self._bars.take(self._clock.now())
        documents = {(bar.market, bar.at): self._document(bar, closed=False) for bar in changed}
        documents.update({(bar.market, bar.at): await self._final(bar) for bar in closed})
        messages: dict[frozenset[_Key], Message] = {}
        for reader, seat in list(self._seats.items()):
            wanted = self._markets_of(seat.selection)
            seat.pending.update({key: one for key, one in documents.items() if key[0] in wanted})
            if not seat.pending or not reader.outlet.is_idle():
                continue
            keys = frozenset(seat.pending)
            fresh = keys <= documents.keys()
            message = messages.get(keys) if fresh else None
            if message is None:
                message = Message(framed(candle_frame([seat.pending[key] for key in sorted(keys)])))
                if fresh:
                    messages[keys] = message
            seat.pending.clear()
            self.sent += reader.outlet.send(message)

    def _watch(self) -> None:
        wanted = frozenset().union(*(self._markets_of(seat.selection) for seat in self._seats.values()))
        self._bars.watch(wanted, self._clock.now())

    def _markets_of(self, selection: Selection) -> frozenset[int]:
        if self._version != self._board.version:
            self._version = self._board.version
            self._names = {market.id: market.key for market in self._board.everything()}
            self._resolved.clear()
        found = self._resolved.get(selection)
        if found is None:
            found = self._resolved[selection] = self._board.resolve(selection)
        return found

    async def _past(self, market: Market, each: int, *, exact: bool) -> list[CandleUpdate]:
        now = self._clock.now()
        minute = now - now % MINUTE
        found = await self._history.candles(market.id, minute - each * MINUTE, minute, span=MINUTE, limit=each)
        recent = set(range(minute - _SETTLED, minute, MINUTE)) if exact else set()
        known = {one.at: one for one in found if one.at not in recent}
        for at in recent:
            stored = await self._history.trades(market.id, at, at + MINUTE)
            counted = gathered((one.trade for one in stored), at)
            if counted is not None:
                known[at] = counted
        return [update(known[at], market.key, closed=True, partial=False) for at in sorted(known)[-each:]]

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
                    return msgspec.json.encode(update(counted, self._names[bar.market], closed=True, partial=False))
        return self._document(bar, closed=True)

    def _document(self, bar: Bar, *, closed: bool) -> bytes:
        return msgspec.json.encode(update(bar.candle(), self._names[bar.market], closed=closed, partial=bar.is_partial))
