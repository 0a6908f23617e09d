"""Prophet's rhythm on log closes, anchored at the last closes, with a band from the residuals at several horizons.

Prophet alone drifts off the price (its own 95 % covers far less), so it gives the shape only: where the band starts is
an exponentially weighted mean of the last closes, how wide it is comes from how far past closes really were from such
forecasts, and it widens with the square root of time.
"""

from __future__ import annotations

import logging
import math

import numpy as np
import numpy.typing as npt
import pandas as pd
from prophet import Prophet

from pricewatch.training.job import Fitted, Job

Numbers = npt.NDArray[np.float64]

_DAY = 86_400_000_000
_HORIZONS = (1, 5, 15, 30, 60)
"""Steps ahead at which past misses are measured."""
_MIN_MISSES = 30

logging.getLogger("cmdstanpy").disabled = True  # it sets itself up at import and talks at every fit


def fit(job: Job) -> Fitted:
    """The band for the `job.steps` rows after the last close."""
    at = np.asarray(job.at, dtype=np.int64)
    log_close = np.log(np.asarray(job.close, dtype=np.float64))
    rhythm = _rhythm(at, log_close, job)
    past, ahead = rhythm[: len(at)], rhythm[len(at) :]
    anchors = _anchors(at, log_close - past, job)
    spread = _spread(at, log_close - past, anchors, job)
    centre = anchors[-1] + ahead
    steps = np.arange(1, job.steps + 1)
    half = np.maximum(spread * np.sqrt(steps + job.anchor_half_life), math.log1p(job.min_half_width))
    return Fitted(np.exp(centre).tolist(), np.exp(centre - half).tolist(), np.exp(centre + half).tolist())


def _rhythm(at: npt.NDArray[np.int64], log_close: Numbers, job: Job) -> Numbers:
    """Prophet's expectation at the closes and at the steps after them."""
    model = Prophet(
        growth="flat",
        daily_seasonality=bool(at[-1] - at[0] >= 2 * _DAY),
        weekly_seasonality=bool(at[-1] - at[0] >= 14 * _DAY),
        yearly_seasonality=False,
        uncertainty_samples=0,
    )
    model.add_seasonality("hour", period=1 / 24, fourier_order=2, prior_scale=0.1)
    later = at[-1] + job.step * np.arange(1, job.steps + 1, dtype=np.int64)
    times = pd.to_datetime(np.concatenate([at, later]), unit="us")
    model.fit(pd.DataFrame({"ds": times[: len(at)], "y": log_close}))
    return np.asarray(model.predict(pd.DataFrame({"ds": times}))["yhat"], dtype=np.float64)


def _anchors(at: npt.NDArray[np.int64], residual: Numbers, job: Job) -> Numbers:
    """Exponentially weighted mean of the residuals up to each close; a gap makes old ones count less."""
    keep = np.exp2(-np.diff(at, prepend=at[0]) / (job.step * job.anchor_half_life))
    anchors = np.empty_like(residual)
    level = residual[0]
    for place, value in enumerate(residual):
        level = value + (level - value) * keep[place]
        anchors[place] = level
    return anchors


def _spread(at: npt.NDArray[np.int64], residual: Numbers, anchors: Numbers, job: Job) -> float:
    """Half-width of the band after one step, before the square root of time: the widest any horizon asks for."""
    asked = []
    for steps in _HORIZONS:
        targets = np.searchsorted(at, at + steps * job.step)
        origins = np.flatnonzero(targets < len(at))
        origins = origins[at[targets[origins]] == at[origins] + steps * job.step]
        if len(origins) >= _MIN_MISSES:
            misses = np.abs(residual[targets[origins]] - anchors[origins])
            asked.append(float(np.quantile(misses, job.level)) / math.sqrt(steps + job.anchor_half_life))
    if not asked:
        raise ValueError("too few pairs of closes at known distances to measure a band")
    return max(asked)
