from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricewatch.domain.errors import BadData
from pricewatch.domain.time import DAY, HOUR, MINUTE, named
from pricewatch.models.baselines.forecast import (
    Forecaster,
    Plan,
    Series,
    interval_score,
    measure,
    moving_level,
    pairs,
    quantile,
)
from pricewatch.models.baselines.history import examine, in_order, without_spikes
from pricewatch.models.baselines.kinds import KINDS, Columns, from_log, in_rows, to_log
from pricewatch.models.baselines.shape import (
    SCHEMA,
    Numbers,
    Season,
    Shape,
    dump,
    expected,
    flattened,
    load,
    seasons_for,
)
from pricewatch.models.baselines.shrink import shrunk

DAILY = Shape(SCHEMA, 0, 1.0, 0.5, [Season("day", 1.0, 1)], [2.0, 3.0])
PLAN = Plan(half_life=4.0, horizons=(1, 3))


def series(value: Numbers, step: int = HOUR) -> Series:
    return Series(np.arange(len(value), dtype=np.int64) * step, value, step)


def noise(rows: int, seed: int = 1) -> Numbers:
    return np.random.default_rng(seed).normal(0.0, 1.0, rows)


def columns(closes: Numbers, *, step: int = MINUTE, at: Any = None, volume: float = 1.0) -> Columns:
    times = np.arange(len(closes), dtype=np.int64) * step if at is None else np.asarray(at, dtype=np.int64)
    return Columns(times, closes * 1.01, closes * 0.99, closes, np.full(len(closes), volume))


def prices(rows: int, seed: int = 1) -> Numbers:
    found: Numbers = 100.0 * np.exp(np.cumsum(noise(rows, seed)) * 0.001)
    return found


# -- shapes


def test_a_shape_is_level_slope_and_seasons() -> None:
    at = np.asarray([0, DAY // 4, DAY // 2, DAY], dtype=np.int64)
    assert expected(DAILY, at) == pytest.approx([4.0, 1.125 + 2.0, 1.25 - 3.0, 4.5])


def test_an_artefact_comes_back_the_same() -> None:
    assert load(dump(DAILY)) == DAILY
    assert dump(load(dump(DAILY))) == dump(DAILY)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 2}, "schema 2 is not known"),
        ({"weights": [1.0]}, "as many weights"),
        ({"seasons": [Season("day", 0.0, 1)]}, "usable period"),
        ({"seasons": [Season("day", 1.0, 99)]}, "usable period"),
        ({"seasons": [Season("day", 1.0, 1)] * 9}, "usable period"),
    ],
)
def test_an_artefact_that_makes_no_sense_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadData, match=words):
        load(msgspec.json.encode(msgspec.structs.replace(DAILY, **changes)))


@pytest.mark.parametrize("payload", [b"", b"[]", b"\xff", b'{"schema":1}', b'{"schema":"1"}', b"{" * 70_000])
def test_anything_else_is_refused(payload: bytes) -> None:
    with pytest.raises(BadData):
        load(payload)


@pytest.mark.parametrize("number", ["1e999", "1e308", "-2e4", "NaN", "null"])
def test_absurd_numbers_are_refused(number: str) -> None:
    with pytest.raises(BadData):
        load(dump(DAILY).replace(b"3.0", number.encode()))


@given(st.binary(max_size=200))
def test_no_bytes_get_past_bad_data(payload: bytes) -> None:
    with pytest.raises(BadData):
        load(payload)


@pytest.mark.parametrize(
    ("span", "step", "names"),
    [
        (HOUR, MINUTE, ["hour"]),
        (3 * DAY, MINUTE, ["hour", "day"]),
        (3 * DAY, HOUR, ["day"]),
        (20 * DAY, HOUR, ["day", "week"]),
        (20 * DAY, DAY, ["week"]),
        (HOUR, HOUR, []),
    ],
)
def test_only_rhythms_that_rows_can_tell_apart_are_fitted(span: int, step: int, names: list[str]) -> None:
    at = np.asarray([0, span], dtype=np.int64)
    assert [one.name for one in seasons_for(at, step)] == names


# -- levels, misses, bands


def test_a_level_follows_and_forgets_over_holes() -> None:
    value = np.asarray([0.0, 1.0, 1.0])
    whole = Series(np.asarray([0, HOUR, 2 * HOUR], dtype=np.int64), value, HOUR)
    holed = Series(np.asarray([0, HOUR, 90 * HOUR], dtype=np.int64), value, HOUR)
    assert moving_level(whole, value, 1.0) == pytest.approx([0.0, 0.5, 0.75])
    assert moving_level(holed, value, 1.0)[-1] == pytest.approx(0.75), "a closed market forgets nothing"
    assert moving_level(holed, value, 1.0, by_time=True)[-1] == pytest.approx(1.0)
    assert moving_level(whole, value, 0.0) == pytest.approx(value)


def test_pairs_are_exactly_so_far_apart() -> None:
    rows = Series(np.asarray([0, 1, 2, 5, 6], dtype=np.int64) * HOUR, np.zeros(5), HOUR)
    origins, targets = pairs(rows, 1, 0, 5)
    assert (origins.tolist(), targets.tolist()) == ([0, 1, 3], [1, 2, 4])
    origins, targets = pairs(rows, 1, 2, 4)
    assert (origins.tolist(), targets.tolist()) == ([1], [2])


def test_a_quantile_promises_the_next_one() -> None:
    misses = np.arange(1.0, 100.0)
    assert quantile(misses, 0.95) == 95.0
    assert quantile(misses[:5], 0.99) == 5.0


def test_the_interval_score_is_width_and_penalty() -> None:
    found = interval_score(np.asarray([1.0, 4.0]), np.full(2, 2.0), 0.9)
    assert found == pytest.approx([4.0, 4.0 + 20.0 * 2.0])


@pytest.mark.parametrize("root", [True, False])
def test_bands_cover_what_they_say_and_never_narrow(root: bool) -> None:
    value = np.cumsum(noise(3_000))
    plan = Plan(half_life=0.5, horizons=(1, 4, 16), root=root, whole=True)
    past = series(value[:2_000])
    rows = Forecaster(past, plan, None).ahead(16, [0.9, 0.5], 0)
    assert rows.naive == value[1_999]
    assert all(wide >= narrow for wide, narrow in zip(rows.half[0], rows.half[1], strict=True))
    assert rows.half[0] == sorted(rows.half[0])
    metrics = measure(Forecaster(series(value), plan, None), 2_000, [0.9])
    assert [one.steps for one in metrics.horizons] == [1, 4, 16]
    assert all(one.coverage[0] > 0.82 for one in metrics.horizons)
    assert metrics.held_from == 2_000 * HOUR
    assert metrics.held_to == 3_000 * HOUR


def test_rows_reach_no_further_than_misses_were_measured() -> None:
    value = np.cumsum(noise(100))
    plan = Plan(half_life=0.0, horizons=(1, 3, 90))
    assert len(Forecaster(series(value), plan, None).ahead(90, [0.9], 0).centre) == 3
    with pytest.raises(ValueError, match="too few pairs of rows"):
        Forecaster(series(value[:20]), plan, None).ahead(90, [0.9], 0)


def test_misses_are_measured_in_the_scale_of_their_time() -> None:
    value = np.concatenate([np.cumsum(noise(500)), 500 + np.cumsum(noise(500) * 10)])
    calm = Plan(half_life=0.0, horizons=(1,), sigma_half_life=20.0, whole=True)
    wild = Forecaster(series(value), calm, None).ahead(1, [0.9], 0).half[0][0]
    tame = Forecaster(series(value[:500]), calm, None).ahead(1, [0.9], 0).half[0][0]
    assert wild / tame == pytest.approx(10.0, rel=0.5)


def test_a_rhythm_is_better_than_its_level_alone() -> None:
    at = np.arange(1_000, dtype=np.int64) * HOUR
    shape = Shape(SCHEMA, 0, 0.0, 0.0, [Season("day", 1.0, 1)], [2.0, 0.0])
    value = expected(shape, at) + 0.1 * noise(1_000)
    metrics = measure(Forecaster(series(value), PLAN, shape), 600, [0.9, 0.5])
    for one in metrics.horizons:
        assert one.mae < 0.5 * one.mae_level
        assert one.interval_score < one.interval_score_naive
    assert metrics.loss < 1.0
    assert metrics.levels == [0.9, 0.5]
    assert all(one.coverage[0] >= one.coverage[1] for one in metrics.horizons)
    ahead = Forecaster(series(value), PLAN, shape).ahead(3, [0.9], 600)
    assert ahead.centre == pytest.approx(expected(shape, at[-1] + HOUR * np.arange(1, 4)).tolist(), abs=0.3)


def test_too_few_held_out_rows_are_said() -> None:
    with pytest.raises(ValueError, match="held-out rows"):
        measure(Forecaster(series(noise(100)), PLAN, None), 80, [0.9])
    holed = Series(np.arange(200, dtype=np.int64) * 7 * HOUR, noise(200), HOUR)
    with pytest.raises(ValueError, match="held-out rows"):
        measure(Forecaster(holed, PLAN, None), 100, [0.9])


def test_where_naive_is_perfect_nothing_is_lost() -> None:
    metrics = measure(Forecaster(series(np.ones(200)), Plan(half_life=0.0, horizons=(1,)), None), 100, [0.9])
    assert metrics.loss == 1.0


# -- how much of a shape to believe


def test_what_helped_is_kept_and_what_misled_is_dropped() -> None:
    at = np.arange(800, dtype=np.int64) * HOUR
    true = Shape(SCHEMA, 0, 0.0, 0.0, [Season("day", 1.0, 1)], [1.0, 0.0])
    value = expected(true, at) + 0.01 * np.cumsum(noise(800))
    plan = Plan(half_life=0.0, horizons=(1, 6, 12), shrinks=True)
    claimed = Shape(SCHEMA, 0, 0.0, -5.0, [Season("day", 1.0, 1)], [2.0, 0.0])
    found = shrunk(claimed, series(value), plan, 400, 800)
    assert found.weights[0] == pytest.approx(1.0, abs=0.1)
    assert -0.5 < found.slope <= 0.0
    wrong = shrunk(flattened(claimed, -1.0, 1.0), series(value), plan, 400, 800)
    assert wrong.weights == [0.0, 0.0]
    flat = Shape(SCHEMA, 0, 0.0, 0.0, [], [])
    assert shrunk(flat, series(value), plan, 400, 800) == flat


# -- candles into rows


def test_every_kind_reads_its_number_and_comes_back() -> None:
    rows = columns(np.asarray([100.0, 200.0]), volume=0.0)
    found = {name: kind.raw(rows) for name, kind in KINDS.items()}
    assert found["price"].tolist() == found["outlook"].tolist() == [100.0, 200.0]
    assert found["range"] == pytest.approx([math.log(1.01 / 0.99)] * 2)
    assert found["volume"].tolist() == [0.0, 0.0]
    for name, kind in KINDS.items():
        raw = np.asarray([0.0, 1.0, 3.0]) if kind.floored else np.asarray([1.0, 3.0])
        logs, floor = to_log(kind, raw)
        assert from_log(logs, floor) == pytest.approx(raw), name
    logs, floor = to_log(KINDS["volume"], np.zeros(3))
    assert (logs.tolist(), floor) == ([0.0, 0.0, 0.0], 1.0)


def test_minutes_add_up_to_longer_rows() -> None:
    minutes = Columns(
        np.asarray([0, 1, 5, 16], dtype=np.int64) * MINUTE,
        np.asarray([3.0, 5.0, 2.0, 9.0]),
        np.asarray([1.0, 2.0, 0.5, 8.0]),
        np.asarray([2.0, 4.0, 1.0, 8.5]),
        np.asarray([1.0, 1.0, 2.0, 3.0]),
    )
    rows = in_rows(minutes, 5 * MINUTE)
    assert rows.at.tolist() == [0, 5 * MINUTE, 15 * MINUTE]
    assert rows.high.tolist() == [5.0, 2.0, 9.0]
    assert rows.low.tolist() == [1.0, 0.5, 8.0]
    assert rows.close.tolist() == [4.0, 1.0, 8.5]
    assert rows.volume.tolist() == [2.0, 2.0, 3.0]
    assert len(in_rows(minutes.only(slice(0, 0)), HOUR).at) == 0


def test_candles_are_put_in_order_and_the_last_of_a_time_wins() -> None:
    closes = np.asarray([1.0, math.nan, math.inf, 0.0, 2.0, 5.0, 7.0])
    found = in_order(columns(closes, at=[3, 1, 2, 4, 3, 0, 99]), 50)
    assert (found.at.tolist(), found.close.tolist()) == ([0, 3], [5.0, 2.0])


def test_a_spike_goes_and_a_step_stays() -> None:
    closes = prices(200)
    spiked = closes.copy()
    spiked[50] = 1e9
    found, dropped = without_spikes(columns(spiked))
    assert dropped == 1
    assert len(found.at) == 199
    stepped = closes.copy()
    stepped[100:] *= 2
    assert without_spikes(columns(stepped))[1] == 0


def look(candles: Columns, kind: str = "price", **changes: int) -> Any:
    options = {"span": MINUTE, "least": 50, "most": 100, "until": 10**15}
    return examine(candles, KINDS[kind], **options | changes)


def test_what_is_usable_is_told_with_numbers() -> None:
    found = look(columns(prices(150)))
    assert (found.status, len(found.rows.at), found.step) == ("ok", 100, MINUTE)
    assert found.note == "100 rows of 1 min since 1970-01-01T00:50:00.000000Z, 100% of the time"
    gappy = look(columns(prices(60), at=np.arange(60) * 4 * MINUTE))
    assert gappy.status == "gappy"
    sparse = look(columns(prices(60), at=np.arange(60) * 60 * MINUTE))
    assert (sparse.status, sparse.rows) == ("sparse", None)
    assert look(columns(prices(0))).status == "empty"
    assert look(columns(prices(40))).status == "short"
    assert look(columns(np.full(60, 7.0))).status == "constant"
    spiking = prices(100)
    spiking[::9] = 1e12
    assert look(columns(spiking)).status == "spiking"
    spiking = prices(200)
    spiking[50] = 1e12
    assert "1 spikes left out" in look(columns(spiking), most=500).note


def test_the_longest_rows_with_enough_of_them_are_taken() -> None:
    wavy = columns(prices(4_000))
    found = look(msgspec.structs.replace(wavy, high=wavy.high * (1 + 0.01 * (wavy.at // MINUTE % 3))), "range")
    assert (found.step, found.status) == (HOUR, "ok")
    young = columns(prices(600))
    found = look(msgspec.structs.replace(young, high=young.high * (1 + 0.01 * (young.at // MINUTE % 3))), "range")
    assert found.step == 5 * MINUTE
    assert look(columns(prices(70), step=HOUR), "outlook", span=HOUR).step == HOUR
    assert look(columns(prices(70), step=2 * HOUR), "outlook", span=2 * HOUR).step == 2 * HOUR


def test_spans_have_names() -> None:
    assert (named(MINUTE), named(HOUR), named(2 * HOUR)) == ("1 min", "1 h", "2 h")
