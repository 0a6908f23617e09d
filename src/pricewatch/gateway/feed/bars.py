"""One-minute candles of the markets somebody watches, made of the trades that come by. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable

from pricewatch.domain.market import Candle, Flag, Trade
from pricewatch.domain.time import MINUTE, SECOND

GRACE = SECOND
"""How long after its end a minute still takes late prints."""
_NOT_LIVE = Flag.SUSPECT | Flag.HISTORY | Flag.LATE


class Bar:
    """A minute that is not closed yet."""

    __slots__ = ("at", "close", "first", "high", "is_partial", "last", "low", "market", "open", "trades", "volume")

    def __init__(self, trade: Trade, *, is_partial: bool) -> None:
        self.market = trade.market
        self.at = trade.at - trade.at % MINUTE
        self.open = self.high = self.low = self.close = trade.price
        self.first = self.last = trade.at
        self.volume = trade.size
        self.trades = 1
        self.is_partial = is_partial

    def add(self, trade: Trade) -> None:
        """One more trade, in any order of time."""
        price = trade.price
        self.high, self.low = max(self.high, price), min(self.low, price)
        if trade.at < self.first:
            self.open, self.first = price, trade.at
        if trade.at >= self.last:
            self.close, self.last = price, trade.at
        self.volume += trade.size
        self.trades += 1

    def candle(self) -> Candle:
        """As it stands."""
        return Candle(
            market=self.market,
            at=self.at,
            open=self.open,
            high=self.high,
            low=self.low,
            close=self.close,
            volume=self.volume,
            trades=self.trades,
        )


class Bars:
    """The open minutes of watched markets. `trade` is on the hot path and costs a look-up for all others."""

    def __init__(self) -> None:
        self._since: dict[int, int] = {}
        self._open: dict[tuple[int, int], Bar] = {}
        self._closed_upto: dict[int, int] = {}
        self._dirty: set[tuple[int, int]] = set()

    def watch(self, markets: Iterable[int], now: int) -> None:
        """From now on exactly these; minutes that have begun are partial where they were not watched."""
        wanted = set(markets)
        for market in self._since.keys() - wanted:
            del self._since[market]
            self._closed_upto.pop(market, None)
        self._open = {key: bar for key, bar in self._open.items() if key[0] in wanted}
        self._dirty &= self._open.keys()
        for market in wanted - self._since.keys():
            self._since[market] = now

    def trade(self, trade: Trade, seen: int = 0) -> None:  # noqa: ARG002 - the port's, and this is the hot path
        """Count it, unless its minute is closed, or it is no live print."""
        since = self._since.get(trade.market)
        if since is None or trade.flags & _NOT_LIVE:
            return
        at = trade.at - trade.at % MINUTE
        if at < self._closed_upto.get(trade.market, 0):
            return
        key = (trade.market, at)
        bar = self._open.get(key)
        if bar is None:
            self._open[key] = Bar(trade, is_partial=at < since)
        else:
            bar.add(trade)
        self._dirty.add(key)

    def take(self, now: int) -> tuple[list[Bar], list[Bar]]:
        """The minutes that closed, and the open ones that changed, since the last call."""
        over = sorted(key for key in self._open if key[1] + MINUTE + GRACE <= now)
        closed = []
        for key in over:
            closed.append(self._open.pop(key))
            self._dirty.discard(key)
            self._closed_upto[key[0]] = max(self._closed_upto.get(key[0], 0), key[1] + MINUTE)
        changed = [self._open[key] for key in sorted(self._dirty)]
        self._dirty.clear()
        return closed, changed


def gathered(trades: Iterable[Trade], minute: int) -> Candle | None:
    """The candle of a minute from all its stored trades; None where nothing was printed."""
    bar: Bar | None = None
    for trade in sorted(trades, key=lambda one: one.at):
        if not trade.flags & (Flag.SUSPECT | Flag.HISTORY) and minute <= trade.at < minute + MINUTE:
            if bar is None:
                bar = Bar(trade, is_partial=False)
            else:
                bar.add(trade)
    return None if bar is None else bar.candle()
