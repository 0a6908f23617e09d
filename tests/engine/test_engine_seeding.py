"""Indicators begun with stored bars are those that had been followed all along."""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

import pytest

from pricewatch.domain.market import Candle, Trade
from pricewatch.domain.time import DAY, HOUR
from pricewatch.engine.seeding import Stretch, Want, add, indicators, stretches
from pricewatch.rules.base import Feature
from pricewatch.rules.document import parse
from pricewatch.testing.desk import BTC, BTC2, MINUTE, OFFSET, T0, Desk, S, above, active

RSI = {"type": "rsi", "period": 3, "level": 60, "direction": "above", "bar": "1m"}
EVERY: list[dict[str, Any]] = [
    RSI,
    {"type": "bollinger", "period": 4, "deviations": "1.2", "bar": "5m"},
    {"type": "macd", "fast": 2, "slow": 3, "signal": 2, "direction": "up", "bar": "1m"},
    {"type": "moving_average", "fast": 2, "slow": 4, "direction": "up", "bar": "1m"},
    {"type": "moving_average", "mean": "sma", "fast": 2, "slow": 4, "direction": "down", "bar": "5m"},
]


def feature(when: dict[str, Any]) -> Feature:
    (found,) = indicators(active(1, when).rule)
    return found


def walk(seed: int, count: int = 600) -> list[Trade]:
    """Prices of hours that begin on a day, with minutes left out."""
    rng, price, at, found = random.Random(seed), 100.0, T0 - T0 % DAY, []
    for number in range(1, count + 1):
        at += rng.choice([1, 9, 20, 45, 130]) * S
        price = round(price + rng.gauss(0, 0.4), 2)
        found.append(Trade(1, at, price, 1.0, 0, number, at, 0))
    return found


def minutes(trades: list[Trade]) -> list[Candle]:
    found: dict[int, Candle] = {}
    for one in trades:
        start = one.at - one.at % MINUTE
        found[start] = Candle(1, start, 0.0, 0.0, 0.0, one.price, 0.0)
    return list(found.values())


def between(candles: list[Candle], want: Want, at: int) -> list[tuple[int, float]]:
    closes: list[tuple[int, float]] = []
    for _, start, end in stretches(want, at):
        add(want, closes, [one for one in candles if start <= one.at < end])
    return closes


@pytest.mark.parametrize("when", EVERY, ids=lambda when: f"{when['type']}-{when['bar']}")
@pytest.mark.parametrize("evaluate", ["tick", "close"])
def test_a_rule_armed_late_says_from_there_on_what_one_says_that_was_there_from_the_start(
    when: dict[str, Any], evaluate: str
) -> None:
    trades = walk(5)
    early, late = Desk(), Desk()
    want = Want(1, feature(when))
    begin = stretches(want, trades[400].at)[0].start
    early.engine.arm(active(2, when, evaluate=evaluate))
    for number, trade in enumerate(trades):
        if number == 401:
            for desk in (early, late):
                desk.signals()
                desk.engine.advance(OFFSET + trades[400].at)
            rule = active(1, when, evaluate=evaluate, effective=OFFSET + trades[400].at)
            assert late.engine.seeding.wants(rule.rule) == [want]
            late.engine.arm(rule)
            early.engine.arm(rule)
            late.engine.seeding.give(want, between(minutes(trades[:401]), want, trades[400].at))
        for desk in (early, late):
            if desk is late or trade.at >= begin:
                desk.engine.trade(trade, OFFSET + trade.at)
    wanted = [(s.id, s.evidence) for s in early.signals() if s.rule_id == uuid.UUID(int=1)]
    got = [(s.id, s.evidence) for s in late.signals()]
    assert [one for one, _ in got] == [one for one, _ in wanted]
    assert got
    assert [one["value"] for _, one in got] == [one["value"] for _, one in wanted]  # to the last bit


def test_it_begins_at_a_multiple_of_its_reach() -> None:
    want = Want(1, feature(RSI))
    reach = 20 * 3 * MINUTE
    at = 100 * reach + 7 * MINUTE + 30 * S
    assert stretches(want, at) == [Stretch(MINUTE, 99 * reach, 100 * reach + 7 * MINUTE)]
    assert stretches(want, at + reach - 8 * MINUTE)[0].start == 99 * reach


def test_coarse_bars_are_read_from_hours_and_the_last_ones_from_minutes() -> None:
    want = Want(1, feature({**RSI, "bar": "4h"}))
    at = 2_000 * DAY + 6 * HOUR + 7 * MINUTE + 30 * S
    hours, rest = stretches(want, at)
    assert hours.start % (60 * 4 * HOUR) == 0
    assert (hours.span, hours.end) == (HOUR, 2_000 * DAY + 6 * HOUR)
    assert rest == Stretch(MINUTE, hours.end, at - 30 * S)


def test_what_is_read_has_bounds() -> None:
    at = 20_000 * DAY + 7 * MINUTE
    (fine,) = stretches(Want(1, feature({**RSI, "bar": "30m", "period": 500})), at)
    assert fine.start == at - 7 * MINUTE - 31 * DAY
    hours, _ = stretches(Want(1, feature({**RSI, "bar": "1d", "period": 500})), at)
    assert hours.start == 20_000 * DAY - 800 * DAY
    assert stretches(Want(1, feature(RSI)), MINUTE)[0].start == 0


def test_who_wants_a_past() -> None:
    desk = Desk(BTC, BTC2)
    rule = active(1, {"type": "or", "of": [RSI, {"type": "above", "level": "5"}]})
    assert desk.engine.seeding.wants(rule.rule) == []  # nothing has traded
    desk.trade(0, 100.0)
    want = Want(1, feature(RSI))
    assert desk.engine.seeding.wants(rule.rule) == [want]
    assert desk.engine.seeding.wants(above(2).rule) == []
    assert desk.engine.seeding.wants(active(3, RSI, symbols=["ETH-USD"]).rule) == []
    assert desk.engine.seeding.at(1) == T0
    desk.engine.arm(rule)
    assert desk.engine.seeding.wants(rule.rule) == []
    assert desk.engine.seeding.missing() == [want, Want(2, want.feature)]
    desk.trade(1, 100.0)
    assert desk.engine.seeding.missing() == [Want(2, want.feature)]


def test_venues_that_must_agree_want_one_each() -> None:
    desk = Desk(BTC, BTC2)
    desk.trade(0, 100.0)
    desk.trade(0, 100.0, market=2)
    document = {"title": "x", "symbols": "*", "venues": {"at_least": 2}, "when": RSI}
    wanted = desk.engine.seeding.wants(parse(json.dumps(document).encode()))
    assert wanted == [Want(1, feature(RSI)), Want(2, feature(RSI))]


def test_what_has_begun_or_is_followed_by_nobody_is_left_alone() -> None:
    desk = Desk()
    want = Want(1, feature(RSI))
    desk.trade(0, 100.0)
    desk.engine.seeding.give(want, [(T0 - 60 * S, 99.0)])
    desk.engine.arm(active(1, RSI))
    desk.engine.arm(active(2, {"type": "trailing", "percent": "5"}))
    desk.engine.seeding.give(Want(1, Feature("price")), [])
    desk.trade(1, 100.0)
    desk.engine.seeding.give(want, [(T0 - 600 * S, 99.0)])
    (bars,) = desk.engine._markets[1].indicators().values()
    assert bars[2] == 0  # no bar has closed


def test_without_any_past_it_begins_with_the_last_trade() -> None:
    desk = Desk()
    desk.engine.arm(active(1, RSI))
    desk.engine.seeding.give(Want(1, feature(RSI)), [])
    assert desk.engine.seeding.missing() == [Want(1, feature(RSI))]
    other = Desk()
    other.trade(0, 100.0)
    other.engine.arm(active(1, RSI))
    other.engine.seeding.give(Want(1, feature(RSI)), [])
    assert other.engine.seeding.missing() == []


def test_it_never_fires_at_arming() -> None:
    desk = Desk()
    closes = [(T0 + (number - 20) * MINUTE, 100.0 + number) for number in range(20)]
    desk.trade(0, 130.0)
    desk.engine.arm(active(1, RSI, effective=OFFSET + T0))
    desk.engine.seeding.give(Want(1, feature(RSI)), closes)
    desk.trade(1, 131.0)
    assert desk.signals() == []
    desk.trade(70, 90.0)
    desk.trade(140, 150.0)
    assert [direction for _, direction, _ in desk.said()] == ["fired"]
