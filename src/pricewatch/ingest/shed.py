"""What is kept of a market while there is no room for all of it: the extremes and the end."""

from __future__ import annotations

from pricewatch.domain.market import Trade


class Shed:
    """The lowest, the highest and the last trade of an interval, so that no level was touched unseen."""

    __slots__ = ("_count", "_high", "_last", "_low", "span")

    def __init__(self) -> None:
        self._count = 0
        self._low: tuple[int, Trade] | None = None
        self._high: tuple[int, Trade] | None = None
        self._last: tuple[int, Trade] | None = None
        self.span: tuple[int, int] | None = None
        """Venue times of the earliest and the latest trade; None before the first."""

    def note(self, trade: Trade) -> None:
        """One more trade."""
        self._count += 1
        self._last = numbered = (self._count, trade)
        if self._low is None or trade.price < self._low[1].price:
            self._low = numbered
        if self._high is None or trade.price > self._high[1].price:
            self._high = numbered
        first, last = self.span or (trade.at, trade.at)
        self.span = min(first, trade.at), max(last, trade.at)

    def kept(self) -> list[Trade]:
        """At most three, in the order in which they came."""
        found = dict(one for one in (self._low, self._high, self._last) if one is not None)
        return [found[number] for number in sorted(found)]
