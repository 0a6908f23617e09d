from __future__ import annotations

import math

import pytest

from pricewatch.models.scoring import PROFILES, Labelled, Profile, judge, judge_at, sigmoid

STANDARD = PROFILES[0]


def marked(rows: int, *places: int, score: float = 0.9) -> list[float]:
    return [score if row in places else 0.0 for row in range(rows)]


def test_the_curve_falls_from_one_over_nought_to_minus_one() -> None:
    assert sigmoid(-10.0) == pytest.approx(1.0)
    assert sigmoid(0.0) == 0.0
    assert sigmoid(2.0) == pytest.approx(-1.0, abs=1e-4)
    assert sigmoid(3.1) == -1.0


def test_the_first_rows_are_on_probation() -> None:
    assert Labelled(1_000, []).probation == 150
    assert Labelled(100_000, []).probation == 750


def test_every_window_met_at_its_first_row_is_perfect() -> None:
    labelled = Labelled(1_000, [(300, 340), (700, 740)])
    found = judge([(labelled, marked(1_000, 300, 700))], STANDARD)
    assert found.score == pytest.approx(100.0)
    assert (found.met, found.windows, found.false_alarms) == (2, 2, 0)
    assert found.threshold == 0.9


def test_nothing_found_is_nought() -> None:
    labelled = Labelled(1_000, [(300, 340)])
    found = judge([(labelled, [0.0] * 1_000)], STANDARD)
    assert (found.score, found.threshold, found.met) == (0.0, math.inf, 0)


def test_later_in_the_window_is_worth_less_and_more_alarms_in_it_no_more() -> None:
    labelled = Labelled(1_000, [(300, 340)])
    first, middle, both = (
        judge_at([(labelled, marked(1_000, *places))], STANDARD, 0.9).score for places in [(300,), (330,), (300, 330)]
    )
    assert first > middle > 50.0
    assert both == first


def test_a_false_alarm_costs_more_the_farther_it_is() -> None:
    labelled = Labelled(1_000, [(300, 340)])
    near, far, before = (
        judge_at([(labelled, marked(1_000, 300, place))], STANDARD, 0.9).score for place in (345, 900, 200)
    )
    assert 100.0 > near > far
    assert far == pytest.approx(100.0 - 100.0 * 0.11 / 2)
    assert before == pytest.approx(far)
    dear = judge_at([(labelled, marked(1_000, 300, 900))], PROFILES[1], 0.9)
    assert dear.score == pytest.approx(100.0 - 100.0 * 0.22 / 2)


def test_what_happens_on_probation_does_not_count() -> None:
    labelled = Labelled(1_000, [(300, 340)])
    found = judge_at([(labelled, marked(1_000, 10, 300))], STANDARD, 0.9)
    assert found.score == pytest.approx(100.0)
    assert found.false_alarms == 0


def test_one_threshold_for_all_series() -> None:
    labelled = Labelled(1_000, [(300, 340)])
    loud, soft = marked(1_000, 300), marked(1_000, 300, score=0.4)
    noisy = [max(a, b) for a, b in zip(loud, marked(1_000, 500, 600, 800, score=0.5), strict=True)]
    found = judge([(labelled, noisy), (labelled, soft)], Profile("harsh", 2.0, 1.0))
    assert (found.threshold, found.met, found.windows) == (0.9, 1, 2)


def test_what_cannot_be_scored_is_an_error() -> None:
    with pytest.raises(ValueError, match="no labelled window"):
        judge([(Labelled(10, []), [0.0] * 10)], STANDARD)
    with pytest.raises(ValueError, match="9 scores for 10 rows"):
        judge([(Labelled(10, [(5, 6)]), [0.0] * 9)], STANDARD)
