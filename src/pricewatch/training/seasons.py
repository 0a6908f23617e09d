"""Prophet behind a door: rows in, a shape out. Only fit processes and evaluations come here."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from pricewatch.domain.time import DAY
from pricewatch.models.baselines.shape import SCHEMA, Instants, Numbers, Season, Shape

for talker in ("cmdstanpy", "prophet.plot"):  # one talks at every fit, the other misses a library nobody asked for
    logging.getLogger(talker).disabled = True

LIBRARIES = ("prophet", "cmdstanpy", "numpy", "pandas")


def fit_shape(at: Instants, value: Numbers, seasons: Sequence[Season], *, linear: bool = False) -> Shape:
    """The level, slope and seasons of these rows; with `linear` only meant for instants after them.

    The shape says the same as the library's own prediction. Raises whatever the library raises.
    """
    model = model_of(at, value, seasons, linear=linear)
    slope, level = _trend(model) if linear else (0.0, float(model.params["m"][0][0]))
    scale = float(model.y_scale or 1.0)
    days = float(at[-1] - at[0]) / DAY
    weights = np.asarray(model.params["beta"], dtype=np.float64)[0] * scale
    return Shape(
        schema=SCHEMA,
        start=int(at[0]),
        level=level * scale,
        slope=slope * scale / days,
        seasons=list(seasons),
        weights=weights.tolist() if seasons else [],
    )


def model_of(at: Instants, value: Numbers, seasons: Sequence[Season], *, linear: bool = False) -> Any:
    """The library's own fitted model of these rows."""
    from prophet import Prophet

    from pricewatch.training.stan import Quick

    logging.getLogger("cmdstanpy").disabled = True  # it has just set itself up
    model = Prophet(
        growth="linear" if linear else "flat",
        n_changepoints=10,
        daily_seasonality=False,
        weekly_seasonality=False,
        yearly_seasonality=False,
        uncertainty_samples=0,
    )
    for season in seasons:
        model.add_seasonality(season.name, season.period, season.order, prior_scale=season.prior)
    model.stan_backend = Quick()
    model.fit(pd.DataFrame({"ds": pd.to_datetime(at, unit="us"), "y": value}))
    return model


@functools.cache
def libraries() -> Mapping[str, str]:
    """What fits here, with versions."""
    return {name: version(name) for name in LIBRARIES}


def _trend(model: Any) -> tuple[float, float]:
    """Slope and level of the last piece of the trend, in the library's own units (1 is the whole span)."""
    deltas = np.asarray(model.params["delta"], dtype=np.float64)[0]
    slope = float(model.params["k"][0][0]) + float(deltas.sum())
    return slope, float(model.params["m"][0][0]) - float((model.changepoints_t * deltas).sum())
