"""What baselines there are of a market, and how each is read from its candles."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence

import msgspec

from pricewatch.domain.market import Candle
from pricewatch.domain.time import DAY, HOUR, MINUTE
from pricewatch.models.baselines.forecast import Plan


class Kind(msgspec.Struct, frozen=True):
    """One kind of baseline."""

    name: str
    unit: str
    """In which people read it."""
    raw: Callable[[Candle], float]
    """The number a candle has of it."""
    plan: Plan
    steps: tuple[int, ...]
    """Spans of a row in µs, the best first: the first with enough rows is taken."""
    held: float
    """Share of the rows, the newest ones, that no fit sees."""
    linear: bool = False
    """Whether a slope is fitted; else the level is flat."""
    floored: bool = False
    """Whether the logarithm is of the number plus a small floor, since it may be 0."""


def _close(candle: Candle) -> float:
    return candle.close


def _range(candle: Candle) -> float:
    return math.log(candle.high / candle.low)


def _volume(candle: Candle) -> float:
    return candle.volume


_RHYTHM = Plan(half_life=48.0, horizons=(1, 6, 24))
KINDS: Mapping[str, Kind] = {
    "price": Kind(
        "price",
        "price",
        _close,
        Plan(half_life=3.0, horizons=(1, 5, 15, 30, 60), root=True, whole=True),
        (MINUTE,),
        held=0.2,
    ),
    "range": Kind("range", "log(high / low) of a row", _range, _RHYTHM, (HOUR, 5 * MINUTE), held=0.2, floored=True),
    "volume": Kind("volume", "volume of a row", _volume, _RHYTHM, (HOUR, 5 * MINUTE), held=0.2, floored=True),
    "outlook": Kind(
        "outlook",
        "price",
        _close,
        Plan(half_life=0.0, horizons=(6, 12, 24, 48, 72, 96, 120), sigma_half_life=72.0, whole=True, shrinks=True),
        (HOUR,),
        held=0.4,
        linear=True,
    ),
}


def floor_of(raw: Sequence[float]) -> float:
    """What is added before the logarithm: a hundredth of the usual positive number."""
    positive = [value for value in raw if value > 0.0]
    return statistics.median(positive) / 100 if positive else 0.0


def to_log(kind: Kind, raw: Sequence[float]) -> tuple[list[float], float]:
    """The fitted numbers, and the floor that was added. Raises `ValueError` for what has no finite logarithm."""
    floor = floor_of(raw) if kind.floored else 0.0
    return [math.log(value + floor) for value in raw], floor


def from_log(value: float, floor: float) -> float:
    """Back to the number as people read it; never below 0."""
    return max(math.exp(min(value, 700.0)) - floor, 0.0)


def in_rows(candles: Sequence[Candle], step: int) -> list[Candle]:
    """Candles of one span put together into rows of a longer one; rows without candles are left out."""
    rows: list[Candle] = []
    for one in candles:
        at = one.at - one.at % step
        if rows and rows[-1].at == at:
            last = rows[-1]
            rows[-1] = Candle(
                one.market,
                at,
                last.open,
                max(last.high, one.high),
                min(last.low, one.low),
                one.close,
                last.volume + one.volume,
                last.trades + one.trades,
            )
        else:
            rows.append(Candle(one.market, at, one.open, one.high, one.low, one.close, one.volume, one.trades))
    return rows


LONGEST = 5 * DAY
"""How far ahead an outlook reaches."""
