"""When a rare score becomes an alarm: a budget that recent alarms use up, and a pause after each."""

from __future__ import annotations

import math
from collections.abc import Sequence

PRICE = 1.2
"""What ten times as many recent alarms cost, in orders of magnitude of rarity."""
HALF_LIFE = 3_000.0
"""Rows after which an alarm counts half."""
THRESHOLD = 2.0
"""Rarity, less the price of the recent alarms, from which a row is an alarm: one in a hundred at first."""
PAUSE = 100
"""Rows between two alarms."""
_FADING = 0.5 ** (1.0 / HALF_LIFE)


class AlarmPolicy:
    """Turns rarities (-log10 of a probability) into excesses: at least `THRESHOLD` for alarms, else nought."""

    __slots__ = ("_recent", "_since")

    def __init__(self) -> None:
        self._recent = 0.0
        self._since = PAUSE

    def excess(self, rarity: float) -> float:
        """What an alarm at this row would be worth; 0 where it is none."""
        if self._since + 1 < PAUSE:
            return 0.0
        worth = rarity - PRICE * math.log10(1.0 + self._recent * _FADING)
        return worth if worth >= THRESHOLD else 0.0

    def learn(self, excess: float) -> None:
        """A row has passed, with what `excess` said of it."""
        self._recent *= _FADING
        self._since = min(self._since + 1, PAUSE)
        if excess > 0.0:
            self._recent += 1.0
            self._since = 0

    def dump(self) -> list[float]:
        """Recent alarms and the rows since the last."""
        return [self._recent, self._since]

    def load(self, numbers: Sequence[float]) -> None:
        """Restore a dump exactly. Raises `ValueError` for anything else."""
        if len(numbers) != 2:
            raise ValueError(f"not a policy's state: {len(numbers)} numbers")
        self._recent, self._since = numbers[0], int(numbers[1])
