"""Whether bands cover what they say, and whether they are better than a random walk's."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from statistics import fmean
from typing import NamedTuple

from pricewatch.appraisal.series import Series, horizons_of
from pricewatch.models.bands.conformal import LEVELS, PARTS, HorizonBand, Sides
from pricewatch.models.bands.reach import Reach
from pricewatch.models.features import FeatureStream

WARM = 100
"""Bars at the beginning whose bands are not counted."""
ROLLING = 500
NORMAL = (1.2816, 1.9600, 2.5758)
"""Half-widths of a normal distribution's central 80, 95 and 99 %, in deviations."""
MEMORY = 0.94
"""Fading of the random walk's variance: what risk desks use."""
ALLOWED = (0.005, 0.003, 0.0015)
"""By how much coverage may miss its level, where there are so many bars that luck does not count."""

Progress = Callable[[str, int, int], None]
_Reaches = tuple[float, float]
"""How far a band reaches below and above its centre."""


class Outcome(NamedTuple):
    """All bands of one series, horizon and level."""

    series: str
    step: int
    horizon: int
    """Bars ahead."""
    level: float
    bands: int
    """Bands counted."""
    coverage: float
    allowed: float
    """By how much it may miss the level: more where there are few, or bands overlap."""
    least: float | None
    """Coverage of the worst `ROLLING` in a row; None where there are fewer."""
    most: float | None
    width: float
    """Mean width, as a share of the price."""
    score: float
    """Interval score beside the random walk's: below 1 is better."""
    halves: tuple[float, float]
    """The same of the first and of the second half of the series."""
    plain: float
    """The random walk's coverage."""

    @property
    def is_honest(self) -> bool:
        """Whether coverage is the level, up to what is allowed."""
        return abs(self.coverage - self.level) <= self.allowed


class Curve(NamedTuple):
    """Coverage of the last `ROLLING` one-bar bands of 95 % along a series, for a plot."""

    series: str
    places: list[int]
    coverage: list[float]


class Together(NamedTuple):
    """The one-bar bands of all series in one folder."""

    folder: str
    """Empty where files were given."""
    level: float
    series: int
    bands: int
    score: float
    """Mean of the series' interval scores, each weighed by its bands."""


class Appraisal(NamedTuple):
    """What came of it."""

    series: int
    bars: int
    outcomes: list[Outcome]
    curves: list[Curve]

    @property
    def together(self) -> list[Together]:
        """Every folder and level, by name."""
        groups: dict[tuple[str, float], list[Outcome]] = {}
        for one in self.outcomes:
            if one.horizon == 1:
                groups.setdefault((one.series.rpartition("/")[0], one.level), []).append(one)
        found = []
        for (folder, level), some in sorted(groups.items()):
            bands = sum(one.bands for one in some)
            score = sum(one.score * one.bands for one in some) / bands
            found.append(Together(folder, level, len(some), bands, score))
        return found


class _Issued(NamedTuple):
    place: int
    sides: Sides
    plain: float
    """The random walk's deviation over the horizon."""


def measure(series: Series) -> tuple[list[Outcome], Curve]:
    """One series through new bands; each is issued before its outcome is known."""
    horizons = horizons_of(series.step)
    bands = [HorizonBand(horizon) for horizon in horizons]
    issued: list[list[_Issued]] = [[] for _ in bands]
    stream, reach, logs = FeatureStream(), Reach(), list[float]()
    variance = 0.0
    for place, bar in enumerate(series.bars):
        row = stream.look(bar)
        stream.learn(row)
        reach.step(row, stream)
        logs.append(row.log)
        square = row.move * row.move
        variance = square if place == 1 else MEMORY * variance + (1.0 - MEMORY) * square
        if not stream.settled:
            continue
        for number, band in enumerate(bands):
            expected = reach.ahead(band.horizon, stream)
            band.step(row.log, expected)
            if place >= WARM and place % band.stride == 0:
                plain = math.sqrt(variance * band.horizon)
                issued[number].append(_Issued(place, band.sides(expected), plain))
    outcomes = [
        _outcome(series, logs, horizon, level, [one for one in found if one.place + horizon < len(logs)])
        for horizon, found in zip(horizons, issued, strict=True)
        for level in range(len(LEVELS))
    ]
    return [one for one in outcomes if one is not None], _curve(series, logs, issued[0])


def _outcome(
    series: Series, logs: Sequence[float], horizon: int, place: int, issued: Sequence[_Issued]
) -> Outcome | None:
    if not issued:
        return None
    level = LEVELS[place]
    moves = [logs[one.place + horizon] - logs[one.place] for one in issued]
    bands = [(one.sides.down[place], one.sides.up[place]) for one in issued]
    plain = [(NORMAL[place] * one.plain,) * 2 for one in issued]
    hits = _hits(moves, bands)
    rolling = _rolling(hits)
    middle = (len(hits) + 1) // 2
    apart = len(hits) / min(horizon, PARTS)  # bands that overlap hit or miss together
    return Outcome(
        series=series.name,
        step=series.step,
        horizon=horizon,
        level=level,
        bands=len(hits),
        coverage=fmean(hits),
        allowed=max(ALLOWED[place], 2.6 * math.sqrt(level * (1.0 - level) / apart)),
        least=min(rolling, default=None),
        most=max(rolling, default=None),
        width=fmean(map(sum, bands)),
        score=_beside(moves, bands, plain, level),
        halves=(
            _beside(moves[:middle], bands[:middle], plain[:middle], level),
            _beside(moves[middle:], bands[middle:], plain[middle:], level),
        ),
        plain=fmean(_hits(moves, plain)),
    )


def _hits(moves: Sequence[float], bands: Sequence[_Reaches]) -> list[bool]:
    return [-down <= move <= up for move, (down, up) in zip(moves, bands, strict=True)]


def _beside(moves: Sequence[float], bands: Sequence[_Reaches], plain: Sequence[_Reaches], level: float) -> float:
    """Our interval score by the walk's; 1 where there is nothing to compare."""
    return _interval(moves, bands, level) / max(_interval(moves, plain, level), 1e-15) if moves else 1.0


def _interval(moves: Sequence[float], bands: Sequence[_Reaches], level: float) -> float:
    """Width, and what a miss misses by, as dear as misses should be rare (T. Gneiting, A. Raftery, JASA 102, 2007)."""
    return fmean(
        down + up + 2.0 / (1.0 - level) * max(move - up, -down - move, 0.0)
        for move, (down, up) in zip(moves, bands, strict=True)
    )


def _rolling(hits: Sequence[bool]) -> list[float]:
    if len(hits) < ROLLING:
        return []
    count = sum(hits[:ROLLING])
    found = [count / ROLLING]
    for gone, came in zip(hits, hits[ROLLING:], strict=False):
        count += came - gone
        found.append(count / ROLLING)
    return found


def _curve(series: Series, logs: Sequence[float], issued: Sequence[_Issued]) -> Curve:
    known = [one for one in issued if one.place + 1 < len(logs)]
    moves = [logs[one.place + 1] - logs[one.place] for one in known]
    rolling = _rolling(_hits(moves, [(one.sides.down[1], one.sides.up[1]) for one in known]))
    thin = max(1, len(rolling) // 400)
    return Curve(
        series.name, [known[0].place + ROLLING + place for place in range(len(rolling))][::thin], rolling[::thin]
    )


def appraise(series: Sequence[Series], *, workers: int, progress: Progress) -> Appraisal:
    """Every series; the longest first, so that no worker waits for it at the end."""
    found: dict[str, tuple[list[Outcome], Curve]] = {}
    with ProcessPoolExecutor(min(workers, len(series)), mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = {
            pool.submit(measure, one): one.name for one in sorted(series, key=lambda one: len(one.bars), reverse=True)
        }
        for done, job in enumerate(as_completed(jobs), start=1):
            found[jobs[job]] = job.result()
            progress(jobs[job], done, len(jobs))
    return Appraisal(
        len(series),
        sum(len(one.bars) for one in series),
        [outcome for name in sorted(found) for outcome in found[name][0]],
        [found[name][1] for name in sorted(found)],
    )
