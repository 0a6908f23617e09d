"""One symbol on several venues: agreement and divergence."""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

import msgspec
import pytest

from pricewatch.domain.market import Market
from pricewatch.domain.rule import Order, RuleCommand, RuleState
from pricewatch.domain.signal import Direction, signal_id
from pricewatch.engine.explain import Witness, explain
from pricewatch.engine.span import scope_number
from pricewatch.engine.state import ActiveRule
from pricewatch.rules.document import parse
from pricewatch.testing.desk import BTC, BTC2, ETH, OFFSET, OWNER, T0, Desk, S, active

BTC4 = Market(4, "binance", "BTC-USD", "BTCUSD")
HIGH = {"type": "above", "level": "100"}
LOW = {"type": "below", "level": "90"}


def place(seconds: float) -> int:
    return OFFSET + T0 + round(seconds * S)


def agreed(number: int, when: dict[str, Any], at_least: int = 2, *, of: Any = "any", **options: Any) -> ActiveRule:
    rule = active(number, when, **options)
    from_json = {"title": "t", "symbols": options.get("symbols", "*"), "when": when}
    policy = {name: value for name, value in options.items() if name not in {"symbols", "effective", "version", "hold"}}
    document = from_json | {
        "venues": {"at_least": at_least, "of": of},
        "policy": {"for": options.get("hold", "0s"), **policy},
    }
    return ActiveRule(rule.id, OWNER, rule.version, parse(json.dumps(document).encode()), rule.effective_seen)


def trades(desk: Desk, *ticks: tuple[float, float, int], start: float = 0, **how: Any) -> None:
    for at, price, market in ticks:
        desk.trade(start + at, price, market=market, **how)


def test_it_fires_once_for_the_symbol_when_enough_venues_agree() -> None:
    desk = Desk(BTC, BTC2, BTC4, ETH)
    desk.engine.arm(agreed(1, HIGH, channels=["email"]))
    trades(desk, (0, 99, 1), (1, 99, 2), (2, 99, 4), (3, 101, 1))
    assert desk.said() == []
    trades(desk, (4, 102, 4), (5, 103, 2), (6, 99, 1))
    (fired,) = desk.signals()
    assert (fired.scope, fired.symbol, fired.market, fired.price) == (
        "BTC-USD",
        "BTC-USD",
        scope_number("BTC-USD"),
        102,
    )
    assert (fired.venue, fired.kind, fired.price) == ("binance, coinbase, kraken", "above", 102)
    assert fired.id == signal_id(uuid.UUID(int=1), 1, "BTC-USD", "trade:binance:5", Direction.FIRED)
    assert fired.evidence == {
        "v": 1, "feature": "votes", "price": "102", "value": 2.0, "prior": 1.0, "at_least": 2, "threshold": "100",
        "clear": "99.9", "venues": [
            {"venue": "coinbase", "at": T0 + 3 * S, "price": "101", "counts": True, "holds": True},
            {"venue": "kraken", "at": T0 + 1 * S, "price": "99", "counts": True, "holds": False},
            {"venue": "binance", "at": T0 + 4 * S, "price": "102", "counts": True, "holds": True},
        ],
    }  # fmt: skip
    trades(desk, (7, 99, 2))
    assert desk.said() == [(1, "cleared", 7.0)]


def test_a_venue_whose_last_trade_is_old_does_not_count() -> None:
    desk = Desk(BTC, BTC2, BTC4)
    desk.engine.arm(agreed(1, HIGH))
    trades(desk, (0, 99, 1), (0, 99, 2), (0, 99, 4), (1, 101, 1), (11, 99, 4), (11.1, 101, 2))
    assert desk.said() == []  # the first one is 10.1 s old
    trades(desk, (12, 101, 1), (21.1, 101, 1))
    assert desk.said() == [(1, "fired", 12.0)]
    trades(desk, (21.2, 101, 1))
    assert desk.said() == [(1, "cleared", 21.2)]


def test_only_the_venues_named_are_asked() -> None:
    desk = Desk(BTC, BTC2, BTC4)
    desk.engine.arm(agreed(1, HIGH, of=["coinbase", "kraken"]))
    trades(desk, (0, 99, 1), (0, 99, 2), (0, 99, 4), (1, 101, 1), (2, 101, 4))
    assert desk.said() == []
    trades(desk, (3, 101, 2))
    assert desk.said() == [(1, "fired", 3.0)]


def test_policies_groups_and_pauses_are_as_ever() -> None:
    desk = Desk(BTC, BTC2)
    both = {"type": "and", "of": [HIGH, {"type": "not", "of": LOW}]}
    desk.engine.arm(agreed(1, both, hold="5s", symbols=["BTC-USD"]))
    desk.engine.arm(agreed(2, {"type": "then", "steps": [LOW, HIGH], "within": "1m"}))
    desk.engine.arm(agreed(3, HIGH, nodata={"after": "20s"}))
    trades(desk, (0, 95, 1), (0, 95, 2), (1, 89, 1), (1, 89, 2), (2, 101, 1), (2, 101, 2))
    assert desk.said() == [(2, "fired", 2.0), (3, "fired", 2.0)]
    trades(desk, (8, 101, 2))
    assert desk.said() == [(1, "fired", 7.0)]
    for number in (1, 2, 3):
        desk.engine.command(RuleCommand(uuid.UUID(int=number), OWNER, 1, Order.PAUSE, 0, 0), place(8.5))
    trades(desk, (9, 95, 1), (9, 95, 2))
    for number in (1, 2, 3):
        desk.engine.command(RuleCommand(uuid.UUID(int=number), OWNER, 2, Order.RESUME, 0, 0), place(9.5))
    assert desk.said() == []
    trades(desk, (10, 95, 1), (10, 95, 2))
    assert sorted(desk.said()) == [(1, "cleared", 10.0), (3, "cleared", 10.0)]
    desk.advance(40)
    assert desk.said() == [(3, "fired", 30.0)]
    trades(desk, (41, 95, 1))
    assert desk.said() == [(3, "cleared", 41.0)]


def test_prints_out_of_order_and_other_inputs_count() -> None:
    desk = Desk(BTC, BTC2)
    desk.engine.arm(agreed(1, HIGH))
    desk.engine.arm(agreed(2, {"type": "spread", "percent": "1%"}))
    desk.engine.arm(agreed(3, {"type": "stale", "after": "5s"}))
    trades(desk, (0, 99, 1), (0, 99, 2), (2, 101, 1), (2, 99, 2))
    desk.trade(1.5, 101, market=2, seen=2.1)
    assert desk.said() == [(1, "fired", 2.0)]
    for market in (1, 2):
        desk.quote(3, 99, 99.1, market=market)
        desk.quote(3, 95, 105, market=market)
    assert desk.said() == [(2, "fired", 3.0)]
    desk.advance(9)
    assert desk.said() == [(3, "fired", 7.0)]


def test_a_new_venue_takes_part() -> None:
    desk = Desk(BTC)
    desk.engine.arm(agreed(1, HIGH))
    desk.engine.arm(active(2, {"type": "divergence", "percent": "1%"}))
    trades(desk, (0, 99, 1), (1, 101, 1))
    desk.engine.add_market(BTC2)
    desk.engine.add_market(ETH)
    trades(desk, (2, 101, 1), (3, 99, 2), (4, 101, 2))
    assert sorted(desk.said()) == [(1, "fired", 4.0), (2, "cleared", 4.0), (2, "fired", 3.0)]


def test_what_nobody_watches_costs_nothing() -> None:
    desk = Desk(BTC, BTC2)
    desk.engine.arm(agreed(1, HIGH))
    desk.engine.arm(active(2, {"type": "divergence", "percent": "1%"}))
    desk.engine.arm(active(3, {"type": "divergence", "percent": "1%"}, evaluate="close"))
    trades(desk, (0, 99, 1), (0, 99, 2))
    for number in (1, 2, 3):
        assert desk.engine._markets[1].span is not None
        desk.engine.disarm(uuid.UUID(int=number))
    assert desk.engine._markets[1].span is None
    assert not desk.engine._markets[1].price.members
    assert list(desk.engine._roster.spans) == []


class TestDivergence:
    def test_prices_are_further_apart_than_allowed(self) -> None:
        desk = Desk(BTC, BTC2, BTC4)
        desk.engine.arm(active(1, {"type": "divergence", "percent": "1%"}))
        trades(desk, (0, 100, 1), (1, 101, 2), (2, 101.5, 4))
        (fired,) = desk.signals()
        assert (fired.scope, fired.at, fired.evidence["value"]) == ("BTC-USD", T0 + 2 * S, 1.5)
        assert [venue["price"] for venue in fired.evidence["venues"]] == ["100", "101", "101.5"]
        trades(desk, (3, 100.9, 4))
        assert desk.said() == []
        trades(desk, (4, 100.8, 4), (5, 100.8, 2))
        assert desk.said() == [(1, "cleared", 5.0)]

    def test_old_prices_do_not_count_and_one_is_none(self) -> None:
        desk = Desk(BTC, BTC2)
        desk.engine.arm(active(1, {"type": "divergence", "percent": "1%"}))
        trades(desk, (0, 100, 1), (0, 100, 2), (10.1, 110, 2))
        assert desk.said() == []
        trades(desk, (11, 100, 1))
        assert desk.said() == [(1, "fired", 11.0)]

    def test_venues_may_be_named(self) -> None:
        document = (
            b'{"title": "t", "symbols": "*", "venues": ["coinbase", "kraken"],'
            b' "when": {"type": "divergence", "percent": 1}}'
        )
        desk = Desk(BTC, BTC2, BTC4)
        desk.engine.arm(ActiveRule(uuid.UUID(int=1), OWNER, 1, parse(document), 0))
        trades(desk, (0, 100, 1), (1, 100, 2), (2, 150, 4))
        assert desk.said() == []
        trades(desk, (3, 102, 2))
        assert desk.said() == [(1, "fired", 3.0)]

    def test_it_may_have_to_last_and_be_looked_at_where_bars_end(self) -> None:
        desk = Desk(BTC, BTC2)
        desk.engine.arm(active(1, {"type": "divergence", "percent": "1%"}, hold="5s"))
        desk.engine.arm(active(2, {"type": "divergence", "percent": "1%"}, evaluate="close"))
        trades(desk, (0, 100, 1), (1, 100, 2), (61, 100, 1), (62, 100, 2), (64, 102, 2), (67, 102, 1), (68, 105, 1))
        trades(desk, (114, 105, 1), (115, 102, 2), (125, 105, 1))
        assert desk.said() == [(1, "fired", 73.0), (2, "fired", 120.0)]
        assert desk.engine.longest_window() == 121 * S


RULES: list[dict[str, Any]] = [
    {"type": "above", "level": "100"},
    {"type": "crosses", "level": "100.1", "direction": "up"},
    {"type": "and", "of": [{"type": "above", "level": "99.5"}, {"type": "below", "level": "100.5"}]},
    {
        "type": "then",
        "steps": [{"type": "below", "level": "100"}, {"type": "above", "level": "100"}],
        "within": "20s",
    },
]


def armed(desk: Desk, states: Any = None, parts: Any = None) -> Desk:
    rules = [agreed(n, when, 2, hold="1s" if n > 4 else "0s") for n, when in enumerate(RULES * 2, start=1)]
    rules += [active(20, {"type": "divergence", "percent": "0.4%"}), active(21, RULES[0])]
    for rule in rules:
        desk.engine.arm(rule, (states or {}).get(rule.id, {}), parts=(parts or {}).get(rule.id))
    return desk


def path(count: int) -> list[tuple[float, float, int]]:
    rng, at, out = random.Random(5), 0.0, []
    price = {1: 100.0, 2: 100.0, 4: 100.0}
    for _ in range(count):
        market = rng.choice([1, 1, 2, 4])
        price[market] = round(price[market] + rng.gauss(0.0, 0.15) + 0.1 * (100 - price[market]), 2)
        at += rng.choice([0.0, 0.1, 1.0, 2.0])
        out.append((round(at - (0.3 if rng.random() < 0.05 else 0), 2), price[market], market))
    return out


def feed(desk: Desk, ticks: list[tuple[float, float, int]], first: int, **how: Any) -> None:
    for number, (at, price, market) in enumerate(ticks, start=first):
        desk.key = number
        desk.trade(at, price, market=market, seen=number * 1.3, **how)


@pytest.mark.parametrize("cut", [1, 2, 3, 150, 333])
def test_a_restart_changes_nothing(cut: int) -> None:
    ticks = path(400)
    whole, before = armed(Desk(BTC, BTC2, BTC4)), armed(Desk(BTC, BTC2, BTC4))
    feed(whole, ticks, 1)
    feed(before, ticks[:cut], 1)
    states: dict[uuid.UUID, dict[int, RuleState]] = {}
    parts: dict[uuid.UUID, dict[int, bytes]] = {}
    for transition in before.engine.transitions:
        row = transition.row
        states.setdefault(row.rule_id, {})[row.market] = row.state
        parts.setdefault(row.rule_id, {})[row.market] = row.parts
    after = armed(Desk(BTC, BTC2, BTC4), states, parts)
    feed(after, ticks[:cut], 1, evaluate=False)
    assert after.engine.transitions == []
    feed(after, ticks[cut:], cut + 1)
    stitched = before.engine.transitions + after.engine.transitions
    told = [transition.signal for transition in stitched if transition.signal]
    expected = [transition.signal for transition in whole.engine.transitions if transition.signal]
    assert told == expected
    assert len({signal.rule_id for signal in told}) == 10
    assert len(told) > 100


def test_every_symbol_has_a_number_of_its_own_below_zero() -> None:
    numbers = {scope_number(f"A{number}-USD") for number in range(2_000)}
    assert len(numbers) == 2_000
    assert -(2**31) <= min(numbers) <= max(numbers) < 0


def test_a_market_whose_symbol_is_watched_never_rests() -> None:
    desk = Desk(BTC, BTC2)
    desk.engine.arm(active(2, HIGH))
    trades(desk, (0, 99, 1), (0, 99, 2))
    assert desk.engine.rest(1) is not None
    desk.engine.arm(agreed(1, HIGH))
    trades(desk, (1, 99, 1), (1, 99, 2))
    assert desk.engine.rest(1) is None


def test_agreement_is_counted_again_when_it_is_explained() -> None:
    desk = Desk(BTC, BTC2)
    desk.engine.arm(agreed(1, HIGH))
    trades(desk, (0, 99, 1), (0, 99, 2), (1, 101, 1), (1, 101, 2))
    (fired,) = desk.signals()
    found = explain(fired, Witness())
    assert (found.agrees, found.summary) == (True, "worked out again it agrees: 2 venues agreed, and 2 must")
    venues = [one | {"holds": False} for one in fired.evidence["venues"]]
    spoilt = msgspec.structs.replace(fired, evidence=fired.evidence | {"venues": venues})
    assert explain(spoilt, Witness()).agrees is False


def test_a_divergence_is_worked_out_again_from_its_venues() -> None:
    desk = Desk(BTC, BTC2)
    desk.engine.arm(active(1, {"type": "divergence", "percent": "1%"}))
    trades(desk, (0, 100, 1), (0, 100, 2), (1, 102, 1), (2, 102, 2))
    signals = desk.signals()
    assert [one.direction.value for one in signals] == ["fired", "cleared"]
    assert [explain(one, Witness()).agrees for one in signals] == [True, True]
    alone = [one | {"counts": False} for one in signals[0].evidence["venues"]]
    unknown = msgspec.structs.replace(signals[0], evidence=signals[0].evidence | {"venues": alone})
    assert [check.what for check in explain(unknown, Witness()).checks] == ["verdict"]


def test_a_pause_forgets_what_venues_said() -> None:
    desk = Desk(BTC, BTC2)
    desk.engine.arm(agreed(1, HIGH))
    trades(desk, (0, 99, 1), (1, 99, 2), (2, 101, 1))
    desk.engine.command(RuleCommand(uuid.UUID(int=1), OWNER, 1, Order.PAUSE, 0, 0), place(2.5))
    trades(desk, (3, 101, 2))
    desk.engine.command(RuleCommand(uuid.UUID(int=1), OWNER, 2, Order.RESUME, 0, 0), place(3.5))
    trades(desk, (4, 99, 1), (5, 99, 2), (6, 101, 1))
    assert desk.said() == []
    trades(desk, (7, 101, 2))
    assert desk.said() == [(1, "fired", 7.0)]
