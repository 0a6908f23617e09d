"""The exponentially weighted z-score of the return: its size beside the recent ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from river import stats

FADING = 0.01
"""Weight of the newest return: a memory of about a hundred trades."""
FLOOR = 1e-12
"""Least variance: moves of a hundredth of a basis point are never news, however still it was before."""
CAP = 8.0
"""Returns beyond this many deviations are learned as if they were this many."""
_CLIPPED = 0.99 * CAP * CAP
"""No squared deviation below is anywhere near `CAP`, however its root is rounded."""


class EwZ:
    """Mean and variance from two of River's exponentially weighted means, so that the state is two plain numbers.

    The score is 2 log10 |z| above one deviation: Chebyshev's bound on the probability, whatever the distribution.
    """

    name: ClassVar[str] = "ewz"
    schema: ClassVar[int] = 1
    weight: ClassVar[float] = 0.5

    def __init__(self) -> None:
        self._mean: stats.EWMean
        self._square: stats.EWMean
        self._new: bool
        self.load(())

    def score(self, x: float) -> float:
        """0 within one deviation, 2 at ten, 4 at a hundred."""
        if self._new:
            return 0.0
        mean = self._mean.get()
        deviation = x - mean
        ratio = deviation * deviation / max(self._square.get() - mean * mean, FLOOR)
        return math.log10(ratio) if ratio > 1.0 else 0.0

    def learn(self, x: float) -> None:
        """Winsorised at `CAP` deviations around the mean."""
        if self._new:
            self._new = False
        else:
            mean = self._mean.get()
            width = CAP * math.sqrt(max(self._square.get() - mean * mean, FLOOR))
            x = min(max(x, mean - width), mean + width)
        self._mean.update(x)
        self._square.update(x * x)

    def take(self, x: float) -> float:
        """`score`, then `learn`."""
        if self._new:
            self.learn(x)
            return 0.0
        mean = self._mean.get()
        deviation = x - mean
        variance = self._square.get() - mean * mean
        variance = max(variance, FLOOR)
        ratio = deviation * deviation / variance
        score = math.log10(ratio) if ratio > 1.0 else 0.0
        if ratio > _CLIPPED:
            width = CAP * math.sqrt(variance)
            x = min(max(x, mean - width), mean + width)
        self._mean.update(x)
        self._square.update(x * x)
        return score

    def dump(self) -> list[float]:
        """Nothing yet, or mean and mean square."""
        return [] if self._new else [self._mean.get(), self._square.get()]

    def load(self, numbers: Sequence[float]) -> None:
        """An exponentially weighted mean starts at its first value, so one update restores it exactly."""
        mean, square = stats.EWMean(FADING), stats.EWMean(FADING)
        if numbers:
            first, second = numbers
            if not (math.isfinite(first) and math.isfinite(second) and second >= 0.0):
                raise ValueError("not a finite mean and mean square")
            mean.update(first)
            square.update(second)
        self._mean, self._square, self._new = mean, square, not numbers
