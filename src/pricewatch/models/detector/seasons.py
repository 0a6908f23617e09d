"""The time of day and of week as numbers a regression can use."""

from __future__ import annotations

import math

DAY = 86_400
WEEK = 604_800
_HOUR = 3_600
_TURN = 2.0 * math.pi


def waves(phase: float, harmonics: int) -> list[float]:
    """Cosine and sine of `phase` (in turns) and of its multiples up to `harmonics`."""
    turned = _TURN * phase
    cosine, sine = math.cos(turned), math.sin(turned)
    c, s = cosine, sine
    found = [c, s]
    for _ in range(harmonics - 1):
        c, s = c * cosine - s * sine, s * cosine + c * sine
        found += (c, s)
    return found


def day_phase(seconds: float) -> float:
    """Where in the day, from 0 up to 1."""
    return seconds % DAY / DAY


def week_phase(seconds: float) -> float:
    """Where in the week, from 0 up to 1; weeks begin on Thursdays, as Unix time does."""
    return seconds % WEEK / WEEK


def hour_of_day(seconds: float) -> int:
    """0 to 23."""
    return int(seconds % DAY // _HOUR)


def hour_of_week(seconds: float) -> int:
    """0 to 167."""
    return int(seconds % WEEK // _HOUR)
