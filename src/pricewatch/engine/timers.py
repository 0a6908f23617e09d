"""What is due when: a heap whose next entry is known at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

NEVER = sys.maxsize

Item = TypeVar("Item")


class Agenda(Generic[Item]):
    """Items by instant, then by key. What became void is recognised by asking the item when it is due now."""

    __slots__ = ("_bound", "_due", "_heap", "next")

    def __init__(self, due: Callable[[Item], int]) -> None:
        self._due = due
        self._heap: list[tuple[int, bytes, Item]] = []
        self._bound = 64
        self.next = NEVER
        """No item is due before this instant."""

    def add(self, due: int, key: bytes, item: Item) -> None:
        """Note an item; void entries never outnumber the others by more than a constant."""
        if len(self._heap) >= self._bound:
            self._heap = [entry for entry in self._heap if self._due(entry[2]) == entry[0]]
            heapify(self._heap)
            self._bound = 2 * len(self._heap) + 64
        heappush(self._heap, (due, key, item))
        self.next = min(self.next, due)

    def pop(self, upto: int) -> Item | None:
        """The next item due at `upto` or before; None when there is none left."""
        heap = self._heap
        while heap and heap[0][0] <= upto:
            due, _, item = heappop(heap)
            if self._due(item) == due:
                return item
        self.next = heap[0][0] if heap else NEVER
        return None
