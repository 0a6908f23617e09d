"""How much more than usual: what a window sums up against what the time before it did."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from typing import Any

from pricewatch.domain.time import SECOND
from pricewatch.engine.gauges.base import DECIMALS
from pricewatch.rules.base import Feature

UNIT = 10**18
"""Summands are added up as whole multiples of 1e-18: a sum is the same however it has come about."""

BLOCK = 256
"""Summands that leave the window together."""


class Block:
    """Some consecutive summands of one second."""

    __slots__ = ("amounts", "ats", "begin", "second", "total")

    def __init__(self, second: int) -> None:
        self.second = second
        self.ats = array("q")
        self.amounts: list[int] = []
        self.begin = 0
        """Those before it have left the window."""
        self.total = 0
        """Of those that have not."""

    def add(self, at: int, amount: int) -> None:
        """The next one, or one out of order at its place."""
        place = bisect_right(self.ats, at, self.begin)
        self.ats.insert(place, at)
        self.amounts.insert(place, amount)
        self.total += amount

    def leave(self, cutoff: int) -> int:
        """The sum of those that leave the window now, being at `cutoff` or before."""
        place = bisect_right(self.ats, cutoff, self.begin)
        left = sum(self.amounts[self.begin : place])
        self.begin = place
        self.total -= left
        return left


class Minute:
    """The sums of a minute's seconds, as far as they have not left the baseline."""

    __slots__ = ("begin", "minute", "seconds", "sums", "total")

    def __init__(self, minute: int) -> None:
        self.minute = minute
        self.seconds = array("q")
        self.sums: list[int] = []
        self.begin = 0
        self.total = 0

    def add(self, second: int, amount: int) -> None:
        """To that second, or to the newest one where that is later."""
        self.total += amount
        if self.seconds and self.seconds[-1] >= second:
            self.sums[-1] += amount
        else:
            self.seconds.append(second)
            self.sums.append(amount)

    def leave(self, oldest: int) -> int:
        """The sum of the seconds before `oldest`, which leave."""
        place = bisect_left(self.seconds, oldest, self.begin)
        left = sum(self.sums[self.begin : place])
        self.begin = place
        self.total -= left
        return left


class Sums:
    """Summands of a window, one by one, and of the baseline before it, second by second.

    A second leaves the baseline when all of it is older than the baseline. However many leave at once, after a silence
    or a burst, it takes a fraction of a millisecond: they go by blocks and by minutes, and are freed little by little.
    """

    __slots__ = ("_baseline", "_minutes", "_recent", "_rubbish", "_window", "recent", "usual")

    def __init__(self, window: int, baseline: int) -> None:
        self._window = window
        self._baseline = baseline
        self._recent: deque[Block] = deque()
        self._minutes: deque[Minute] = deque()
        self._rubbish: deque[object] = deque()
        self.recent = 0
        """The sum over the window, `now - window < at <= now`."""
        self.usual = 0
        """The sum over the baseline."""

    def add(self, at: int, amount: int) -> None:
        """The next summand in order."""
        recent, second = self._recent, at // SECOND
        if recent and recent[-1].second < (at - self._window - self._baseline) // SECOND:
            self._clear()  # so long a silence that nothing is left
        if not recent or recent[-1].second != second or len(recent[-1].ats) >= BLOCK:
            recent.append(Block(second))
        recent[-1].add(at, amount)
        self.recent += amount

    def insert(self, at: int, amount: int) -> None:
        """A summand out of order: within the grace, so its place is near the end."""
        recent = self._recent
        place = len(recent)
        while place and recent[place - 1].ats[recent[place - 1].begin] > at:
            place -= 1
        self.recent += amount
        if place and recent[place - 1].second == at // SECOND:
            recent[place - 1].add(at, amount)
            return
        block = Block(at // SECOND)
        block.add(at, amount)
        recent.insert(place, block)

    def trim(self, now: int) -> None:
        """Move what has left the window that ends at `now` into the baseline, and forget what has left that."""
        recent, rubbish, cutoff = self._recent, self._rubbish, now - self._window
        while recent and recent[0].ats[-1] <= cutoff:
            block = recent.popleft()
            self._age(block.second, block.total)
            rubbish.append(block)
        if recent and recent[0].ats[recent[0].begin] <= cutoff:
            self._age(recent[0].second, recent[0].leave(cutoff))
        self._forget((cutoff - self._baseline) // SECOND)
        for _ in range(min(2, len(rubbish))):
            rubbish.popleft()

    def _clear(self) -> None:
        for gone in (self._recent, self._minutes):
            self._rubbish.extend(gone)
            gone.clear()
        self.recent = self.usual = 0

    def _age(self, second: int, amount: int) -> None:
        """One that came later than a window and is older than what is here already counts with the newest second."""
        self.recent -= amount
        self.usual += amount
        minutes, minute = self._minutes, second // 60
        if not minutes or minutes[-1].minute < minute:
            minutes.append(Minute(minute))
        minutes[-1].add(second, amount)

    def _forget(self, oldest: int) -> None:
        minutes = self._minutes
        while minutes and minutes[0].seconds[-1] < oldest:
            gone = minutes.popleft()
            self.usual -= gone.total
            self._rubbish.append(gone)
        if minutes and minutes[0].seconds[minutes[0].begin] < oldest:
            self.usual -= minutes[0].leave(oldest)


class Surge:
    """The window's rate as a multiple of the baseline's; unknown until both are known, or without a baseline."""

    def __init__(self, feature: Feature) -> None:
        self._sums = Sums(feature.window, feature.baseline)
        self._span = feature.window + feature.baseline
        self._scale = feature.baseline / feature.window
        self._first = 0

    def _ratio(self, at: int) -> float:
        sums = self._sums
        sums.trim(at)
        self._first = self._first or at
        if at - self._first < self._span or not sums.usual:
            return math.nan
        return sums.recent / sums.usual * self._scale


class Volume(Surge):
    """`volume`: of the sizes traded."""

    def trade(self, at: int, price: float, size: float) -> float:  # noqa: ARG002 - sizes alone count
        """With this trade's size."""
        self._sums.add(at, round(size * UNIT))
        return round(self._ratio(at), DECIMALS)

    def late(self, at: int, price: float, size: float) -> None:  # noqa: ARG002 - sizes alone count
        """It was traded too."""
        self._sums.insert(at, round(size * UNIT))

    def facts(self) -> dict[str, Any]:
        """The volume of the window, and what is usual for as long."""
        sums = self._sums
        return {"recent": sums.recent / UNIT, "usual": sums.usual / UNIT / self._scale}


class Volatility(Surge):
    """`volatility`: of the root of the summed squares of returns from trade to trade."""

    def __init__(self, feature: Feature) -> None:
        super().__init__(feature)
        self._price = 0.0

    def trade(self, at: int, price: float, size: float) -> float:  # noqa: ARG002 - prices alone count
        """With the return from the trade before."""
        if self._price:
            self._sums.add(at, round(math.log(price / self._price) ** 2 * UNIT))
        self._price = price
        return round(math.sqrt(self._ratio(at)), DECIMALS)

    def late(self, at: int, price: float, size: float) -> None:
        """A print out of order is nobody's prior sample: it makes no return."""

    def facts(self) -> dict[str, Any]:
        """The volatility of the window, and what is usual for as long: roots of summed squares, in per cent."""
        recent, usual = self._sums.recent / UNIT, self._sums.usual / UNIT / self._scale
        return {"recent": 100.0 * math.sqrt(recent), "usual": 100.0 * math.sqrt(usual)}
