"""Indicators against their definitions, bars' ends, and both over a restart."""

from __future__ import annotations

import itertools
import math
import random
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricewatch.domain.model import Snapshot
from pricewatch.domain.rule import RuleState
from pricewatch.engine.gauges.indicator import STUDIES, Indicator
from pricewatch.engine.gauges.studies import Deviation
from pricewatch.rules.base import Feature
from pricewatch.testing.desk import BTC, MINUTE, OFFSET, T0, Desk, S, active

CLOSES = st.lists(st.integers(50, 150).map(float), min_size=1, max_size=40)


def sma(closes: list[float], period: int) -> float:
    return sum(closes[-period:]) / period if len(closes) >= period else math.nan


def smooth(values: list[float], period: int, alpha: float) -> float:
    if len(values) < period:
        return math.nan
    mean = sum(values[:period]) / period
    for value in values[period:]:
        mean += alpha * (value - mean)
    return mean


def ema(closes: list[float], period: int) -> float:
    return smooth(closes, period, 2 / (period + 1))


def rsi(closes: list[float], period: int) -> float:
    moves = [b - a for a, b in itertools.pairwise(closes)]
    gain = smooth([max(move, 0.0) for move in moves], period, 1 / period)
    loss = smooth([max(-move, 0.0) for move in moves], period, 1 / period)
    return 100 * gain / (gain + loss) if gain + loss > 0 else math.nan


def bollinger(closes: list[float], period: int) -> float:
    if len(closes) < period:
        return math.nan
    some = closes[-period:]
    mean = sum(some) / period
    spread = math.sqrt(sum((one - mean) ** 2 for one in some) / period)
    return (closes[-1] - mean) / spread if spread > 1e-9 else math.nan


def macd(closes: list[float], fast: int, slow: int, signal: int) -> float:
    lines = [ema(closes[:n], fast) - ema(closes[:n], slow) for n in range(1, len(closes) + 1)]
    known = [line for line in lines if not math.isnan(line)]
    return 100 * (lines[-1] - ema(known, signal)) / closes[-1] if known else math.nan


def distance(mean: Any, closes: list[float], fast: int, slow: int) -> float:
    return float(100 * (mean(closes, fast) / mean(closes, slow) - 1))


@pytest.mark.parametrize(
    ("name", "periods", "wanted"),
    [
        ("sma_cross", (2, 5), lambda closes: distance(sma, closes, 2, 5)),
        ("ema_cross", (3, 7), lambda closes: distance(ema, closes, 3, 7)),
        ("rsi", (4,), lambda closes: rsi(closes, 4)),
        ("bollinger", (6,), lambda closes: bollinger(closes, 6)),
        ("macd", (3, 6, 4), lambda closes: macd(closes, 3, 6, 4)),
    ],
)
@given(closes=CLOSES)
def test_studies_follow_their_definitions_and_survive_being_saved(
    name: str, periods: tuple[int, ...], wanted: Any, closes: list[float]
) -> None:
    study = STUDIES[name](*periods)
    for number, close in enumerate(closes, start=1):
        assert study.peek(close) == pytest.approx(wanted(closes[:number]), abs=1e-7, nan_ok=True)
        assert study.peek(close) == pytest.approx(study.peek(close), abs=0, nan_ok=True)
        study.push(close)
        again = STUDIES[name](*periods)
        again.load(msgspec.msgpack.decode(msgspec.msgpack.encode(study.save())))
        study = again


def test_bars_are_closed_by_the_first_trade_beyond_and_empty_ones_left_out() -> None:
    gauge = Indicator(Feature("bollinger/either", spec=(MINUTE, 3)))
    empty = Indicator(Feature("bollinger/lower", spec=(MINUTE, 3)))
    empty.load(gauge.save())
    assert math.isnan(empty.number())
    for at, price in ((0, 100.0), (30, 101.0), (59, 102.0), (60, 90.0), (300, 104.0)):
        gauge.trade(T0 + at * S, price, 1.0)
    gauge.late(T0, 500.0, 1.0)
    assert gauge.bars == 2
    assert gauge.number() == pytest.approx(abs(bollinger([102.0, 90.0, 104.0], 3)))
    assert gauge.facts() == {"bar": 60.0, "bars": 2, "close": "104"}
    upper = Indicator(Feature("bollinger/upper", spec=(MINUTE, 2)))
    lower = Indicator(Feature("bollinger/lower", spec=(MINUTE, 2)))
    for at, price in ((0, 100.0), (60, 90.0)):
        upper.trade(T0 + at * S, price, 1.0)
        lower.trade(T0 + at * S, price, 1.0)
    assert (upper.number(), lower.number()) == (-1.0, 1.0)


def bars(desk: Desk, *closes: float, start: int = 0) -> None:
    for minute, close in enumerate(closes, start=start):
        desk.trade(60 * minute + 10, close)


CROSS = {"type": "moving_average", "mean": "sma", "fast": 2, "slow": 3, "direction": "up", "bar": "1m"}


def test_a_fast_mean_crosses_a_slow_one() -> None:
    desk = Desk()
    desk.engine.arm(active(1, CROSS))
    bars(desk, 100, 99, 98, 97, 100, 90, 100, 110)
    fired, again = desk.signals()
    assert (fired.at, again.at) == (T0 + 250 * S, T0 + 430 * S)
    assert fired.evidence["feature"] == "sma_cross"
    assert {"mean": "sma", "fast": 2, "slow": 3, "bar": 60.0, "clear": -0.01, "direction": "up"}.items() <= (
        fired.evidence.items()
    )
    assert (fired.evidence["bars"], fired.evidence["close"]) == (4, "100")


@pytest.mark.parametrize(
    ("when", "kind"),
    [
        ({"type": "rsi", "level": 60, "direction": "above", "period": 2}, "rsi"),
        ({"type": "rsi", "level": "40", "direction": "below", "period": 2}, "rsi"),
        ({"type": "bollinger", "period": 3, "deviations": "1.2", "side": "upper"}, "bollinger"),
        ({"type": "macd", "fast": 2, "slow": 3, "signal": 2, "direction": "down"}, "macd"),
        ({**CROSS, "direction": "down", "mean": "ema"}, "moving_average"),
    ],
)
def test_every_indicator_fires(when: dict[str, Any], kind: str) -> None:
    desk = Desk()
    desk.engine.arm(active(1, when))
    bars(desk, *[100, 101, 99, 100, 101, 106, 112, 100, 92, 90, 95, 107, 109, 100, 90, 80])
    told = desk.signals()
    assert {signal.kind for signal in told} == {kind}
    assert told[0].evidence["bar"] == 60.0


class TestBars:
    """`evaluate`: at every trade, once a bar, or where bars end."""

    def test_at_the_close_only_the_last_price_counts(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, {"type": "above", "level": "100"}, evaluate="close"))
        desk.engine.arm(active(2, {"type": "crosses", "level": "100", "direction": "up"}, evaluate="close", bar="5m"))
        for at, price in ((0, 99), (20, 105), (59, 99), (70, 105), (80, 101), (125, 99), (190, 99), (290, 101)):
            desk.trade(at, price)
        assert desk.said() == [(1, "fired", 120.0), (1, "cleared", 180.0)]
        desk.trade(300, 99)
        (one,) = desk.signals()
        assert (one.rule_id.int, one.cause, one.at, one.price) == (1, f"bar:{T0 + 300 * S}", T0 + 300 * S, 101.0)
        desk.trade(500, 101)
        desk.trade(700, 101)
        assert desk.said() == [(1, "cleared", 360.0), (1, "fired", 540.0), (2, "fired", 660.0)]

    def test_what_is_true_at_the_first_close_is_silent(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, {"type": "above", "level": "100"}, evaluate="close"))
        bars(desk, 101, 101, 99, 101, 101)
        assert desk.said() == [(1, "fired", 240.0)]

    def test_a_bar_ends_without_further_trades_once_late_ones_cannot_come(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, {"type": "above", "level": "100"}, evaluate="close"))
        bars(desk, 99, 101)
        desk.trade(119.5, 102, seen=119.5)
        desk.trade(119, 50, seen=120.2)
        desk.advance(120.9)
        assert desk.said() == []
        desk.advance(121)
        (fired,) = desk.signals()
        assert (fired.at, fired.seen, fired.price) == (T0 + 120 * S, OFFSET + T0 + 121 * S, 102.0)

    def test_a_blind_market_ends_no_bar_until_it_is_seen(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, {"type": "above", "level": "100"}, evaluate="close"))
        bars(desk, 99, 101)
        desk.engine.hold(1)
        desk.advance(130)
        assert desk.said() == []
        desk.engine.release(1)
        desk.advance(131)
        assert desk.said() == [(1, "fired", 120.0)]

    def test_once_a_bar(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, {"type": "above", "level": "100"}, evaluate="bar"))
        for at, price in ((0, 99), (1, 101), (2, 99), (3, 101), (4, 99), (61, 99), (62, 101), (63, 99), (64, 101)):
            desk.trade(at, price)
        desk.trade(125, 101)
        assert [(direction, at) for _, direction, at in desk.said()] == [
            ("fired", 1.0), ("cleared", 2.0), ("fired", 62.0), ("cleared", 63.0), ("fired", 120.0),
        ]  # fmt: skip

    def test_windows_and_groups_may_look_at_closes_too(self) -> None:
        desk = Desk()
        moved = {"type": "change", "window": "1m", "percent": "2%"}
        desk.engine.arm(active(1, {"type": "and", "of": [moved, {"type": "above", "level": "100"}]}, evaluate="close"))
        bars(desk, 99, 99, 102, 103, 103)
        assert desk.said() == [(1, "fired", 180.0), (1, "cleared", 240.0)]
        desk.engine.disarm(uuid.UUID(int=1))
        market = desk.engine._markets[1]
        assert (len(market.indexes), market.closings, market.series.windows) == (1, {}, [])

    def test_numbers_with_other_readers_stay(self) -> None:
        desk = Desk()
        moved = {"type": "change", "window": "1m", "percent": "2%"}
        for number, how in enumerate(["close", "tick", "close"], start=1):
            desk.engine.arm(active(number, moved, evaluate=how))
        bars(desk, 99, 99)
        desk.engine.disarm(uuid.UUID(int=1))
        desk.engine.disarm(uuid.UUID(int=2))
        bars(desk, 102, 102, start=2)
        assert desk.said() == [(3, "fired", 180.0)]
        desk.engine.disarm(uuid.UUID(int=3))
        assert len(desk.engine._markets[1].indexes) == 1

    def test_silence_counts_between_bars(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, {"type": "above", "level": "100"}, evaluate="close", nodata={"after": "5m"}))
        desk.engine.arm(active(2, {"type": "above", "level": "100"}, evaluate="close", bar="5m"))
        bars(desk, 99, 99)
        desk.advance(400)
        assert desk.said() == [(1, "fired", 370.0)]


RULES: list[dict[str, Any]] = [
    CROSS,
    {**CROSS, "mean": "ema", "direction": "down", "bar": "5m"},
    {"type": "rsi", "level": 55, "direction": "above", "period": 3},
    {"type": "bollinger", "period": 4, "deviations": 1.3},
    {"type": "macd", "fast": 2, "slow": 4, "signal": 3, "direction": "up"},
    {"type": "above", "level": "100"},
    {"type": "and", "of": [{"type": "above", "level": "100"}, {"type": "rsi", "level": 50, "direction": "above"}]},
    {"type": "change", "window": "2m", "percent": "0.5%", "direction": "either"},
    {"type": "crosses", "level": "100", "direction": "down"},
]


def armed() -> Desk:
    desk = Desk(BTC)
    number = 0
    for how in ("tick", "close", "bar"):
        for when in RULES:
            number += 1
            desk.engine.arm(active(number, when, evaluate=how, hold="0s" if number % 2 else "20s"))
    return desk


def path(count: int) -> list[tuple[float, float]]:
    rng, price, at, out = random.Random(11), 100.0, 0.0, []
    for _ in range(count):
        price = round(price * math.exp(rng.gauss(0.0, 2e-3)), 2)
        at += rng.choice([1.0, 5.0, 20.0, 20.0, 150.0])
        out.append((at - (0.4 if rng.random() < 0.05 else 0.0), price))
    return out


def feed(desk: Desk, ticks: list[tuple[float, float]], first: int, **how: Any) -> None:
    for number, (at, price) in enumerate(ticks, start=first):
        desk.key = number
        desk.trade(at, price, **how)


@pytest.mark.parametrize("cut", [2, 97, 201, 340])
@pytest.mark.parametrize("back", [0, 30])
def test_a_restart_changes_nothing(cut: int, back: int) -> None:
    ticks = path(400)
    whole = armed()
    feed(whole, ticks, 1)
    before = armed()
    taken = max(cut - back, 1)
    feed(before, ticks[:taken], 1)
    saved = before.engine.snapshot(1)
    feed(before, ticks[taken:cut], taken + 1)
    states: dict[uuid.UUID, dict[int, RuleState]] = {}
    parts: dict[uuid.UUID, dict[int, bytes]] = {}
    for transition in before.engine.transitions:
        row = transition.row
        states.setdefault(row.rule_id, {})[row.market] = row.state
        parts.setdefault(row.rule_id, {})[row.market] = row.parts

    after = Desk(BTC)
    assert [after.engine.restore(one) for one in saved] == [one.model != "indicators" for one in saved]
    number = 0
    for how in ("tick", "close", "bar"):
        for when in RULES:
            number += 1
            rule = active(number, when, evaluate=how, hold="0s" if number % 2 else "20s")
            after.engine.arm(rule, states.get(rule.id, {}), parts=parts.get(rule.id))
    feed(after, ticks[:cut], 1, evaluate=False)
    assert after.engine.transitions == []
    feed(after, ticks[cut:], cut + 1)
    stitched = before.engine.transitions + after.engine.transitions
    told = [transition.signal for transition in stitched if transition.signal]
    assert told == [transition.signal for transition in whole.engine.transitions if transition.signal]
    assert len(told) > 200


def test_what_was_saved_at_another_place_is_not_taken_up() -> None:
    one = Desk(BTC)
    one.engine.arm(active(1, CROSS))
    bars(one, 100, 99, 98)
    (indicators, opened) = one.engine.snapshot(1)
    old = Snapshot(1, "indicators", 1, indicators.seen - 1, indicators.payload)
    two = Desk(BTC)
    assert not two.engine.restore(old)
    assert not two.engine.restore(msgspec.structs.replace(indicators, schema=2))
    assert two.engine.restore(opened)
    two.engine.arm(active(1, CROSS))
    two.engine.arm(active(2, CROSS))
    (followed,) = two.engine._markets[1].gauges
    assert isinstance(followed.gauge, Indicator)
    assert (followed.gauge.bars, followed.after) == (0, 0)
    assert not two.engine.restore(indicators)
    two.engine.arm(active(3, {**CROSS, "slow": 5}))
    assert two.engine._markets[1].gauges[-1].after == 0


def test_a_price_that_never_moved_has_no_deviation() -> None:
    study = Deviation(3)
    for _ in range(5):
        study.push(100.0)
    assert math.isnan(study.peek(100.0))
    assert study.peek(101.0) > 0


@pytest.mark.parametrize("others", [False, True])
def test_a_rule_that_saw_no_trade_of_a_bar_does_not_look_at_its_end_whoever_else_does(others: bool) -> None:
    desk, when = Desk(), {"type": "above", "level": "100"}
    if others:
        desk.engine.arm(active(2, when, evaluate="close"))
    desk.trade(0, 99.0)
    desk.engine.arm(active(1, when, evaluate="close", effective=OFFSET + T0 + 30 * S))
    for second, price in ((70, 101.0), (130, 101.0), (190, 99.0), (250, 101.0), (310, 101.0)):
        desk.trade(second, price)
    assert [(at, way) for rule, way, at in desk.said() if rule == 1] == [(240, "cleared"), (300, "fired")][1:]
