"""What a market printed so far: trades by id and order, candles, and the numbers of the day."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import msgspec

from pricewatch.domain.time import MINUTE
from pricewatch.simulator.listings import Listing

_DAY_MINUTES = 1_440
_LIVE_MINUTES = 7 * _DAY_MINUTES


class Print(msgspec.Struct, frozen=True, gc=False):
    """One trade of a simulated or recorded venue."""

    id: int
    """Grows with time; 0: the venue's ids do not, and the ledger numbers the trade."""
    at: int
    """Microseconds since 1970, at the venue's precision."""
    price: float
    size: float
    side: int
    """1: the taker bought; -1: the taker sold."""
    sequence: int = 0
    ref: str = ""
    """The venue's own name of the trade, where it is not the number."""


class Bar(msgspec.Struct, gc=False):
    """One candle; `at` is its start in microseconds."""

    at: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    turnover: float
    bought: float
    """Volume of takers who bought."""
    trades: int

    def add(self, trade: Print) -> None:
        """Count one trade in."""
        self.high = max(self.high, trade.price)
        self.low = min(self.low, trade.price)
        self.close = trade.price
        self.volume += trade.size
        self.turnover += trade.size * trade.price
        self.bought += trade.size if trade.side > 0 else 0.0
        self.trades += 1


class Ledger:
    """The history of one market, as its REST service tells it; keeps the newest `keep` trades."""

    def __init__(self, listing: Listing, *, keep: int, bars: Sequence[Bar] = ()) -> None:
        self.listing = listing
        self.minutes = list(bars)
        self.bid = self.ask = self.bid_size = self.ask_size = 0.0
        self.sequence = 0
        self.printed = 0
        """Trades ever added."""
        self.marks: dict[str, str] = {}
        """What a recording calls the market's channels, where the venue numbers them (see `Heard.marks`)."""
        self._refs: dict[str, None] = {}
        self._keep = keep
        self._most_minutes = len(self.minutes) + _LIVE_MINUTES
        self._trades: list[Print] = []
        self._ids: list[int] = []
        self._order: list[int] = []
        day = self.minutes[-_DAY_MINUTES:]
        self.open = day[0].open if day else 0.0
        self.high = max((bar.high for bar in day), default=0.0)
        self.low = min((bar.low for bar in day), default=0.0)
        self.volume = sum(bar.volume for bar in day)
        self.turnover = sum(bar.turnover for bar in day)
        self.month_volume = self.volume * 30

    def add(self, trade: Print) -> None:
        """Append one trade; ids must grow (and names be new), else it is a repetition and ignored."""
        if trade.ref and trade.ref in self._refs:
            return
        if not trade.id:
            trade = msgspec.structs.replace(trade, id=self._ids[-1] + 1 if self._ids else 1)
        if self._ids and trade.id <= self._ids[-1]:
            return
        if trade.ref:
            self._refs[trade.ref] = None
        self._ids.append(trade.id)
        self._trades.append(trade)
        self._order.append(max(trade.at * 1_000, self._order[-1] + 1 if self._order else 0))
        self.printed += 1
        self.sequence = max(self.sequence, trade.sequence)
        self._count(trade)
        if len(self._ids) > self._keep * 5 // 4:
            spare = len(self._ids) - self._keep
            for gone in self._trades[:spare]:
                self._refs.pop(gone.ref, None)
            del self._ids[:spare], self._trades[:spare], self._order[:spare]

    def _count(self, trade: Print) -> None:
        if not self.open:
            self.open = self.high = self.low = trade.price
        self.high = max(self.high, trade.price)
        self.low = min(self.low, trade.price)
        self.volume += trade.size
        self.month_volume += trade.size
        self.turnover += trade.size * trade.price
        start = trade.at - trade.at % MINUTE
        if self.minutes and self.minutes[-1].at >= start:
            self._minute(start).add(trade)
            return
        bar = Bar(start, trade.price, trade.price, trade.price, trade.price, 0.0, 0.0, 0.0, 0)
        bar.add(trade)
        self.minutes.append(bar)
        if len(self.minutes) > self._most_minutes:
            del self.minutes[:_DAY_MINUTES]

    def _minute(self, start: int) -> Bar:
        return next((bar for bar in reversed(self.minutes[-3:]) if bar.at == start), self.minutes[-1])

    @property
    def last(self) -> Print | None:
        """The newest trade."""
        return self._trades[-1] if self._trades else None

    @property
    def first_id(self) -> int | None:
        """The oldest id still kept."""
        return self._ids[0] if self._ids else None

    def newest(self, limit: int) -> list[Print]:
        """The last trades, oldest first."""
        return self._trades[-limit:] if limit > 0 else []

    def starting(self, first: int, limit: int) -> list[Print]:
        """Trades with an id from `first` on, oldest first."""
        index = bisect_left(self._ids, first)
        return self._trades[index : index + limit]

    def between(self, above: int | None, below: int | None, limit: int) -> list[Print]:
        """The newest trades with `above < id < below`, oldest first."""
        start = 0 if above is None else bisect_right(self._ids, above)
        stop = len(self._ids) if below is None else bisect_left(self._ids, below)
        return self._trades[max(start, stop - limit) : stop] if stop > start else []

    def since(self, order: int, limit: int) -> tuple[list[Print], int]:
        """Trades after a nanosecond cursor, oldest first, and the cursor of the last one."""
        index = bisect_right(self._order, order)
        page = self._trades[index : index + limit]
        return page, self._order[index + len(page) - 1] if page else order

    def cursor(self) -> int:
        """The nanosecond cursor of the newest trade."""
        return self._order[-1] if self._order else 0

    def bars(self, span: int, start: int | None = None, end: int | None = None) -> list[Bar]:
        """Candles of `span` minutes that begin in `[start, end]` (microseconds), oldest first."""
        width = span * MINUTE
        merged: list[Bar] = []
        for minute in self.minutes:
            begin = minute.at - minute.at % width
            if (start is not None and begin < start) or (end is not None and begin > end):
                continue
            if merged and merged[-1].at == begin:
                _merge(merged[-1], minute)
            else:
                bar = msgspec.structs.replace(minute)
                bar.at = begin
                merged.append(bar)
        return merged


def _merge(bar: Bar, minute: Bar) -> None:
    bar.high = max(bar.high, minute.high)
    bar.low = min(bar.low, minute.low)
    bar.close = minute.close
    bar.volume += minute.volume
    bar.turnover += minute.turnover
    bar.bought += minute.bought
    bar.trades += minute.trades
