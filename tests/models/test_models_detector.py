from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import checks

from pricewatch.models.detector.policy import PAUSE, THRESHOLD, AlarmPolicy
from pricewatch.models.detector.rls import RecursiveLeastSquares
from pricewatch.models.detector.rows import RowDetector
from pricewatch.models.detector.scales import HourScale, WeekProfile
from pricewatch.models.detector.seasons import DAY, WEEK, day_phase, hour_of_day, hour_of_week, waves, week_phase
from pricewatch.models.detector.tail import SILENT, RankTail

RECORDED = [
    1.541053651664342,
    2.02816614244284,
    -1.1223089599483296,
    2.018228664717538,
    8.330355163324523,
    1.3066413629743132,
    1.1798014141977788,
    3.0101701492111888,
    1.9083739723239268,
    1.6820666913898286,
    1.4447736472882273,
    3.097579025088882,
    1.2206219183071652,
    0.6790223816400534,
    1.2476258832955756,
    2.4926553375165676,
    1.1315416746083753,
    3.218496331026848,
    1.3811126192218097,
    1.3513306001714707,
    1.7367064164746115,
    1.7561385501967424,
]
"""What the detector said when it was measured: making it faster must not change what it says."""
START = 1_600_000_000.0
STEP = 300.0


def rhythm(count: int, seed: int = 1, *, noise: float = 1.0) -> Iterator[tuple[float, float]]:
    """A day's rhythm with noise."""
    luck = random.Random(seed)
    for number in range(count):
        at = START + STEP * number
        yield at, 100.0 + 20.0 * math.sin(2 * math.pi * day_phase(at)) + luck.gauss(0.0, noise)


def scores(rows: list[tuple[float, float]]) -> list[float]:
    detector = RowDetector()
    return [detector.step(at, value) for at, value in rows]


def test_rivers_checks_hold_for_the_regression() -> None:
    model = RecursiveLeastSquares()
    for check in checks.yield_checks(model):
        if check.__name__ not in model._unit_test_skips():
            check(model.clone())


def test_the_regression_finds_the_weights() -> None:
    luck = random.Random(2)
    model = RecursiveLeastSquares(0.999)
    for _ in range(500):
        x = {"a": luck.gauss(0, 1), "b": luck.gauss(0, 1)}
        model.learn_one(x, 3 * x["a"] - 2 * x["b"] + luck.gauss(0, 0.01))
    assert model.predict_one({"a": 1.0}) == pytest.approx(3.0, abs=0.01)
    assert model.predict_one({"b": 1.0}) == pytest.approx(-2.0, abs=0.01)
    assert model.predict_one({"c": 5.0}) == 0.0


def test_the_fast_way_equals_the_textbook() -> None:
    luck = np.random.default_rng(3)
    forgetting = 0.99
    fast = RecursiveLeastSquares(forgetting, 10.0).width(3)
    weights, matrix = np.zeros(3), np.eye(3) * 10.0
    for _ in range(2_000):  # long enough for the factor to be multiplied in
        features = luck.normal(size=3)
        target = float(features.sum()) + luck.normal()
        gain = matrix @ features / (forgetting + features @ matrix @ features)
        error = target - float(weights @ features)
        assert fast.predict(features) == pytest.approx(float(weights @ features), rel=1e-6, abs=1e-9)
        fast.learn(features, error)
        weights += gain * error
        matrix = (matrix - np.outer(gain, features @ matrix)) / forgetting


def test_a_regression_whose_matrix_is_spoilt_begins_anew() -> None:
    model = RecursiveLeastSquares().width(2)
    model.learn(np.array([1.0, 1.0]), 2.0)
    with np.errstate(invalid="ignore"):
        model.learn(np.array([math.inf, 1.0]), 2.0)
    assert model.predict(np.array([1.0, 1.0])) == 0.0


def test_a_regression_goes_on_where_it_was() -> None:
    luck = np.random.default_rng(4)
    one, other = RecursiveLeastSquares().width(4), RecursiveLeastSquares().width(4)
    for _ in range(50):
        one.learn(luck.normal(size=4), luck.normal())
    other.load(one.dump())
    for _ in range(50):
        features, error = luck.normal(size=4), luck.normal()
        assert one.predict(features) == other.predict(features)
        one.learn(features, error)
        other.learn(features, error)


def test_waves_are_cosines_and_sines() -> None:
    found = waves(0.3, 3)
    wanted = [f(2 * math.pi * 0.3 * n) for n in (1, 2, 3) for f in (math.cos, math.sin)]
    assert found == pytest.approx(wanted)


def test_hours_and_phases() -> None:
    monday = 4 * DAY + 13 * 3_600 + 59  # 1970-01-05 13:00:59
    assert (hour_of_day(monday), hour_of_week(monday)) == (13, 4 * 24 + 13)
    assert day_phase(DAY * 7.25) == 0.25
    assert week_phase(WEEK * 3.5) == 0.5


def test_a_scale_follows_its_hour_and_shrinks_the_unknown() -> None:
    scale = HourScale()
    assert scale.get(3) == 0.0
    for _ in range(1_000):
        scale.learn(3, 10.0)
        scale.learn(4, 2.0)
    assert scale.get(3) == pytest.approx(10.0, rel=0.15)
    assert scale.get(4) == pytest.approx(2.0, rel=0.4)
    assert 2.0 < scale.get(5) < 10.0
    before = scale.get(3)
    scale.learn(3, 1e12)
    assert scale.get(3) < before * 1.1


def test_a_scale_of_noughts_takes_the_first_size_whole() -> None:
    scale = HourScale()
    scale.learn(1, 0.0)
    scale.learn(1, 8.0)
    assert scale.get(1) == pytest.approx(4.0)


def test_a_profile_knows_the_hours_it_has_seen() -> None:
    profile = WeekProfile()
    assert profile.get(7) == 0.0
    for _ in range(100):
        profile.learn(7, 5.0)
        profile.learn(8, 1.0)
    assert profile.get(7) == pytest.approx(5.0, abs=0.3)
    assert profile.get(9) == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("part", [HourScale, WeekProfile, AlarmPolicy, RankTail])
def test_foreign_states_are_refused(part: type[HourScale | WeekProfile | AlarmPolicy | RankTail]) -> None:
    with pytest.raises(ValueError, match="not a"):
        part().load([1.0])
    with pytest.raises(ValueError, match="not the state"):
        RecursiveLeastSquares().width(2).load([1.0])


def test_a_tail_is_silent_then_calibrated() -> None:
    luck = random.Random(5)
    tail = RankTail()
    sizes = [luck.paretovariate(3.0) for _ in range(60_000)]
    found = []
    for size in sizes:
        found.append(tail.score(math.log(size)))
        tail.learn(math.log(size))
    assert set(found[:SILENT]) == {0.0}
    for rarity in (2.0, 2.5, 3.0):
        share = sum(one >= rarity for one in found[10_000:]) / 50_000
        assert 0.5 < share / 10**-rarity < 2.0, rarity


def test_one_absurd_score_does_not_spoil_the_tail() -> None:
    luck = random.Random(6)
    calm, struck = RankTail(), RankTail()
    for number in range(4_000):
        logarithm = math.log(luck.expovariate(1.0))
        calm.learn(logarithm)
        struck.learn(logarithm)
        if number == 2_000:
            struck.score(0.0)
            struck.learn(math.log(1e100))
    assert struck.score(3.0) == pytest.approx(calm.score(3.0), rel=0.2)


def test_a_tail_of_one_value_is_not_alarmed_by_it() -> None:
    tail = RankTail()
    for _ in range(500):
        tail.learn(-3.0)
    assert tail.score(-3.0) < THRESHOLD


def test_the_policy_pauses_and_grows_dear() -> None:
    policy = AlarmPolicy()
    assert policy.excess(THRESHOLD) == THRESHOLD
    assert policy.excess(THRESHOLD - 0.01) == 0.0
    policy.learn(policy.excess(3.0))
    for _ in range(PAUSE - 2):
        assert policy.excess(9.0) == 0.0
        policy.learn(0.0)
    policy.learn(0.0)
    worth = policy.excess(9.0)
    assert 8.5 < worth < 9.0
    policy.learn(worth)
    for _ in range(PAUSE):
        policy.learn(0.0)
    assert policy.excess(9.0) < worth


def test_a_level_shift_is_an_alarm_and_noise_is_seldom_one() -> None:
    rows = list(rhythm(3_000))
    quiet = sum(score > 0 for score in scores(rows))
    assert quiet <= 10
    shifted = [(at, value + (8.0 if number >= 2_500 else 0.0)) for number, (at, value) in enumerate(rows)]
    found = scores(shifted)
    assert any(score > 0.68 for score in found[2_500:2_506])
    assert max(found) < 1.0


def test_a_prefix_scores_as_the_whole_does() -> None:
    rows = list(rhythm(1_500))
    assert scores(rows)[:900] == scores(rows[:900])


def test_looking_twice_changes_nothing() -> None:
    once, twice = RowDetector(), RowDetector()
    for at, value in rhythm(400):
        row: dict[Any, Any] = {"at": at, "value": value}
        first = twice.score_one({"at": at, "value": value + 1.0})
        assert isinstance(first, float)
        assert twice.score_one(row) == twice.score_one(row) == once.score_one(row)
        assert twice.last is not None
        twice.learn_one(row)
        once.learn_one(row)
    assert once.dump() == twice.dump()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e200])
def test_what_is_no_number_teaches_nothing(value: float) -> None:
    detector, clean = RowDetector(), RowDetector()
    for number, (at, good) in enumerate(rhythm(300)):
        if number % 50 == 7:
            assert detector.step(at, value) == 0.0
        assert detector.step(at, good) == clean.step(at, good)
    assert detector.step(math.nan, 1.0) == 0.0


def test_one_absurd_row_is_an_alarm_and_soon_forgotten() -> None:
    rows = list(rhythm(4_000))
    rows[2_000] = (rows[2_000][0], 1e12)
    found = scores(rows)
    assert found[2_000] > 0.68
    assert sum(score > 0 for score in found) <= 8
    shifted = [(at, value + (12.0 if number >= 3_500 else 0.0)) for number, (at, value) in enumerate(rows)]
    assert any(score > 0 for score in scores(shifted)[3_500:3_512])


def test_a_constant_series_and_standing_or_backward_clocks_are_survived() -> None:
    assert not any(scores([(START + STEP * number, 5.0) for number in range(600)]))
    assert all(0.0 <= score < 1.0 for score in scores([(START, value) for _, value in rhythm(400)]))
    assert all(0.0 <= score < 1.0 for score in scores(list(rhythm(400))[::-1]))


def test_it_goes_on_exactly_where_it_was() -> None:
    one, other = RowDetector(), RowDetector()
    other.load(one.dump())
    rows = list(rhythm(1_200))
    for at, value in rows[:700]:
        one.step(at, value)
    payload = one.dump()
    assert len(payload) <= 10_240
    other.load(payload)
    assert [one.step(at, value) for at, value in rows[700:]] == [other.step(at, value) for at, value in rows[700:]]
    assert one.dump() == other.dump()


def test_foreign_states_of_a_detector_are_refused() -> None:
    detector = RowDetector()
    good = detector.dump()
    for payload in (
        b"",
        b"\x93\x01\x90\xc4\x00",
        b"\x93\x01\x90\xc4\x02xy",
        good[:-3],
        good.replace(b"\x93\x01", b"\x93\x02", 1),
    ):
        with pytest.raises(ValueError, match=r"\S"):
            detector.load(payload)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=150), st.integers(1, 10**6))
@settings(max_examples=30)
def test_whatever_comes_the_score_stays_between_nought_and_one(values: list[float], step: int) -> None:
    detector = RowDetector()
    for number, value in enumerate(values):
        assert 0.0 <= detector.step(START + step * number, value) <= 1.0
    other = RowDetector()
    other.load(detector.dump())
    assert other.dump() == detector.dump()


def test_scores_are_those_that_were_recorded() -> None:
    luck, found = random.Random(41), []
    detector = RowDetector()
    for number, (at, value) in enumerate(rhythm(4_000, 9)):
        jump = 60.0 if number % 700 == 650 else 0.0
        look = detector.look(at, value * (3.0 if 3_000 < number < 3_020 else 1.0) + jump * luck.random())
        detector.learn(look)
        assert look is not None
        if number % 250 == 150:
            found.append(look.rarity)
        if look.excess:
            found.append(look.excess)
    assert found == pytest.approx(RECORDED, rel=1e-9)
