"""From a shape to a forecast: where it starts, how wide its band is, and how good both were on rows not fitted.

The forecast for `h` steps ahead is the shape there plus a level: the exponentially weighted mean of what the shape did
not explain, up to now. Bands come from past misses of such forecasts at the same distances, never from the fit itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from pricewatch.models.baselines.shape import Instants, Numbers, Shape, expected

MIN_MISSES = 30
"""Fewer pairs of rows at one distance say nothing of it."""


class Plan(msgspec.Struct, frozen=True):
    """How a kind of baseline is anchored, and where its misses are measured."""

    half_life: float
    """Rows after which one counts half in the level; 0: the last row alone."""
    horizons: tuple[int, ...]
    """Steps ahead, ascending."""
    sigma_half_life: float = 0.0
    """Rows after which a move counts half in the scale that misses are measured in; 0: misses are not scaled."""
    by_time: bool = False
    """Whether the level forgets over a hole as over rows; else a closed market forgets nothing."""
    root: bool = False
    """One width for all distances, growing with the square root of time; else each distance has its own."""
    whole: bool = False
    """Whether bands are calibrated on all rows, the fitted ones too; else on held-out rows alone."""
    shrinks: bool = False
    """Whether seasons and slope are kept only as far as they helped on held-out rows."""


class Series(msgspec.Struct, frozen=True):
    """Rows in order of time; a hole is a missing row, never an invented one."""

    at: Instants
    value: Numbers
    step: int


class HorizonScore(msgspec.Struct, frozen=True):
    """How forecasts of one distance did on rows they were not made from, in the unit of what was fitted."""

    steps: int
    rows: int
    mae: float
    mae_naive: float
    """Of the last value."""
    mae_level: float
    """Of the same moving level without the rhythm."""
    coverage: list[float]
    """Share of rows within the band, by level."""
    interval_score: list[float]
    interval_score_naive: list[float]
    """Of bands calibrated in the same way around the last value."""


class EventScore(msgspec.Struct, frozen=True):
    """How well surprises point at events put into held-out rows, by the score of the Numenta Anomaly Benchmark."""

    rows: int
    windows: int
    """Events put in."""
    met: int
    """Those pointed at, at the threshold that suits best."""
    false_alarms: int
    score: float
    """100 for every event met at once and nothing else, 0 for no alarm at all."""
    score_level: float
    """The same by the plain moving level without the rhythm."""


class Metrics(msgspec.Struct, frozen=True):
    """One version on one held-out window."""

    held_from: int
    held_to: int
    levels: list[float]
    """Nominal coverages."""
    loss: float
    """Mean over distances and levels of interval score by that of the naive band: below 1 is better than naive."""
    horizons: list[HorizonScore]
    events: EventScore | None = None
    """None where too few rows were held out to put events into."""


class Rows(msgspec.Struct, frozen=True):
    """One value a step after the last row; bands by level."""

    centre: list[float]
    naive: float
    """The last value, which is the naive forecast for every step."""
    half: list[list[float]]
    """Half-widths: one list a level."""


def moving_level(series: Series, values: Numbers, half_life: float, *, by_time: bool = False) -> Numbers:
    """Exponentially weighted mean up to each row; `by_time` a hole makes old rows count less."""
    if half_life <= 0.0:
        return values.copy()
    rows = np.diff(series.at, prepend=series.at[0]) / series.step if by_time else np.ones(len(values))
    keep = np.exp2(-rows / half_life)
    found = np.empty_like(values)
    level = values[0]
    for place, value in enumerate(values):
        level = value + (level - value) * keep[place]
        found[place] = level
    return found


def pairs(series: Series, steps: int, since: int, until: int) -> tuple[Instants, Instants]:
    """Places of rows exactly `steps` apart whose later one lies in `[since, until)` places."""
    wanted = series.at + steps * series.step
    targets = np.searchsorted(series.at, wanted).astype(np.int64)
    origins = np.flatnonzero((targets >= since) & (targets < until)).astype(np.int64)
    origins = origins[series.at[targets[origins]] == wanted[origins]]
    return origins, targets[origins]


def quantile(misses: Numbers, level: float) -> float:
    """The smallest miss that at least `level` of the next ones are promised to stay within."""
    rank = min(len(misses), math.ceil((len(misses) + 1) * level))
    return float(np.partition(misses, rank - 1)[rank - 1])


def interval_score(off: Numbers, half: Numbers, level: float) -> Numbers:
    """Width plus a penalty of 2/(1-level) for each unit outside, from how far off values were: the lower the better."""
    found: Numbers = 2.0 * half + (2.0 / (1.0 - level)) * np.maximum(off - half, 0.0)
    return found


class Forecaster:
    """One shape over one series."""

    def __init__(self, series: Series, plan: Plan, shape: Shape | None) -> None:
        """Without a shape it forecasts the level alone; with a half-life of 0 besides, the last value."""
        self.series = series
        self.plan = plan
        self.shape = shape
        self._explained = np.zeros(len(series.at)) if shape is None else expected(shape, series.at)
        rest = series.value - self._explained
        self._level = moving_level(series, rest, plan.half_life, by_time=plan.by_time)
        moves = np.abs(np.diff(series.value, prepend=series.value[0]))
        floor = max(float(moves.mean()) * 1e-3, 1e-12)
        scaled = plan.sigma_half_life > 0.0
        sigma = moving_level(series, moves, plan.sigma_half_life) if scaled else np.ones(len(moves))
        self._sigma = np.maximum(sigma, floor) if scaled else sigma

    def centre(self, origins: Instants, targets: Instants) -> Numbers:
        """What was foretold at each origin for its target."""
        found: Numbers = self._explained[targets] + self._level[origins]
        return found

    def sigma(self, origins: Instants) -> Numbers:
        """The scale of misses at each origin."""
        found: Numbers = self._sigma[origins]
        return found

    def misses(self, steps: int, since: int, until: int) -> Numbers:
        """Scaled sizes of misses whose targets lie in `[since, until)`."""
        origins, targets = pairs(self.series, steps, since, until)
        found: Numbers = np.abs(self.series.value[targets] - self.centre(origins, targets)) / self._sigma[origins]
        return found

    def widths(self, level: float, since: int, until: int) -> dict[int, float]:
        """Scaled half-width by distance, never shrinking with it; distances seen too rarely are left out."""
        found: dict[int, float] = {}
        widest = 0.0
        for steps in self.plan.horizons:
            misses = self.misses(steps, since, until)
            if len(misses) < MIN_MISSES:
                continue
            width = quantile(misses, level)
            widest = max(widest, width / math.sqrt(steps + self.plan.half_life) if self.plan.root else width)
            found[steps] = widest
        if self.plan.root:
            return {steps: widest * math.sqrt(steps + self.plan.half_life) for steps in found}
        return found

    def ahead(self, steps: int, levels: Sequence[float], since: int) -> Rows:
        """The next `steps`, no further than misses of `[since, end)` were measured. Raises `ValueError` without any."""
        end = len(self.series.at)
        tables = [self.widths(level, since, end) for level in levels]
        if not tables[0]:
            raise ValueError("too few pairs of rows at known distances to measure a band")
        far = steps if self.plan.root else min(steps, max(tables[0]))
        ahead = np.arange(1, far + 1, dtype=np.int64)
        times = self.series.at[-1] + ahead * self.series.step
        shape = np.zeros(far) if self.shape is None else expected(self.shape, times)
        return Rows(
            centre=(shape + self._level[-1]).tolist(),
            naive=float(self.series.value[-1]),
            half=[(self._spread(table, ahead) * self._sigma[-1]).tolist() for table in tables],
        )

    def _spread(self, table: dict[int, float], ahead: Instants) -> Numbers:
        known, root = list(table), np.sqrt(ahead.astype(np.float64))
        if self.plan.root:
            unit = table[known[-1]] / math.sqrt(known[-1] + self.plan.half_life)
            rooted: Numbers = unit * np.sqrt(ahead + self.plan.half_life)
            return rooted
        found: Numbers = np.interp(root, np.sqrt(known), [table[steps] for steps in known])
        return found


def measure(forecaster: Forecaster, since: int, levels: Sequence[float]) -> Metrics:
    """Held-out rows from place `since` on: bands calibrated on their first half, everything measured on the second.

    Raises `ValueError` when no distance occurs often enough in either half.
    """
    series, plan = forecaster.series, forecaster.plan
    end = len(series.at)
    middle = (since + end) // 2
    first = 0 if plan.whole else since
    naive = Forecaster(series, msgspec.structs.replace(plan, half_life=0.0), None)
    plain = Forecaster(series, plan, None)
    widths = [forecaster.widths(level, first, middle) for level in levels]
    usual = [naive.widths(level, first, middle) for level in levels]
    scores = []
    for steps in plan.horizons:
        origins, targets = pairs(series, steps, middle, end)
        if steps not in widths[0] or len(origins) < MIN_MISSES:
            continue
        value, sigma = series.value[targets], forecaster.sigma(origins)
        off = np.abs(value - forecaster.centre(origins, targets))
        off_naive = np.abs(value - series.value[origins])
        halves = [table[steps] * sigma for table in widths]
        halves_naive = [table[steps] * sigma for table in usual]
        scores.append(
            HorizonScore(
                steps=steps,
                rows=len(origins),
                mae=float(off.mean()),
                mae_naive=float(off_naive.mean()),
                mae_level=float(np.abs(value - plain.centre(origins, targets)).mean()),
                coverage=[float((off <= half).mean()) for half in halves],
                interval_score=_scores(off, halves, levels),
                interval_score_naive=_scores(off_naive, halves_naive, levels),
            )
        )
    if not scores:
        raise ValueError("too few pairs of held-out rows at known distances to measure a band")
    return Metrics(
        held_from=int(series.at[since]),
        held_to=int(series.at[-1]) + series.step,
        levels=list(levels),
        loss=_loss(scores),
        horizons=scores,
    )


def _scores(off: Numbers, halves: Sequence[Numbers], levels: Sequence[float]) -> list[float]:
    return [float(interval_score(off, half, level).mean()) for half, level in zip(halves, levels, strict=True)]


def _loss(scores: Sequence[HorizonScore]) -> float:
    ratios = [
        ours / naive
        for one in scores
        for ours, naive in zip(one.interval_score, one.interval_score_naive, strict=True)
        if naive > 0.0
    ]
    return float(np.mean(ratios)) if ratios else 1.0
