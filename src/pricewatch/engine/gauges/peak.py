"""The highest or the lowest price of a window, kept without the prices that cannot become it any more."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right

TRIM = 4_096
"""Prices that have left the window are dropped that many at a time at least."""


class Peak:
    """`sign` 1 for the highest price, -1 for the lowest; the window is `now - span < at <= now`.

    However many prices leave it at once, that is a search and a cut.
    """

    __slots__ = ("_ats", "_begin", "_sign", "_span", "_values")

    def __init__(self, span: int, sign: int) -> None:
        self._span = span
        self._sign = sign
        self._ats = array("q")
        self._values = array("d")
        """`-sign * price`: later ones are greater."""
        self._begin = 0
        """Where the window begins."""

    def trim(self, now: int) -> None:
        """Forget what has left the window that ends at `now`."""
        ats, cutoff = self._ats, now - self._span
        begin = self._begin
        if begin < len(ats) and ats[begin] <= cutoff:
            begin = self._begin = bisect_right(ats, cutoff, begin)
            if begin >= TRIM and begin > len(ats) // 2:
                del ats[:begin]
                del self._values[:begin]
                self._begin = 0

    def add(self, at: int, price: float) -> None:
        """The next in-order price."""
        ats, values, value = self._ats, self._values, -self._sign * price
        if len(ats) > self._begin and values[-1] >= value:
            place = bisect_left(values, value, self._begin)
            del ats[place:]
            del values[place:]
        ats.append(at)
        values.append(value)

    def insert(self, at: int, price: float) -> None:
        """A price out of order."""
        ats, values, value = self._ats, self._values, -self._sign * price
        place = bisect_right(ats, at, self._begin)
        if place < len(ats) and values[place] <= value:
            return
        first = bisect_left(values, value, self._begin, place)
        del ats[first:place]
        del values[first:place]
        ats.insert(first, at)
        values.insert(first, value)

    @property
    def price(self) -> float:
        """The extreme; NaN where the window is empty."""
        return -self._sign * self._values[self._begin] if self._begin < len(self._values) else math.nan

    @property
    def at(self) -> int:
        """When it was printed last; 0 where the window is empty."""
        return self._ats[self._begin] if self._begin < len(self._ats) else 0
