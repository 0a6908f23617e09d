from __future__ import annotations

import math

import numpy as np
import pytest

from pricewatch.domain.time import DAY, HOUR
from pricewatch.models.baselines.events import APART, LEAST, WINDOW, score_events
from pricewatch.models.baselines.forecast import Forecaster, Plan, Series
from pricewatch.models.baselines.shape import Season, Shape

ROWS = 1_000
PLAN = Plan(half_life=48.0, horizons=(1, 6))


def rhythm(weight: float) -> Shape:
    return Shape(1, 0, 0.0, 0.0, [Season("day", 1.0, 1)], [weight, 0.0])


def series(weight: float, *, noise: float = 0.05, rows: int = ROWS) -> Series:
    at = np.arange(rows, dtype=np.int64) * HOUR
    luck = np.random.default_rng(4)
    return Series(at, weight * np.sin(2 * math.pi * at / DAY) + noise * luck.normal(size=rows), HOUR)


def test_a_known_rhythm_finds_what_the_level_alone_misses() -> None:
    found = score_events(Forecaster(series(1.0), PLAN, rhythm(1.0)), 600)
    assert found is not None
    assert (found.rows, found.windows) == (400, len(range(60, 400 - WINDOW + 1, APART)))
    assert found.met == found.windows
    assert found.score > 90.0
    assert found.score_level < found.score - 20.0


def test_a_version_without_a_rhythm_is_the_level() -> None:
    found = score_events(Forecaster(series(0.0), PLAN, None), 600)
    assert found is not None
    assert found.score == found.score_level


def test_a_wrong_rhythm_is_worse_than_the_right_one() -> None:
    right, wrong = (score_events(Forecaster(series(1.0), PLAN, rhythm(one)), 600) for one in (1.0, -2.0))
    assert right is not None
    assert wrong is not None
    assert wrong.score < right.score


def test_the_same_rows_give_the_same_answer_and_are_left_as_they_were() -> None:
    forecaster = Forecaster(series(1.0), PLAN, rhythm(1.0))
    before = forecaster.series.value.copy()
    assert score_events(forecaster, 600) == score_events(forecaster, 600)
    assert (forecaster.series.value == before).all()


@pytest.mark.parametrize("held", [LEAST - 1, LEAST])
def test_too_few_rows_say_nothing(held: int) -> None:
    found = score_events(Forecaster(series(1.0), PLAN, None), ROWS - held)
    assert (found is None) == (held < LEAST)


def test_every_event_counts_beside_a_scale_that_moves() -> None:
    plan = Plan(half_life=0.0, horizons=(6,), sigma_half_life=72.0)
    found = score_events(Forecaster(series(0.0), plan, None), 600)
    assert found is not None
    assert 0 < found.met <= found.windows
    assert found.false_alarms >= 0
