from __future__ import annotations

import math
import random

import numpy as np
import pytest
from tests.cli.conftest import Command

from pricewatch.appraisal import baselines as work
from pricewatch.appraisal.baselines_page import baselines_page, baselines_table
from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Candle
from pricewatch.domain.time import DAY, HOUR
from pricewatch.models.baselines.shape import SCHEMA, Instants, Numbers, Season, Shape

pytest_plugins = ["tests.cli.conftest"]


def day_means(at: Instants, value: Numbers, seasons: list[Season], *, linear: bool = False) -> Shape:
    """A quick stand-in for the library: the first harmonic of the day by least squares."""
    turn = 2 * math.pi * at / DAY
    columns = np.stack([np.ones(len(at)), np.sin(turn), np.cos(turn)], axis=1)
    level, *weights = np.linalg.lstsq(columns, value, rcond=None)[0].tolist()
    _ = seasons, linear
    return Shape(SCHEMA, int(at[0]), level, 0.0, [Season("day", 1.0, 1)], weights)


def candles(rows: int, *, step: int = HOUR, volume: bool = True) -> list[Candle]:
    """A walk whose range has a day's rhythm; the market is closed at weekends."""
    luck = random.Random(4)
    price, at = 100.0, 1_600_000_000_000_000 // HOUR * HOUR
    found: list[Candle] = []
    while len(found) < rows:
        at += step
        if at // DAY % 7 < 2:
            continue
        wide = 0.001 * (1.5 + math.sin(2 * math.pi * at / DAY))
        price *= math.exp(luck.gauss(0.0, wide))
        reach = abs(luck.gauss(wide, wide / 4)) + 1e-6
        size = 1e4 * wide * luck.uniform(1, 2) if volume else 0.0
        found.append(Candle(1, at, price, price * (1 + reach), price * (1 - reach), price, size))
    return found


def test_a_rhythm_shows_and_a_walk_has_none() -> None:
    past = work.past_of("fx/made", HOUR, candles(3_000))
    (near, *_, far) = work.appraise(past, "range", day_means)
    assert (near.steps, far.steps, far.fits) == (1, 24, 6)
    assert far.error < 0.75 * far.moving_level
    assert far.error < far.random_walk
    assert far.error == pytest.approx(far.hour_profile, rel=0.15)
    assert far.moving_level >= far.best_level
    assert far.gain == pytest.approx(1 - far.error / far.best_level)
    assert far.coverage == pytest.approx(0.95, abs=0.04)
    outlooks = work.appraise(past, "outlook", day_means)
    assert {one.steps for one in outlooks} >= {6, 12, 24}
    assert all(one.error == pytest.approx(one.random_walk, rel=0.1) for one in outlooks)


def test_nothing_is_known_of_the_future() -> None:
    past = work.past_of("made", HOUR, candles(2_700))
    cut = work.Past(past.name, past.step, past.columns.only(slice(0, work.WINDOW + 2 * work.EVERY)))
    seen: list[int] = []

    def fit(at: Instants, value: Numbers, seasons: list[Season], *, linear: bool = False) -> Shape:
        seen.append(int(at[-1]))
        return day_means(at, value, seasons, linear=linear)

    work.appraise(cut, "range", fit)
    starts = [int(past.columns.at[work.WINDOW + n * work.EVERY]) for n in range(2)]
    assert all(last < start for last, start in zip(seen, starts, strict=True))


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(Invalid, match="a fit and a week after it take 2184"):
        work.kinds_of(work.past_of("young", HOUR, candles(500)))
    with pytest.raises(Invalid, match="know no hours"):
        work.kinds_of(work.past_of("days", DAY, candles(2_500)))
    young = [work.past_of("young", HOUR, candles(500))]
    with pytest.raises(Invalid, match="young: 500 candles"):
        work.appraise_all(young, day_means, rows=9_999, workers=1, progress=lambda *_: None)
    assert work.kinds_of(work.past_of("dry", HOUR, candles(2_500, volume=False))) == ["range", "outlook"]
    assert len(work.past_of("none", HOUR, []).columns.at) == 0


def test_series_run_beside_each_other_and_are_shown() -> None:
    pasts = [
        work.past_of("fx/made", HOUR, candles(2_400, volume=False)),
        work.past_of("fx/young", HOUR, candles(100)),
    ]
    told: list[tuple[str, int, int]] = []
    found = work.appraise_all(
        pasts, day_means, rows=2_300, workers=2, progress=lambda name, done, count: told.append((name, done, count))
    )
    assert sorted(one[1:] for one in told) == [(1, 2), (2, 2)]
    assert list(found.skipped) == ["fx/young"]
    assert {one.kind for one in found.standings} == {"range", "outlook"}
    columns, rows = baselines_table(found)
    assert len(rows) == len(found.standings)
    assert all(len(row) == len(columns) for row in rows)
    html = baselines_page(found)
    assert html.count("<img") == 1
    assert "fx/young" in html
    assert "<img" not in baselines_page(work.Appraisal([], {}))


def test_from_the_command_line(pw: Command) -> None:
    missing = pw("evaluate", "baselines", "nowhere.csv")
    assert missing.code == 4
    assert "there is no such file" in missing.err
