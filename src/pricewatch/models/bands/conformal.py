"""Bands that cover what they say: the market's own scaled moves, their quantile steered by what was missed.

I. Gibbs and E. Candes, Adaptive Conformal Inference Under Distribution Shift, NeurIPS 2021.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence

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
BEYOND = 1.5
"""The half-width, in largest scaled moves, where the level asked for has no quantile."""
CLIP = 50.0
"""A scaled move beyond this many expected ranges counts as this many."""
PARTS = 12
"""A horizon's bands are followed up this many times within it; neighbours would say the same again."""
_ENCODE = msgspec.msgpack.Encoder().encode
_SHUFFLE = 37
"""Moves assumed are forgotten large and small in turns: a number without a common divisor with `SEEDS`."""
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
"""Half-widths, by level."""
Pending = tuple[int, float, float, float, float, float]
"""Bar it is about, centre, expected size, half-widths."""


class HorizonBand:
    """The bands of one horizon, a fixed number of bars ahead, at every level of `LEVELS`.

    All numbers are logarithms of prices. `step` first settles the band that was about this close, then issues one.
    """

    __slots__ = (
        "_alphas", "_excess", "_fading", "_misses", "_moves", "_order", "_outcomes", "_paces", "_pending", "_root",
        "_steps", "horizon", "settled", "stride",
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
        self._alphas = [1.0 - level for level in LEVELS]
        self._excess = [0.0] * len(LEVELS)
        """Recent share of misses beyond what there should be."""
        self._fading = self.stride / (horizon * RECENT)
        self._moves = array("f", [_SEEDS[place * _SHUFFLE % SEEDS] for place in range(SEEDS)])
        self._order = array("f", _SEEDS)
        self._pending: deque[Pending] = deque()
        self._outcomes: deque[int] = deque(maxlen=LAST)
        """A bit a level: whether it missed."""
        self._misses = [0] * len(LEVELS)

    def halves(self, sigma: float) -> Halves:
        """Half-widths of bands issued now, where a bar is expected to range over `sigma`."""
        low, middle, high = [sigma * self._root * self._quantile(place) for place in range(len(LEVELS))]
        middle = max(low, middle)  # levels are steered apart: a wider one must not be narrower for it
        return low, middle, max(middle, high)

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
        if pending and pending[0][0] <= self._steps:
            missed = self._settle(log)
        if self._steps % self.stride == 0:
            pending.append((self._steps + self.horizon, log, sigma * self._root, *self.halves(sigma)))
        return missed

    def _settle(self, log: float) -> int:
        _, centre, size, *halves = self._pending.popleft()
        move = abs(log - centre)
        missed = 0
        for place, (half, level, pace) in enumerate(zip(halves, LEVELS, self._paces, strict=True)):
            miss = move > half
            missed |= miss << place
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

    def due(self, ahead: int) -> tuple[float, float, float, float] | None:
        """The band about the bar `ahead` of the last one, or the next one after it: centre and half-widths."""
        target = self._steps + ahead
        for about, centre, _, *halves in self._pending:
            if about >= target:
                low, middle, high = halves
                return centre, low, middle, high
        return None

    def dump(self) -> bytes:
        """The whole state: numbers, outcomes, scaled moves in single precision."""
        head = [
            self._steps,
            self.settled,
            *self._alphas,
            *self._excess,
            *(number for one in self._pending for number in one),
        ]
        return _ENCODE([[float(number) for number in head], bytes(self._outcomes), self._moves.tobytes()])

    def load(self, payload: bytes) -> None:
        """Go on exactly as the band of the same horizon that made the dump. Raises `ValueError` for anything else."""
        numbers, outcomes, moves = _STATE.decode(payload)
        if len(numbers) < 8 or (len(numbers) - 8) % 6 or len(outcomes) > LAST or not SEEDS <= len(moves) // 4 <= WINDOW:
            raise ValueError("not a band's state")
        known = array("f")
        known.frombytes(moves)
        if not (all(map(math.isfinite, numbers)) and all(map(math.isfinite, known))):
            raise ValueError("a band's state is finite")
        self._steps, self.settled = int(numbers[0]), int(numbers[1])
        self._alphas, self._excess = numbers[2:5], numbers[5:8]
        self._pending = deque(_pending(numbers[place : place + 6]) for place in range(8, len(numbers), 6))
        self._outcomes = deque(outcomes, maxlen=LAST)
        self._misses = [sum(one >> place & 1 for one in outcomes) for place in range(len(LEVELS))]
        self._moves, self._order = known, array("f", sorted(known))


def _pending(numbers: Sequence[float]) -> Pending:
    about, centre, size, low, middle, high = numbers
    return int(about), centre, size, low, middle, high
