"""One market's recent prices, and the change over windows of them."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right

from pricewatch.engine.index import LevelIndex

DECIMALS = 10
"""From 100 to 102 is two per cent and not a hair more: equality at a threshold survives the division."""
TRIM = 4_096
"""Prices no window needs any more are dropped this many at a time at least."""


class Window:
    """The change over one span, with its reference as a place in the series."""

    __slots__ = ("index", "reference", "span")

    def __init__(self, index: LevelIndex) -> None:
        self.index = index
        self.span = index.feature.window
        self.reference = 0


class Series:
    """In-order prices as far back as the longest window reaches: 16 bytes a trade, exact."""

    __slots__ = ("_ats", "_prices", "windows")

    def __init__(self) -> None:
        self.windows: list[Window] = []
        self._ats = array("q")
        self._prices = array("d")

    def add(self, at: int, price: float) -> None:
        """The next in-order price; every window's reference moves with it."""
        ats = self._ats
        ats.append(at)
        self._prices.append(price)
        last = len(ats) - 1
        for window in self.windows:
            cutoff = at - window.span
            place = window.reference
            if place < last and ats[place + 1] <= cutoff:
                window.reference = bisect_right(ats, cutoff, place + 1) - 1
        if len(ats) > 2 * TRIM:
            self._trim()

    def change(self, window: Window) -> float:
        """Per cent from the reference to the last price, exact to ten decimals; NaN without a reference."""
        at, price = self.reference(window)
        return round(100.0 * (self._prices[-1] - price) / price, DECIMALS) if at else math.nan

    def reference(self, window: Window) -> tuple[int, float]:
        """`(at, price)` of the last trade at or before the window's start; `(0, NaN)` where there is none."""
        if self._ats and self._ats[window.reference] <= self._ats[-1] - window.span:
            return self._ats[window.reference], self._prices[window.reference]
        return 0, math.nan

    def _trim(self) -> None:
        unused = min(window.reference for window in self.windows)
        if unused >= TRIM and unused > len(self._ats) // 2:
            del self._ats[:unused]
            del self._prices[:unused]
            for window in self.windows:
                window.reference -= unused
