"""Silence as a condition, as a member of a group, and as what a policy says of it."""

from __future__ import annotations

import uuid

import pytest

from pricewatch.domain.rule import Order, Phase, RuleCommand, RuleState
from pricewatch.domain.signal import Direction
from pricewatch.engine.state import ActiveRule
from pricewatch.testing.desk import BTC, ETH, OFFSET, OWNER, T0, Desk, S, above, active

STALE = {"type": "stale", "after": "10s"}


def place(seconds: float) -> int:
    return OFFSET + T0 + round(seconds * S)


def test_it_begins_when_the_order_says_so_and_ends_with_the_next_trade() -> None:
    desk = Desk(BTC, ETH)
    desk.engine.arm(active(1, STALE))
    for second in range(5):
        desk.trade(second, 100.0)
    desk.advance(14.9)
    assert desk.said() == []
    desk.advance(60)
    (stale,) = desk.signals()
    assert (stale.cause, stale.at, stale.seen) == (f"timer:{T0 + 14 * S}", T0 + 14 * S, place(15))
    assert stale.evidence == {"v": 1, "feature": "silence", "price": "100", "value": 10.0, "prior": 0.0, "after": 10.0}
    desk.advance(600)
    desk.trade(601, 100.0)
    assert desk.said() == [(1, "cleared", 601.0)]
    desk.advance(612)
    assert desk.said() == [(1, "fired", 611.0)]


def test_event_time_counts_where_trades_are_replayed() -> None:
    desk = Desk()
    desk.engine.arm(active(1, STALE))
    desk.trade(0, 100.0, seen=0)
    desk.trade(9, 100.0, seen=0.1)
    desk.trade(19, 100.0, seen=0.2)
    desk.trade(40, 100.0, seen=0.3)
    assert desk.said() == [(1, "fired", 19.0), (1, "cleared", 19.0), (1, "fired", 29.0), (1, "cleared", 40.0)]


def test_a_trade_of_the_same_instant_puts_it_off_by_its_place() -> None:
    desk = Desk()
    desk.engine.arm(active(1, STALE))
    desk.trade(0, 100.0)
    desk.trade(0, 100.0, seen=5)
    desk.advance(15.9)
    assert desk.said() == []
    desk.advance(16)
    assert desk.said() == [(1, "fired", 10.0)]


def test_a_blind_market_is_silent_too() -> None:
    desk = Desk()
    desk.engine.arm(active(1, STALE))
    desk.trade(0, 100.0)
    desk.engine.hold(1)
    desk.advance(12)
    assert desk.said() == [(1, "fired", 10.0)]


def test_several_silences_on_one_market_and_none_that_nobody_reads() -> None:
    desk = Desk()
    for number, span in enumerate(["20s", "10s"], start=1):
        desk.engine.arm(active(number, {"type": "stale", "after": span}))
    desk.trade(0, 100.0)
    desk.trade(100, 100.0)
    assert desk.said() == [(2, "fired", 10.0), (1, "fired", 20.0), (1, "cleared", 100.0), (2, "cleared", 100.0)]
    desk.engine.disarm(uuid.UUID(int=1))
    desk.engine.disarm(uuid.UUID(int=2))
    assert not desk.engine._markets[1].silences
    desk.advance(200)
    assert desk.said() == []


def test_it_is_a_member_like_others() -> None:
    desk = Desk()
    desk.engine.arm(active(1, {"type": "and", "of": [{"type": "above", "level": "100"}, STALE]}))
    desk.trade(0, 99.0)
    desk.trade(1, 101.0)
    desk.advance(13)
    assert desk.said() == [(1, "fired", 11.0)]
    desk.trade(14, 101.0)
    assert desk.said() == [(1, "cleared", 14.0)]


@pytest.mark.parametrize("silent_before", [True, False])
def test_after_a_restart_it_goes_on_from_the_last_trade(silent_before: bool) -> None:
    firing = RuleState(phase=Phase.FIRING, armed=True, since=T0, emitted_at=T0, fired=1)
    desk = Desk()
    desk.engine.arm(active(1, STALE), {1: firing} if silent_before else {})
    desk.trade(0, 100.0, evaluate=False)
    if silent_before:
        desk.trade(15, 100.0, market=1, evaluate=False)  # the silence before it is not told again
    assert desk.said() == []
    desk.advance(40)
    assert desk.said() == ([] if silent_before else [(1, "fired", 10.0)])
    desk.trade(50, 100.0)
    assert desk.said() == [(1, "cleared", 50.0)]
    assert desk.engine.longest_window() == 121 * S


class TestPolicy:
    def test_silence_may_fire_and_a_trade_says_what_is_true(self) -> None:
        for price, said in ((101.0, []), (99.0, [(1, "cleared", 21.0)])):
            desk = Desk()
            desk.engine.arm(above(1, nodata={"after": "10s", "then": "fire"}))
            desk.trade(0, 99.0)
            desk.advance(20)
            (fired,) = desk.signals()
            assert (fired.at, fired.since, fired.evidence["nodata"]) == (T0 + 10 * S, T0, 10.0)
            desk.trade(21, price)
            assert desk.said() == said
            desk.trade(22, 99.0)
            assert desk.said() == ([(1, "cleared", 22.0)] if not said else [])

    def test_silence_may_end_it(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1, nodata={"after": "10s", "then": "ok"}))
        desk.engine.arm(above(2, nodata={"after": "10s", "then": "ok"}, clear_signal=False))
        desk.engine.arm(above(3, nodata={"after": "10s", "then": "ok"}, hold="1m"))
        desk.engine.arm(above(4, nodata={"after": "10s", "then": "keep"}))
        desk.trade(0, 99.0)
        desk.trade(1, 101.0)
        desk.advance(20)
        assert desk.said() == [(1, "fired", 1.0), (2, "fired", 1.0), (4, "fired", 1.0), (1, "cleared", 11.0)]
        desk.trade(21, 101.0)
        desk.advance(31)
        assert desk.said() == [(1, "fired", 21.0), (2, "fired", 21.0)]

    def test_a_firing_rule_fires_no_second_time(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1, nodata={"after": "10s"}))
        desk.trade(0, 99.0)
        desk.trade(1, 101.0)
        desk.advance(20)
        assert desk.said() == [(1, "fired", 1.0)]

    def test_it_is_no_matter_to_a_held_rule(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1, nodata={"after": "10s"}))
        desk.trade(0, 99.0)
        desk.engine.command(RuleCommand(uuid.UUID(int=1), OWNER, 1, Order.PAUSE, 0, 0), place(1))
        desk.advance(20)
        desk.engine.command(RuleCommand(uuid.UUID(int=1), OWNER, 2, Order.RESUME, 0, 0), place(21))
        desk.trade(22, 99.0)
        assert desk.said() == []
        desk.advance(40)
        assert desk.said() == [(1, "fired", 32.0)]

    def test_a_rule_that_has_fired_as_often_as_it_may_hears_of_it_no_more(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1, nodata={"after": "10s"}, fires="once"))
        for second, price in enumerate([99.0, 101.0, 99.0]):
            desk.trade(second, price)
        assert [direction for _, direction, _ in desk.said()] == ["fired", "cleared"]
        desk.advance(60)
        assert desk.said() == []

    def test_it_may_pause_a_rule_on_a_market(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1, nodata={"after": "10s"}, most_per_hour=1))
        for second in (0, 20, 40, 60):
            desk.trade(second, 99.0)
        assert [direction for _, direction, _ in desk.said()] == ["fired", "cleared", "paused"]

    def test_a_rule_paused_by_its_fires_keeps_silences_back(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1, nodata={"after": "10s"}, most_per_hour=1))
        for second, price in enumerate([99.0, 101.0, 99.0, 101.0]):
            desk.trade(second, price)
        assert [direction for _, direction, _ in desk.said()] == ["fired", "cleared", "paused"]
        desk.trade(4, 99.0)
        desk.advance(60)
        desk.trade(61, 99.0)
        desk.advance(3_700)
        (told,) = desk.signals()
        assert (told.direction, told.evidence["count"], told.since) == (Direction.DIGEST, 2, T0 + 14 * S)

    def test_a_group_ended_by_silence_is_asked_again_by_the_next_trade(self) -> None:
        members = [{"type": "above", "level": "100"}, {"type": "above", "level": "90"}]
        desk = Desk()
        desk.engine.arm(active(1, {"type": "and", "of": members}, nodata={"after": "10s", "then": "ok"}))
        desk.trade(0, 99.0)
        desk.trade(1, 101.0)
        desk.trade(20, 101.0)
        assert desk.said() == [(1, "fired", 1.0), (1, "cleared", 11.0), (1, "fired", 20.0)]

    def test_groups_have_it_too(self) -> None:
        members = [{"type": "above", "level": "100"}, {"type": "above", "level": "90"}]
        desk = Desk()
        desk.engine.arm(active(1, {"type": "and", "of": members}, nodata={"after": "10s"}))
        desk.trade(0, 99.0)
        desk.advance(20)
        desk.trade(21, 99.0)
        assert desk.said() == [(1, "fired", 10.0), (1, "cleared", 21.0)]

    def test_a_restart_between_silence_and_trade(self) -> None:
        state = RuleState(phase=Phase.NODATA, armed=True, since=T0, emitted_at=T0 + 10 * S, fired=1)
        desk = Desk()
        desk.engine.arm(above(1, nodata={"after": "10s"}), {1: state})
        desk.trade(0, 99.0, evaluate=False)
        desk.advance(20)
        assert desk.said() == []
        desk.trade(21, 99.0)
        assert desk.said() == [(1, "cleared", 21.0)]


@pytest.mark.parametrize("others", [(), (active(9, {"type": "stale", "after": "5s"}), above(8))])
def test_what_others_wait_for_does_not_judge_a_rule(others: tuple[ActiveRule, ...]) -> None:
    """A silence ends a group whose member still holds: it begins anew with a trade in order, whoever else is asked."""
    desk = Desk()
    calm = {"type": "not", "of": {"type": "change", "window": "1s", "percent": 50, "direction": "up"}}
    for rule in (active(1, calm, nodata={"after": "2s", "then": "ok"}, fire_on_arming=True), *others):
        desk.engine.arm(rule)
    desk.trade(0, 90.0)
    desk.trade(1, 90.0)  # from here on the change is known
    desk.trade(9, 90.0)
    desk.trade(8.5, 91.0, seen=9.1)
    desk.trade(18, 90.0, seen=18)
    desk.trade(17.5, 91.0, seen=20.5)  # the silence has begun; it is out of order
    desk.advance(30)
    desk.trade(31, 90.0)
    mine = [one for one in desk.said() if one[0] == 1]
    assert mine == [
        (1, "fired", 1.0), (1, "cleared", 3.0), (1, "fired", 9.0), (1, "cleared", 11.0), (1, "fired", 18.0),
        (1, "cleared", 20.0), (1, "fired", 31.0),
    ]  # fmt: skip
