"""Groups and sequences in the engine: against the definitions, and what they cost."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricewatch.domain.market import Flag
from pricewatch.domain.rule import Order, RuleCommand
from pricewatch.domain.signal import Direction
from pricewatch.testing.desk import BTC, ETH, OFFSET, OWNER, T0, Desk, S, active, forecast

HIGH = {"type": "above", "level": "100"}
LOW = {"type": "below", "level": "90"}
MOVED = {"type": "change", "window": "10s", "percent": "5%", "direction": "either"}
WIDE = {"type": "spread", "percent": "1%"}


def both(*members: dict[str, Any], kind: str = "and") -> dict[str, Any]:
    return {"type": kind, "of": list(members)}


def no(member: dict[str, Any]) -> dict[str, Any]:
    return {"type": "not", "of": member}


def then(*steps: dict[str, Any], within: str = "1m") -> dict[str, Any]:
    return {"type": "then", "steps": list(steps), "within": within}


def place(seconds: float) -> int:
    return OFFSET + T0 + round(seconds * S)


def said(when: dict[str, Any], *prices: float, **policy: Any) -> list[tuple[str, float]]:
    desk = Desk()
    desk.engine.arm(active(1, when, **policy))
    for second, price in enumerate(prices):
        desk.trade(second, price)
    return [(direction, second) for _, direction, second in desk.said()]


def test_and_begins_with_its_last_member_and_ends_with_the_first_that_ends() -> None:
    when = both(HIGH, MOVED)
    prices = [94.0] * 11 + [101.0] + [101.0] * 9 + [101.0, 101.0, 108.0, 99.0]
    assert said(when, *prices) == [("fired", 11.0), ("cleared", 21.0), ("fired", 23.0), ("cleared", 24.0)]


def test_or_holds_from_the_first_member_to_the_end_of_all() -> None:
    assert said(both(HIGH, LOW, kind="or"), 95, 101, 89, 95) == [("fired", 1.0), ("cleared", 3.0)]


def test_not_is_the_opposite_once_it_is_known() -> None:
    assert said(no(HIGH), 101, 101, 99, 101) == [("fired", 2.0), ("cleared", 3.0)]
    assert said(no(HIGH), 99, 101, 99, 101) == [("fired", 2.0), ("cleared", 3.0)]
    assert said(no(HIGH), 99, 101, fire_on_arming=True) == [("fired", 0.0), ("cleared", 1.0)]


def test_what_is_not_known_does_not_hold_whether_denied_or_not() -> None:
    desk = Desk()
    desk.engine.arm(active(1, both(HIGH, WIDE)))
    desk.engine.arm(active(2, both(HIGH, no(WIDE))))
    desk.engine.arm(active(3, both(HIGH, WIDE, kind="or")))
    desk.trade(0, 99.0)
    desk.trade(1, 101.0)
    assert desk.said() == [(3, "fired", 1.0)]
    desk.quote(2, 99.0, 103.0)
    assert desk.said() == [(1, "fired", 2.0)]
    desk.quote(3, 101.0, 101.1)
    assert desk.said() == [(1, "cleared", 3.0), (2, "fired", 3.0)]


def test_members_keep_their_own_hysteresis_and_rules_their_policy() -> None:
    when = both(HIGH, no(LOW))
    assert said(when, 99, 100.05, 99.95, 100.05, 99.95, 99.9, 100.05) == [
        ("fired", 1.0), ("cleared", 5.0), ("fired", 6.0),
    ]  # fmt: skip
    assert said(when, 99, 101, 101, 101, 101, 99, hold="2s") == [("fired", 3.0), ("cleared", 5.0)]
    assert said(when, 99, 101, 99, 101, 101, hold="2s") == []


def test_then_wants_the_steps_to_begin_in_order_and_in_time() -> None:
    assert said(then(LOW, HIGH), 95, 89, 95, 101, 95, 101) == [("fired", 3.0)]
    assert said(then(LOW, HIGH), 89, 95, 101) == []  # it was low already: that is no beginning
    assert said(then(LOW, HIGH), 95, 101, 89, 95) == []
    assert said(then(LOW, HIGH, within="2s"), 95, 89, 95, 95, 101, 89, 101) == [("fired", 6.0)]
    assert said(then(LOW, HIGH, within="3s"), 95, 89, 95, 95, 101) == [("fired", 4.0)]


def test_two_steps_never_begin_with_one_trade() -> None:
    dear = {"type": "above", "level": "102"}
    assert said(then(HIGH, dear), 95, 103) == []
    assert said(then(HIGH, dear), 95, 101, 103) == [("fired", 2.0)]
    assert said(then(HIGH, LOW, HIGH), 95, 101, 89, 101, 89, 101) == [("fired", 3.0)]


def test_a_sequence_is_a_member_like_others() -> None:
    when = both(then(LOW, HIGH), {"type": "below", "level": "105"})
    assert said(when, 95, 89, 101, 106, 101) == [("fired", 2.0), ("cleared", 3.0), ("fired", 4.0)]


def test_evidence_names_every_member() -> None:
    desk = Desk()
    desk.engine.arm(active(1, both(HIGH, no(both(LOW, WIDE)))))
    for second, price in enumerate([99.0, 101.0]):
        desk.trade(second, price)
    (fired,) = desk.signals()
    assert fired.kind == "and"
    assert fired.evidence["of"] == [
        {"type": "above", "holds": True, "value": "101", "threshold": "100", "clear": "99.9"},
        {"type": "below", "holds": False, "value": "101", "threshold": "90", "clear": "90.09"},
        {"type": "spread", "holds": None, "threshold": 1.0, "clear": 0.8},
    ]
    assert (fired.evidence["value"], fired.evidence["feature"], fired.model) == (1.0, "group", None)


def test_model_members_name_their_model() -> None:
    desk = Desk(models=True, warm_up=1)
    desk.engine.arm(active(1, both(HIGH, {"type": "anomaly", "score": "3"}, kind="or")))
    desk.engine.arm(active(2, both(HIGH, {"type": "outside_band"}, kind="or")))
    for second, price in enumerate([99.0, 101.0]):
        desk.trade(second, price)
    assert [bool(signal.model) for signal in desk.signals()] == [True, False]


def test_prints_out_of_order_and_suspects_reach_the_members() -> None:
    desk = Desk()
    desk.engine.arm(active(1, both(HIGH, no(LOW))))
    desk.engine.arm(active(2, both(HIGH, no(LOW)), suspect=True))
    desk.trade(0, 95.0)
    desk.trade(1, 150.0, flags=Flag.SUSPECT)
    assert desk.said() == [(2, "fired", 0.0)]
    desk.trade(2, 95.0)
    assert desk.said() == [(2, "cleared", 2.0)]
    desk.trade(1.5, 101.0, seen=2.1)
    assert desk.said() == [(1, "fired", 2.0), (2, "fired", 2.0)]


def test_unconcerned_members_are_not_asked() -> None:
    desk = Desk()
    for number in range(1, 200):
        desk.engine.arm(active(number, both({"type": "above", "level": str(200 + number)}, LOW)))
    desk.trade(0, 95.0)
    judged = desk.engine.judged
    desk.engine.transitions = []
    for second in range(1, 50):
        desk.trade(second, 95.0 + second / 10)
    assert (desk.engine.judged, desk.engine.transitions) == (judged, [])


def test_a_pause_forgets_the_members_unless_it_fires() -> None:
    desk = Desk()
    desk.engine.arm(active(1, then(LOW, HIGH)))
    desk.engine.arm(active(2, both(HIGH, no(LOW))))
    for second, price in enumerate([95.0, 101.0, 89.0]):
        desk.trade(second, price)
    for number in (1, 2):
        desk.engine.command(RuleCommand(uuid.UUID(int=number), OWNER, 1, Order.PAUSE, 0, 0), place(2.5))
    desk.trade(3, 95.0)
    for number in (1, 2):
        desk.engine.command(RuleCommand(uuid.UUID(int=number), OWNER, 2, Order.RESUME, 0, 0), place(3.5))
    for second, price in enumerate([95.0, 101.0, 89.0, 101.0], start=4):
        desk.trade(second, price)
    assert desk.said() == [
        (2, "fired", 1.0), (2, "cleared", 2.0), (2, "fired", 5.0), (2, "cleared", 6.0), (1, "fired", 7.0),
        (2, "fired", 7.0),
    ]  # fmt: skip


def test_a_firing_group_is_ended_after_a_pause() -> None:
    desk = Desk()
    desk.engine.arm(active(1, both(HIGH, no(LOW))))
    for second, price in enumerate([95.0, 101.0]):
        desk.trade(second, price)
    desk.engine.command(RuleCommand(uuid.UUID(int=1), OWNER, 1, Order.PAUSE, 0, 0), place(1.5))
    desk.trade(2, 95.0)
    desk.engine.command(RuleCommand(uuid.UUID(int=1), OWNER, 2, Order.RESUME, 0, 0), place(2.5))
    desk.trade(3, 95.0)
    assert desk.said() == [(1, "fired", 1.0), (1, "cleared", 3.0)]


def test_a_group_paused_for_firing_too_often_is_silent() -> None:
    when = both(HIGH, no(LOW))
    told = said(when, *[95.0, 101.0] * 6, most_per_hour=2)
    assert [direction for direction, _ in told] == ["fired", "cleared", "fired", "cleared", "paused"]


def test_another_title_keeps_what_members_know() -> None:
    desk = Desk(BTC, ETH)
    desk.engine.arm(active(1, then(LOW, HIGH)))
    desk.trade(0, 95.0)
    desk.trade(1, 89.0)
    desk.engine.arm(active(1, then(LOW, HIGH), version=2, severity="critical", effective=place(1.5)))
    desk.engine.disarm(uuid.UUID(int=9))
    desk.trade(2, 101.0)
    (fired,) = desk.signals()
    assert (fired.rule_version, fired.direction) == (2, Direction.FIRED)
    desk.engine.disarm(uuid.UUID(int=1))
    assert not desk.engine._markets[1].roots
    assert not desk.engine._markets[1].price.members


def test_a_held_group_is_bound_asleep_after_a_restart() -> None:
    desk = Desk()
    desk.engine.arm(active(1, both(HIGH, no(LOW))), {}, RuleCommand(uuid.UUID(int=1), OWNER, 1, Order.PAUSE, 0, 0, 1))
    for second, price in enumerate([95.0, 101.0]):
        desk.trade(second, price)
    assert desk.said() == []


def test_memory_that_does_not_fit_is_forgotten() -> None:
    for parts in (b"x", b"\x92\x90\x90"):
        desk = Desk()
        desk.engine.arm(active(1, both(HIGH, no(LOW))), parts={1: parts})
        for second, price in enumerate([95.0, 101.0]):
            desk.trade(second, price)
        assert desk.said() == [(1, "fired", 1.0)]


LEAVES: list[dict[str, Any]] = [
    {"type": "above", "level": "101"},
    {"type": "below", "level": "99.5"},
    {"type": "crosses", "level": "100", "direction": "up"},
    {"type": "channel", "lower": "99", "upper": "100.5", "direction": "enter"},
]
TREES = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: (
        st.builds(lambda kind, members: {"type": kind, "of": members}, st.sampled_from(["and", "or"]),
                  st.lists(inner, min_size=2, max_size=3))
        | st.builds(no, inner)
        | st.builds(lambda steps, within: then(*steps, within=within), st.lists(inner, min_size=2, max_size=3),
                    st.sampled_from(["3s", "20s"]))
    ),
    max_leaves=6,
)  # fmt: skip


class Slow:
    """A tree evaluated on every trade, straight from the words in the documentation; levels end where they begin."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self.tree = tree
        inner = tree.get("steps") or tree.get("of") or []
        self.inner = [Slow(one) for one in (inner if isinstance(inner, list) else [inner])]
        self.truth: bool | None = None
        self.chains: list[list[int]] = []

    def look(self, prior: float | None, x: float, second: int) -> bool:
        were = [one.truth for one in self.inner]
        now = [one.look(prior, x, second) for one in self.inner]
        match self.tree["type"]:
            case "and":
                truth = all(now)
            case "or":
                truth = any(now)
            case "not":
                truth = not now[0]
            case "then":
                begun = [was is False and is_ for was, is_ in zip(were, now, strict=True)]
                truth = self.follow(begun, second) or bool(self.truth and now[-1])
            case "above":
                truth = x > 101
            case "below":
                truth = x < 99.5
            case "crosses":
                truth = x > 100 if self.truth else prior is not None and prior <= 100 < x
            case _:
                truth = 99 < x < 100.5
        self.truth = truth
        return truth

    def follow(self, begun: list[bool], second: int) -> bool:
        """Every chain of beginnings, as far as it has come; whether one is complete."""
        within = int(self.tree["within"][:-1])
        longer = [[*chain, second] for chain in self.chains if begun[len(chain)] and second - chain[0] <= within]
        self.chains += longer + ([[second]] if begun[0] else [])
        complete = any(len(chain) == len(begun) for chain in self.chains)
        self.chains = [] if complete else self.chains
        return complete


@settings(max_examples=150, deadline=None)
@given(tree=TREES, halves=st.lists(st.integers(196, 204), min_size=2, max_size=40))
def test_any_tree_says_what_its_words_say(tree: dict[str, Any], halves: list[int]) -> None:
    desk = Desk()
    desk.engine.arm(active(1, tree, hysteresis="0%"))
    slow, prior, expected, was = Slow(tree), None, [], None
    event = tree["type"] in {"then", "crosses"}
    silent = False
    for second, half in enumerate(halves):
        x = half / 2
        desk.trade(second, x)
        now = slow.look(prior, x, second)
        if was is None:
            silent = now
        elif now and not was:
            expected.append(("fired", float(second)))
        elif was and not now:
            if not silent and not event:
                expected.append(("cleared", float(second)))
            silent = False
        was, prior = now, x
    assert [(direction, second) for _, direction, second in desk.said()] == expected


@pytest.mark.parametrize("count", [1, 50])
def test_the_largest_document_is_judged(count: int) -> None:
    levels = [{"type": "above", "level": str(100 + number / 100)} for number in range(49)]
    desk = Desk()
    for number in range(count):
        desk.engine.arm(active(number + 1, both(*levels, kind="or")))
    for second, price in enumerate(itertools.islice(itertools.cycle([99.0, 101.0]), 10)):
        desk.trade(second, price)
    assert len([1 for _, direction, _ in desk.said() if direction == "fired"]) == 5 * count


def test_a_member_that_becomes_unknown_again_stays_as_it_was() -> None:
    desk = Desk()
    desk.engine.arm(active(1, both({"type": "outside_band", "side": "upper"}, LOW, kind="or")))
    desk.activate(forecast(90.0, 101.0, expires=10), 0)
    for second, price in ((0, 95.0), (1, 102.0), (11, 95.0), (12, 89.0), (13, 95.0)):
        desk.trade(second, price)
    assert desk.said() == [(1, "fired", 1.0)]


def test_a_group_is_asked_again_after_history() -> None:
    desk = Desk()
    desk.engine.arm(active(1, both(HIGH, no(LOW))))
    desk.trade(0, 95.0)
    for second in (1, 2):
        desk.trade(second, 95.0 + second, evaluate=False)
    desk.trade(3, 101.0)
    assert desk.said() == [(1, "fired", 3.0)]
