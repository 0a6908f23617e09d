"""Baselines over past candles: refitted as they would have been, and measured on what came after each fit.

Nothing is known of the future: a shape is fitted to a window, bands are calibrated in it, and both foretell the rows
after it until the next fit. Beside them stand the last value (the random walk), the same moving level without the
rhythm, the best of several moving levels, and the level with a profile by the hour.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import NamedTuple, Protocol

import numpy as np

from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import DAY, HOUR
from pricewatch.models.baselines.forecast import Forecaster, Plan, Series, interval_score, moving_level, pairs
from pricewatch.models.baselines.history import in_order, without_spikes
from pricewatch.models.baselines.kinds import KINDS, Columns, Kind, to_log
from pricewatch.models.baselines.shape import Instants, Numbers, Season, Shape, seasons_for
from pricewatch.models.baselines.shrink import shrunk

Fitter = Callable[..., Shape]
"""`fit(at, value, seasons, linear=...)`."""
WINDOW = 2_016
"""Rows of a fit: twelve weeks of hours."""
EVERY = 168
"""Rows between fits: a week of hours."""
LEVEL = 0.95
MEASURED = ("range", "volume", "outlook")
_HALF_LIVES = (4.0, 8.0, 16.0, 32.0, 64.0)
_RIVALS = ("last", "level", "hours", *(f"level {value:g}" for value in _HALF_LIVES))


class Standing(NamedTuple):
    """Mean absolute errors of one kind at one distance on one series, as differences of logarithms."""

    series: str
    kind: str
    steps: int
    rows: int
    fits: int
    error: float
    random_walk: float
    moving_level: float
    best_level: float
    """Of the best of several half-lives, chosen afterwards: better than any rival could have known."""
    hour_profile: float
    coverage: float
    """Of the 95 % band."""
    interval_score: float
    interval_score_random_walk: float

    @property
    def gain(self) -> float:
        """By how much less it erred than the best moving level."""
        return 1.0 - self.error / self.best_level


class Past(NamedTuple):
    """One series of candles, in order of time."""

    name: str
    step: int
    columns: Columns


class Bar(Protocol):
    """What is read of a candle."""

    @property
    def at(self) -> int:
        """Where it begins, µs."""
        ...

    @property
    def high(self) -> float:
        """Highest price."""
        ...

    @property
    def low(self) -> float:
        """Lowest price."""
        ...

    @property
    def close(self) -> float:
        """Last price."""
        ...

    @property
    def volume(self) -> float:
        """What was traded."""
        ...


def past_of(name: str, step: int, bars: Sequence[Bar]) -> Past:
    """Bars by column; lone spikes and what is no candle are left out, as in a refit."""
    raw = Columns(
        np.asarray([bar.at for bar in bars], dtype=np.int64),
        *(np.asarray([getattr(bar, name) for bar in bars]) for name in ("high", "low", "close", "volume")),
    )
    sound = in_order(raw, 2**62)
    return Past(name, step, without_spikes(sound)[0] if len(sound.at) else sound)


def kinds_of(past: Past) -> list[str]:
    """What can be measured on a series. Raises `Invalid` where it is too short or its rows too long."""
    if past.step > HOUR:
        raise Invalid(past.name, f"rows of {past.step / HOUR:g} h know no hours; give candles of an hour or less")
    if len(past.columns.at) < WINDOW + EVERY:
        raise Invalid(past.name, f"{len(past.columns.at)} candles; a fit and a week after it take {WINDOW + EVERY}")
    return [kind for kind in MEASURED if kind != "volume" or float(np.median(past.columns.volume)) > 0.0]


def appraise(past: Past, kind: str, fit: Fitter) -> list[Standing]:
    """One kind on one series, a line for each distance."""
    chosen = KINDS[kind]
    value, _ = to_log(chosen, chosen.raw(past.columns))
    series = Series(past.columns.at, value, past.step)
    found: dict[int, _Sums] = {steps: _Sums() for steps in chosen.plan.horizons}
    fits = 0
    for start in range(WINDOW, len(series.at) - 1, EVERY):
        fits += 1
        for steps, missed in _foretold(series, start, chosen, fit):
            found[steps].add(missed)
    return [sums.standing(past.name, kind, steps, fits) for steps, sums in found.items() if sums.rows]


class _Missed(NamedTuple):
    ours: Numbers
    rivals: dict[str, Numbers]
    inside: Numbers
    score: Numbers
    score_naive: Numbers


class _Sums:
    """Adds up what was missed."""

    def __init__(self) -> None:
        self.rows = 0
        self._sums: dict[str, float] = {}

    def add(self, missed: _Missed) -> None:
        self.rows += len(missed.ours)
        columns = {"ours": missed.ours, "inside": missed.inside, "score": missed.score, "naive": missed.score_naive}
        for name, numbers in (columns | missed.rivals).items():
            self._sums[name] = self._sums.get(name, 0.0) + float(numbers.sum())

    def standing(self, series: str, kind: str, steps: int, fits: int) -> Standing:
        mean = {name: total / self.rows for name, total in self._sums.items()}
        return Standing(
            series=series,
            kind=kind,
            steps=steps,
            rows=self.rows,
            fits=fits,
            error=mean["ours"],
            random_walk=mean["last"],
            moving_level=mean["level"],
            best_level=min(mean[name] for name in _RIVALS if name.startswith("level")),
            hour_profile=mean["hours"],
            coverage=mean["inside"],
            interval_score=mean["score"],
            interval_score_random_walk=mean["naive"],
        )


def _foretold(series: Series, start: int, kind: Kind, fit: Fitter) -> Iterator[tuple[int, _Missed]]:
    """A fit to the window before `start`, and what it missed of the rows after it until the next fit."""
    plan, first = kind.plan, start - WINDOW
    window = Series(series.at[first:start], series.value[first:start], series.step)
    since = WINDOW - round(WINDOW * kind.held)
    shape = _fitted(window, since, kind, fit)
    end = min(len(series.at), start + EVERY + max(plan.horizons))
    whole = Series(series.at[first:end], series.value[first:end], series.step)
    ours = Forecaster(whole, plan, shape)
    naive = Forecaster(whole, _last(plan), None)
    known = 0 if plan.whole else since
    tables = [one.widths(LEVEL, known, WINDOW) for one in (ours, naive)]
    levels = {f"level {life:g}": moving_level(whole, whole.value, life) for life in _HALF_LIVES}
    levels["level"] = moving_level(whole, whole.value, plan.half_life)
    profile = _Profile(window)
    for steps in plan.horizons:
        origins, targets = pairs(whole, steps, WINDOW, len(whole.at))
        chosen = (origins >= WINDOW - 1) & (origins < WINDOW - 1 + EVERY)
        origins, targets = origins[chosen], targets[chosen]
        if not len(origins) or steps not in tables[0] or steps not in tables[1]:
            continue
        value, last = whole.value[targets], whole.value[origins]
        off, off_last = np.abs(value - ours.centre(origins, targets)), np.abs(value - last)
        half, half_naive = (table[steps] * ours.sigma(origins) for table in tables)
        rivals = {name: np.abs(value - level[origins]) for name, level in levels.items()}
        rivals["last"] = off_last
        rivals["hours"] = np.abs(value - profile.centre(whole, levels["level"], origins, targets))
        yield (
            steps,
            _Missed(
                off,
                rivals,
                (off <= half).astype(np.float64),
                interval_score(off, half, LEVEL),
                interval_score(off_last, half_naive, LEVEL),
            ),
        )


def _fitted(window: Series, since: int, kind: Kind, fit: Fitter) -> Shape:
    at = window.at[:since]
    seasons: Sequence[Season] = seasons_for(at, window.step)
    shape = fit(at, window.value[:since], seasons, linear=kind.linear)
    return shrunk(shape, window, kind.plan, since, (since + WINDOW) // 2) if kind.plan.shrinks else shape


def _last(plan: Plan) -> Plan:
    return Plan(0.0, plan.horizons, plan.sigma_half_life, whole=plan.whole)


class _Profile:
    """How far each hour of the day usually lies from the day's mean: the simplest rhythm there is."""

    def __init__(self, window: Series) -> None:
        hours = _hours(window.at)
        mean = float(window.value.mean())
        self._by_hour = np.zeros(24)
        for hour in range(24):
            some = window.value[hours == hour]
            self._by_hour[hour] = float(some.mean()) - mean if len(some) else 0.0

    def centre(self, whole: Series, level: Numbers, origins: Instants, targets: Instants) -> Numbers:
        """The level without the hours it was made of would be another model; this is the level plus the hour."""
        found: Numbers = level[origins] + self._by_hour[_hours(whole.at[targets])]
        return found


def _hours(at: Instants) -> Instants:
    found: Instants = at % DAY // HOUR
    return found


class Appraisal(NamedTuple):
    """What came of some series."""

    standings: list[Standing]
    skipped: dict[str, str]
    """Series that could not be measured, and why."""


def appraise_all(
    pasts: Sequence[Past], fit: Fitter, *, rows: int, workers: int, progress: Callable[[str, int, int], None]
) -> Appraisal:
    """Every kind on the newest `rows` of every series, a process each. Raises `Invalid` where none can be measured."""
    jobs: list[tuple[Past, str]] = []
    skipped: dict[str, str] = {}
    for past in pasts:
        newest = Past(past.name, past.step, past.columns.only(slice(-rows, None)))
        try:
            jobs.extend((newest, kind) for kind in kinds_of(newest))
        except Invalid as error:
            skipped[past.name] = error.problem
    if not jobs:
        raise Invalid("FILES", "; ".join(f"{name}: {why}" for name, why in skipped.items()))
    found: list[list[Standing]] = [[] for _ in jobs]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context, initializer=_quiet) as pool:
        waiting = {pool.submit(appraise, past, kind, fit): place for place, (past, kind) in enumerate(jobs)}
        for done, job in enumerate(as_completed(waiting), start=1):
            place = waiting[job]
            found[place] = job.result()
            progress(f"{jobs[place][0].name} {jobs[place][1]}", done, len(jobs))
    return Appraisal([one for some in found for one in some], skipped)


def _quiet() -> None:
    logging.disable(logging.CRITICAL)  # the library talks at every fit
