"""A calibrated tail: how rare a score is among those before it.

B. M. Hill, A simple general approach to inference about the tail of a distribution, Annals of Statistics 3, 1975.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections.abc import Sequence

SHARE = 0.02
"""The largest fiftieth of the scores is kept, as logarithms."""
EDGE = 0.01
"""The tail begins at the quantile that a hundredth of them passes."""
MEMORY = 4_000
"""Scores after which the older ones count half."""
SILENT = 100
"""Scores before anything is said."""
LEAST = 8
"""Scores kept from the beginning."""
PRIOR = 0.3
"""Mean log excess assumed before any was seen, worth one score."""
FLATTEST = 0.02
"""Least mean log excess."""
FARTHEST = 12.0
"""Scores beyond this many mean excesses are learned as if they were this many."""
AGAIN = 10
"""The edge is looked at again after so many scores, and whenever one enters the tail."""
_LN10 = math.log(10.0)
_FULL = LEAST / SHARE
"""Scores from which the share of them is more than `LEAST`."""


class RankTail:
    """-log10 of the probability that a score is as large as the given one, from a Hill tail of those before it."""

    __slots__ = ("_count", "_edge", "_excess", "_odds", "_stale", "_top", "_wait", "_weight")

    def __init__(self) -> None:
        self._count = 0
        self._weight = 0.0
        self._top = array("d")
        self._stale = True
        self._wait = AGAIN
        self._edge = self._excess = self._odds = 0.0

    def score(self, logarithm: float) -> float:
        """2 at the edge, growing without bound beyond it and falling below 0 far within; 0 while silent."""
        if self._count < SILENT:
            return 0.0
        if self._stale:
            self._fit()
        return (logarithm - self._edge) / (self._excess * _LN10) + self._odds

    def learn(self, logarithm: float) -> None:
        """Take a score's logarithm in."""
        count, top = self._count, self._top
        weight = self._weight + 1.0
        self._count, self._weight = count + 1, weight
        room = int(SHARE * weight) + 1 if weight >= _FULL else LEAST
        if len(top) < room or logarithm > top[0]:
            if count >= SILENT and not self._stale:
                logarithm = min(logarithm, self._edge + FARTHEST * self._excess)
            insort(top, logarithm)
            if len(top) > room:
                del top[0]
            self._stale = True
        self._wait -= 1
        if not self._wait:
            self._wait = AGAIN
            self._stale = True
        if weight >= MEMORY:
            self._weight = weight / 2.0
            self._top = top[1::2]
            self._stale = True

    def _fit(self) -> None:
        top = self._top
        beyond = min(max(1, int(EDGE * self._weight)), len(top) - 1)
        self._edge = top[-beyond - 1]
        self._excess = max((sum(top[-beyond:]) - beyond * self._edge + PRIOR) / (beyond + 1), FLATTEST)
        # As many as are larger than the edge, or equal to it beside the one that is the edge.
        self._odds = -math.log10((len(top) - bisect_left(top, self._edge) - 1) / self._weight)
        self._stale = False

    def dump(self) -> list[float]:
        """Counts, the fit in force, then what is kept, smallest first."""
        head = [self._count, self._weight, self._wait, int(self._stale), self._edge, self._excess, self._odds]
        return [*head, *self._top]

    def load(self, numbers: Sequence[float]) -> None:
        """Restore a dump exactly. Raises `ValueError` for anything else."""
        if len(numbers) < 7:
            raise ValueError(f"not a tail: {len(numbers)} numbers")
        count, self._weight, wait, stale, self._edge, self._excess, self._odds, *top = numbers
        self._count, self._wait, self._stale, self._top = int(count), int(wait), bool(stale), array("d", top)
