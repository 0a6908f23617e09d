from __future__ import annotations

import math
import uuid

import pytest

from pricewatch.domain.model import Forecast, ForecastRow
from pricewatch.models.bands.band import Band

MINUTE = 60_000_000


def forecast(rows: list[ForecastRow], *, expires: int = 100 * MINUTE, step: int = MINUTE) -> Forecast:
    return Forecast(uuid.UUID(int=1), 1, "prophet", 0, 0, 10, 0.95, step, expires, rows)


ROWS = [ForecastRow(n * MINUTE, 10.0 + n, 9.0 + n, 11.0 + n) for n in (5, 6, 8)]


@pytest.mark.parametrize(
    ("instant", "lower"),
    [
        (5 * MINUTE - 1, None),
        (5 * MINUTE, 14.0),
        (6 * MINUTE - 1, 14.0),
        (6 * MINUTE, 15.0),
        (7 * MINUTE, None),
        (8 * MINUTE, 17.0),
        (9 * MINUTE, None),
        (0, None),
    ],
)
def test_lookup(instant: int, lower: float | None) -> None:
    row = Band(forecast(ROWS)).at(instant)
    assert (row and row.lower) == lower


def test_expired_is_unknown() -> None:
    band = Band(forecast(ROWS, expires=6 * MINUTE))
    assert band.at(6 * MINUTE - 1) is not None
    assert band.at(6 * MINUTE) is None


@pytest.mark.parametrize(
    ("lower", "upper"), [(math.nan, 1.0), (1.0, math.nan), (1.0, math.inf), (0.0, 1.0), (2.0, 1.0), (-math.inf, 1.0)]
)
def test_what_is_no_band_is_unknown(lower: float, upper: float) -> None:
    assert Band(forecast([ForecastRow(0, 1.0, lower, upper)])).at(0) is None


def test_nothing_in_nothing_out() -> None:
    assert Band(forecast([], step=0)).at(5) is None
