"""Has the market left what its models know? River's drift detectors on what the models get wrong.

ADWIN watches how far bars range beside what they did over the last days, Page-Hinkley the misses of the 95 % band.
Inputs are winsorised and rounded to bytes, and the last ones are kept: a detector is a function of them, so that it can
be restored exactly whatever River's version keeps inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from river.drift import ADWIN, PageHinkley

CAP = 4.0
"""A range beyond this many usual ones counts as this many."""
STEPS = 63
"""Levels an input is rounded to."""
KEPT = 512
"""Inputs a detector is made of at most; at twice as many it begins again with the newer half."""
EVERY = 3
"""Bars whose mean is one input: single bars are mostly noise."""
QUIET = 60
"""Inputs after a drift before the next is told of."""
ADWIN_DELTA = 0.002
"""Chance of a false cut that ADWIN allows itself."""
HINKLEY_THRESHOLD = 2.0
"""Sum of excess misses, in inputs, from which Page-Hinkley speaks: seven bars outside the band in close succession."""
HINKLEY_DELTA = 0.05
"""Share of misses beyond the usual that is tolerated."""
MEMORY = 0.9999


class Detector(Protocol):
    """The two calls of a River drift detector that matter here."""

    @property
    def drift_detected(self) -> bool:
        """Whether the last input showed one."""
        ...

    def update(self, x: float) -> None:
        """Take an input in."""
        ...


def _adwin() -> Detector:
    make: Callable[..., Detector] = ADWIN
    return make(delta=ADWIN_DELTA, clock=1, min_window_length=5, grace_period=30)


def _hinkley() -> Detector:
    make: Callable[..., Detector] = PageHinkley
    return make(min_instances=60, delta=HINKLEY_DELTA, threshold=HINKLEY_THRESHOLD, alpha=MEMORY, mode="up")


class Watch:
    """One River detector on means of `EVERY` inputs from 0 to 1. `step` says whether it has just found a drift."""

    __slots__ = ("_detector", "_kept", "_make", "_number", "_sum")

    def __init__(self, make: Callable[[], Detector]) -> None:
        self._make = make
        self._detector = make()
        self._kept = bytearray()
        self._sum = 0.0
        self._number = 0

    def step(self, x: float) -> bool:
        """The next input."""
        self._sum += x
        self._number += 1
        if self._number < EVERY:
            return False
        level = round(min(1.0, max(0.0, self._sum / EVERY)) * STEPS)
        self._sum, self._number = 0.0, 0
        if len(self._kept) >= 2 * KEPT:
            self._renew(bytes(self._kept[-KEPT:]))
        self._kept.append(level)
        self._detector.update(level / STEPS)
        if self._detector.drift_detected:
            self._renew(b"")
            return True
        return False

    def _renew(self, kept: bytes) -> None:
        self._detector = self._make()
        self._kept = bytearray(kept)
        for level in kept:
            self._detector.update(level / STEPS)

    def dump(self) -> list[float]:
        """The mean in progress, then the inputs kept."""
        return [self._sum, self._number, *self._kept]

    def load(self, numbers: Sequence[float]) -> None:
        """Restore a dump exactly. Raises `ValueError` for anything else."""
        if not 2 <= len(numbers) <= 2 + 2 * KEPT or not all(0 <= level <= STEPS for level in numbers[2:]):
            raise ValueError(f"not a watch's state: {len(numbers)} numbers")
        self._sum, self._number = numbers[0], int(numbers[1])
        self._renew(bytes(int(level) for level in numbers[2:]))


class DriftWatch:
    """A market's two watches. `step` names what has drifted: `ranges` or `coverage`; None most of the time."""

    __slots__ = ("_coverage", "_quiet", "_ranges", "found")

    def __init__(self) -> None:
        self._ranges = Watch(_adwin)
        self._coverage = Watch(_hinkley)
        self._quiet = 0
        self.found = 0
        """How many drifts so far."""

    def step(self, scaled: float, *, missed: bool | None) -> str | None:
        """A bar's range in usual ones, and whether it left its 95 % band; None where there was none."""
        self._quiet = max(0, self._quiet - 1)
        drifted = "ranges" if self._ranges.step(min(scaled, CAP) / CAP) else None
        if missed is not None and self._coverage.step(float(missed)):
            drifted = "coverage"
        if drifted is None or self._quiet:
            return None
        self._quiet = QUIET * EVERY
        self.found += 1
        return drifted

    def dump(self) -> list[list[float]]:
        """Counts, then both watches."""
        return [[self._quiet, self.found], self._ranges.dump(), self._coverage.dump()]

    def load(self, parts: Sequence[Sequence[float]]) -> None:
        """Restore a dump exactly. Raises `ValueError` for anything else."""
        if len(parts) != 3 or len(parts[0]) != 2:
            raise ValueError(f"not the state of watches: {len(parts)} parts")
        self._quiet, self.found = int(parts[0][0]), int(parts[0][1])
        self._ranges.load(parts[1])
        self._coverage.load(parts[2])
