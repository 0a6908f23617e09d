"""Which trade ids of one market have been seen, and which are missing."""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

MAX_HOLES = 10_000
"""Holes remembered per market; the oldest are given up (their trades would count as duplicates)."""


class Hole(NamedTuple):
    """Ids from `first` to `last`, both missing."""

    first: int
    last: int


class Verdict(enum.Enum):
    """What an id is, when it opens no hole."""

    NEW = "new"
    DUPLICATE = "duplicate"


_NEW = Verdict.NEW


class Sequence:
    """Ids grow by one. What lies below the first id ever seen counts as a duplicate."""

    __slots__ = ("_holes", "high")

    def __init__(self, high: int | None = None, missing: Iterable[tuple[int, int]] = ()) -> None:
        self.high = high
        self._holes: list[Hole] = []
        for first, last in sorted(missing):
            if self._holes and first <= self._holes[-1].last + 1:
                before = self._holes.pop()
                first, last = before.first, max(before.last, last)  # noqa: PLW2901 - one hole with its neighbour
            self._holes.append(Hole(first, last))

    def __contains__(self, key: int) -> bool:
        return self.high is not None and key <= self.high and not self.missing((key, key))

    def admit(self, key: int) -> Verdict | Hole:
        """Note an id: new, duplicate, or new with a hole before it."""
        high = self.high
        if high is None or key == high + 1:
            self.high = key
            return _NEW
        if key > high:
            self.high = key
            return self._open(high + 1, key - 1)
        return Verdict.NEW if self.settle(key) else Verdict.DUPLICATE

    def extend(self, key: int) -> Hole | None:
        """The venue says `key` was printed, but we have not seen it: the hole up to it, if there is one."""
        high = self.high
        if high is None or key <= high:
            return None
        self.high = key
        return self._open(high + 1, key)

    def settle(self, key: int) -> bool:
        """Take a missing id off the holes; False when it was not missing."""
        index = bisect_right(self._holes, key, key=lambda hole: hole.first) - 1
        if index < 0 or key > self._holes[index].last:
            return False
        hole = self._holes[index]
        self._holes[index : index + 1] = [
            part for part in (Hole(hole.first, key - 1), Hole(key + 1, hole.last)) if part.first <= part.last
        ]
        return True

    def reopen(self, hole: Hole) -> None:
        """These were seen, but are lost: they are missing again."""
        self.high = hole.last if self.high is None else max(self.high, hole.last)
        self._holes = Sequence(self.high, [*self._holes, hole]).missing()

    def missing(self, within: tuple[int, int] | None = None) -> list[Hole]:
        """What is still missing, of one range or of all."""
        if within is None:
            return list(self._holes)
        first, last = within
        return [
            Hole(max(hole.first, first), min(hole.last, last))
            for hole in self._holes
            if hole.last >= first and hole.first <= last
        ]

    def _open(self, first: int, last: int) -> Hole:
        hole = Hole(first, last)
        self._holes.append(hole)
        if len(self._holes) > MAX_HOLES:
            del self._holes[0]
        return hole
