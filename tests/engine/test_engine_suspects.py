"""Suspect prints: for the rules that ask for them, and for nobody else."""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.acceptance.oracle import OracleRule, Print, expected

from pricewatch.domain.market import Flag, Trade
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.settings import EngineSettings
from pricewatch.engine.state import ActiveRule, Transition
from pricewatch.rules.document import parse
from pricewatch.testing.desk import BTC, T0, Desk, S, above, active

SUSPECT = int(Flag.SUSPECT)


def test_a_suspect_fires_only_where_it_was_asked_for_and_says_so() -> None:
    desk = Desk(BTC)
    desk.engine.arm(above(1))
    desk.engine.arm(above(2, suspect=True))
    desk.trade(0, 99.0)
    desk.trade(1, 1_000.0, flags=SUSPECT)
    (signal,) = desk.signals()
    assert (signal.rule_id.int, signal.direction, signal.at) == (2, "fired", T0)
    assert (signal.suspect, signal.price, signal.evidence["prior"]) == (True, 1_000.0, "99")
    desk.trade(2, 99.0)
    (cleared,) = desk.signals()
    assert (cleared.rule_id.int, cleared.direction, cleared.suspect) == (2, "cleared", False)


def test_it_is_nobodys_prior_price_and_moves_no_bar() -> None:
    desk = Desk(BTC)
    desk.engine.arm(active(1, {"type": "crosses", "level": "100", "direction": "down"}))
    desk.trade(0, 99.0)
    desk.trade(1, 1_000.0, flags=SUSPECT)
    desk.trade(2, 99.5)
    assert desk.said() == []
    bar = desk.engine._markets[BTC.id].bar
    assert (bar.high, bar.trades) == (99.5, 2)


def test_before_any_price_or_long_after_it_a_suspect_is_nothing() -> None:
    desk = Desk(BTC)
    desk.engine.arm(above(1, suspect=True))
    desk.trade(0, 1_000.0, flags=SUSPECT)
    desk.trade(5, 99.0)
    desk.trade(3, 1_000.0, flags=SUSPECT)
    desk.trade(6, 1_000.0, flags=SUSPECT | int(Flag.HISTORY))
    assert desk.said() == []


def test_after_a_restart_the_first_suspect_is_judged_too() -> None:
    desk = Desk(BTC)
    desk.engine.arm(above(1, suspect=True))
    desk.trade(0, 99.0, evaluate=False)
    desk.trade(1, 1_000.0, flags=SUSPECT)
    assert desk.said() == [(1, "fired", 0.0)]


def test_the_others_sleep_on() -> None:
    desk = Desk(BTC)
    desk.engine.arm(above(1))
    desk.engine.arm(active(2, {"type": "below", "level": "90"}))
    desk.trade(0, 99.0)
    desk.trade(1, 1_000.0, flags=SUSPECT)
    desk.trade(2, 1.0, flags=SUSPECT)
    desk.trade(3, 101.0)
    desk.trade(4, 89.0)
    assert desk.said() == [(1, "fired", 3.0), (1, "cleared", 4.0), (2, "fired", 4.0)]


def trade(number: int, at: int, price: float, flags: int) -> Trade:
    return Trade(BTC.id, T0 + at * S, price, 1.0, 0, number, T0 + at * S, flags)


def engine(rules: list[ActiveRule], states: dict[uuid.UUID, Any] | None = None) -> Engine:
    made = Engine(EngineSettings(models=False))
    made.add_market(BTC)
    for rule in rules:
        made.arm(rule, (states or {}).get(rule.id, {}))
    return made


def told(transitions: list[Transition]) -> list[tuple[int, str, uuid.UUID]]:
    return [(t.signal.seen, str(t.signal.direction), t.signal.id) for t in transitions if t.signal is not None]


LEVELS = st.integers(96, 104).map(str)
WHEN = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["above", "below"]), "level": LEVELS}),
    st.fixed_dictionaries({"type": st.just("crosses"), "level": LEVELS, "direction": st.sampled_from(["up", "down"])}),
)
POLICY = st.fixed_dictionaries(
    {"for": st.sampled_from(["0s", "3s"]), "cooldown": st.sampled_from(["0s", "5s"]), "suspect": st.booleans()}
)
WALK = st.lists(st.tuples(st.integers(0, 3), st.integers(95, 105), st.sampled_from([0, 0, SUSPECT])), max_size=60)


@settings(max_examples=200, deadline=None)
@given(rules=st.lists(st.tuples(WHEN, POLICY), min_size=1, max_size=4), steps=WALK, cut=st.integers(0, 60))
def test_as_the_oracle_says_also_across_a_restart(
    rules: list[tuple[dict[str, Any], dict[str, Any]]], steps: list[tuple[int, int, int]], cut: int
) -> None:
    documents = [{"title": "r", "symbols": ["BTC-USD"], "when": when, "policy": policy} for when, policy in rules]
    armed = [
        ActiveRule(uuid.UUID(int=number + 1), uuid.UUID(int=9), 1, parse(json.dumps(document).encode()), 0)
        for number, document in enumerate(documents)
    ]
    at, trades = 0, []
    for number, (pause, price, flags) in enumerate(steps):
        at += pause
        trades.append((T0 + at * S + number + 10, trade(number, at, float(price), flags)))
    prints = [Print(seen, BTC.key, one.at, one.price, one.key, one.flags) for seen, one in trades]
    oracle_rules = [OracleRule(one.id, 1, 0, doc) for one, doc in zip(armed, documents, strict=True)]
    wanted = expected(oracle_rules, prints, end_seen=prints[-1].seen if prints else None)

    first = engine(armed)
    for seen, one in trades[:cut]:
        first.trade(one, seen)
    states: dict[uuid.UUID, Any] = {}
    for transition in first.transitions:
        states.setdefault(transition.row.rule_id, {})[BTC.id] = transition.row.state
    second = engine(armed, states)
    for seen, one in trades[:cut]:
        second.trade(one, seen, evaluate=False)
    for seen, one in trades[cut:]:
        second.trade(one, seen)
    found = told(first.transitions) + told(second.transitions)
    assert sorted(found, key=str) == sorted([(one.seen, one.direction, one.id) for one in wanted], key=str)


def test_many_suspects_cost_no_sleeping_rule_its_sleep() -> None:
    luck = random.Random(3)
    desk = Desk(BTC)
    for number in range(1, 50):
        desk.engine.arm(above(number, level=100 + number))
    desk.trade(0, 99.0)
    judged = desk.engine.judged
    for number in range(200):
        desk.trade(1 + number, luck.choice([1.0, 1_000.0]), flags=SUSPECT)
    assert desk.engine.judged == judged
    desk.trade(500, 149.5)
    assert len(desk.said()) == 49
