from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from tests.models.made import made

from pricewatch.domain.features import Features
from pricewatch.domain.market import Flag
from pricewatch.domain.model import BarScore, Snapshot
from pricewatch.domain.signal import Signal
from pricewatch.engine.explain import Witness, explain
from pricewatch.engine.minutes import Minutes
from pricewatch.models.bars import BANDS, BANK, NAME, SCHEMAS
from pricewatch.testing.desk import BTC, MINUTE, T0, Desk, S, active

RARE = {"type": "anomaly", "false_alarms": "1/day"}
Tape = list[tuple[float, float]]


def tape(minutes: int, seed: int = 1, *, sigma: float = 1e-3, start: int = 0, price: float = 100.0) -> Tape:
    """Seconds and prices: four trades a minute, that make the bars of a random walk."""
    found: Tape = []
    for number, bar in enumerate(made(minutes, seed, sigma=sigma, price=price, start=T0)):
        at = 60.0 * (start + number)
        found += [
            (at + 2, found[-1][1] if found else price),
            (at + 20, bar.high),
            (at + 40, bar.low),
            (at + 50, bar.close),
        ]
    return found


def run(desk: Desk, trades: Sequence[tuple[float, float]], **how: Any) -> list[Signal]:
    found: list[Signal] = []
    for at, price in trades:
        desk.trade(at, price, **how)
        found += desk.signals()
    return found


def jump(trades: Tape, minutes: int, by: float) -> Tape:
    """The price is that many times as high from the middle of a minute on."""
    return [(at, price * (by if at >= 60 * minutes + 10 else 1.0)) for at, price in trades]


def test_a_stated_rate_fires_once_for_a_cluster_and_says_what_it_saw() -> None:
    desk = Desk(models=True)
    desk.engine.arm(active(1, RARE, clear_signal=True))
    signals = run(desk, jump(tape(900), 800, 1.03))
    late = [one for one in signals if one.at > T0 + 800 * MINUTE]
    fired, cleared = late[:2]
    assert (fired.direction, cleared.direction) == ("fired", "cleared")
    assert fired.at <= T0 + 801 * MINUTE + 3 * S  # the first trade after the minute was closed
    assert T0 + 830 * MINUTE < cleared.at < T0 + 850 * MINUTE
    assert fired.model == NAME
    assert fired.evidence["false_alarms_per_week"] == pytest.approx(7.0)
    assert fired.evidence["alarms_per_week"] < 7.0
    assert fired.evidence["parts"]["range"] > 3.0
    assert fired.evidence["bar"] == T0 + 800 * MINUTE
    for one in (fired, cleared):
        assert explain(one, Witness()).agrees
    spoilt = msgspec.structs.replace(fired, evidence={**fired.evidence, "peak": 2.3})
    assert not explain(spoilt, Witness()).agrees
    unknown = msgspec.structs.replace(
        fired, kind="band", evidence={"v": 1, "feature": "band:either:95%:1", "value": 0.01, "price": "1", "band": None}
    )
    assert not [check for check in explain(unknown, Witness()).checks if check.what != "verdict"]
    assert len(signals) - len(late) <= 2  # about one alarm a day: half a day had passed


def test_nothing_is_known_before_the_models_are_warm() -> None:
    desk = Desk(models=True)
    desk.engine.arm(active(1, RARE, fire_on_arming=True))
    desk.engine.arm(active(2, {"type": "band", "horizon": "1m"}, fire_on_arming=True))
    desk.engine.arm(active(3, {"type": "drift"}))
    assert run(desk, jump(tape(20), 15, 1.5)) == []
    assert desk.engine.failures == 0


def test_without_models_such_rules_are_silent() -> None:
    desk = Desk()
    desk.engine.arm(active(1, RARE))
    desk.engine.arm(active(2, {"type": "band"}))
    assert run(desk, jump(tape(130), 120, 1.5)) == []
    assert desk.engine.features(1) is None
    assert desk.engine.failures == 0
    snapshot = Snapshot(1, BANK, 1, 5, b"")
    assert not desk.engine.restore(snapshot)


def test_a_rare_minute_lifts_the_score_until_the_next() -> None:
    desk = Desk(models=True)
    desk.engine.arm(active(1, {"type": "anomaly", "score": "3.2"}))
    quiet = tape(302)
    at, price = quiet[4 * 300 - 1]
    busy = [(at + number / 20, price) for number in range(1, 100)]  # a hundred trades where there are four
    signals = run(desk, [*quiet[: 4 * 300], *busy, *quiet[4 * 300 :]])
    of_minutes = [one for one in signals if one.model == NAME]
    assert of_minutes
    one = of_minutes[0]
    assert one.evidence["score"] == max(one.evidence["parts"].values())
    assert explain(one, Witness()).agrees
    scores = {bar.at: bar.score for bar in desk.engine.bar_scores}
    minute = one.at - one.at % MINUTE
    assert explain(one, Witness(minute_score=scores.get(minute, one.evidence["score"]))).agrees


@pytest.mark.parametrize(
    ("side", "by", "expected"), [("upper", 1.01, 1), ("lower", 1.01, 0), ("lower", 0.99, 1), ("either", 0.99, 1)]
)
def test_a_price_outside_its_band(side: str, by: float, expected: int) -> None:
    desk = Desk(models=True)
    desk.engine.arm(active(1, {"type": "band", "level": 99, "horizon": "1h", "side": side}))
    quiet = tape(400)
    run(desk, quiet)
    at, price = quiet[-1]
    found = run(desk, [(at + 3, price), (at + 5, price * by**9)])
    assert len(found) == expected
    if found:
        one = found[0]
        assert one.model == NAME
        assert one.evidence["side"] == side
        assert one.evidence["level"] == 0.99
        assert one.evidence["horizon"] == 3_600.0
        assert 0.9 <= one.evidence["coverage"] <= 1.0
        assert one.evidence["band"]["lower"] < price < one.evidence["band"]["upper"]
        assert explain(one, Witness()).agrees


def test_a_band_is_about_its_minute_and_none_after_a_silence() -> None:
    desk = Desk(models=True)
    desk.engine.arm(active(1, {"type": "band", "level": 80, "horizon": "1m"}))
    quiet = tape(200)
    run(desk, quiet)
    index = next(
        index for feature, index in desk.engine._markets[1].indexes.items() if feature.name.startswith("band:")
    )
    last = 60 * 200
    assert not math.isnan(index.x)
    desk.trade(last + 1.5, quiet[-1][1])  # the next minute has begun, and the last one is not closed yet
    assert not math.isnan(index.x)
    desk.trade(last + 61.5, quiet[-1][1])
    desk.advance(last + 500)
    desk.trade(last + 500, quiet[-1][1])  # six minutes later nothing is about the present minute
    assert math.isnan(index.x)
    facts = desk.engine._markets[1].minutes
    assert facts is not None
    assert facts.facts(index.feature, T0 + round((last + 500) * S))["band"] is None


def test_a_timer_looks_at_the_band_that_holds_then() -> None:
    desk = Desk(models=True)
    desk.engine.arm(active(1, {"type": "band", "level": 99, "horizon": "5m"}, hold="30s"))
    quiet = tape(300)
    run(desk, quiet)
    at, price = quiet[-1]
    run(desk, [(at + 4, price * 1.05)])
    desk.advance(at + 40)
    found = desk.signals()
    assert [one.cause for one in found] == [f"timer:{T0 + round((at + 34) * S)}"]


def test_a_market_that_changes_has_drifted() -> None:
    desk = Desk(models=True)
    desk.engine.arm(active(1, {"type": "drift"}))
    calm = tape(1_000)
    wild = tape(150, 2, sigma=8e-3, start=1_000, price=calm[-1][1])
    found = run(desk, calm + wild)
    assert [one.direction for one in found] == ["fired"] * len(found)
    assert found
    assert found[0].evidence["drift"] in {"ranges", "coverage"}
    assert found[0].at > T0 + 1_000 * MINUTE
    assert explain(found[0], Witness()).agrees
    drifts = desk.engine.drifts
    assert len(drifts) == len(found)
    assert drifts[0].market == 1
    assert drifts[0].what == found[0].evidence["drift"]
    assert drifts[0].at <= found[0].at


def outputs(desk: Desk) -> tuple[list[BarScore], Features | None]:
    taken, desk.engine.bar_scores = desk.engine.bar_scores, []
    return taken, desk.engine.features(1)


def mixed(minutes: int) -> Tape:
    """With empty minutes, late prints and a jump."""
    luck = random.Random(9)
    trades = [one for one in jump(tape(minutes, 3), minutes * 3 // 4, 1.02) if luck.random() > 0.3]
    for place in range(5, len(trades) - 5, 40):
        trades[place], trades[place + 1] = trades[place + 1], trades[place]
    return trades


RULES: list[dict[str, Any]] = [
    RARE,
    {"type": "band", "level": 80, "horizon": "1m"},
    {"type": "band", "level": 95, "horizon": "1h", "side": "lower"},
    {"type": "drift"},
    {"type": "anomaly", "score": "3"},
]


def armed(*, effective: int = 0) -> Desk:
    desk = Desk(models=True)
    for number, when in enumerate(RULES, 1):
        desk.engine.arm(active(number, when, effective=effective))
    return desk


def test_calls_of_advance_change_nothing() -> None:
    trades = mixed(400)
    one, other = armed(), armed()
    said = run(one, trades)
    again: list[Signal] = []
    for number, (at, price) in enumerate(trades):
        if number % 3 == 0:
            other.advance(at - 0.001)
        other.trade(at, price)
        again += other.signals()
    assert [msgspec.structs.replace(signal, received=0) for signal in again] == [
        msgspec.structs.replace(signal, received=0) for signal in said
    ]
    assert outputs(other) == outputs(one)


@pytest.mark.parametrize("cut", [50, 400, 703, 1_000])
def test_a_restart_goes_on_as_if_nothing_had_been(cut: int) -> None:
    trades = mixed(400)
    whole, first, second = armed(), armed(), armed()
    run(whole, trades[:cut])
    whole.engine.bar_scores = []
    run(first, trades[:cut])
    for snapshot in first.engine.snapshot(1):
        assert second.engine.restore(snapshot)
    second.key = cut
    assert second.engine.features(1) == first.engine.features(1)
    run(whole, trades[cut:])
    run(second, trades[cut:])
    assert outputs(second)[1] == outputs(whole)[1]
    after = [snapshot.payload for snapshot in second.engine.snapshot(1)]
    assert after == [snapshot.payload for snapshot in whole.engine.snapshot(1)]


def test_history_moves_the_models_and_says_nothing() -> None:
    trades = mixed(300)
    live, past = armed(), armed()
    assert run(live, trades)
    assert run(past, trades, evaluate=False) == []
    assert outputs(past) == outputs(live)


def test_spoilt_states_begin_anew() -> None:
    desk = Desk(models=True)
    assert not desk.engine.restore(Snapshot(1, BANK, 999, 5, b""))
    assert not desk.engine.restore(Snapshot(1, BANDS, 1, 5, b"spoilt"))
    run(desk, tape(10))
    assert desk.engine.features(1) is not None


def test_suspects_teach_nothing() -> None:
    trades = tape(150)
    plain, doubted = Desk(models=True), Desk(models=True)
    run(plain, trades)
    for at, price in trades:
        doubted.trade(at - 1, price * 3, flags=Flag.SUSPECT)
        doubted.trade(at, price)
    assert doubted.engine.features(1) == plain.engine.features(1)


def test_minutes_are_learned_in_their_order_even_when_they_come_due_otherwise() -> None:
    desk = Desk(models=True)
    run(desk, tape(3))
    # A replay that runs ahead of its recording: the later minute comes due by the order first.
    desk.trade(180.0, 100.0, seen=170.0)
    desk.trade(239.9, 101.0, seen=170.1)
    desk.trade(240.5, 102.0, seen=170.2)
    desk.advance(1_000)
    found = desk.engine.features(1)
    assert found is not None
    assert (found.at, found.close) == (T0 + 4 * MINUTE, "102")
    assert desk.engine._markets[1].minutes is not None
    assert desk.engine._markets[1].minutes.models.rate.bars == 5


def test_features_show_the_closed_minute_and_its_bands() -> None:
    desk = Desk(models=True)
    assert desk.engine.features(1) is None
    assert desk.engine.features(99) is None
    run(desk, tape(700))
    found = desk.engine.features(1)
    assert found is not None
    assert found.market == BTC.key
    assert found.end - found.at == MINUTE
    assert len(found.bands) == 18
    narrow, wide = found.bands[0], found.bands[2]
    assert (narrow.level, narrow.horizon, narrow.issued) == (0.8, MINUTE, found.end)
    assert float(wide.lower) < float(narrow.lower) < float(found.close) < float(narrow.upper) < float(wide.upper)
    assert narrow.coverage == pytest.approx(0.8, abs=0.05)
    assert narrow.counted == 500
    assert found.bands[-1].coverage is None
    assert [round(one.stated, 1) for one in found.calibration] == [70.0, 21.0, 7.0, 3.0, 1.0]
    assert found.calibration[0].bars == 699
    assert found.score is not None
    assert msgspec.json.decode(msgspec.json.encode(found), type=Features) == found


@pytest.mark.parametrize("payload", [b"", b"\xc1", msgspec.msgpack.encode([math.nan])])
def test_a_broken_state_of_this_very_schema_is_not_taken_up(payload: bytes) -> None:
    minutes = Minutes(1)
    for name, schema in SCHEMAS.items():
        assert not minutes.restore(Snapshot(1, name, schema, 7, payload)), name
    assert minutes.rarity == 0.0
