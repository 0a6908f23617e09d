"""What is unusual about a bar: nine sizes, each beside what was usual before it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from pricewatch.models.features import LONG, SHORT, Row

NAMES = ("move", "move5", "move30", "range", "range12", "volume", "volume12", "cusum", "z")
SPAN = 12
"""Bars that a lasting range or volume is a mean over."""
SLACK = 0.35
"""What a scaled move must exceed to add to the cumulative sums, in expected ranges: above its usual size."""
TOP = 12.0
"""A cumulative sum grows no further."""
PAST = 0.99
"""Fading of the mean square of moves: a memory of a hundred bars."""
CLIP = 8.0
"""A size beyond this many usual ones counts as this many in means and sums."""
FLOOR = 1e-16
"""Least mean square of moves."""
LEAST = 1e-9
"""Added to every size, so that it has a logarithm."""
GREATEST = 1e9
"""A volume beyond this many usual ones counts as this many."""
_ROOT_SHORT, _ROOT_LONG = math.sqrt(SHORT), math.sqrt(LONG)


class Look(NamedTuple):
    """A row's sizes and what `learn` takes in of it."""

    sizes: list[float]
    """In the order of `NAMES`; `LEAST` for nothing at all."""
    step: float
    """The scaled move, clipped."""
    size: float
    volume: float
    square: float


class Scores:
    """`look` gives the nine sizes and changes nothing, `learn` takes in what it said."""

    __slots__ = ("_down", "_ranges", "_square", "_up", "_volumes")

    def __init__(self) -> None:
        self._ranges: deque[float] = deque(maxlen=SPAN - 1)
        self._volumes: deque[float] = deque(maxlen=SPAN - 1)
        self._up = self._down = 0.0
        self._square = FLOOR

    def look(self, row: Row) -> Look:
        """Each size beside what was usual before this row."""
        move, sigma, slow = row.move, row.sigma, row.slow
        volume = min(row.volume / row.usual, GREATEST) if row.usual > 0.0 else 0.0
        step = move / slow
        if not -CLIP < step < CLIP:
            step = CLIP if step > 0.0 else -CLIP
        size, much = min(row.size / slow, CLIP), min(volume, CLIP)
        far = abs(move)
        sizes = [
            far / sigma + LEAST,
            abs(row.short) / (slow * _ROOT_SHORT) + LEAST,
            abs(row.long) / (slow * _ROOT_LONG) + LEAST,
            row.size / sigma + LEAST,
            (sum(self._ranges) + size) / SPAN + LEAST,
            volume + LEAST,
            (sum(self._volumes) + much) / SPAN + LEAST,
            max(self._up + step, self._down - step, SLACK) - SLACK + LEAST,
            far / math.sqrt(self._square) + LEAST,
        ]
        return Look(sizes, step, size, much, move * move)

    def learn(self, look: Look) -> None:
        """Take a row in."""
        _, step, size, volume, square = look
        self._ranges.append(size)
        self._volumes.append(volume)
        self._up = min(TOP, max(0.0, self._up + step - SLACK))
        self._down = min(TOP, max(0.0, self._down - step - SLACK))
        known = self._square
        if known > FLOOR:
            square = min(square, CLIP * CLIP * known)
        self._square = max(FLOOR, PAST * known + (1.0 - PAST) * square)

    def dump(self) -> list[float]:
        """Sums, mean square, then the last ranges and volumes."""
        return [self._up, self._down, self._square, len(self._ranges), *self._ranges, *self._volumes]

    def load(self, numbers: Sequence[float]) -> None:
        """Restore a dump exactly. Raises `ValueError` for anything else."""
        count = int(numbers[3]) if len(numbers) > 3 else 0
        if not 0 <= count < SPAN or len(numbers) != 4 + 2 * count:
            raise ValueError(f"not the state of scores: {len(numbers)} numbers")
        self._up, self._down, self._square = numbers[:3]
        self._ranges = deque(numbers[4 : 4 + count], maxlen=SPAN - 1)
        self._volumes = deque(numbers[4 + count :], maxlen=SPAN - 1)
