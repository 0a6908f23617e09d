from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine import test_engine_minutes as minutes
from tests.engine.test_engine_windows import CHOSEN, STEP, prints, run, written

from pricewatch.domain.market import Flag
from pricewatch.domain.model import ForecastRow
from pricewatch.domain.signal import Direction, Signal
from pricewatch.engine.explain import Witness, explain
from pricewatch.models.bars import NAME
from pricewatch.testing.desk import T0, Desk, S, active, forecast

NOTHING = Witness()
LEVELS: list[dict[str, Any]] = [
    {"type": "above", "level": "100"},
    {"type": "below", "level": "100"},
    {"type": "crosses", "level": "100", "direction": "up"},
    {"type": "crosses", "level": "100", "direction": "down"},
    {"type": "change", "window": "5s", "percent": "2%"},
    {"type": "change", "window": "5s", "percent": "-2%"},
    {"type": "change", "window": "5s", "percent": "2%", "direction": "either"},
    {"type": "outside_band"},
    {"type": "outside_band", "side": "upper"},
    {"type": "outside_band", "side": "lower"},
]


def agreed(signals: list[Signal]) -> None:
    for signal in signals:
        found = explain(signal, NOTHING)
        assert found.agrees or (found.agrees is None and signal.cause.startswith("timer:")), (found, signal)


@settings(max_examples=100, deadline=None)
@given(chosen=CHOSEN, steps=st.lists(STEP, min_size=2, max_size=70))
def test_whatever_windows_say_explains_itself(
    chosen: list[tuple[dict[str, Any], dict[str, Any], int]], steps: list[tuple[int, int, float, int, int]]
) -> None:
    placed = prints(steps)
    desk = Desk()
    run(desk, placed, [rule for _, rule in written(chosen, placed[-1][1])])
    desk.engine.advance(placed[-1][1] + 60 * S)
    agreed(desk.signals())


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(STEP, min_size=2, max_size=70), hold=st.sampled_from(["0s", "3s"]))
def test_whatever_levels_and_bands_say_explains_itself(
    steps: list[tuple[int, int, float, int, int]], hold: str
) -> None:
    placed = prints(steps)
    desk = Desk()
    desk.activate(forecast(97.0, 103.0), 0)
    run(desk, placed, [active(number, when, hold=hold) for number, when in enumerate(LEVELS, start=1)])
    desk.engine.advance(placed[-1][1] + 60 * S)
    agreed(desk.signals())


def test_every_kind_has_been_seen_to_explain_itself() -> None:
    desk = Desk()
    desk.activate(forecast(97.0, 103.0), 0)
    for number, when in enumerate(LEVELS, start=1):
        desk.engine.arm(active(number, when))
    for second, price in enumerate([99.0, 104.0, 99.0, 96.0, 100.0, 99.0, 106.0, 103.5, 100.0]):
        desk.trade(second * 3, price)
    said = desk.signals()
    agreed(said)
    assert {(one.kind, one.direction.value) for one in said} >= {
        ("above", "fired"),
        ("above", "cleared"),
        ("below", "fired"),
        ("crosses", "fired"),
        ("change", "fired"),
        ("change", "cleared"),
        ("outside_band", "fired"),
        ("outside_band", "cleared"),
    }


@pytest.mark.parametrize("way", ["enter", "exit"])
def test_channels_explain_themselves(way: str) -> None:
    desk = Desk()
    desk.engine.arm(active(1, {"type": "channel", "lower": "98", "upper": "102", "direction": way}))
    for second, price in enumerate([97.0, 100.0, 105.0, 100.0, 90.0]):
        desk.trade(second, price)
    said = desk.signals()
    assert len(said) == 4 - (way == "exit")
    agreed(said)


def test_a_timer_whose_price_is_not_what_made_it_claims_nothing() -> None:
    desk = Desk()
    desk.engine.arm(active(1, {"type": "above", "level": "100"}, nodata={"after": "5s", "then": "fire"}))
    desk.trade(0, 90.0)
    desk.trade(1, 91.0)
    desk.advance(9)
    (fired,) = desk.signals()
    assert fired.cause.startswith("timer:")
    assert explain(fired, NOTHING).agrees is None


def test_a_timer_begun_by_a_print_in_doubt_claims_nothing() -> None:
    desk = Desk()
    desk.engine.arm(active(1, {"type": "above", "level": "100"}, hold="3s", suspect=True))
    desk.trade(0, 90.0)
    desk.trade(1, 91.0)
    desk.trade(1.1, 101.0, flags=Flag.SUSPECT)
    desk.advance(9)
    (fired,) = desk.signals()
    assert fired.cause.startswith("timer:")
    assert explain(fired, NOTHING).agrees is None


def test_quotes_explain_a_spread() -> None:
    desk = Desk()
    desk.engine.arm(active(1, {"type": "spread", "percent": "0.5%"}))
    desk.trade(0, 100.0)
    desk.quote(1, 99.9, 100.1)
    desk.quote(2, 99.0, 101.0)
    desk.quote(3, 99.9, 100.1)
    said = desk.signals()
    assert len(said) == 2
    agreed(said)


@pytest.mark.parametrize("source", ["bid", "ask", "mid"])
def test_quoted_prices_explain_themselves(source: str) -> None:
    desk = Desk()
    desk.engine.arm(active(1, {"type": "above", "level": "100", "source": source}))
    desk.trade(0, 99.0)
    desk.quote(1, 98.0, 99.0)
    desk.quote(2, 101.0, 102.0)
    (fired,) = desk.signals()
    found = explain(fired, NOTHING)
    assert found.agrees
    assert [check.what for check in found.checks] == [source, "verdict"]
    assert [check.what for check in explain(without(fired, "quote"), NOTHING).checks] == ["verdict"]


def test_groups_list_their_members() -> None:
    desk = Desk()
    both = {"type": "and", "of": [{"type": "above", "level": "100"}, {"type": "below", "level": "105"}]}
    desk.engine.arm(active(1, both))
    desk.trade(0, 99.0)
    desk.trade(1, 101.0)
    (fired,) = desk.signals()
    found = explain(fired, NOTHING)
    assert found.agrees is True
    assert [one.words for one in found.contributions] == ["above holds at 101", "below holds at 101"]
    unknown = changed(fired, of=[{"type": "anomaly", "holds": None}, {"type": "stale", "holds": False}])
    assert [one.words for one in explain(unknown, NOTHING).contributions] == [
        "anomaly is not known",
        "stale does not hold",
    ]


def test_models_inside_groups_are_worked_out_again() -> None:
    desk = Desk(models=True)
    desk.activate(forecast(97.0, 103.0), 0)
    members = [{"type": "anomaly", "score": "0.1"}, {"type": "outside_band"}, {"type": "band", "horizon": "1m"}]
    desk.engine.arm(active(1, {"type": "and", "of": [*members[:2], {"type": "above", "level": "90"}]}))
    desk.engine.arm(active(2, {"type": "or", "of": [*members]}))
    for number in range(150):
        desk.trade(number / 10, 100.0 + number % 2)
    desk.trade(16, 120.0)
    signals = desk.signals()
    assert {one.rule_id.int for one in signals} == {1, 2}
    for signal in signals:
        found = explain(signal, NOTHING)
        assert found.agrees, found
        assert signal.model
        assert {check.what for check in found.checks} >= {"of[0]: score", "verdict"}
    assert any(check.what == "of[1]: outside" for one in signals for check in explain(one, NOTHING).checks)
    first = signals[0].evidence["of"]
    spoilt = [first[0] | {"weights": {"ewz": 9.0, "tail": 9.0}, "combine": "sum"}, *first[1:]]
    assert explain(changed(signals[0], of=spoilt), NOTHING).agrees is False


def test_bands_of_minutes_inside_groups_are_worked_out_again() -> None:
    desk = Desk(models=True)
    members = [{"type": "band", "level": 80, "horizon": "1m"}, {"type": "drift"}]
    desk.engine.arm(active(1, {"type": "or", "of": members}))
    signals = minutes.run(desk, minutes.tape(220))
    assert signals
    found = [explain(one, NOTHING) for one in signals]
    assert {one.agrees for one in found} == {True}
    assert any(check.what == "of[0]: band:either:80%:1" for one in found for check in one.checks)
    assert {one.model for one in signals} == {NAME}


def group(kind: str, *holds: bool | None, fired: bool = True, shape: Any = None) -> bool | None:
    desk = Desk()
    desk.engine.arm(
        active(1, {"type": "or", "of": [{"type": "above", "level": "100"}, {"type": "stale", "after": "9s"}]})
    )
    desk.trade(0, 99.0)
    desk.trade(1, 101.0)
    (made,) = desk.signals()
    of = [{"type": "above", "holds": one} for one in holds]
    shape = shape or {"kind": kind, "of": [None] * len(holds)}
    told = msgspec.structs.replace(made, direction=Direction.FIRED if fired else Direction.CLEARED)
    return explain(changed(told, of=of, shape=shape), NOTHING).agrees


def test_a_groups_truth_follows_from_its_members() -> None:
    assert [group("and", True, one) for one in (True, False, None)] == [True, False, None]
    assert [group("or", False, one) for one in (True, False, None)] == [True, False, None]
    assert [group("not", one) for one in (False, True, None)] == [True, False, None]
    assert [group("and", True, one, fired=False) for one in (True, False)] == [False, True]
    assert group("then", True, True) is None
    nested = {"kind": "and", "of": [None, {"kind": "not", "of": [{"kind": "or", "of": [None, None]}]}]}
    assert group("", True, False, False, shape=nested) is True
    assert group("", True, False, True, shape=nested) is False
    assert group("", True, shape=nested) is False  # damaged: members are missing


@pytest.mark.parametrize(
    ("when", "facts", "agrees"),
    [
        ("rsi", {"direction": "above", "threshold": 55.0, "clear": 50.0, "value": 56.0}, True),
        ("rsi", {"direction": "below", "threshold": 30.0, "clear": 31.0, "value": 56.0}, False),
        ("bollinger", {"threshold": 2.0, "clear": 1.8, "value": 2.1}, True),
        ("macd", {"direction": "up", "value": 0.1}, True),
        ("moving_average", {"direction": "down", "value": 0.1}, False),
        ("stale", {"value": 1.0}, True),
        ("stale", {"value": 0.0}, False),
    ],
)
def test_verdicts_of_indicators_and_silence(when: str, facts: dict[str, Any], agrees: bool) -> None:
    signal = msgspec.structs.replace(outside(), kind=when, evidence={"v": 1, "feature": when, "price": "1", **facts})
    assert explain(signal, NOTHING).agrees is agrees


def test_what_a_rule_tells_of_itself_is_of_no_number() -> None:
    own = msgspec.structs.replace(outside(), direction=Direction.EXPIRED)
    found = explain(own, NOTHING)
    assert (found.agrees, found.checks) == (None, [])
    assert "the rule itself is expired" in found.summary
    digest = explain(msgspec.structs.replace(own, direction=Direction.DIGEST), NOTHING)
    assert "the rule itself tells what it kept back" in digest.summary


def anomaly() -> Signal:
    desk = Desk(models=True)
    desk.engine.arm(active(1, {"type": "anomaly", "score": 3}))
    for number in range(200):
        desk.trade(number, 100.0 * (1 + 1e-4 * math.sin(number * 1.7)))
    desk.trade(200, 110.0)
    (fired,) = desk.signals()
    return fired


def test_an_anomaly_says_what_each_model_added() -> None:
    fired = anomaly()
    found = explain(fired, Witness(minute_score=fired.evidence["score"]))
    assert found.agrees
    assert [check.what for check in found.checks] == ["score", "verdict", "highest score stored for its minute"]
    assert sum(one.value for one in found.contributions) == pytest.approx(fired.evidence["score"])
    assert sum(one.share for one in found.contributions) == pytest.approx(1.0)
    assert all(f"{one.name} says one in " in one.words for one in found.contributions)
    below = explain(fired, Witness(minute_score=1.0))
    assert not below.agrees
    assert "highest score" in below.summary


def changed(signal: Signal, **facts: Any) -> Signal:
    return msgspec.structs.replace(signal, evidence={**signal.evidence, **facts})


def without(signal: Signal, *names: str) -> Signal:
    kept = {name: value for name, value in signal.evidence.items() if name not in names}
    return msgspec.structs.replace(signal, evidence=kept)


def test_parts_may_also_be_combined_by_the_largest() -> None:
    fired = anomaly()
    largest = changed(fired, combine="max", parts={"a": 8.0, "b": 1.0}, weights={"a": 0.5, "b": 0.5}, value=4.0)
    assert explain(largest, NOTHING).agrees
    quiet = changed(fired, parts={"a": 8.0, "b": 0.0}, weights={"a": 0.5, "b": 0.5}, value=4.0)
    assert explain(quiet, NOTHING).contributions[-1].words == "b says nothing unusual, weight 0.5"
    old = without(fired, "weights")
    assert [check.what for check in explain(old, NOTHING).checks] == ["verdict"]
    assert explain(old, NOTHING).contributions


def outside() -> Signal:
    desk = Desk()
    desk.activate(forecast(97.0, 103.0), 0)
    desk.engine.arm(active(1, {"type": "outside_band"}))
    desk.trade(0, 100.0)
    desk.trade(1, 104.0)
    (fired,) = desk.signals()
    return fired


def test_a_band_is_compared_with_what_is_stored() -> None:
    fired = outside()
    row = ForecastRow(T0, 100.0, 97.0, 103.0)
    found = explain(fired, Witness(row=row))
    assert found.agrees
    assert [check.what for check in found.checks] == ["outside", "verdict", "stored band"]
    assert found.contributions[0].words == "the price stood 1.33 half-widths above the centre 100"
    forged = explain(fired, Witness(row=ForecastRow(T0, 100.0, 97.0, 105.0)))
    assert not forged.agrees
    assert "stored band" in forged.summary
    under = explain(changed(fired, price="90", value=(97 - 90) / 97), NOTHING)
    assert under.agrees
    assert "below the centre" in under.contributions[0].words
    flat = explain(changed(fired, band={"lower": 1.0, "upper": 1.0, "centre": 1.0}), NOTHING)
    assert flat.contributions[0].value == 0.0


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"price": "90"}, "does not agree (outside)"),
        ({"value": -0.5}, "outside, verdict"),
        ({"band": "gone"}, "damaged (TypeError"),
        ({"price": "zero"}, "damaged (ValueError"),
        ({"band": {"lower": 0.0, "upper": 0.0, "centre": 0.0}}, "damaged (ZeroDivisionError"),
        ({"band": {}}, "damaged (KeyError"),
    ],
)
def test_forged_evidence_is_told(facts: dict[str, Any], words: str) -> None:
    found = explain(changed(outside(), **facts), NOTHING)
    assert found.agrees is False
    assert words in found.summary


def test_what_cannot_be_told_is_not_claimed() -> None:
    fired = outside()
    newer = explain(changed(fired, v=2), NOTHING)
    assert newer.agrees is None
    assert "version 2 cannot be read" in newer.summary
    other = explain(msgspec.structs.replace(fired, kind="feed.stale"), NOTHING)
    assert other.agrees is None
    assert "feed.stale" in other.summary
    assert explain(without(fired, "value"), NOTHING).agrees is None
    assert explain(changed(fired, feature="unheard of"), NOTHING).checks[0].what == "verdict"
    assert explain(changed(fired, band=None), NOTHING).agrees


def test_inside_the_middle_of_a_band_nothing_is_compared() -> None:
    middle = changed(outside(), price="100", value=1.0)
    assert [check.what for check in explain(middle, NOTHING).checks] == ["verdict"]


@pytest.mark.parametrize("name", ["reference", "extreme", "usual"])
def test_numbers_without_what_they_were_made_of_are_only_judged(name: str) -> None:
    feature = {"reference": "change", "extreme": "drop", "usual": "volume"}[name]
    kind = {"reference": "change", "extreme": "trailing", "usual": "volume"}[name]
    signal = msgspec.structs.replace(
        changed(outside(), feature=feature, value=5.0, threshold=2.0, clear=1.0, direction="up", band=None), kind=kind
    )
    assert [check.what for check in explain(signal, NOTHING).checks] == ["verdict"]


def test_the_summary_names_number_level_and_price() -> None:
    desk = Desk()
    desk.engine.arm(active(1, {"type": "above", "level": "100"}))
    for second, price in enumerate([99.0, 101.5, 99.0]):
        desk.trade(second, price)
    fired, cleared = desk.signals()
    assert explain(fired, NOTHING).summary == (
        "worked out again it agrees: price was 101.5, threshold 100 at a price of 101.5"
    )
    assert "clear level 99.9" in explain(cleared, NOTHING).summary
