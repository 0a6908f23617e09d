"""The life of a rule as a whole: held, resumed, warned of its end, expired, edited."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from pricewatch.domain.rule import Order, Phase, RuleCommand, RuleState
from pricewatch.domain.signal import Direction
from pricewatch.domain.time import rfc3339
from pricewatch.testing.desk import BTC, ETH, MINUTE, OFFSET, OWNER, T0, Desk, S, above, active


def place(seconds: float) -> int:
    return OFFSET + T0 + round(seconds * S)


def command(order: Order, *, rule: int = 1, until: float = 0, taken: float | None = None) -> RuleCommand:
    seen = None if taken is None else place(taken)
    return RuleCommand(uuid.UUID(int=rule), OWNER, 1, order, place(until) if until else 0, 0, seen)


def tell(desk: Desk, order: Order, at: float, **how: Any) -> None:
    desk.engine.command(command(order, **how), place(at))


def walk(desk: Desk, *prices: float, start: float = 0.0) -> None:
    for second, price in enumerate(prices):
        desk.trade(start + second, price)


def test_a_paused_rule_says_nothing_and_begins_anew_when_resumed() -> None:
    desk = Desk()
    desk.engine.arm(above(1))
    walk(desk, 99.0)
    tell(desk, Order.PAUSE, 0.5)
    walk(desk, 101.0, 99.0, 101.0, start=1)
    assert desk.engine.judged <= 2
    tell(desk, Order.RESUME, 3.5)
    walk(desk, 101.0, 99.0, 101.0, start=4)
    assert desk.said() == [(1, "fired", 6.0)]


def test_a_firing_rule_goes_on_firing_so_that_its_end_is_told() -> None:
    for after, said in ((101.0, []), (99.0, [(1, "cleared", 4.0)])):
        desk = Desk()
        desk.engine.arm(above(1))
        walk(desk, 99.0, 101.0)
        assert desk.said() == [(1, "fired", 1.0)]
        tell(desk, Order.PAUSE, 1.5)
        walk(desk, 99.0, 101.0, start=2)
        tell(desk, Order.RESUME, 3.5)
        walk(desk, after, start=4)
        assert desk.said() == said


def test_a_pending_rule_forgets_its_timer_and_says_so_to_the_journal() -> None:
    desk = Desk()
    desk.engine.arm(above(1, hold="5s"))
    walk(desk, 99.0, 101.0)
    tell(desk, Order.PAUSE, 1.5)
    desk.advance(60)
    assert desk.states() == {(1, 1): RuleState()}
    assert desk.said() == []
    tell(desk, Order.RESUME, 61)
    walk(desk, 101.0, start=62)
    desk.advance(90)
    assert desk.said() == []


def test_a_snoozed_rule_goes_on_by_itself_at_its_place_in_the_order() -> None:
    desk = Desk()
    desk.engine.arm(above(1))
    walk(desk, 99.0)
    tell(desk, Order.SNOOZE, 0.5, until=3)
    walk(desk, 101.0, 99.0, start=1)
    walk(desk, 99.0, 101.0, start=4)
    assert desk.said() == [(1, "fired", 5.0)]


def test_the_newest_command_counts() -> None:
    desk = Desk()
    desk.engine.arm(above(1))
    walk(desk, 99.0)
    tell(desk, Order.SNOOZE, 0.5, until=3)
    tell(desk, Order.PAUSE, 0.6)
    desk.advance(10)
    walk(desk, 99.0, 101.0, start=11)
    assert desk.said() == []
    tell(desk, Order.SNOOZE, 20, until=5)  # already over
    walk(desk, 99.0, 101.0, start=21)
    assert desk.said() == [(1, "fired", 22.0)]
    tell(desk, Order.RESUME, 30)  # it runs: nothing changes
    walk(desk, 99.0, start=31)
    assert desk.said() == [(1, "cleared", 31.0)]
    tell(desk, Order.PAUSE, 40, rule=9)  # nobody


def test_a_held_rule_is_bound_to_new_markets_too_and_its_windows_go_on() -> None:
    desk = Desk(BTC)
    desk.engine.arm(active(1, {"type": "change", "window": "10s", "percent": "1%"}))
    walk(desk, 100.0)
    tell(desk, Order.PAUSE, 0.5)
    desk.engine.add_market(ETH)
    desk.trade(1, 100.0, market=3)
    walk(desk, 100.0, start=8)
    tell(desk, Order.RESUME, 10)
    walk(desk, 100.0, 103.0, start=11)
    desk.trade(13, 100.0, market=3)
    desk.trade(14, 103.0, market=3)
    assert [(s.scope, s.direction) for s in desk.signals()] == [
        ("coinbase:BTC-USD", Direction.FIRED),
        ("kraken:ETH-USD", Direction.FIRED),
    ]


class TestRestart:
    def test_a_paused_rule_stays_paused(self) -> None:
        desk = Desk()
        firing = RuleState(phase=Phase.FIRING, armed=True, since=T0, emitted_at=T0, fired=1)
        desk.engine.arm(above(1), {1: firing}, command(Order.PAUSE, taken=5))
        for second in range(4):
            desk.trade(second, 99.0, evaluate=False)
        walk(desk, 99.0, 101.0, start=6)
        assert desk.said() == []
        tell(desk, Order.RESUME, 8)
        walk(desk, 99.0, start=9)
        assert desk.said() == [(1, "cleared", 9.0)]

    def test_a_snooze_ends_after_it_as_before_it(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1), {}, command(Order.SNOOZE, until=5, taken=1))
        desk.trade(2, 99.0, evaluate=False)
        walk(desk, 101.0, start=4)
        walk(desk, 99.0, 101.0, start=6)
        assert desk.said() == [(1, "fired", 7.0)]

    def test_a_resumed_rule_is_armed_by_samples_after_it_alone(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1), {}, command(Order.RESUME, taken=5))
        desk.trade(4, 99.0, evaluate=False)
        walk(desk, 101.0, 99.0, 101.0, start=6)
        assert desk.said() == [(1, "fired", 8.0)]

    def test_a_command_not_taken_up_counts_for_nothing(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1), {}, command(Order.PAUSE))
        walk(desk, 99.0, 101.0)
        assert desk.said() == [(1, "fired", 1.0)]


def mortal(at: float, *, number: int = 1, warn: str = "10s", version: int = 1, **how: Any) -> Any:
    return above(number, expires=rfc3339(place(at)), warn=warn, version=version, **how)


class TestExpiry:
    def test_it_is_announced_and_told_once_for_all_markets(self) -> None:
        desk = Desk(BTC, ETH)
        desk.engine.arm(mortal(60, channels=["email"], severity="warning"))
        walk(desk, 99.0, 101.0)
        walk(desk, 99.0, start=55)
        walk(desk, 101.0, start=61)
        desk.advance(70)
        fired, expiring, cleared, expired = desk.signals()
        assert (fired.direction, cleared.direction) == (Direction.FIRED, Direction.CLEARED)
        assert (expiring.direction, expiring.at, expiring.seen) == (Direction.EXPIRING, place(50), place(50))
        assert (expired.direction, expired.at, expired.seen) == (Direction.EXPIRED, place(60), place(60))
        assert (expired.scope, expired.market, expired.venue, expired.symbol) == ("rule", 0, "", "*")
        assert (expired.channels, expired.severity, expired.kind) == (("email",), "warning", "above")
        assert expired.evidence == {"v": 1, "expires": place(60)}
        assert expiring.id != expired.id

    def test_its_timers_are_void(self) -> None:
        desk = Desk()
        desk.engine.arm(mortal(6, warn="0s", hold="30s", symbols=["BTC-USD"]))
        walk(desk, 99.0, 101.0)
        desk.advance(100)
        (expired,) = desk.signals()
        assert (expired.direction, expired.symbol) == (Direction.EXPIRED, "BTC-USD")

    def test_a_warning_that_would_have_been_before_its_time_is_left_out(self) -> None:
        desk = Desk()
        desk.engine.arm(mortal(60, warn="24h", effective=place(0)))
        desk.advance(70)
        assert [s.direction for s in desk.signals()] == [Direction.EXPIRED]

    def test_what_is_over_already_ends_where_it_is_taken_up(self) -> None:
        desk = Desk()
        desk.engine.arm(mortal(5, effective=place(10)))
        desk.advance(11)
        (expired,) = desk.signals()
        assert (expired.at, expired.seen) == (place(5), place(10))

    def test_after_a_restart_nothing_is_said_twice(self) -> None:
        desk = Desk()
        desk.engine.arm(mortal(60), {0: RuleState(emitted_at=place(50))})
        desk.engine.arm(mortal(60, number=2), {0: RuleState(phase=Phase.EXPIRED)})
        walk(desk, 99.0, 101.0, start=55)
        desk.advance(70)
        assert [(s.rule_id.int, s.direction.value) for s in desk.signals()] == [(1, "fired"), (1, "expired")]

    def test_an_expired_rule_obeys_nobody_until_it_is_changed(self) -> None:
        desk = Desk()
        desk.engine.arm(mortal(5))
        desk.advance(6)
        desk.signals()
        tell(desk, Order.RESUME, 7)
        walk(desk, 99.0, 101.0, start=8)
        assert desk.said() == []
        desk.engine.arm(above(1, version=2, effective=place(10)))
        walk(desk, 99.0, 101.0, start=11)
        assert desk.said() == [(1, "fired", 12.0)]

    def test_a_snoozed_rule_expires_too(self) -> None:
        desk = Desk()
        desk.engine.arm(mortal(60, warn="0s"))
        tell(desk, Order.SNOOZE, 1, until=90)
        desk.advance(100)
        walk(desk, 99.0, 101.0, start=101)
        assert [s.direction for s in desk.signals()] == [Direction.EXPIRED]


class TestEdits:
    def test_another_title_keeps_the_state_under_the_new_number(self) -> None:
        desk = Desk(BTC, ETH)
        desk.engine.arm(above(1))
        walk(desk, 99.0, 101.0)
        desk.engine.transitions = []
        desk.engine.arm(above(1, version=2, severity="critical", effective=place(2)))
        (row,) = (t.row for t in desk.engine.transitions)
        assert (row.version, row.market, row.state.phase, row.seen) == (2, 1, Phase.FIRING, place(2))
        walk(desk, 101.0, 99.0, 101.0, start=3)
        told = desk.signals()
        assert [(s.direction, s.rule_version, s.severity) for s in told] == [
            (Direction.CLEARED, 2, "critical"),
            (Direction.FIRED, 2, "critical"),
        ]

    def test_a_pending_timer_goes_on(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1, hold="5s"))
        walk(desk, 99.0, 101.0)
        desk.engine.arm(above(1, version=2, hold="5s", severity="critical", effective=place(2)))
        desk.advance(60)
        (fired,) = desk.signals()
        assert (fired.at, fired.rule_version) == (T0 + 6 * S, 2)

    def test_an_edit_in_mid_crossing_begins_anew(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1))
        walk(desk, 99.0)
        desk.engine.arm(above(1, 100.5, version=2, effective=place(0.5)))
        walk(desk, 101.0, 99.0, 101.0, start=1)
        assert desk.said() == [(1, "fired", 3.0)]

    @pytest.mark.parametrize("title_only", [True, False])
    def test_a_held_rule_stays_held(self, title_only: bool) -> None:
        desk = Desk()
        level = 100 if title_only else 100.5
        desk.engine.arm(above(1))
        walk(desk, 99.0)
        tell(desk, Order.SNOOZE, 0.5, until=9)
        desk.engine.arm(above(1, level, version=2, severity="info" if title_only else "critical", effective=place(1)))
        walk(desk, 99.0, 101.0, start=2)
        assert desk.said() == []
        walk(desk, 99.0, 101.0, start=10)
        assert desk.said() == [(1, "fired", 11.0)]

    def test_warnings_and_ends_are_kept(self) -> None:
        desk = Desk()
        desk.engine.arm(mortal(60))
        desk.advance(55)
        desk.engine.arm(mortal(60, version=2, severity="critical", effective=place(56)))
        desk.advance(57)
        assert [s.direction for s in desk.signals()] == [Direction.EXPIRING]
        desk.advance(61)
        desk.engine.arm(mortal(60, version=3, effective=place(62)))
        desk.advance(70)
        assert [(s.direction, s.rule_version) for s in desk.signals()] == [(Direction.EXPIRED, 2)]


def test_a_rule_that_fires_too_often_is_paused_on_that_market_until_resumed() -> None:
    desk = Desk(BTC, ETH)
    desk.engine.arm(above(1, most_per_hour=2, channels=["email"]))
    for second in range(0, 40, 2):
        desk.trade(second, 99.0)
        desk.trade(second + 1, 101.0)
    told = desk.signals()
    assert [s.direction.value for s in told] == ["fired", "cleared", "fired", "cleared", "paused"]
    assert told[-1].channels == ("email",)
    assert told[-1].evidence["most_per_hour"] == 2
    assert told[-1].since == told[-1].at
    desk.trade(50, 99.0, market=3)
    desk.trade(51, 101.0, market=3)
    assert desk.said() == [(1, "fired", 51.0)]
    tell(desk, Order.RESUME, 60)
    assert desk.said() == [(1, "digest", 39.0)]
    walk(desk, 101.0, 99.0, 101.0, start=61)
    assert desk.said() == [(1, "fired", 63.0)]


def test_deliveries_wait_for_the_end_of_quiet_hours_and_the_feed_does_not() -> None:
    desk = Desk()
    desk.engine.arm(above(1, quiet={"from": "00:00", "to": "23:59", "zone": "UTC"}, channels=["email"]))
    desk.engine.arm(above(2, channels=["email"]))
    walk(desk, 99.0, 101.0)
    waiting, prompt = desk.signals()
    day = 86_400 * S
    assert waiting.not_before == place(1) // day * day + (24 * 60 - 1) * MINUTE
    assert prompt.not_before == 0
