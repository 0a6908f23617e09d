"""How far a market usually moves within a bar: a fast and a slow mean of ranges and moves, by time of day."""

from __future__ import annotations

import math
from collections.abc import Sequence

POWER = 1.5
"""Ranges are averaged to this power: between the mean (1), deaf to bursts, and the variance (2), ruled by single ones.

`learn` writes it as a root."""
FAST, SLOW = 0.5 ** (1 / 8), 0.5 ** (1 / 100)
"""Half-lives of 8 and 100 bars: what happens now, and what it comes back to."""
CAP = 10.0
"""Ranges beyond this many usual ones are learned as if they were this many, once `SETTLED` bars were seen."""
SETTLED = 20
HOURS = 24
SHRINK = 30.0
"""An hour's own ratio counts in full only once it has come round many times this often: one busy day is no rhythm."""
OWN = 200
"""An hour's ratio is a mean over about this many of its visits."""
MOVES = 0.6
"""Share of the moves between closes, beside the ranges; where a venue prints few trades a bar, ranges say little."""
STRETCH = 1.6
"""A move counts as a range this many times its size: for a random walk ranges are a little more than that."""
WHOLE = 0.002
"""Weight of the newest range in the level that hours are compared with."""
CLIP = 6.0
"""An hour's single ratio counts as this much at most."""
LEAST = 1e-7
"""Least range: a hundredth of a tick at seven digits; without it a standing market would make every move infinite."""


class Volatility:
    """`expect(hour)` is the range expected of the next bar, as a share of the price; `learn` takes what it was."""

    __slots__ = ("_bars", "_calm", "_count", "_fast", "_hour", "_level", "_now", "_ratios", "_slow", "_visits")

    def __init__(self) -> None:
        self._count = 0
        self._fast = self._slow = 0.0
        self._now = self._calm = 0.0
        """Both means as ranges, and the slow one."""
        self._level = 0.0
        self._hour = -1
        self._bars = [0] * HOURS
        self._visits = [0] * HOURS
        self._ratios = [1.0] * HOURS

    def expect(self, hour: int) -> tuple[float, float]:
        """The range expected of a bar in that hour of the day, and the same by the slow mean alone; `LEAST` at least.

        The slow mean is what a burst is measured by while it lasts.
        """
        season = self.season(hour)
        return max(LEAST, self._now * season), max(LEAST, self._calm * season)

    def usual(self, hour: int) -> float:
        """The range a bar in that hour has had over the last days: what the market was like, not what it is like."""
        return max(LEAST, self._level * self.season(hour))

    def season(self, hour: int) -> float:
        """That hour's range beside the whole day's."""
        visits = self._visits[hour]
        return (self._ratios[hour] * visits + SHRINK) / (visits + SHRINK)

    def learn(self, hour: int, size: float, move: float, *, whole: bool = False) -> None:
        """A bar's range and its move between closes (0 or more), as shares of the price, winsorised.

        `whole` for bars of an hour or more: each is a visit of its own.
        """
        self._count = count = min(self._count + 1, 1_000_000)
        season = self.season(hour)
        even, step = size / season, STRETCH * move / season
        if count > SETTLED and self._now > 0.0:
            limit = CAP * self._now
            even, step = min(even, limit), min(step, limit)
        power = (1.0 - MOVES) * even * math.sqrt(even) + MOVES * step * math.sqrt(step)
        share = 1.0 / count
        self._fast += max(1.0 - FAST, share) * (power - self._fast)
        self._slow += max(1.0 - SLOW, share) * (power - self._slow)
        self._settle()
        level = self._level
        if level > 0.0:
            self._season(hour, min(size / level, CLIP), whole=whole)
            size = min(size, CLIP * level)
        self._level = level + max(WHOLE, share) * (size - level)

    def _settle(self) -> None:
        self._now = ((self._fast + self._slow) / 2.0) ** (1.0 / POWER)
        self._calm = self._slow ** (1.0 / POWER)

    def _season(self, hour: int, ratio: float, *, whole: bool) -> None:
        if whole or hour != self._hour:
            self._hour = hour
            self._visits[hour] = min(self._visits[hour] + 1, OWN)
        visits = self._visits[hour]
        bars = self._bars[hour]
        if visits < OWN:
            bars = self._bars[hour] = bars + 1
        self._ratios[hour] += (ratio - self._ratios[hour]) / bars

    def dump(self) -> list[float]:
        """Count, means, level, the hour, then the hours' bars, visits and ratios."""
        head = [self._count, self._fast, self._slow, self._level, self._hour]
        return [*head, *self._bars, *self._visits, *self._ratios]

    def load(self, numbers: Sequence[float]) -> None:
        """Restore a dump exactly. Raises `ValueError` for anything else."""
        if len(numbers) != 5 + 3 * HOURS:
            raise ValueError(f"not a volatility's state: {len(numbers)} numbers")
        self._count, self._hour = int(numbers[0]), int(numbers[4])
        self._fast, self._slow, self._level = numbers[1:4]
        self._bars = [int(number) for number in numbers[5 : 5 + HOURS]]
        self._visits = [int(number) for number in numbers[5 + HOURS : 5 + 2 * HOURS]]
        self._ratios = list(numbers[5 + 2 * HOURS :])
        self._settle()
