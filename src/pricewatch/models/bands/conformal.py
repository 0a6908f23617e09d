"""Bands that cover what they say: the market's own scaled moves, their quantile steered by what was missed.

I. Gibbs and E. Candes, Adaptive Conformal Inference Under Distribution Shift, NeurIPS 2021.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from pricewatch.models.bands.reach import MEAN

LEVELS = (0.80, 0.95, 0.99)
"""Nominal coverages."""
PACES = (0.005, 0.004, 0.001)
"""How far one outcome moves the level asked for: about a tenth of the share of misses, so that no single one throws the
band about, which the interval score would pay for."""
PUSHES = (1.5, 1.5, 0.0)
"""By how much the recent share of misses moves the level asked for besides, beyond what luck explains, so that no 500
in a row are far off. At 99 % five misses in 500 are too few to tell luck from fault."""
RECENT = 250.0
"""Outcomes that share is a mean over: half of `LAST`."""
LUCK = 0.04
"""What luck explains of it, in deviations of a single outcome: nine tenths of one of the mean's own deviations."""
WINDOW = 1_000
"""Scaled moves whose quantile is taken."""
LAST = 500
"""Outcomes the observed coverage is over."""
SEEDS = 100
"""Moves assumed of a new market, as if it had made them before the first: Student's distribution with four degrees of
freedom, which is what returns of most markets look like. They are forgotten as the oldest of the window."""
TILT = 0.002
"""How far one miss tilts the band towards its side: slowly, for what luck tilts is paid for, and on daily shares a year
holds a dozen misses. Both sides come to be missed equally often."""
STEEPEST = 0.3
"""How much farther from the centre than their mean one side may be, as a share of it."""
BEYOND = 1.5
"""The half-width, in largest scaled moves, where the level asked for has no quantile."""
CLIP = 50.0
"""A scaled move beyond this many expected ranges counts as this many."""
PARTS = 12
"""A horizon's bands are followed up this many times within it; neighbours would say the same again."""
_ENCODE = msgspec.msgpack.Encoder().encode
_SHUFFLE = 37
"""Moves assumed are forgotten large and small in turns: a number without a common divisor with `SEEDS`."""
_HEAD, _ROW = 11, 9
"""Numbers of a saved state before those of bands on their way, and numbers of each of these."""
_STATE = msgspec.msgpack.Decoder(tuple[list[float], bytes, bytes])


_LUCK = [LUCK * math.sqrt(level * (1.0 - level)) for level in LEVELS]


def _student(share: float) -> float:
    """The size that a Student's variable of four degrees of freedom exceeds with a probability of `1 - share`.

    W. T. Shaw, Sampling Student's T distribution, Journal of Computational Finance 9, 2006.
    """
    root = math.sqrt(1.0 - share * share)
    return 2.0 * math.sqrt(max(0.0, math.cos(math.acos(root) / 3.0) / root - 1.0))


_SEEDS = [MEAN * _student((number + 0.5) / SEEDS) for number in range(SEEDS)]
"""Evenly over their distribution, smallest first; their mean size is 1 before it is scaled."""

Halves = tuple[float, float, float]
"""Distances from the centre, by level."""


class Sides(NamedTuple):
    """How far a band reaches below and above its centre, by level."""

    down: Halves
    up: Halves


class Issued(NamedTuple):
    """A band on its way."""

    about: int
    """The bar it is about, counted from the first one."""
    centre: float
    size: float
    """How far the close was expected to go."""
    sides: Sides


class HorizonBand:
    """The bands of one horizon, a fixed number of bars ahead, at every level of `LEVELS`.

    All numbers are logarithms of prices. `step` first settles the band that was about this close, then issues one.
    """

    __slots__ = (
        "_alphas", "_excess", "_fading", "_misses", "_moves", "_order", "_outcomes", "_paces", "_pending", "_root",
        "_steps", "_tilt", "_tilts", "horizon", "settled", "stride",
    )  # fmt: skip

    def __init__(self, horizon: int) -> None:
        """`horizon` in bars."""
        self.horizon = horizon
        self.stride = max(1, horizon // PARTS)
        self.settled = 0
        """Bands whose outcome is known."""
        self._root = math.sqrt(horizon)
        self._paces = [pace * self.stride / horizon for pace in PACES]
        """Bands that overlap are missed together: all that do so move the level as much as a single one."""
        self._steps = 0
        self._tilt = TILT * self.stride / horizon
        self._tilts = [0.0] * len(LEVELS)
        """By which share of the mean the lower side is farther from the centre: on some markets falls go far."""
        self._alphas = [1.0 - level for level in LEVELS]
        self._excess = [0.0] * len(LEVELS)
        """Recent share of misses beyond what there should be."""
        self._fading = self.stride / (horizon * RECENT)
        self._moves = array("f", [_SEEDS[place * _SHUFFLE % SEEDS] for place in range(SEEDS)])
        self._order = array("f", _SEEDS)
        self._pending: deque[Issued] = deque()
        self._outcomes: deque[int] = deque(maxlen=LAST)
        """A bit a level: whether it missed."""
        self._misses = [0] * len(LEVELS)

    def sides(self, sigma: float) -> Sides:
        """How far bands issued now reach, where a bar is expected to range over `sigma`."""
        size, quantile, tilts = sigma * self._root, self._quantile, self._tilts
        low, middle, high = size * quantile(0), size * quantile(1), size * quantile(2)
        near, farther, far = low * tilts[0], middle * tilts[1], high * tilts[2]
        inner, outer = low + near, low - near
        # Levels are steered apart: a wider one must not be narrower for it.
        down, up = max(inner, middle + farther), max(outer, middle - farther)
        return Sides((inner, down, max(down, high + far)), (outer, up, max(up, high - far)))

    def _quantile(self, place: int) -> float:
        """The scaled move that a share of them exceeds: the level's own, as steered."""
        excess, luck = self._excess[place], _LUCK[place]
        if abs(excess) > luck:
            excess -= math.copysign(luck, excess)
        else:
            excess = 0.0
        alpha = self._alphas[place] - PUSHES[place] * excess
        order = self._order
        last = len(order) - 1
        where = (1.0 - alpha) * (last + 2) - 1.0
        if where < 0.0:
            return 0.0
        if alpha <= 0.0 or where > last:
            return order[-1] * min(BEYOND, 1.0 + (BEYOND - 1.0) * (where - last))
        below = int(where)
        return order[below] + (where - below) * (order[min(below + 1, last)] - order[below])

    @property
    def issues(self) -> bool:
        """Whether the next `step` issues a band, and needs to know what is expected."""
        return (self._steps + 1) % self.stride == 0

    def step(self, log: float, sigma: float) -> int | None:
        """The next close and the range expected of bars after it; which levels missed, a bit each, if one was due."""
        self._steps += 1
        missed = None
        pending = self._pending
        if pending and pending[0].about <= self._steps:
            missed = self._settle(log)
        if self._steps % self.stride == 0:
            pending.append(Issued(self._steps + self.horizon, log, sigma * self._root, self.sides(sigma)))
        return missed

    def _settle(self, log: float) -> int:
        _, centre, size, sides = self._pending.popleft()
        move = abs(log - centre)
        fell = log < centre
        tilt = self._tilt if fell else -self._tilt
        missed = 0
        for place, (half, level, pace) in enumerate(
            zip(sides.down if fell else sides.up, LEVELS, self._paces, strict=True)
        ):
            miss = move > half
            missed |= miss << place
            if miss:
                self._tilts[place] = max(-STEEPEST, min(self._tilts[place] + tilt, STEEPEST))
            error = miss - (1.0 - level)
            self._alphas[place] -= pace * error
            self._excess[place] += self._fading * (error - self._excess[place])
        self.settled += 1
        outcomes, misses = self._outcomes, self._misses
        if len(outcomes) == LAST:
            for place in range(len(LEVELS)):
                misses[place] -= outcomes[0] >> place & 1
        outcomes.append(missed)
        for place in range(len(LEVELS)):
            misses[place] += missed >> place & 1
        moves, order = self._moves, self._order
        moves.append(min(move / size, CLIP))
        insort(order, moves[-1])
        if len(moves) > WINDOW:
            del order[bisect_left(order, moves.pop(0))]
        return missed

    def coverage(self, place: int) -> float | None:
        """Share of the last `LAST` outcomes within the band of `LEVELS[place]`; None before the first."""
        count = len(self._outcomes)
        return 1.0 - self._misses[place] / count if count else None

    @property
    def counted(self) -> int:
        """How many outcomes `coverage` is over."""
        return len(self._outcomes)

    def due(self, ahead: int) -> Issued | None:
        """The band about the bar `ahead` of the last one, or the next one after it."""
        target = self._steps + ahead
        for one in self._pending:
            if one.about >= target:
                return one
        return None

    def dump(self) -> bytes:
        """The whole state: numbers, outcomes, scaled moves in single precision."""
        head = [
            self._steps,
            self.settled,
            *self._alphas,
            *self._excess,
            *self._tilts,
            *(number for one in self._pending for number in (*one[:3], *one.sides.down, *one.sides.up)),
        ]
        return _ENCODE([[float(number) for number in head], bytes(self._outcomes), self._moves.tobytes()])

    def load(self, payload: bytes) -> None:
        """Go on exactly as the band of the same horizon that made the dump. Raises `ValueError` for anything else."""
        numbers, outcomes, moves = _STATE.decode(payload)
        rows, rest = divmod(len(numbers) - _HEAD, _ROW)
        if rows < 0 or rest or len(outcomes) > LAST or not SEEDS <= len(moves) // 4 <= WINDOW:
            raise ValueError("not a band's state")
        known = array("f")
        known.frombytes(moves)
        if not (all(map(math.isfinite, numbers)) and all(map(math.isfinite, known))):
            raise ValueError("a band's state is finite")
        self._steps, self.settled = int(numbers[0]), int(numbers[1])
        self._alphas, self._excess, self._tilts = numbers[2:5], numbers[5:8], numbers[8:_HEAD]
        self._pending = deque(_issued(numbers[place : place + _ROW]) for place in range(_HEAD, len(numbers), _ROW))
        self._outcomes = deque(outcomes, maxlen=LAST)
        self._misses = [sum(one >> place & 1 for one in outcomes) for place in range(len(LEVELS))]
        self._moves, self._order = known, array("f", sorted(known))


def _issued(numbers: Sequence[float]) -> Issued:
    about, centre, size, *sides = numbers
    low, middle, high, *up = sides
    return Issued(int(about), centre, size, Sides((low, middle, high), (up[0], up[1], up[2])))
