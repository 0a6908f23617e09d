"""Which trades of a market have been seen, where ids do not count: the newest keys, and no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from pricewatch.ingest.sequence import Hole, Verdict


class Recent:
    """What `Sequence` is for ids that count by one. It finds no holes; it knows repetitions among the last keys."""

    __slots__ = ("_keys", "_order", "high")

    def __init__(self, capacity: int, keys: Iterable[int] = ()) -> None:
        """`keys` were seen before, oldest first."""
        self._order: deque[int] = deque(maxlen=capacity)
        self._keys: set[int] = set()
        self.high: int | None = None
        """The newest key noted; None before the first."""
        for key in keys:
            self.settle(key)

    def __contains__(self, key: int) -> bool:
        return key in self._keys

    def admit(self, key: int) -> Verdict | Hole:
        """Note a key: new or duplicate."""
        return Verdict.NEW if self.settle(key) else Verdict.DUPLICATE

    def settle(self, key: int) -> bool:
        """Note a key; False when it was known."""
        if key in self._keys:
            return False
        if len(self._order) == self._order.maxlen:
            self._keys.discard(self._order[0])
        self._order.append(key)
        self._keys.add(key)
        self.high = key
        return True

    def extend(self, key: int) -> Hole | None:
        """Ids that do not count tell nothing about what was missed."""
        _ = key
        return None

    def missing(self, within: tuple[int, int] | None = None) -> list[Hole]:
        """Nothing is known to be missing by its id."""
        _ = within
        return []
