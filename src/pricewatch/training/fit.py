"""A fit: a new version from all but the newest rows, measured on those beside the version in use."""

from __future__ import annotations

import msgspec
import numpy as np

from pricewatch.models.baselines.forecast import Forecaster, Metrics, Plan, Series, measure
from pricewatch.models.baselines.kinds import KINDS, Kind
from pricewatch.models.baselines.shape import Shape, dump, load, seasons_for
from pricewatch.models.baselines.shrink import shrunk
from pricewatch.training.job import Figures, Fitted, Job
from pricewatch.training.seasons import fit_shape, libraries


def fit(job: Job) -> Fitted:
    """What is measured is what is used: the newest rows are never fitted, only looked at.

    Raises `BadData` for an unusable artefact and `ValueError` where rows are too few or too scattered.
    """
    kind = KINDS[job.kind]
    plan = kind.plan if job.half_life is None else msgspec.structs.replace(kind.plan, half_life=job.half_life)
    series = Series(np.asarray(job.at, dtype=np.int64), np.asarray(job.value, dtype=np.float64), job.step)
    since = held_since(len(series.at), kind.held)
    challenger = Forecaster(series, plan, _new(series, since, kind, plan))
    level = job.levels[0]
    figures = measure(challenger, since, level)
    champion, other = None, None
    if job.champion:
        champion = Forecaster(series, plan, load(job.champion))
        other = measure(champion, since, level)
    won = other is None or (not job.pinned and figures.loss <= other.loss)
    better = challenger if won or champion is None else champion
    rows = better.ahead(job.steps, job.levels, 0 if plan.whole else since)
    return Fitted(
        artefact=dump(challenger.shape),
        figures=_figures(figures),
        champion=None if other is None else _figures(other),
        won=won,
        trained_to=int(series.at[since - 1]) + series.step,
        rows_used=since,
        libraries=dict(libraries()),
        centre=rows.centre,
        naive=rows.naive,
        half=rows.half,
    )


def held_since(rows: int, held: float) -> int:
    """The place of the first row that is held out."""
    return max(2, rows - round(rows * held))


def _new(series: Series, since: int, kind: Kind, plan: Plan) -> Shape:
    at = series.at[:since]
    shape = fit_shape(at, series.value[:since], seasons_for(at, series.step), linear=kind.linear)
    if plan.shrinks:
        return shrunk(shape, series, plan, since, (since + len(series.at)) // 2)
    return shape


def _figures(metrics: Metrics) -> Figures:
    return msgspec.convert(msgspec.to_builtins(metrics), Figures)
