"""What a rule would fire while it is paused for firing too often reaches its owner as one digest an interval."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from pricewatch.domain.rule import Order, Phase, RuleCommand, RuleState
from pricewatch.domain.signal import Direction, Signal
from pricewatch.engine.state import ActiveRule
from pricewatch.testing.desk import BTC, BTC2, ETH, OFFSET, OWNER, T0, Desk, S, above, active

TIRED: dict[str, Any] = {"most_per_hour": 1, "digest": "60s", "channels": ["email"]}


def place(second: float) -> int:
    return OFFSET + T0 + round(second * S)


def tell(desk: Desk, order: Order, second: float, *, until: float = 0) -> None:
    moment = place(until) if until else 0
    desk.engine.command(RuleCommand(uuid.UUID(int=1), OWNER, 1, order, moment, 0), place(second))


def flutter(desk: Desk, start: float, *highs: float, market: int = 1) -> None:
    """A crossing a second apart each, and back half a second later."""
    for number, high in enumerate(highs):
        desk.trade(start + number, high, market=market)
        desk.trade(start + number + 0.5, 99.0, market=market)


def tired(*markets: Any, **policy: Any) -> Desk:
    """A rule that was paused at second 2."""
    desk = Desk(*markets)
    desk.engine.arm(above(1, **{**TIRED, **policy}))
    desk.trade(0, 99.0)
    flutter(desk, 1, 101.0, 101.0)
    assert [s.direction.value for s in desk.signals()] == ["fired", "cleared", "paused"]
    return desk


def again(desk: Desk, rule: ActiveRule, states: dict[int, RuleState], second: float) -> Desk:
    """A process that starts with what was stored, and has read the last trade again."""
    other = Desk()
    other.engine.arm(rule, states)
    other.key = desk.key - 1
    other.trade(second, 99.0, evaluate=False)
    return other


def test_what_is_kept_back_is_told_once_with_count_times_and_prices() -> None:
    desk = tired()
    flutter(desk, 10, 103.0, 105.0, 102.0)
    assert desk.signals() == []
    desk.trade(61.9, 99.0)
    assert desk.signals() == []
    desk.trade(62, 99.0)
    (told,) = desk.signals()
    assert (told.direction, told.cause, told.at) == (Direction.DIGEST, f"timer:{T0 + 62 * S}", T0 + 62 * S)
    assert (told.since, told.price, told.channels, told.model) == (T0 + 10 * S, 102.0, ("email",), None)
    assert told.evidence == {
        "v": 1, "count": 3, "low": "102", "high": "105", "since": T0 + 2 * S,
        "first": {"at": T0 + 10 * S, "price": "103"}, "last": {"at": T0 + 12 * S, "price": "102"},
    }  # fmt: skip
    desk.trade(500, 99.0)
    assert desk.signals() == []  # nothing was kept back since


def test_one_an_interval_and_none_without_anything_to_tell() -> None:
    desk = tired()
    for second in range(10, 400):
        flutter(desk, second, 101.0)
    desk.trade(1_000, 99.0)
    told = [s for s in desk.signals() if s.direction is Direction.DIGEST]
    assert [(s.at - T0) / S for s in told] == [62, 122, 182, 242, 302, 362, 422]
    assert sum(s.evidence["count"] for s in told) == 390
    assert {a.evidence["since"] == b.at for a, b in zip(told[1:], told, strict=False)} == {True}


def test_without_trades_the_order_brings_it_and_a_blind_market_waits() -> None:
    desk = tired()
    flutter(desk, 10, 101.0)
    desk.engine.hold(1)
    desk.advance(100)
    assert desk.signals() == []
    desk.engine.release(1)
    desk.advance(100)
    assert desk.said() == [(1, "digest", 62.0)]


def test_each_market_has_its_own() -> None:
    desk = tired(BTC, ETH)
    desk.trade(3, 99.0, market=3)
    flutter(desk, 4, 101.0, 101.0, 101.0, market=3)
    flutter(desk, 20, 101.0)
    desk.advance(100)
    told = [s for s in desk.signals() if s.direction is Direction.DIGEST]
    assert [(s.scope, s.evidence["count"], (s.at - T0) / S) for s in told] == [
        ("coinbase:BTC-USD", 1, 62), ("kraken:ETH-USD", 1, 65),
    ]  # fmt: skip


def test_resuming_tells_the_rest_and_the_rule_speaks_again() -> None:
    desk = tired()
    flutter(desk, 10, 101.0, 102.0)
    tell(desk, Order.RESUME, 20)
    (told,) = desk.signals()
    assert (told.direction, told.cause, told.seen) == (Direction.DIGEST, f"timer:{place(20)}", place(20))
    assert (told.at, told.evidence["count"]) == (T0 + round(11.5 * S), 2)
    assert desk.engine.transitions == []
    desk.trade(21, 99.0)
    flutter(desk, 22, 101.0)
    desk.advance(500)
    assert [direction for _, direction, _ in desk.said()] == ["fired", "cleared"]


def test_resuming_a_pause_that_kept_nothing_back_says_nothing() -> None:
    desk = tired()
    tell(desk, Order.RESUME, 20)
    assert desk.signals() == []
    desk.trade(21, 99.0)
    flutter(desk, 22, 101.0)
    assert [direction for _, direction, _ in desk.said()] == ["fired", "cleared"]


def test_an_owner_who_pauses_or_snoozes_it_gets_the_rest_first() -> None:
    for order in (Order.PAUSE, Order.SNOOZE):
        desk = tired()
        flutter(desk, 10, 101.0)
        tell(desk, order, 20, until=30)
        assert [direction for _, direction, _ in desk.said()] == ["digest"]
        flutter(desk, 21, 101.0)
        desk.advance(400)
        assert desk.said() == []


def test_a_rule_that_expires_tells_the_rest_before_its_end() -> None:
    end = "2023-11-14T22:14:40Z"  # 40 s after T0
    desk = Desk()
    desk.engine.arm(above(1, expires=end, warn="0s", **TIRED))
    for second, price in enumerate([99.0, 101.0, 99.0, 101.0, 99.0, 101.0]):
        desk.trade(second, price, seen=second - OFFSET / S)
    desk.advance(60 - OFFSET / S)
    assert [s.direction.value for s in desk.signals()][-3:] == ["paused", "digest", "expired"]


def test_an_edit_tells_the_rest_for_the_version_that_kept_it() -> None:
    desk = tired()
    flutter(desk, 10, 101.0)
    desk.engine.arm(above(1, 102, version=2, effective=place(20), **TIRED))
    (told,) = desk.signals()
    assert (told.direction, told.rule_version, told.seen) == (Direction.DIGEST, 1, place(20))
    desk.advance(200)
    assert desk.said() == []


def test_an_edit_of_who_is_told_goes_on_counting() -> None:
    desk = tired()
    flutter(desk, 10, 101.0)
    desk.engine.arm(above(1, version=2, effective=place(20), **{**TIRED, "channels": []}))
    flutter(desk, 21, 104.0)
    desk.advance(200)
    (told,) = desk.signals()
    assert (told.rule_version, told.channels, told.evidence["count"]) == (2, (), 2)


def test_what_leaves_the_watch_is_told_of_what_it_kept_back() -> None:
    desk = tired(BTC, ETH)
    flutter(desk, 10, 101.0)
    rule = above(1, **TIRED)
    desk.engine.arm(msgspec.structs.replace(rule, rule=msgspec.structs.replace(rule.rule, symbols=("ETH-USD",))))
    assert [(s.direction, s.scope) for s in desk.signals()] == [(Direction.DIGEST, "coinbase:BTC-USD")]


def test_a_restart_tells_it_at_the_same_time_under_the_same_id() -> None:
    def told(*, restarted: bool) -> list[Signal]:
        desk = tired()
        flutter(desk, 10, 103.0, 104.0)
        if restarted:
            states = {1: desk.engine.transitions[-1].row.state}
            desk = again(desk, above(1, **TIRED), states, 11.5)
        flutter(desk, 30, 105.0)
        desk.trade(70, 99.0)
        return desk.signals()

    assert told(restarted=True) == told(restarted=False)
    assert [s.evidence["count"] for s in told(restarted=True)] == [3]


def test_rules_stored_as_paused_before_there_were_digests_count_from_the_start_on() -> None:
    desk = Desk()
    desk.engine.arm(above(1, **TIRED), {1: RuleState(phase=Phase.PAUSED, armed=True, since=T0, fired=1)})
    desk.trade(0, 99.0)
    flutter(desk, 1, 101.0, 101.0)
    desk.advance(100)
    (told,) = desk.signals()
    assert (told.direction, told.evidence["count"]) == (Direction.DIGEST, 2)


def test_a_rule_on_several_venues_keeps_back_as_a_whole() -> None:
    desk = Desk(BTC, BTC2)
    rule = active(1, {"type": "divergence", "percent": "1"}, **TIRED)
    desk.engine.arm(rule)
    for second in range(0, 12, 2):
        desk.trade(second, 100.0)
        desk.trade(second + 0.1, 100.0 if second % 4 else 103.0, market=2)
    desk.advance(100)
    (told,) = [s for s in desk.signals() if s.direction is Direction.DIGEST]
    assert (told.scope, told.evidence["count"]) == ("BTC-USD", 1)


def test_a_rule_on_quotes_keeps_back_the_quoted_price() -> None:
    desk = Desk()
    desk.engine.arm(active(1, {"type": "above", "level": "100", "source": "bid"}, **TIRED))
    desk.trade(0, 50.0)
    for second, bid in enumerate([99.0, 101.0, 99.0, 101.0, 99.0, 104.0, 99.0, 105.0], 1):
        desk.quote(second, bid, bid + 1)
    desk.advance(100)
    (told,) = [s for s in desk.signals() if s.direction is Direction.DIGEST]
    assert (told.evidence["first"]["price"], told.evidence["last"]["price"]) == ("104", "105")


def test_a_fire_due_at_the_very_instant_belongs_into_it() -> None:
    desk = Desk()
    desk.engine.arm(above(1, hold="2s", **{**TIRED, "digest": "10s"}))
    desk.trade(0, 99.0)
    for second in (1, 5, 9):  # fires at 3, is paused at 7, keeps back at 11
        desk.trade(second, 101.0)
        desk.trade(second + 3, 99.0)
    desk.trade(15, 101.0)
    desk.trade(17, 101.0)
    told = desk.signals()[-1]
    assert (told.direction, told.at, told.evidence["count"]) == (Direction.DIGEST, T0 + 17 * S, 2)
