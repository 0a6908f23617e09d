"""What baselines there are of a market, and how each is read from its candles."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import msgspec
import numpy as np

from pricewatch.domain.time import HOUR, MINUTE
from pricewatch.models.baselines.forecast import Plan
from pricewatch.models.baselines.shape import Instants, Numbers


class Columns(msgspec.Struct, frozen=True):
    """A market's candles by column, all of one span."""

    at: Instants
    high: Numbers
    low: Numbers
    close: Numbers
    volume: Numbers

    def only(self, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]] | Instants | slice) -> Columns:
        """The chosen rows."""
        return Columns(self.at[chosen], self.high[chosen], self.low[chosen], self.close[chosen], self.volume[chosen])


class Kind(msgspec.Struct, frozen=True):
    """One kind of baseline."""

    name: str
    unit: str
    """In which people read it."""
    raw: Callable[[Columns], Numbers]
    """The number each row has of it."""
    plan: Plan
    steps: tuple[int, ...]
    """Spans of a row in µs, the best first: the first with enough rows is taken."""
    held: float
    """Share of the rows, the newest ones, that no fit sees."""
    linear: bool = False
    """Whether a slope is fitted; else the level is flat."""
    floored: bool = False
    """Whether the logarithm is of the number plus a small floor, since it may be 0."""


def _close(columns: Columns) -> Numbers:
    return columns.close


def _range(columns: Columns) -> Numbers:
    found: Numbers = np.log(columns.high / columns.low)
    return found


def _volume(columns: Columns) -> Numbers:
    return columns.volume


_RHYTHM = Plan(half_life=48.0, horizons=(1, 6, 12, 24))
"""A level that half forgets two days of hours: the rhythm tells the hours apart, so the level may be slow."""
_RHYTHM_STEPS = (HOUR, 5 * MINUTE, MINUTE)
_MINUTES = Plan(half_life=3.0, horizons=(1, 5, 15, 30, 60), by_time=True, root=True, whole=True)
_DAYS = Plan(half_life=0.0, horizons=(6, 12, 24, 48, 72, 96, 120), sigma_half_life=72.0, whole=True, shrinks=True)

KINDS: Mapping[str, Kind] = {
    "price": Kind("price", "price", _close, _MINUTES, (MINUTE,), held=0.2),
    "range": Kind("range", "log(high / low) of a row", _range, _RHYTHM, _RHYTHM_STEPS, held=0.2, floored=True),
    "volume": Kind("volume", "base currency a row", _volume, _RHYTHM, _RHYTHM_STEPS, held=0.2, floored=True),
    "spread": Kind("spread", "per cent of the middle", _close, _RHYTHM, (HOUR,), held=0.2, floored=True),
    "outlook": Kind("outlook", "price", _close, _DAYS, (HOUR,), held=0.4, linear=True),
}


def to_log(kind: Kind, raw: Numbers) -> tuple[Numbers, float]:
    """The fitted numbers, and the floor added before the logarithm: a hundredth of the usual positive number."""
    floor = 0.0
    if kind.floored:
        positive = raw[raw > 0.0]
        floor = float(np.median(positive)) / 100 if len(positive) else 1.0
    found: Numbers = np.log(raw + floor)
    return found, floor


def from_log(value: Numbers, floor: float) -> Numbers:
    """Back to the numbers as people read them; never below 0."""
    found: Numbers = np.maximum(np.exp(np.minimum(value, math.log(1e300))) - floor, 0.0)
    return found


def in_rows(columns: Columns, step: int) -> Columns:
    """Candles in order put together into rows of a longer span; rows without candles are left out."""
    starts = columns.at - columns.at % step
    first = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1)) if len(starts) else np.empty(0, dtype=np.int64)
    if not len(first):
        return columns
    last = np.append(first[1:], len(starts)) - 1
    return Columns(
        at=starts[first],
        high=np.maximum.reduceat(columns.high, first),
        low=np.minimum.reduceat(columns.low, first),
        close=columns.close[last],
        volume=np.add.reduceat(columns.volume, first),
    )
