"""How far a venue's clock is ahead of ours."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pricewatch.domain.time import DAY, SECOND

_SAMPLES = 64
_STEP = 8
"""So many samples in a row, all far ahead of what was measured, are a clock that was set."""
_FAR = SECOND
_AHEAD, _BEHIND = DAY, -(1 << 52)
"""No clock is further off: a day ahead, or before 1900 in a recording. It is a spoilt number, of any length."""


class Skew:
    """The median of `at - received` over the last samples: what a few wrong times cannot move.

    A clock set ahead is believed after a few samples, for trades are refused until then. One set back looks like our
    own lateness, and refuses nothing: it takes its time. A time more than a day
    ahead is a spoilt number, however many follow.
    """

    __slots__ = ("_ahead", "_samples", "credible", "jumps", "measured")

    def __init__(self) -> None:
        self._samples: list[int] = []
        self._ahead: list[int] = []
        """The newest samples, as long as they are all far ahead."""
        self.credible = -(1 << 62)
        """A sample beyond this says something new, and so does every one while nothing has been measured."""
        self.measured: int | None = None
        """Microseconds, positive when the venue is ahead (transit time included); None before enough trades."""
        self.jumps = 0
        """How often a clock ahead of ours was set, or came back, by more than a second."""

    def observe(self, delta: int) -> bool:
        """Note one live trade's `at - received`; True when the measure changed."""
        if not _BEHIND <= delta <= _AHEAD:
            return False
        if self.measured is not None and delta > self.credible:
            self._ahead.append(delta)
            return len(self._ahead) >= _STEP and self._take(self._ahead)
        if self._ahead:
            self._ahead.clear()
        self._samples.append(delta)
        return len(self._samples) >= _SAMPLES and self._take(self._samples)

    def _take(self, samples: Sequence[int]) -> bool:
        before, self.measured = self.measured, int(median(samples))
        self.credible = max(self.measured, 0) + _FAR
        if before is not None and abs(self.measured - before) > _FAR and max(self.measured, before) > _FAR:
            self.jumps += 1
        self._samples.clear()
        self._ahead.clear()
        return True
