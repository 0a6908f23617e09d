"""How many false alarms a threshold costs: a rarity turned into alarms a week, learned from each market's own past.

Peaks over a threshold with runs declustering: R. L. Smith and I. Weissman, Estimating the Extremal Index, Journal of
the Royal Statistical Society B 56, 1994. Rare bars come in clusters, and one cluster is one alarm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

BASE = 2.2
"""Rarity from which a bar begins or continues a cluster."""
RUN = 30
"""Bars below `BASE` that end a cluster."""
LONGEST = 240
"""Bars after which a cluster ends in any case, so that a new regime cannot be one endless alarm."""
HALF_LIFE = 20_000.0
"""Bars after which what was seen counts half: two weeks of minutes."""
SHALLOW = 1.0 / math.log(10.0)
"""Mean rarity of peaks above `BASE`, were rarities exactly what they say."""
FADING = 0.99
"""Of the mean depth, a cluster: a memory of a hundred."""
DEEPEST = 2.5
"""A peak further above `BASE` is learned as if it were this far."""
PRIOR_BARS, PRIOR_CLUSTERS, PRIOR_DEPTHS = 1_440.0, 6.0, 10.0
"""What is believed of a new market: six clusters in a day of minutes, of the depth above."""
LADDER = (10.0 / 1_440, 3.0 / 1_440, 1.0 / 1_440, 3.0 / 10_080, 1.0 / 10_080)
"""Rates per bar at which alarms are counted all along, so that what is stated can be compared with what was seen."""
_FADE = 0.5 ** (1.0 / HALF_LIFE)
_INF = math.inf


class AlarmRate:
    """`step` answers a bar's rarity with the rate of alarms, per bar, of a threshold that the present cluster passes.

    Outside clusters it is infinite. A reader who can bear N alarms a bar is alarmed while the answer is at most N: once
    a cluster, at the first bar that is rare enough.
    """

    __slots__ = ("_bars", "_clusters", "_depth", "_depths", "_length", "_peak", "_quiet", "alarms", "bars")

    def __init__(self) -> None:
        self._bars = PRIOR_BARS
        self._clusters = PRIOR_CLUSTERS
        self._depth = SHALLOW * PRIOR_DEPTHS
        self._depths = PRIOR_DEPTHS
        self._peak = self._length = self._quiet = 0.0
        self.bars = 0
        """Bars stepped since the market was first followed."""
        self.alarms = [0] * len(LADDER)
        """Alarms at each rate of `LADDER` since then."""

    def rate(self, rarity: float) -> float:
        """Clusters a bar that reach such a rarity; infinite below `BASE`."""
        if rarity < BASE:
            return _INF
        return self._clusters / self._bars * math.exp((BASE - rarity) * self._depths / self._depth)

    @property
    def fit(self) -> tuple[float, float]:
        """Clusters a bar, and the mean rarity of their peaks above `BASE`: all that `rate` is worked out from."""
        return self._clusters / self._bars, self._depth / self._depths

    @property
    def peak(self) -> float:
        """The rarest bar of the present cluster; 0 outside clusters."""
        return self._peak

    def threshold(self, rate: float) -> float:
        """The least rarity that costs no more than that many alarms a bar."""
        return max(BASE, BASE + math.log(self._clusters / self._bars / rate) * self._depth / self._depths)

    def step(self, rarity: float) -> float:
        """See the class."""
        before = self.rate(self._peak) if self._peak else _INF
        self.bars += 1
        self._bars = self._bars * _FADE + 1.0
        self._clusters *= _FADE
        if not self._peak and rarity < BASE:
            return _INF
        self._length += 1
        self._quiet = 0 if rarity >= BASE else self._quiet + 1
        self._peak = max(self._peak, rarity)
        found = self.rate(self._peak)
        for place, rate in enumerate(LADDER):
            if found <= rate < before:
                self.alarms[place] += 1
        if self._quiet >= RUN or self._length >= LONGEST:
            self._clusters += 1.0
            self._depth = self._depth * FADING + min(self._peak - BASE, DEEPEST)
            self._depths = self._depths * FADING + 1.0
            self._peak = self._length = self._quiet = 0.0
        return found

    def dump(self) -> list[float]:
        """Everything as finite numbers."""
        present = [self._peak, self._length, self._quiet]
        return [self._bars, self._clusters, self._depth, self._depths, *present, self.bars, *self.alarms]

    def load(self, numbers: Sequence[float]) -> None:
        """Restore a dump exactly. Raises `ValueError` for anything else."""
        if len(numbers) != 8 + len(LADDER):
            raise ValueError(f"not an alarm rate's state: {len(numbers)} numbers")
        self._bars, self._clusters, self._depth, self._depths = numbers[:4]
        self._peak, self._length, self._quiet = numbers[4:7]
        self.bars = int(numbers[7])
        self.alarms = [int(number) for number in numbers[8:]]
