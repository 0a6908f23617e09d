"""The highest or the lowest price of a window, kept without the prices that cannot become it any more."""

from __future__ import annotations

import math
from collections import deque


class Peak:
    """`sign` 1 for the highest price, -1 for the lowest; the window is `now - span < at <= now`."""

    __slots__ = ("_entries", "_sign", "_span")

    def __init__(self, span: int, sign: int) -> None:
        self._span = span
        self._sign = sign
        self._entries: deque[tuple[int, float]] = deque()
        """`(at, sign * price)`: later ones are lower."""

    def trim(self, now: int) -> None:
        """Forget what has left the window that ends at `now`."""
        entries, cutoff = self._entries, now - self._span
        while entries and entries[0][0] <= cutoff:
            entries.popleft()

    def add(self, at: int, price: float) -> None:
        """The next in-order price."""
        entries, value = self._entries, self._sign * price
        while entries and entries[-1][1] <= value:
            entries.pop()
        entries.append((at, value))

    def insert(self, at: int, price: float) -> None:
        """A price out of order."""
        entries, value = self._entries, self._sign * price
        place = len(entries)
        while place and entries[place - 1][0] > at:
            place -= 1
        if place < len(entries) and entries[place][1] >= value:
            return
        entries.insert(place, (at, value))
        while place and entries[place - 1][1] <= value:
            place -= 1
            del entries[place]

    @property
    def price(self) -> float:
        """The extreme; NaN where the window is empty."""
        return self._sign * self._entries[0][1] if self._entries else math.nan

    @property
    def at(self) -> int:
        """When it was printed last; 0 where the window is empty."""
        return self._entries[0][0] if self._entries else 0
