"""Sizes of any kind made rarities: a calibrated tail for each name.

B. M. Hill, A simple general approach to inference about the tail of a distribution, Annals of Statistics 3, 1975. The
mean log excess is shrunk to a prior: a tail has too few members to measure it by alone.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from river.base.anomaly_detector import AnomalyDetector

SHARE = 0.02
"""The largest fiftieth of the sizes is kept, as logarithms."""
EDGE = 0.01
"""A tail begins at the quantile that a hundredth of them passes."""
MEMORY = 4_000.0
"""Rows after which the older ones count half."""
SILENT = 100
"""Rows before anything is said."""
FEWEST = 8
"""Sizes kept from the beginning."""
FLATTEST = 0.02
"""Least mean log excess."""
FARTHEST = 12.0
"""Sizes beyond this many mean excesses are learned as if they were this many."""
SOONEST, LATEST = 10, 50
"""All edges are looked at again after so many rows, seldom once many were seen; one that a size has passed at once."""
LOWEST = -1e300
"""Below every logarithm."""
LEAST, GREATEST = 1e-9, 1e9
"""Sizes between which logarithms are taken."""
_NOTHING = math.log(LEAST)
_LN10 = math.log(10.0)


class TailBank(AnomalyDetector):
    """The largest rarity (-log10 of a probability) among named sizes, each beside its own past.

    Beside River's `score_one` and `learn_one`, which take sizes by name (new ones may appear at any time; what is no
    finite number counts for nothing), `ranks` and `learn` take a list of logarithms in the order of the names.

    Parameters
    ----------
    prior
        Mean log excess beyond a tail's edge that is assumed of a name not among `priors`.
    worth
        As many exceedances as the prior counts for.
    priors
        The same by name.

    """

    def __init__(
        self, prior: float = 0.3, worth: float = 200.0, priors: Mapping[Hashable, float] | None = None
    ) -> None:
        self.prior = prior
        self.worth = worth
        self.priors = priors
        self._count = 0
        self._weight = 0.0
        self._wait = SOONEST
        self._places: dict[Hashable, int] = {}
        self._own: list[float] = []
        self._tops: list[array[float]] = []
        self._gates: list[float] = []
        """What a size must exceed to be kept."""
        self._limits: list[float] = []
        """As what a larger size is learned."""
        self._edges: list[float] = []
        self._slopes: list[float] = []
        self._offsets: list[float] = []
        for name, own in (priors or {}).items():
            self._grow(name, own)

    def score_one(self, x: Mapping[Hashable, Any]) -> float:
        """The largest rarity among the sizes of `x`; learns nothing."""
        return max(self.ranks(self._logarithms(x)), default=0.0)

    def learn_one(self, x: Mapping[Hashable, Any]) -> None:
        """Take the sizes in, after they were scored."""
        for name in sorted((name for name in x if name not in self._places), key=repr):
            self._grow(name, self.prior)
        self.learn(self._logarithms(x))

    def ranks(self, logarithms: Sequence[float]) -> list[float]:
        """The rarity of each: 2 at the edge, growing without bound beyond it, below 0 far within; 0 while silent."""
        if self._count < SILENT:
            return [0.0] * len(logarithms)
        return [
            size * slope + offset for size, slope, offset in zip(logarithms, self._slopes, self._offsets, strict=True)
        ]

    def learn(self, logarithms: Sequence[float]) -> None:
        """Take a row in."""
        self._count += 1
        self._weight += 1.0
        self._wait -= 1
        for place, (size, gate) in enumerate(zip(logarithms, self._gates, strict=True)):
            if size > gate:
                self._keep(place, size)
        if self._wait <= 0:
            self._wait = min(LATEST, max(SOONEST, self._count // 20))
            if self._weight >= MEMORY:
                self._weight /= 2.0
                self._tops = [top[1::2] or top for top in self._tops]
            for place in range(len(self._tops)):
                self._fit(place)

    def _keep(self, place: int, size: float) -> None:
        top = self._tops[place]
        insort(top, min(size, self._limits[place]))
        if len(top) > max(FEWEST, int(SHARE * self._weight) + 1):
            del top[0]
        if size > self._edges[place] or len(top) <= FEWEST:
            self._fit(place)
        else:
            self._gates[place] = top[0]

    def _fit(self, place: int) -> None:
        top = self._tops[place]
        beyond = min(max(1, int(EDGE * self._weight)), len(top) - 1)
        edge = top[-beyond - 1]
        tail = top[len(top) - beyond :]
        excess = (sum(tail) - beyond * edge + self._own[place] * self.worth) / (beyond + self.worth)
        excess = max(excess, FLATTEST)
        slope = self._slopes[place] = 1.0 / (excess * _LN10)
        # As many as are larger than the edge, or equal to it beside the one that is the edge.
        larger = max(1, len(top) - bisect_left(top, edge) - 1)
        self._offsets[place] = -edge * slope - math.log10(larger / self._weight)
        self._edges[place] = edge
        if self._count >= SILENT:
            self._limits[place] = edge + FARTHEST * excess
        self._gates[place] = top[0] if len(top) > max(FEWEST - 1, int(SHARE * self._weight)) else LOWEST

    def _grow(self, name: Hashable, own: float) -> None:
        self._places[name] = len(self._places)
        self._own.append(own)
        self._tops.append(array("d"))
        self._gates.append(LOWEST)
        self._limits.append(math.log(GREATEST))
        self._edges.append(LOWEST)
        self._slopes.append(0.0)
        self._offsets.append(0.0)

    def _logarithms(self, x: Mapping[Hashable, Any]) -> list[float]:
        found = [_NOTHING] * len(self._places)
        for name, value in x.items():
            place = self._places.get(name)
            if place is not None and isinstance(value, int | float) and math.isfinite(value):
                found[place] = math.log(max(LEAST, min(abs(value), GREATEST)))
        return found

    def dump(self) -> list[list[float]]:
        """Counts, then for each tail gate, limit, edge, slope, offset and what is kept, smallest first."""
        tails = zip(self._gates, self._limits, self._edges, self._slopes, self._offsets, self._tops, strict=True)
        return [
            [self._count, self._weight, self._wait],
            *([*(max(number, LOWEST) for number in numbers), *top] for *numbers, top in tails),
        ]

    def load(self, parts: Sequence[Sequence[float]]) -> None:
        """Restore a dump of the same names exactly. Raises `ValueError` for anything else."""
        if len(parts) != 1 + len(self._places) or len(parts[0]) != 3 or any(len(part) < 5 for part in parts[1:]):
            raise ValueError(f"not the state of {len(self._places)} tails: {len(parts)} parts")
        self._count, self._weight, self._wait = int(parts[0][0]), parts[0][1], int(parts[0][2])
        self._gates, self._limits, self._edges, self._slopes, self._offsets = (
            [part[number] for part in parts[1:]] for number in range(5)
        )
        self._tops = [array("d", part[5:]) for part in parts[1:]]
