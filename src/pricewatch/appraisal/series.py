"""Price histories to measure models on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Candle
from pricewatch.domain.time import DAY, HOUR, MINUTE
from pricewatch.models.features import Shape

_DATE = re.compile(r"[-_]?\d{8}(?!\d)")
FEWEST = 200
"""Bars below which nothing can be said of a series."""


class Series(NamedTuple):
    """Closed bars of one market, oldest first, one a time."""

    name: str
    step: int
    """Microseconds a bar covers."""
    bars: list[Shape]

    @property
    def has_volume(self) -> bool:
        """Whether its source told volumes."""
        return any(bar.volume > 0.0 for bar in self.bars)


def series_of(name: str, candles: Iterable[Candle]) -> Series:
    """A series of candles; of several for one time the last counts. Raises `Invalid` for too few."""
    by_time = {candle.at: candle for candle in candles}
    times = sorted(by_time)
    if len(times) < FEWEST:
        raise Invalid(name, f"{len(times)} candles are too few to measure anything; give {FEWEST} at least")
    step = int(median(after - before for before, after in pairwise(times)))
    found = (by_time[at] for at in times)
    return Series(name, step, [Shape(one.at, step, one.high, one.low, one.close, one.volume) for one in found])


def joined(series: Sequence[Series]) -> list[Series]:
    """Files of consecutive days of one market as one series: their names differ by the date alone."""
    found: list[Series] = []
    places: dict[tuple[str, int], int] = {}
    for one in sorted(series, key=lambda one: (_DATE.sub("", one.name), one.bars[0].at)):
        key = (_DATE.sub("", one.name), one.step)
        place = places.get(key)
        before = None if place is None else found[place]
        if place is not None and before is not None and 0 < one.bars[0].at - before.bars[-1].at < DAY:
            found[place] = Series(before.name, one.step, [*before.bars, *one.bars])
        else:
            places[key] = len(found)
            found.append(one)
    return sorted(found)


def horizons_of(step: int) -> tuple[int, ...]:
    """Bars ahead for which bands are measured: as live for minutes, a quarter and a whole day of hours, else one."""
    if step < HOUR:
        return tuple(max(1, minutes * MINUTE // step) for minutes in (1, 5, 15, 60))
    return (1, 6, 24) if step < DAY else (1, 5)
