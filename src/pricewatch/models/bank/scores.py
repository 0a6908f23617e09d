"""What is unusual about a bar: nine sizes, each beside what was usual before it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from pricewatch.models.features import LONG, SHORT, Row

NAMES = ("move", "move5", "trend", "range", "ranges", "volume", "volumes", "cusum", "wick")
RANGES, VOLUMES = 20, 8
"""Bars that lasting ranges and volumes are means over, of logarithms: a single bar, however large, is not lasting, and
the mean of logarithms hardly notices it. Unrest lasts longer than a rush of trades."""
CALM = 0.02
"""Ranges and volumes below this share of the usual ones count as this much in those means: a bar can be empty."""
SLACK = 0.35
"""What a scaled move must exceed to add to the cumulative sums, in expected ranges: above its usual size."""
TOP = 12.0
"""A cumulative sum grows no further."""
CLIP = 8.0
"""A size beyond this many usual ones counts as this many in means and sums."""
SPIKE = 0.5
"""A wick below half an expected range is none: where a history has hardly any wicks, the first one is no alarm."""
LEAST = 1e-9
"""Added to every size, so that it has a logarithm."""
GREATEST = 1e9
"""A volume beyond this many usual ones counts as this many."""
_ROOT_SHORT = math.sqrt(SHORT)
_LEAST_SQUARE = 1e-30


class Look(NamedTuple):
    """A row's sizes and what `learn` takes in of it."""

    sizes: list[float]
    """In the order of `NAMES`; `LEAST` for nothing at all."""
    step: float
    """The scaled move, clipped."""
    size: float
    """Logarithm of the range beside the usual one, and of the volume."""
    volume: float
    square: float


class Scores:
    """`look` gives the nine sizes and changes nothing, `learn` takes in what it said."""

    __slots__ = ("_down", "_ranges", "_squares", "_up", "_volumes")

    def __init__(self) -> None:
        self._ranges: deque[float] = deque(maxlen=RANGES - 1)
        self._volumes: deque[float] = deque(maxlen=VOLUMES - 1)
        self._squares: deque[float] = deque(maxlen=LONG - 1)
        self._up = self._down = 0.0

    def look(self, row: Row) -> Look:
        """Each size beside what was usual before this row."""
        move, size, sigma, slow = row.move, row.size, row.sigma, row.slow
        volume = min(row.volume / row.usual, GREATEST) if row.usual > 0.0 else 0.0
        step = move / slow
        if not -CLIP < step < CLIP:
            step = CLIP if step > 0.0 else -CLIP
        even = math.log(max(CALM, min(size / slow, CLIP)))
        much = math.log(max(CALM, min(volume, CLIP))) if row.usual > 0.0 else 0.0
        far, square = abs(move), move * move
        sizes = [
            far / sigma + LEAST,
            abs(row.short) / (slow * _ROOT_SHORT) + LEAST,
            abs(row.long) / math.sqrt(sum(self._squares) + square + _LEAST_SQUARE) + LEAST,
            size / sigma + LEAST,
            math.exp((sum(self._ranges) + even) / RANGES),
            volume + LEAST,
            math.exp((sum(self._volumes) + much) / VOLUMES),
            max(self._up + step, self._down - step, SLACK) - SLACK + LEAST,
            max((size - far) / sigma, SPIKE),
        ]
        return Look(sizes, step, even, much, square)

    def learn(self, look: Look) -> None:
        """Take a row in."""
        _, step, size, volume, square = look
        self._ranges.append(size)
        self._volumes.append(volume)
        self._squares.append(square)
        self._up = min(TOP, max(0.0, self._up + step - SLACK))
        self._down = min(TOP, max(0.0, self._down - step - SLACK))

    def dump(self) -> list[float]:
        """Sums, how many are kept, then the last ranges, volumes and squares."""
        kept = (self._ranges, self._volumes, self._squares)
        return [self._up, self._down, *map(len, kept), *(number for one in kept for number in one)]

    def load(self, numbers: Sequence[float]) -> None:
        """Restore a dump exactly. Raises `ValueError` for anything else."""
        ranges, volumes, squares = map(int, numbers[2:5]) if len(numbers) >= 5 else (-1, -1, -1)
        sound = 0 <= ranges < RANGES and 0 <= volumes < VOLUMES and 0 <= squares < LONG
        if not sound or len(numbers) != 5 + ranges + volumes + squares:
            raise ValueError(f"not the state of scores: {len(numbers)} numbers")
        self._up, self._down = numbers[:2]
        rest = numbers[5:]
        self._ranges = deque(rest[:ranges], maxlen=RANGES - 1)
        self._volumes = deque(rest[ranges : ranges + volumes], maxlen=VOLUMES - 1)
        self._squares = deque(rest[ranges + volumes :], maxlen=LONG - 1)
