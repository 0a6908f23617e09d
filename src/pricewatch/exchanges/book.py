"""A market's price levels, kept as far as the best bid and ask need it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

Level = tuple[float, float]
"""Price and size."""
MAX_LEVELS = 20_000
"""Levels kept a side; beyond it the worst is forgotten. The largest recorded snapshot has 6,614 on both together."""


class Levels:
    """One side of a book: a change near the best price costs about a microsecond, however deep the book."""

    __slots__ = ("_keys", "_sign", "_sizes")

    def __init__(self, *, bids: bool) -> None:
        self._sign = 1.0 if bids else -1.0
        self._sizes: dict[float, float] = {}
        self._keys: list[float] = []
        """Prices with the best one last: bids as they are, asks negative."""

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def best(self) -> Level | None:
        """The best price and its size; None where the side is empty."""
        if not self._keys:
            return None
        key = self._keys[-1]
        return key * self._sign, self._sizes[key]

    def load(self, levels: Iterable[Level]) -> None:
        """A whole side at once, in any order, in place of what there was."""
        sizes = {price * self._sign: size for price, size in levels if size > 0.0}
        self._keys = sorted(sizes)[-MAX_LEVELS:]
        self._sizes = sizes if len(sizes) == len(self._keys) else {key: sizes[key] for key in self._keys}

    def change(self, price: float, size: float) -> None:
        """The size at a price from now on; zero takes the level away."""
        key = price * self._sign
        if size > 0.0:
            if key not in self._sizes:
                insort(self._keys, key)
            self._sizes[key] = size
            if len(self._keys) > MAX_LEVELS:
                del self._sizes[self._keys.pop(0)]
        elif self._sizes.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]


class Book:
    """Both sides, and whether the best of them changed."""

    __slots__ = ("_told", "asks", "bids")

    def __init__(self) -> None:
        self.bids = Levels(bids=True)
        self.asks = Levels(bids=False)
        self._told: tuple[Level, Level] | None = None

    def news(self) -> tuple[Level, Level] | None:
        """The best bid and ask where they differ from those told last; None while a side is empty."""
        bid, ask = self.bids.best, self.asks.best
        if bid is None or ask is None or (bid, ask) == self._told:
            return None
        self._told = (bid, ask)
        return self._told
