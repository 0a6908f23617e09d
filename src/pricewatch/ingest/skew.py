"""How far a venue's clock is ahead of ours."""

from __future__ import annotations

from statistics import median

_SAMPLES = 64


class Skew:
    """The median of `at - received` over the last samples: what a few wrong times cannot move."""

    __slots__ = ("_samples", "measured")

    def __init__(self) -> None:
        self._samples: list[int] = []
        self.measured: int | None = None
        """Microseconds, positive when the venue is ahead (transit time included); None before enough trades."""

    def observe(self, delta: int) -> bool:
        """Note one live trade's `at - received`; True when the measure changed."""
        self._samples.append(delta)
        if len(self._samples) < _SAMPLES:
            return False
        self.measured = int(median(self._samples))
        self._samples.clear()
        return True
