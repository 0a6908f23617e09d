"""Conditions over windows, against definitions worked out anew from all prints at every print."""

from __future__ import annotations

import json
import uuid
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.acceptance.oracle import OracleRule, Print, expected

from pricewatch.domain.market import Flag, Trade
from pricewatch.domain.rule import RuleState
from pricewatch.engine.state import ActiveRule
from pricewatch.rules.document import parse
from pricewatch.testing.desk import BTC, OFFSET, OWNER, T0, Desk, S, active

WINDOW = st.sampled_from(["5s", "12s"])
TRAILING = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("trailing"), "percent": st.sampled_from(["1%", "2.5%", "5%", "10"]), "window": WINDOW},
        optional={"from": st.sampled_from(["high", "low"])},
    ),
    st.fixed_dictionaries(
        {"type": st.just("trailing"), "distance": st.sampled_from(["0.5", "2.5", "5"]), "window": WINDOW},
        optional={"from": st.sampled_from(["high", "low"])},
    ),
)
CHANNEL = st.builds(
    lambda lower, width, way: {"type": "channel", "lower": lower, "upper": lower + width, "direction": way},
    st.integers(94, 102),
    st.integers(1, 8),
    st.sampled_from(["enter", "exit"]),
)
EXTREME = st.fixed_dictionaries({"type": st.just("extreme"), "of": st.sampled_from(["high", "low"]), "window": WINDOW})
SPIKE = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["volume", "volatility"]),
        "times": st.sampled_from([1.5, 2, 3]),
        "window": st.sampled_from(["2s", "5s"]),
        "baseline": st.sampled_from(["10s", "12.5s"]),
    }
)
WHEN = TRAILING | CHANNEL | EXTREME | SPIKE
POLICY = st.fixed_dictionaries(
    {
        "for": st.sampled_from(["0s", "0s", "3s"]),
        "cooldown": st.sampled_from(["0s", "0s", "15s"]),
        "clear_signal": st.booleans(),
    },
    optional={"hysteresis": st.sampled_from(["0%", "1%", "20%"]), "fires": st.sampled_from(["once", 2, "always"])},
)
STEP = st.tuples(
    st.sampled_from([0, 200, 1_000, 2_500, 5_000, 7_000]),
    st.integers(90, 110),
    st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    st.sampled_from([0, 0, 0, 0, 400, 900, 1_500]),
    st.sampled_from([0, 0, 0, 0, 0, 0, int(Flag.SUSPECT)]),
)
"""Milliseconds on, price, size, milliseconds back for a print out of order, flags."""


def prints(steps: list[tuple[int, int, float, int, int]]) -> list[tuple[Trade, int]]:
    now, placed = T0, []
    for number, (on, price, size, back, flags) in enumerate(steps, start=1):
        now += on * 1_000
        seen = OFFSET + T0 + (now - T0) // 2 + number
        placed.append((Trade(BTC.id, now - back * 1_000, float(price), size, 0, number, seen, flags), seen))
    return placed


def run(desk: Desk, placed: list[tuple[Trade, int]], rules: list[ActiveRule], **how: Any) -> None:
    waiting = sorted(rules, key=lambda rule: rule.effective_seen)
    for trade, seen in placed:
        while waiting and waiting[0].effective_seen < seen:
            desk.engine.arm(waiting.pop(0))
        desk.engine.trade(trade, seen, **how)


def written(chosen: list[tuple[dict[str, Any], dict[str, Any], int]], last: int) -> list[tuple[OracleRule, ActiveRule]]:
    """Each rule as the oracle and as the engine takes it, taken up at places spread over the prints."""
    rules = []
    for number, (when, policy, share) in enumerate(chosen, start=1):
        document = {"title": f"rule {number}", "symbols": "*", "when": when, "policy": policy}
        since, rule = OFFSET + T0 + (last - OFFSET - T0) * share // 100, uuid.UUID(int=number)
        parsed = parse(json.dumps(document).encode())
        rules.append((OracleRule(rule, 1, since, document), ActiveRule(rule, OWNER, 1, parsed, since)))
    return rules


CHOSEN = st.lists(st.tuples(WHEN, POLICY, st.sampled_from([0, 0, 20, 50])), min_size=1, max_size=5)


@settings(max_examples=200, deadline=None)
@given(chosen=CHOSEN, steps=st.lists(STEP, min_size=2, max_size=70))
def test_windows_agree_with_their_definitions(
    chosen: list[tuple[dict[str, Any], dict[str, Any], int]], steps: list[tuple[int, int, float, int, int]]
) -> None:
    placed = prints(steps)
    rules = written(chosen, placed[-1][1])
    desk = Desk()
    run(desk, placed, [active for _, active in rules])
    desk.engine.advance(placed[-1][1] + 60 * S)
    wanted = expected(
        [rule for rule, _ in rules],
        [Print(seen, BTC.key, t.at, t.price, t.key, t.flags, t.size) for t, seen in placed],
        end_seen=placed[-1][1] + 60 * S,
    )
    assert sorted((s.seen, s.id) for s in desk.signals()) == sorted((one.seen, one.id) for one in wanted)


@settings(max_examples=100, deadline=None)
@given(
    chosen=CHOSEN,
    steps=st.lists(STEP, min_size=4, max_size=60),
    cut=st.integers(10, 90),
)
def test_a_restart_leaves_windows_as_they_were(
    chosen: list[tuple[dict[str, Any], dict[str, Any], int]], steps: list[tuple[int, int, float, int, int]], cut: int
) -> None:
    placed = prints(steps)
    rules = [active for _, active in written(chosen, placed[-1][1])]
    split = max(1, len(placed) * cut // 100)
    whole = Desk()
    run(whole, placed, rules)
    before = Desk()
    run(before, placed[:split], rules)
    states: dict[uuid.UUID, dict[int, RuleState]] = {}
    for transition in before.engine.transitions:
        states.setdefault(transition.row.rule_id, {})[BTC.id] = transition.row.state
    after = Desk()
    known = [rule for rule in rules if rule.effective_seen < placed[split - 1][1]]
    for rule in known:
        after.engine.arm(rule, states.get(rule.id))
    since = placed[split - 1][1] - after.engine.longest_window()
    begin = max((number for number, (_, seen) in enumerate(placed) if seen <= since), default=0)
    run(after, placed[begin:split], [], evaluate=False)
    run(after, placed[split:], [rule for rule in rules if rule not in known])
    stitched = [(t.row, t.signal) for t in before.engine.transitions + after.engine.transitions]
    assert stitched == [(t.row, t.signal) for t in whole.engine.transitions]


def test_the_first_print_after_a_restart_may_be_out_of_order() -> None:
    desk = Desk()
    desk.engine.arm(active(1, {"type": "above", "level": "100"}))
    desk.trade(0, 99, evaluate=False)
    desk.trade(1, 99, evaluate=False)
    desk.trade(0.5, 101, seen=2)
    assert desk.said() == [(1, "fired", 1.0)]


def test_a_number_goes_on_for_others_when_nobody_looks_at_it_where_bars_end_any_more() -> None:
    desk, fall = Desk(), {"type": "change", "window": "10s", "percent": "-1%"}
    desk.engine.arm(active(1, fall))
    desk.engine.arm(active(2, fall, evaluate="close"))
    desk.trade(0, 100.0)
    desk.engine.disarm(uuid.UUID(int=2))
    desk.trade(5, 100.0)
    desk.trade(11, 98.0)
    assert desk.said() == [(1, "fired", 11.0)]
