"""How far the next close is expected to be from the last one: three memories, and what their mean does not explain.

The regression is a gamma regression with a logarithmic link by recursive least squares: P. McCullagh and J. A. Nelder,
Generalized Linear Models, chapter 8; that falls make markets move more than rises do: F. Black, Studies of Stock Price
Volatility Changes, 1976.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pricewatch.models.detector.rls import RecursiveLeastSquares
from pricewatch.models.features import FeatureStream, Row

POWER = 1.5
"""Ranges and moves are averaged to this power: between the mean (1) and the variance (2), which single ones rule."""
MEMORIES = (0.5 ** (1 / 4), 0.5 ** (1 / 32), 0.5 ** (1 / 256))
"""Half-lives of 4, 32 and 256 bars: a burst, a session, the regime, each eight times the one before."""
SHARES = (0.45, 0.30, 0.25)
"""What each counts for: the newest most, none by far."""
STRETCH = 1.6
"""A move counts as a range this many times its size: for a random walk ranges are a little more than that."""
CAP = 10.0
"""Ranges beyond this many usual ones are learned as if they were this many, once `SETTLED` bars were seen."""
SETTLED = 20
"""Bars before anything is corrected."""
MEAN = 1.0 / 2.1
"""The move that is expected of a reach of 1. Two random walks: 1 / 2.0; heavier tails: less."""
FORGETTING = 0.9995
"""The correction remembers about 2,000 bars: leverage and the worth of ranges are a market's habits, not its mood."""
FREEDOM = 1.0 / 500.0
"""Prior variance of the correction's weights: what the first day of minutes says counts little."""
LEVEL, LEVERAGE = 0.3, 3.0
"""Units of the constant (the bands' quantiles find the level by themselves, so it is nearly held still) and of the mean
moves (which are small: their weights are given more room)."""
FALLS = MEMORIES[:2]
"""Memories of the mean signed moves: a fall of this day, and a market that has been falling for weeks."""
STEEPEST = 3.0
"""A move beyond this many reaches counts as this many in those means."""
SURPRISE = 4.0
"""A move or a range beyond this many expected ones teaches the correction as if it were this many."""
SLIGHT = 0.01
"""Least mean range, in reaches: a market that stands has none."""
FARTHEST, DIFFERENCE = 1.0, 2.0
"""Logarithms by which the correction changes the reach at most, and its inputs are taken."""
LEAST = 1e-7
"""Least reach: a hundredth of a tick at seven digits."""
_NOTHING = LEAST**POWER
_WIDTH = 2 + len(FALLS)


class Reach:
    """`step` takes a closed bar and says how far the next close is expected to be, in ranges, as a share of the price.

    A mean of ranges and moves over three memories, by the hour's share of the day; corrected by what has held on this
    market so far: how moves compare with ranges, and whether falls are followed by larger bars than rises. It learns
    from moves and ranges alike: the next move is asked for, but a range says more about how lively a bar was.
    """

    __slots__ = ("_falls", "_inputs", "_moves", "_now", "_ranges", "_rows", "_usual", "_weights", "expected")

    def __init__(self) -> None:
        self.expected = LEAST
        """The reach of the next bar."""
        self._rows = 0
        self._ranges = [0.0] * len(MEMORIES)
        self._moves = [0.0] * len(MEMORIES)
        self._falls = [0.0] * len(FALLS)
        """Mean signed moves, in reaches."""
        self._usual = 1.0
        """The mean range, in reaches."""
        self._now = LEAST
        """The reach of a bar in an hour like any other."""
        self._inputs = np.zeros(_WIDTH)
        self._weights = RecursiveLeastSquares(FORGETTING, FREEDOM).width(_WIDTH)

    def step(self, row: Row, features: FeatureStream) -> float:
        """The reach of the bar after `row`, which `features` have just learned."""
        rows = self._rows
        self._rows = min(rows + 1, 1_000_000)
        if rows:  # the first one has no close before it
            season = features.volatility.season(row.hour)
            self._learn(rows, row.size / season, row.move / season)
        self.expected = max(LEAST, self._now * features.volatility.season(features.coming))
        return self.expected

    def ahead(self, bars: int, features: FeatureStream) -> float:
        """The reach of each of the next `bars`, on average: they pass through hours calmer and livelier than the next.

        Moves add up by their squares, so the mean is one of squares.
        """
        if bars == 1 or not features.step:
            return self.expected
        square = sum(count * features.volatility.season(hour) ** 2 for hour, count in features.hours(bars))
        return max(LEAST, self._now * math.sqrt(square / bars))

    def _learn(self, rows: int, size: float, move: float) -> None:
        now, inputs = self._now, self._inputs
        far = abs(move)
        step = STRETCH * far
        if rows > SETTLED:
            usual, wide = self._usual, size / now
            surprise = min(far / (MEAN * now), SURPRISE) + min(wide / usual, SURPRISE)
            self._weights.learn(inputs, surprise / 2.0 - 1.0)
            self._usual = max(SLIGHT, usual + (1.0 - MEMORIES[-1]) * (min(wide, SURPRISE * usual) - usual))
            limit = CAP * self._base()
            size, step = min(size, limit), min(step, limit)
            signed = max(-STEEPEST, min(STRETCH * move / now, STEEPEST))
            self._falls = [
                fall + (1.0 - memory) * (signed - fall) for fall, memory in zip(self._falls, FALLS, strict=True)
            ]
        even, walked, share = size**POWER, step**POWER, 1.0 / rows
        ranges, moves = self._ranges, self._moves
        for place, memory in enumerate(MEMORIES):
            pace = max(1.0 - memory, share)
            ranges[place] += pace * (even - ranges[place])
            moves[place] += pace * (walked - moves[place])
        base = self._base()
        if rows >= SETTLED:
            inputs[0] = LEVEL
            inputs[1] = max(-DIFFERENCE, min(self._difference(), DIFFERENCE))
            for place, fall in enumerate(self._falls, 2):
                inputs[place] = LEVERAGE * fall
            base *= math.exp(max(-FARTHEST, min(self._weights.predict(inputs), FARTHEST)))
        self._now = max(LEAST, base)

    def _base(self) -> float:
        """The mean over memories, ranges and moves alike."""
        total = 0.0
        for share, even, walked in zip(SHARES, self._ranges, self._moves, strict=True):
            total += share * (even + walked)
        return math.pow(max(_NOTHING, total / 2.0), 1.0 / POWER)

    def _difference(self) -> float:
        """Logarithm of moves beside ranges, the mean over memories."""
        product = 1.0
        for even, walked in zip(self._ranges, self._moves, strict=True):
            product *= max(_NOTHING, walked) / max(_NOTHING, even)
        return math.log(product) / (POWER * len(MEMORIES))

    def dump(self) -> list[float]:
        """Everything as finite numbers."""
        head = [self._rows, self.expected, self._now, self._usual, *self._falls]
        return [*head, *self._ranges, *self._moves, *self._inputs.tolist(), *self._weights.dump()]

    def load(self, numbers: Sequence[float]) -> None:
        """Restore a dump exactly. Raises `ValueError` for anything else."""
        count, falls = len(MEMORIES), len(FALLS)
        first = 4 + falls
        last = first + 2 * count
        if len(numbers) < last + _WIDTH or not all(map(math.isfinite, numbers)) or numbers[3] < SLIGHT:
            raise ValueError(f"not the state of a reach: {len(numbers)} numbers")
        self._rows = int(numbers[0])
        self.expected, self._now, self._usual = numbers[1:4]
        self._falls = list(numbers[4:first])
        self._ranges = list(numbers[first : first + count])
        self._moves = list(numbers[first + count : last])
        self._inputs = np.array(numbers[last : last + _WIDTH], dtype=np.float64)
        self._weights.load(numbers[last + _WIDTH :])
