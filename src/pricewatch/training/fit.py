"""A fit: a new version from all but the newest rows, measured on those beside the version in use."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from pricewatch.domain.errors import BadData
from pricewatch.domain.packed import Packed
from pricewatch.models.baselines.events import score_events
from pricewatch.models.baselines.forecast import Forecaster, Metrics, Plan, Rows, Series, measure
from pricewatch.models.baselines.history import Examined, examine
from pricewatch.models.baselines.kinds import KINDS, Columns, Kind, from_log, to_log
from pricewatch.models.baselines.shape import Numbers, Shape, dump, load, seasons_for
from pricewatch.models.baselines.shrink import shrunk
from pricewatch.training.job import Failed, Fitted, Job
from pricewatch.training.seasons import fit_shape, libraries


def fit(job: Job) -> Fitted | Failed:
    """What is measured is what is used: the newest rows are never fitted, only looked at.

    Raises what the library raises, and `ValueError` where rows are too scattered to measure a band.
    """
    kind = KINDS[job.kind]
    found = examine(columns(job.candles), kind, span=job.span, least=job.least, most=job.most, until=job.until)
    if found.rows is None:
        return Failed(found.note, found.status)
    return _fit(job, kind, found, found.rows)


def columns(packed: Packed) -> Columns:
    """Candles as they were packed."""
    high, low, close, volume = (
        np.frombuffer(one, dtype=">f8").astype(np.float64)
        for one in (packed.high, packed.low, packed.close, packed.volume)
    )
    return Columns(np.frombuffer(packed.at, dtype=">i8").astype(np.int64), high, low, close, volume)


def _fit(job: Job, kind: Kind, found: Examined, rows: Columns) -> Fitted:
    plan = kind.plan if job.half_life is None else msgspec.structs.replace(kind.plan, half_life=job.half_life)
    value, floor = to_log(kind, kind.raw(rows))
    series = Series(rows.at, value, found.step)
    since = held_since(len(rows.at), kind.held)
    shape = _new(series, since, kind, plan)
    challenger = Forecaster(series, plan, shape)
    metrics = _measured(challenger, since, job.levels)
    known, refused = _known(job.champion)
    champion = None if known is None else Forecaster(series, plan, known)
    rival = None if champion is None else _measured(champion, since, job.levels)
    won = rival is None or (not job.pinned and metrics.loss <= rival.loss)
    better = challenger if won or champion is None else champion
    ahead = better.ahead(max(1, job.reach // series.step), job.levels, 0 if plan.whole else since)
    lower, upper = _bands(ahead, job.least_half, floor)
    return Fitted(
        artefact=dump(shape),
        metrics=_plain(metrics),
        rival_metrics=None if rival is None else _plain(rival),
        won=won,
        parameters=_parameters(kind, plan, shape),
        libraries=dict(libraries()),
        trained_from=int(series.at[0]),
        trained_to=int(series.at[since - 1]) + series.step,
        rows_used=since,
        unit=kind.unit,
        step=series.step,
        origin=int(series.at[-1]) + series.step,
        naive=float(from_log(np.asarray([ahead.naive]), floor)[0]),
        centre=from_log(np.asarray(ahead.centre), floor).tolist(),
        lower=lower,
        upper=upper,
        status=found.status,
        note=found.note,
        refused=refused,
    )


def _measured(forecaster: Forecaster, since: int, levels: list[float]) -> Metrics:
    return msgspec.structs.replace(measure(forecaster, since, levels), events=score_events(forecaster, since))


def _known(artefact: bytes) -> tuple[Shape | None, str]:
    """The shape in use, or why it cannot be read."""
    if not artefact:
        return None, ""
    try:
        return load(artefact), ""
    except BadData as error:
        return None, str(error)


def held_since(rows: int, held: float) -> int:
    """The place of the first row that is held out."""
    return max(2, rows - round(rows * held))


def _new(series: Series, since: int, kind: Kind, plan: Plan) -> Shape:
    at = series.at[:since]
    shape = fit_shape(at, series.value[:since], seasons_for(at, series.step), linear=kind.linear)
    if not plan.shrinks:
        return shape
    return shrunk(shape, series, plan, since, (since + len(series.at)) // 2)


def _bands(ahead: Rows, least: float, floor: float) -> tuple[list[list[float]], list[list[float]]]:
    centre = np.asarray(ahead.centre)
    halves: list[Numbers] = [np.maximum(np.asarray(half), least) for half in ahead.half]
    lower = [from_log(centre - half, floor).tolist() for half in halves]
    return lower, [from_log(centre + half, floor).tolist() for half in halves]


def _parameters(kind: Kind, plan: Plan, shape: Shape) -> dict[str, Any]:
    return {
        "growth": "linear" if kind.linear else "flat",
        "seasons": {one.name: one.order for one in shape.seasons},
        "half_life_rows": plan.half_life,
        "held_out": kind.held,
    }


def _plain(metrics: Metrics) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(metrics)
    return found
