from __future__ import annotations

import math
import random
import subprocess
import sys
import time
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from tests.training.training_world import NOW, job, walk

from pricewatch.domain.market import Candle
from pricewatch.domain.time import DAY, HOUR, MINUTE
from pricewatch.models.baselines.shape import Season, expected, load, seasons_for
from pricewatch.training.job import Failed, Fitted, Job
from pricewatch.training.process import run
from pricewatch.training.seasons import fit_shape, model_of

pytestmark = pytest.mark.filterwarnings("default")  # the scientific stack warns about itself


def fitted(work: Job) -> Fitted:
    outcome = run(work)
    assert isinstance(outcome, Fitted), outcome
    return outcome


def failed(work: Job) -> Failed:
    outcome = run(work)
    assert isinstance(outcome, Failed)
    return outcome


def changed(candles: list[Candle], **fields: Any) -> list[Candle]:
    """The same candle everywhere but for some fields."""
    return [msgspec.structs.replace(one, **fields) for one in candles]


# -- the band of the price


def test_the_band_begins_at_the_last_closes_and_widens() -> None:
    candles = walk(1_500)
    band = fitted(job(candles))
    (lower,), (upper,) = band.lower, band.upper
    assert len(band.centre) == len(lower) == len(upper) == 240
    assert band.origin == candles[-1].at + MINUTE
    assert band.naive == pytest.approx(candles[-1].close)
    assert band.centre[0] == pytest.approx(candles[-1].close, rel=0.005)
    widths = [high / low for low, high in zip(lower, upper, strict=True)]
    assert widths == sorted(widths)
    assert math.log(widths[119]) / math.log(widths[0]) == pytest.approx(math.sqrt(123 / 4), rel=0.01)


def test_the_band_covers_at_least_what_it_says_on_a_random_walk() -> None:
    inside = total = 0
    for seed in range(10):
        candles = walk(900, seed=seed)
        band = fitted(job(candles[:780], reach=120 * MINUTE, half_life=3.0))
        later = zip(candles[780:], band.lower[0], band.upper[0], strict=True)
        hits = [low <= one.close <= high for one, low, high in later]
        inside, total = inside + sum(hits), total + len(hits)
    assert inside / total > 0.9


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_any_price_level_will_do(scale: float) -> None:
    band = fitted(job(walk(400, scale=scale)))
    assert all(
        0 < low < centre < high < math.inf
        for low, centre, high in zip(band.lower[0], band.centre, band.upper[0], strict=True)
    )


def test_a_band_has_a_least_width() -> None:
    candles = changed(walk(400), close=100.0, high=100.0, low=100.0)
    candles[5] = msgspec.structs.replace(candles[5], close=100.001, high=100.001)
    band = fitted(job(candles, least_half=math.log1p(0.0002)))
    assert band.upper[0][0] == pytest.approx(100.02, abs=1e-3)


def test_gaps_are_allowed_and_told() -> None:
    kept = [one for place, one in enumerate(walk(1_200)) if place % 5 or place > 400]
    band = fitted(job(kept))
    assert band.status == "ok"
    assert "93% of the time" in band.note
    holed = [one for place, one in enumerate(walk(1_500)) if place < 330 or place > 1_430]
    assert fitted(job(holed)).status == "gappy"


# -- what is no history to learn from


@pytest.mark.parametrize(
    ("candles", "status", "words"),
    [
        ([], "empty", "none of 0"),
        (changed(walk(400), close=math.nan), "empty", "none of 400"),
        (changed(walk(400), volume=math.inf), "empty", "none of 400"),
        (walk(120), "short", "120 rows of 1 min"),
        (walk(100) * 4, "short", "100 rows"),
        (changed(walk(400), close=7.0, high=7.0, low=7.0), "constant", "all 400 rows"),
        (walk(60, span=HOUR), "short", "60 rows"),
    ],
)
def test_a_history_that_says_nothing_is_named(candles: list[Candle], status: str, words: str) -> None:
    outcome = failed(job(candles, until=NOW))
    assert outcome.status == status
    assert words in outcome.reason


def spiked(every: int, value: float) -> list[Candle]:
    return [
        msgspec.structs.replace(one, close=value, high=max(value, one.high), low=min(value, one.low))
        if place % every == 7
        else one
        for place, one in enumerate(walk(600))
    ]


@pytest.mark.parametrize("value", [1e12, 1e-6, 250.0])
def test_a_lone_spike_is_left_out_and_many_are_not_believed(value: float) -> None:
    clean = fitted(job(walk(600)))
    one = fitted(job(spiked(400, value)))
    assert "2 spikes left out" in one.note
    assert one.upper[0][-1] == pytest.approx(clean.upper[0][-1], rel=0.01)
    assert failed(job(spiked(30, value))).status == "spiking"


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 0.0])
def test_numbers_that_are_no_prices_are_left_out(value: float) -> None:
    found = fitted(job(spiked(30, value)))
    assert found.rows_used == pytest.approx(0.8 * 580, abs=5)


def test_a_real_jump_that_stays_is_no_spike() -> None:
    candles = walk(600)
    jumped = candles[:300] + [
        msgspec.structs.replace(one, close=one.close * 1.3, high=one.high * 1.3, low=one.low * 1.3)
        for one in candles[300:]
    ]
    assert "spikes" not in fitted(job(jumped)).note


def test_a_clock_that_jumps_ahead_or_back_changes_nothing() -> None:
    candles = walk(400)
    ahead = [msgspec.structs.replace(one, at=one.at + 900 * DAY) for one in candles[:3]]
    shuffled = candles[200:] + ahead + candles[:200] + candles[50:60]
    plain, odd = fitted(job(candles)), fitted(job(shuffled, until=candles[-1].at + MINUTE))
    assert odd.centre == plain.centre
    assert odd.upper == plain.upper


def test_one_trade_an_hour_has_days_but_no_minutes() -> None:
    hourly = [one for one in walk(40_000) if one.at % HOUR == 17 * MINUTE]
    assert failed(job(hourly)).status == "sparse"
    days = fitted(job(hourly, "outlook", until=NOW, least=300, reach=5 * DAY))
    assert days.step == HOUR


def test_rows_too_scattered_to_measure_a_band_are_said() -> None:
    luck = random.Random(3)
    scattered = [
        msgspec.structs.replace(one, at=NOW - (7 * (320 - place) + luck.randrange(7)) * MINUTE)
        for place, one in enumerate(walk(320))
    ]
    outcome = failed(job(scattered, until=NOW))
    assert outcome.status == "failed"
    assert "too few pairs" in outcome.reason


# -- versions


def test_what_was_measured_is_what_is_used() -> None:
    candles = walk(1_500)
    found = fitted(job(candles))
    shape = load(found.artefact)
    assert found.trained_to == candles[1_199].at + MINUTE
    assert found.metrics["held_from"] == found.trained_to
    assert found.metrics["held_to"] == found.origin
    assert found.parameters["seasons"] == {one.name: one.order for one in shape.seasons} == {"hour": 2}
    assert found.libraries["prophet"]
    again = fitted(job(candles, champion=found.artefact))
    assert again.rival_metrics == found.metrics
    assert again.won, "an equal version may replace the old one"


def test_a_worse_version_does_not_replace_a_better_one() -> None:
    candles = walk(1_500)
    good = load(fitted(job(candles)).artefact)
    wild = msgspec.structs.replace(good, weights=[0.05 for _ in good.weights])
    over_bad = fitted(job(candles, champion=msgspec.json.encode(wild)))
    assert over_bad.won
    assert over_bad.rival_metrics is not None
    assert over_bad.metrics["loss"] < over_bad.rival_metrics["loss"]
    pinned = fitted(job(candles, champion=msgspec.json.encode(wild), pinned=True))
    assert not pinned.won
    assert pinned.centre != over_bad.centre, "the rows are the pinned version's own"


def test_rows_of_a_kept_version_start_at_the_newest_closes() -> None:
    candles = walk(1_500)
    old = fitted(job(candles[:900])).artefact
    kept = fitted(job(candles, champion=old, pinned=True))
    assert kept.naive == pytest.approx(candles[-1].close)
    assert kept.centre[0] == pytest.approx(candles[-1].close, rel=0.005)


@pytest.mark.parametrize(
    "artefact",
    [
        b"garbage",
        b"\xff\xfe",
        b'{"schema":1}',
        b'{"schema":99,"start":0,"level":1,"slope":0,"seasons":[],"weights":[]}',
    ],
)
def test_an_artefact_that_cannot_be_read_is_no_rival(artefact: bytes) -> None:
    found = fitted(job(walk(400), champion=artefact, pinned=True))
    assert found.won
    assert found.rival_metrics is None
    assert "artefact" in found.refused


# -- the days' kinds


def test_the_rhythm_of_the_range_beats_its_level() -> None:
    candles = walk(2_016, span=HOUR)
    found = fitted(job(candles, "range", span=HOUR, reach=DAY, levels=[0.8, 0.95]))
    assert (found.step, len(found.centre), len(found.lower)) == (HOUR, 24, 2)
    day_ahead = found.metrics["horizons"][-1]
    assert day_ahead["steps"] == 24
    assert day_ahead["mae"] < 0.6 * day_ahead["mae_level"]
    assert day_ahead["mae"] < 0.75 * day_ahead["mae_naive"]
    assert max(found.centre) > 2 * min(found.centre), "the day's rhythm is there"
    assert all(wide >= narrow for wide, narrow in zip(found.upper[1], found.upper[0], strict=True))


def test_young_markets_have_a_rhythm_by_shorter_rows() -> None:
    found = fitted(job(walk(2_400), "range", reach=DAY))
    assert found.step == 5 * MINUTE
    assert found.note.startswith("480 rows of 5 min")


def test_volume_may_be_nothing() -> None:
    candles = [
        msgspec.structs.replace(one, volume=0.0) if place % 3 else one for place, one in enumerate(walk(900, span=HOUR))
    ]
    found = fitted(job(candles, "volume", span=HOUR, reach=DAY))
    assert min(found.lower[0]) == 0.0
    assert failed(job(changed(candles, volume=0.0), "volume", span=HOUR)).status == "constant"


def test_an_outlook_reaches_five_days_and_says_how_it_does_beside_the_random_walk() -> None:
    candles = walk(2_016, span=HOUR)
    found = fitted(job(candles, "outlook", span=HOUR, reach=5 * DAY, levels=[0.8, 0.95, 0.99]))
    assert len(found.centre) == 120
    assert found.metrics["horizons"][-1]["steps"] == 120
    assert found.metrics["loss"] == pytest.approx(1.0, abs=0.15), "nothing is to be known of a random walk"
    widths = [high - low for low, high in zip(found.lower[1], found.upper[1], strict=True)]
    assert widths[-1] > 2 * widths[5]


# -- the door


def test_the_shape_says_what_the_library_says() -> None:
    at = np.arange(0, 20 * DAY, HOUR, dtype=np.int64) + 1_700_000_000_000_000
    value = np.sin(at / DAY * 2 * math.pi) + 1e-7 * np.arange(len(at)) ** 2 + 3.0
    later = at[-1] + HOUR * np.arange(1, 100, dtype=np.int64)
    for linear in (False, True):
        seasons = seasons_for(at, HOUR)
        ours = expected(fit_shape(at, value, seasons, linear=linear), later)
        model = model_of(at, value, seasons, linear=linear)
        theirs = model.predict(pd.DataFrame({"ds": pd.to_datetime(later, unit="us")}))["yhat"].to_numpy()
        assert ours == pytest.approx(theirs, abs=1e-8)


def test_rows_without_any_rhythm_have_a_level() -> None:
    at = np.arange(50, dtype=np.int64) * DAY
    shape = fit_shape(at, np.full(50, 2.0) + 0.01 * (at // DAY % 2), [])
    assert expected(shape, at)[0] == pytest.approx(2.005, abs=1e-3)
    assert fit_shape(at, np.zeros(50), [Season("week", 7.0, 2)]).level == pytest.approx(0.0, abs=1e-9)


def test_a_warm_fit_is_cheap() -> None:
    work = job(walk(1_500))
    fitted(work)
    before = time.process_time()
    fitted(work)
    assert time.process_time() - before < 1.5


def test_whoever_hands_out_jobs_imports_nothing_heavy() -> None:
    code = (
        "import sys, pricewatch.training.worker\n"
        "heavy = {'pandas', 'prophet', 'numpy', 'scipy', 'cmdstanpy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
