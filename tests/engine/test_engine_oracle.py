"""The engine against a slow, obvious evaluator, against itself, and against itself restarted."""

from __future__ import annotations

import math
import random
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricewatch.domain.rule import RuleState
from pricewatch.engine.state import ActiveRule, Transition
from pricewatch.rules.conditions.above import Above
from pricewatch.rules.conditions.below import Below
from pricewatch.rules.conditions.crosses import Crosses
from pricewatch.testing.desk import BTC, ETH, OFFSET, T0, Desk, S, active, forecast

Said = list[tuple[int, str, float]]


def slow(rule: ActiveRule, walk: list[tuple[int, float]]) -> Said:
    """Every trade, every rule, straight from the definitions; seconds as time."""
    when, policy = rule.rule.when, rule.rule.policy
    assert isinstance(when, Above | Below | Crosses)
    rising = isinstance(when, Above) or (isinstance(when, Crosses) and when.up)
    sign = 1.0 if rising else -1.0
    hold, cooldown = policy.hold // S, policy.cooldown // S
    said: Said = []
    mode, told, due, last_fire = "off", True, 0, -math.inf
    prior: float | None = None
    for second, price in walk:
        beyond = sign * price > sign * when.level
        back = sign * price <= sign * when.clear
        if mode == "waiting" and due <= second:
            said.append((rule.id.int, "fired", float(due)))
            mode, told, last_fire = "on", True, due
        if mode == "waiting" and not beyond:
            mode = "off"
        elif mode == "on" and back:
            if told and policy.clear_signal:
                said.append((rule.id.int, "cleared", float(second)))
            mode = "off"
        elif mode == "off":
            starts = beyond
            if isinstance(when, Crosses):
                starts = beyond and prior is not None and sign * prior <= sign * when.level
            if starts and prior is None and not policy.fire_on_arming:
                mode, told = "on", False
            elif starts:
                due = int(max(second + hold, last_fire + cooldown))
                if due <= second:
                    said.append((rule.id.int, "fired", float(second)))
                    mode, told, last_fire = "on", True, second
                else:
                    mode = "waiting"
        prior = price
    return said


LEVELS = st.integers(95, 105).map(str)
WHEN = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["above", "below"]), "level": LEVELS}),
    st.fixed_dictionaries({"type": st.just("crosses"), "level": LEVELS, "direction": st.sampled_from(["up", "down"])}),
)
POLICY = st.fixed_dictionaries(
    {
        "hold": st.sampled_from(["0s", "0s", "2s", "7s"]),
        "cooldown": st.sampled_from(["0s", "0s", "5s", "20s"]),
        "hysteresis": st.sampled_from(["0%", "0.5%", "2%"]),
        "clear_signal": st.booleans(),
    }
)
WALK = st.lists(st.tuples(st.integers(0, 4), st.integers(186, 214)), min_size=1, max_size=80)


@settings(max_examples=200, deadline=None)
@given(rules=st.lists(st.tuples(WHEN, POLICY, st.booleans()), min_size=1, max_size=6), steps=WALK)
def test_the_same_signals_as_the_slow_evaluator(
    rules: list[tuple[dict[str, Any], dict[str, Any], bool]], steps: list[tuple[int, int]]
) -> None:
    desk = Desk()
    armed = []
    for number, (when, policy, arming) in enumerate(rules, start=1):
        arming_too = arming and when["type"] != "crosses"
        armed.append(active(number, when, fire_on_arming=arming_too, **policy))
        desk.engine.arm(armed[-1])
    walk, second = [], 0
    for gap, half in steps:
        second += gap
        walk.append((second, half / 2))
        desk.trade(second, half / 2)
    expected = sorted(signal for rule in armed for signal in slow(rule, walk))
    assert sorted(desk.said()) == expected


def everything() -> list[ActiveRule]:
    rng = random.Random(4)
    rules = []
    for number in range(1, 141):
        level = round(rng.uniform(98.0, 102.0), 1)
        choices: list[dict[str, Any]] = [
            {"type": "above", "level": level},
            {"type": "below", "level": level},
            {"type": "crosses", "level": level, "direction": rng.choice(["up", "down"])},
            {"type": "change", "window": "20s", "percent": round(rng.uniform(0.1, 0.8), 2), "direction": "either"},
            {"type": "anomaly", "score": round(rng.uniform(1.0, 2.0), 2)},
            {"type": "outside_band", "side": rng.choice(["upper", "lower", "either"])},
            {"type": "channel", "lower": level, "upper": level + 0.5, "direction": rng.choice(["enter", "exit"])},
            {"type": "extreme", "of": rng.choice(["high", "low"]), "window": "30s"},
            {"type": "volume", "times": 1.2, "window": "2s", "baseline": "30s"},
            {"type": "volatility", "times": 1.5, "window": "5s", "baseline": "40s"},
            {"type": "trailing", "percent": round(rng.uniform(0.1, 0.8), 2), "window": "30s"},
            {"type": "and", "of": [
                {"type": "above", "level": level},
                {"type": "or", "of": [
                    {"type": "volume", "times": 1.2, "window": "2s", "baseline": "30s"},
                    {"type": "not", "of": {"type": "change", "window": "20s", "percent": "0.1%"}},
                ]},
            ]},
            {"type": "then", "within": "15s", "steps": [
                {"type": "below", "level": level},
                {"type": "crosses", "level": level + 0.2, "direction": "up"},
            ]},
            {"type": "or", "of": [
                {"type": "anomaly", "score": 1.5},
                {"type": "then", "within": "8s", "steps": [
                    {"type": "extreme", "of": "high", "window": "30s"},
                    {"type": "outside_band"},
                    {"type": "below", "level": level},
                ]},
            ]},
        ]  # fmt: skip
        when = choices[number % len(choices)]
        policy: dict[str, Any] = {"hold": rng.choice(["0s", "3s"]), "cooldown": rng.choice(["0s", "15s"])}
        rules.append(active(number, when, channels=["email"], **policy))
    return rules


def path(seed: int, count: int = 1_200) -> list[tuple[float, float, int]]:
    """`(second, price, market)`, some out of order."""
    rng, price, at, out = random.Random(seed), 100.0, 0.0, []
    for _ in range(count):
        price = max(90.0, price * math.exp(rng.gauss(0.0, 8e-4) * (20 if rng.random() < 0.005 else 1)))
        at += rng.choice([0.0, 0.05, 0.3, 0.8])
        out.append((round(at - (0.4 if rng.random() < 0.05 else 0.0), 2), round(price, 2), rng.choice([1, 1, 3])))
    return out


def fresh() -> Desk:
    desk = Desk(BTC, ETH, models=True)
    for rule in everything():
        desk.engine.arm(rule)
    return desk


def feed(desk: Desk, ticks: list[tuple[float, float, int]], first: int, **how: Any) -> None:
    for number, (at, price, market) in enumerate(ticks, start=first):
        desk.key = number
        desk.trade(at, price, seen=number * 0.3, market=market, **how)


def activated(desk: Desk) -> Desk:
    desk.activate(forecast(99.0, 101.0), 0)
    desk.activate(forecast(99.5, 100.5, market=3), 0)
    return desk


def facts(transitions: list[Transition]) -> list[tuple[Any, ...]]:
    return [(t.row, t.signal) for t in transitions]


def test_the_same_inputs_give_the_same_outputs() -> None:
    ticks = path(1)
    one, two = activated(fresh()), activated(fresh())
    feed(one, ticks, 1)
    for number, tick in enumerate(ticks, start=1):
        feed(two, [tick], number)
        two.advance(number * 0.3 + 0.1)
    assert len([t for t in one.engine.transitions if t.signal]) > 200
    assert {t.signal.kind for t in one.engine.transitions if t.signal} == {
        "above", "below", "crosses", "change", "anomaly", "outside_band",
        "trailing", "channel", "extreme", "volume", "volatility", "and", "or", "then",
    }  # fmt: skip
    one.advance(10_000)
    two.advance(10_000)
    key = lambda t: (t.row.market, t.row.seen)  # noqa: E731 - markets have an order each
    assert facts(sorted(one.engine.transitions, key=key)) == facts(sorted(two.engine.transitions, key=key))
    assert sorted(one.engine.bar_scores, key=lambda b: (b.market, b.at)) == sorted(
        two.engine.bar_scores, key=lambda b: (b.market, b.at)
    )


@pytest.mark.parametrize("cut", [3, 130, 377, 640, 911, 1_100])
@pytest.mark.parametrize("back", [0, 200])
def test_a_restart_changes_nothing(cut: int, back: int) -> None:
    """Snapshot `back` trades before the cut, then go on from stored states, snapshot and history."""
    ticks = path(2)
    whole = activated(fresh())
    feed(whole, ticks, 1)
    whole.advance(10_000)

    before = activated(fresh())
    taken = max(cut - back, 0)
    feed(before, ticks[:taken], 1)
    saved = [snapshot for market in (1, 3) for snapshot in before.engine.snapshot(market)]
    feed(before, ticks[taken:cut], taken + 1)
    states: dict[uuid.UUID, dict[int, RuleState]] = {}
    parts: dict[uuid.UUID, dict[int, bytes]] = {}
    for transition in before.engine.transitions:
        row = transition.row
        states.setdefault(row.rule_id, {})[row.market] = row.state
        parts.setdefault(row.rule_id, {})[row.market] = row.parts

    after = Desk(BTC, ETH, models=True)
    for rule in everything():
        after.engine.arm(rule, states.get(rule.id, {}), parts=parts.get(rule.id))
    for snapshot in saved:
        assert after.engine.restore(snapshot)
    activated(after)
    feed(after, ticks[:cut], 1, evaluate=False)
    assert after.engine.transitions == []
    feed(after, ticks[cut:], cut + 1)
    after.advance(10_000)
    key = lambda t: (t.row.seen, t.row.market, t.row.rule_id)  # noqa: E731
    stitched = before.engine.transitions + after.engine.transitions
    assert facts(sorted(stitched, key=key)) == facts(sorted(whole.engine.transitions, key=key))


def test_stored_places_are_never_ahead_of_the_order() -> None:
    desk = activated(fresh())
    ticks = path(3)
    for number, tick in enumerate(ticks, start=1):
        feed(desk, [tick], number)
        place = OFFSET + T0 + round(number * 0.3 * S)
        assert all(t.row.seen <= place for t in desk.engine.transitions)
        desk.engine.transitions = []
