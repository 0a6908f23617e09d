"""What is usual at an hour: the size of residuals by hour of day, the level by hour of week."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

FADING = 0.005
"""Weight of the newest size in the mean over all hours, once enough were seen."""
SHRINK = 30.0
"""An hour's own mean counts in full only beside many times this many sizes of its own."""
_FADES = round(1.0 / FADING)
CAP = 6.0
"""Sizes beyond this many usual ones are learned as if they were this many."""
MOST = 300
"""An hour's mean is over about this many of its sizes: older ones fade."""


class HourScale:
    """The mean absolute size, by hour of day, shrunk to the mean over all hours."""

    __slots__ = ("_count", "_counts", "_hours", "_mean")

    def __init__(self) -> None:
        self._mean = 0.0
        self._count = 0
        self._hours = [0.0] * 24
        self._counts = [0] * 24

    def get(self, hour: int) -> float:
        """The usual size at that hour; 0 where nothing but noughts was seen."""
        count = self._counts[hour]
        return (self._hours[hour] * count + self._mean * SHRINK) / (count + SHRINK)

    def learn(self, hour: int, size: float) -> None:
        """Winsorised at `CAP` usual sizes."""
        count, mean = self._counts[hour], self._hours[hour]
        if self._count:
            limit = CAP * (mean * count + self._mean * SHRINK) / (count + SHRINK)
            if 0.0 < limit < size:
                size = limit
            self._count += 1
            self._mean += (1.0 / self._count if self._count < _FADES else FADING) * (size - self._mean)
        else:
            self._count, self._mean = 1, size
        if count < MOST:
            count = self._counts[hour] = count + 1
        self._hours[hour] = mean + (size - mean) / count

    def dump(self) -> list[float]:
        """Count and mean, then the counts and the means of the hours."""
        return [self._count, self._mean, *self._counts, *self._hours]

    def load(self, numbers: Sequence[float]) -> None:
        """Restore a dump exactly. Raises `ValueError` for anything else."""
        if len(numbers) != 50:
            raise ValueError(f"not a scale by hour: {len(numbers)} numbers")
        self._count, self._mean = int(numbers[0]), numbers[1]
        self._counts = [int(number) for number in numbers[2:26]]
        self._hours = list(numbers[26:])


class WeekProfile:
    """The mean level by hour of week, shrunk to the mean over all; the newest rows count most."""

    __slots__ = ("_count", "_counts", "_hours", "_mean")

    own = 72
    """An hour of the week is a mean over about this many of its rows."""
    whole = 2_000
    """The level over all hours is a mean over about this many rows."""
    shrink = 8.0

    def __init__(self) -> None:
        self._mean = 0.0
        self._count = 0
        self._hours = array("d", bytes(8 * 168))
        self._counts = [0] * 168

    def get(self, hour: int) -> float:
        """The usual level at that hour of the week."""
        count = self._counts[hour]
        return self._mean + (self._hours[hour] - self._mean) * count / (count + self.shrink) if count else self._mean

    def learn(self, hour: int, level: float) -> None:
        """Take a level in."""
        count = self._counts[hour] = min(self._counts[hour] + 1, self.own)
        self._hours[hour] += (level - self._hours[hour]) / count
        self._count = min(self._count + 1, self.whole)
        self._mean += (level - self._mean) / self._count

    def dump(self) -> list[float]:
        """Count and mean, then the counts and the means of the hours."""
        return [self._count, self._mean, *self._counts, *self._hours]

    def load(self, numbers: Sequence[float]) -> None:
        """Restore a dump exactly. Raises `ValueError` for anything else."""
        if len(numbers) != 338:
            raise ValueError(f"not a profile of the week: {len(numbers)} numbers")
        self._count, self._mean = int(numbers[0]), numbers[1]
        self._counts = [int(number) for number in numbers[2:170]]
        self._hours = array("d", numbers[170:])
