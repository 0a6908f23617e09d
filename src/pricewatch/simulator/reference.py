"""The common price of one asset: what all venues that list it follow."""

from __future__ import annotations

import math
from random import Random

_DAY = 86_400.0
_VARIANCE = 0.55**2 / (365 * _DAY)  # 55 % a year, per second
_ALPHA, _BETA = 0.06, 0.925
_FREEDOM = 5
_JUMPS = 1 / 5_400  # a jump every hour and a half
_JUMP_SIZE = 0.003
_KEEP = 3_600


def rhythm(hour: float) -> float:
    """Activity over the day: a U with its low at noon and a mean of one."""
    return 0.7 + 0.9 * (hour / 12 - 1) ** 2


class Reference:
    """A log price relative to the start, second by second: Student-t returns, clustered volatility, jumps.

    The same seed gives the same path, in whatever steps it is read; reading must not go back over an hour.
    """

    def __init__(self, seed: str, *, opens_at: float, history_minutes: int) -> None:
        self._rng = Random(seed)
        self._opens_at = opens_at
        self._variance = _VARIANCE
        past = Random(f"{seed}/past")
        self._past = self._history(past, history_minutes)
        self._variance = _VARIANCE
        self._path = [0.0]
        self._from = 0

    def hour(self, offset: float) -> float:
        """The market's own time of day, in hours."""
        return (self._opens_at + offset / 3_600) % 24

    def at(self, offset: float) -> float:
        """The log price so many seconds after the start."""
        offset = max(offset, 0.0)
        second = int(offset)
        while self._from + len(self._path) < second + 2:
            self._path.append(self._path[-1] + self._return(self._rng, 1.0, self._from + len(self._path)))
        if len(self._path) > 2 * _KEEP:
            self._from += _KEEP
            del self._path[:_KEEP]
        index = max(second - self._from, 0)
        left = self._path[index]
        return left + (self._path[index + 1] - left) * (offset - second)

    def minutes(self) -> list[tuple[float, float, float, float]]:
        """Open, high, low and close of each minute before the start, oldest first; the last closes at zero."""
        return self._past

    def _return(self, rng: Random, seconds: float, offset: float) -> float:
        """One return; moves the variance on."""
        chi = rng.gammavariate(_FREEDOM / 2, 2.0)
        shock = rng.gauss(0.0, 1.0) * math.sqrt((_FREEDOM - 2) / chi)
        tide = rhythm(self.hour(offset))
        move = math.sqrt(self._variance * seconds * tide) * shock
        base = _VARIANCE * (1 - _ALPHA - _BETA)
        self._variance = min(base + self._variance * (_BETA + _ALPHA * shock * shock), 40 * _VARIANCE)
        if rng.random() < _JUMPS * seconds * tide:
            move += rng.choice((-1.0, 1.0)) * rng.expovariate(1 / _JUMP_SIZE)
        return move

    def _history(self, rng: Random, minutes: int) -> list[tuple[float, float, float, float]]:
        parts, level = 6, 0.0
        rows: list[list[float]] = []
        for minute in range(minutes):
            offset = -60.0 * (minutes - minute)
            row = [level]
            for part in range(parts):
                level += self._return(rng, 60 / parts, offset + part * 60 / parts)
                row.append(level)
            rows.append(row)
        return [(row[0] - level, max(row) - level, min(row) - level, row[-1] - level) for row in rows]
