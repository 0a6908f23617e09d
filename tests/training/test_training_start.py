from __future__ import annotations

import logging
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricewatch.domain.time import DAY, HOUR
from pricewatch.models.baselines.shape import Instants, Numbers, Season, seasons_for
from pricewatch.training.seasons import fit_shape, model_of
from pricewatch.training.start import Start, Terms, start

pytestmark = pytest.mark.filterwarnings("default")  # the scientific stack warns about itself

AT = np.arange(0, 21 * DAY, HOUR, dtype=np.int64) + 1_700_000_000_000_000 // HOUR * HOUR


def terms(seed: int, *, flat: bool, rows: int = 400, noise: float = 0.05) -> Terms:
    luck = np.random.default_rng(seed)
    t = np.linspace(0.0, 1.0, rows)
    turns = 2 * math.pi * t[:, None] * np.array([[3.0, 7.0]])
    return Terms(
        y=0.4
        + 0.3 * np.sin(turns[:, 0])
        + (0.0 if flat else 0.5) * np.maximum(t - 0.5, 0.0)
        + noise * luck.normal(size=rows),
        t=t,
        seasons=np.hstack([np.sin(turns), np.cos(turns)]),
        sigmas=np.array([10.0, 10.0, 0.1, 10.0]),
        changes=np.linspace(0.1, 0.8, 5),
        tau=0.05,
        flat=flat,
    )


def plausibility(found: Start, of: Terms) -> float:
    """The logarithm of Prophet's posterior, but for a constant, as its program states it."""
    delta, beta = np.asarray(found.delta), np.asarray(found.beta)
    trend = found.m + np.zeros(len(of.t))
    if not of.flat:
        trend = trend + found.k * of.t + np.maximum(of.t[:, None] - of.changes[None, :], 0.0) @ delta
    off = of.y - trend - of.seasons @ beta
    fit = -float(off @ off) / (2 * found.sigma_obs**2) - len(of.y) * math.log(found.sigma_obs)
    usual = (found.k**2 + found.m**2) / 50 + 2 * found.sigma_obs**2 + float((beta**2 / of.sigmas**2).sum()) / 2
    return fit - usual - float(np.abs(delta).sum()) / of.tau


def moved(found: Start, luck: np.random.Generator, size: float) -> Start:
    def near(values: list[float]) -> list[float]:
        return [one + size * float(luck.normal()) for one in values]

    k, m, *delta = near([found.k, found.m, *found.delta])
    return Start(k, m, delta, abs(near([found.sigma_obs])[0]), near(found.beta))


@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([1e-2, 1e-3, 1e-4]))
@settings(max_examples=60, deadline=None)
def test_nothing_near_the_start_is_more_likely(seed: int, flat: bool, size: float) -> None:
    of = terms(seed, flat=flat)
    found = start(of)
    assert found is not None
    other = moved(found, np.random.default_rng(seed + 1), size)
    assert plausibility(other, of) < plausibility(found, of) + 1e-4


def test_a_flat_trend_has_neither_slope_nor_changes() -> None:
    found = start(terms(1, flat=True))
    assert found is not None
    assert (found.k, found.delta) == (0.0, [0.0] * 5)
    assert found.m == pytest.approx(0.4, abs=0.02)
    assert found.beta[0] == pytest.approx(0.3, abs=0.02)
    assert found.sigma_obs == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("flat", [False, True])
def test_a_perfect_fit_has_no_start(flat: bool) -> None:
    of = terms(1, flat=flat, noise=0.0)
    assert start(Terms(np.zeros(400), of.t, of.seasons, of.sigmas, of.changes, of.tau, flat)) is None


def test_terms_that_cannot_be_told_apart_have_no_start() -> None:
    of = terms(1, flat=True)
    twice = np.hstack([of.seasons[:, :1]] * 4)
    assert start(Terms(of.y, of.t, twice, np.full(4, math.inf), of.changes, of.tau, flat=True)) is None


def test_numbers_that_are_none_have_no_start() -> None:
    of = terms(1, flat=True)
    y = of.y.copy()
    y[3] = math.nan
    assert start(Terms(y, of.t, of.seasons, of.sigmas, of.changes, of.tau, flat=True)) is None


def likelihood(at: Instants, value: Numbers, seasons: list[Season], *, linear: bool, usual: bool) -> float:
    """Prophet's log-posterior of a fit from its own start, or from ours."""
    if not usual:
        return float(model_of(at, value, seasons, linear=linear).params["lp__"][0][0])
    from prophet import Prophet

    logging.getLogger("cmdstanpy").disabled = True
    model = Prophet(
        growth="linear" if linear else "flat",
        n_changepoints=10,
        daily_seasonality=False,
        weekly_seasonality=False,
        yearly_seasonality=False,
        uncertainty_samples=0,
    )
    for one in seasons:
        model.add_seasonality(one.name, one.period, one.order, prior_scale=one.prior)
    model.fit(pd.DataFrame({"ds": pd.to_datetime(at, unit="us"), "y": value}))
    return float(model.params["lp__"][0][0])


@pytest.mark.parametrize("linear", [False, True])
def test_a_fit_is_at_least_as_likely_as_from_the_librarys_own_start(linear: bool) -> None:
    luck = np.random.default_rng(7)
    value = 4.0 + 0.3 * np.sin(AT / DAY * 2 * math.pi) + np.cumsum(luck.normal(size=len(AT))) * 0.02
    seasons = seasons_for(AT, HOUR)
    ours = likelihood(AT, value, seasons, linear=linear, usual=False)
    assert ours >= likelihood(AT, value, seasons, linear=linear, usual=True) - 1e-2


def test_rows_without_noise_are_fitted_as_the_library_does() -> None:
    value: Numbers = np.where(np.arange(len(AT)) % 2, 2.0, 2.0 + 1e-9)
    assert fit_shape(AT, value, [Season("day", 1.0, 2)]).level == pytest.approx(2.0, abs=1e-4)
