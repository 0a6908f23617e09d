"""The tail rank of the absolute return: the rarity of its size among those before it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from river import stats

SHARE = 0.01
"""The tail is the largest hundredth."""
PACE = 0.05
"""Log units by which a size beyond the edge moves the edge up; one within moves it down by `SHARE` of that."""
SCALE_FADING = 0.001
EXCESS_FADING = 0.02
SHARE_FADING = 0.0005
START = 0.5
"""Mean log excess assumed before any was seen: a heavy tail."""
FLOOR = 1e-6
"""Least mean size of a return (a hundredth of a basis point), and least mean log excess."""
CAP = 50.0
"""Sizes beyond this many means are learned as if they were this many."""
_LN10 = math.log(10.0)
_log10 = math.log10
_LOWER = 1.0 - PACE * SHARE


class Tail:
    """A Hill tail: an edge that a hundredth of the sizes pass, and River means of what lies beyond it.

    Sizes are measured in units of their own slow EW mean, so that a calm and a wild market share one scale. The edge
    follows its quantile by small steps rather than by River's P2, which never forgets and hides its state. The score
    is -log10 of the estimated probability: about 2 at the edge, growing without bound beyond it.
    """

    name: ClassVar[str] = "tail"
    schema: ClassVar[int] = 1
    weight: ClassVar[float] = 0.5

    def __init__(self) -> None:
        self._scale: stats.EWMean
        self._excess: stats.EWMean
        self._share: stats.EWMean
        self._edge: float
        self._new: bool
        self.load(())

    def score(self, x: float) -> float:
        """In proportion to the edge within it, by the tail's fall beyond it."""
        if self._new:
            return 0.0
        size = abs(x) / max(self._scale.get(), FLOOR)
        rank: float = -math.log10(self._share.get())
        if size <= self._edge:
            return rank * size / self._edge
        return rank + math.log(size / self._edge) / (max(self._excess.get(), FLOOR) * _LN10)

    def learn(self, x: float) -> None:
        """Winsorised at `CAP` mean sizes."""
        size = abs(x)
        if self._new:
            self._new = False
            self._scale.update(size)
            return
        scale = max(self._scale.get(), FLOOR)
        size = min(size / scale, CAP)
        if size > self._edge:
            self._excess.update(math.log(size / self._edge))
            self._share.update(1.0)
            self._edge *= math.exp(PACE * (1.0 - SHARE))
        else:
            self._share.update(0.0)
            self._edge = max(self._edge * _LOWER, 1.0)
        self._scale.update(size * scale)

    def take(self, x: float) -> float:
        """`score`, then `learn`."""
        if self._new:
            self.learn(x)
            return 0.0
        edge, scale = self._edge, self._scale.get()
        if scale < FLOOR:  # noqa: PLR1730 - max() and min() are calls, and this is the hot path
            scale = FLOOR
        size = abs(x) / scale
        rank: float = -_log10(self._share.get())
        if size > edge:
            score = rank + math.log(size / edge) / (max(self._excess.get(), FLOOR) * _LN10)
            self.learn(x)
            return score
        self._share.update(0.0)
        lower = edge * _LOWER
        self._edge = max(lower, 1.0)
        self._scale.update((min(size, CAP)) * scale)
        return rank * size / edge

    def dump(self) -> list[float]:
        """Nothing yet, or scale, mean log excess, share beyond the edge and the edge."""
        return [] if self._new else [self._scale.get(), self._excess.get(), self._share.get(), self._edge]

    def load(self, numbers: Sequence[float]) -> None:
        """An exponentially weighted mean starts at its first value, so one update restores it exactly."""
        scale, excess, share, edge = numbers or (0.0, START, SHARE, 1.0)
        if not (all(map(math.isfinite, numbers)) and min(scale, excess) >= 0.0 and 0.0 < share <= 1.0 <= edge):
            raise ValueError("not a finite tail")
        self._scale = stats.EWMean(SCALE_FADING)
        if numbers:
            self._scale.update(scale)
        self._excess = stats.EWMean(EXCESS_FADING)
        self._excess.update(excess)
        self._share = stats.EWMean(SHARE_FADING)
        self._share.update(share)
        self._edge, self._new = edge, not numbers
