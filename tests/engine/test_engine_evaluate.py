from __future__ import annotations

import math
import uuid
from typing import Any, ClassVar

import msgspec
import pytest

from pricewatch.domain.market import Flag, Market, Quote
from pricewatch.domain.model import Snapshot
from pricewatch.domain.rule import Phase, RuleState
from pricewatch.domain.signal import Direction, signal_id
from pricewatch.testing.desk import BTC, BTC2, ETH, MINUTE, OFFSET, OWNER, T0, Desk, S, above, active, forecast

UP = {"type": "crosses", "level": "100", "direction": "up"}


def test_above_fires_once_and_clears_once() -> None:
    desk = Desk()
    desk.engine.arm(above(1))
    for second, price in enumerate([99.0, 100.0, 100.01, 101.0, 99.95, 99.9, 99.0]):
        desk.trade(second, price)
    assert desk.said() == [(1, "fired", 2.0), (1, "cleared", 5.0)]


def test_a_signal_says_everything() -> None:
    desk = Desk()
    desk.engine.arm(above(1, channels=["email"], severity="warning"))
    desk.trade(0, 99.5)
    desk.trade(1.5, 100.5)
    desk.trade(2, 99.0)
    fired, cleared = desk.signals()
    assert fired.id == signal_id(uuid.UUID(int=1), 1, "coinbase:BTC-USD", "trade:2", Direction.FIRED)
    assert (fired.account_id, fired.title, fired.kind, fired.severity) == (OWNER, "rule 1", "above", "warning")
    assert (fired.scope, fired.venue, fired.symbol, fired.market) == ("coinbase:BTC-USD", "coinbase", "BTC-USD", 1)
    assert (fired.at, fired.since) == (T0 + 1_500_000, T0 + 1_500_000)
    assert fired.seen - fired.received == 100
    assert fired.price == 100.5
    assert (fired.late, fired.suspect, fired.gap, fired.replay, fired.model) == (False, False, False, False, None)
    assert fired.channels == ("email",)
    assert fired.evidence == {
        "v": 1,
        "feature": "price",
        "price": "100.5",
        "value": "100.5",
        "prior": "99.5",
        "threshold": "100",
        "clear": "99.9",
    }
    assert (cleared.direction, cleared.channels, cleared.since) == (Direction.CLEARED, (), fired.since)


def test_the_end_is_mailed_only_where_asked() -> None:
    desk = Desk()
    desk.engine.arm(above(1, channels=["email"], mail_on_clear=True))
    for second, price in enumerate([99.0, 101.0, 99.0]):
        desk.trade(second, price)
    assert [signal.channels for signal in desk.signals()] == [("email",), ("email",)]


def test_already_true_at_arming_is_silent_to_its_end() -> None:
    desk = Desk()
    desk.engine.arm(above(1))
    desk.engine.arm(above(2, fire_on_arming=True))
    desk.engine.arm(active(3, UP))
    for second, price in enumerate([101.0, 99.0, 101.0]):
        desk.trade(second, price)
    assert desk.states()[1, 1].phase is Phase.FIRING
    assert desk.said() == [
        (2, "fired", 0.0), (2, "cleared", 1.0), (1, "fired", 2.0), (2, "fired", 2.0), (3, "fired", 2.0),
    ]  # fmt: skip


def test_arming_to_idle_leaves_no_row() -> None:
    desk = Desk()
    desk.engine.arm(above(1))
    desk.trade(0, 99.0)
    assert desk.engine.transitions == []


def test_a_rule_armed_between_two_trades_needs_a_sample_of_its_own() -> None:
    desk = Desk()
    desk.trade(0, 99.0)
    desk.engine.arm(active(1, UP))
    desk.trade(1, 101.0)
    desk.trade(2, 99.95)
    assert desk.said() == []
    desk.trade(3, 101.0)
    assert desk.said() == [(1, "fired", 3.0)]


def test_a_crossing_rearms_at_its_clear_level_without_a_word() -> None:
    desk = Desk()
    desk.engine.arm(active(1, UP))
    desk.engine.arm(active(2, {**UP, "direction": "down"}))
    for second, price in enumerate([99.5, 100.0, 100.05, 99.95, 100.05, 99.9, 100.05, 100.2, 99.99]):
        desk.trade(second, price)
    assert desk.said() == [
        (1, "fired", 2.0), (2, "fired", 3.0), (1, "fired", 6.0), (2, "fired", 8.0),
    ]  # fmt: skip


def test_oscillation_around_the_level_fires_and_clears_once() -> None:
    desk = Desk()
    desk.engine.arm(above(1))
    for second in range(600):
        desk.trade(second, 100.05 if second % 2 else 99.95)
    desk.trade(700, 99.0)
    assert desk.said() == [(1, "fired", 1.0), (1, "cleared", 700.0)]


class TestHolding:
    """`for`: pending until its time has come."""

    def test_a_timer_comes_before_the_trade_that_shows_it_due(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1, hold="5s"))
        for second, price in [(0, 99.0), (1, 101.0), (5.999, 100.5), (6, 99.0)]:
            desk.trade(second, price)
        fired, cleared = desk.signals()
        assert (fired.cause, fired.at) == (f"timer:{T0 + 6 * S}", T0 + 6 * S)
        assert (fired.since, fired.price, fired.received) == (T0 + S, 100.5, fired.seen)
        assert fired.evidence["value"] == "100.5"
        assert "prior" not in fired.evidence
        assert cleared.at == T0 + 6 * S
        assert cleared.cause == "trade:4"

    def test_it_ends_silently_when_the_condition_ceases(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1, hold="5s"))
        for second, price in [(0, 99.0), (1, 101.0), (2, 100.0), (9, 99.0)]:
            desk.trade(second, price)
        assert [(t.row.state.phase, t.signal) for t in desk.engine.transitions] == [
            (Phase.PENDING, None), (Phase.IDLE, None),
        ]  # fmt: skip
        desk.advance(99)
        assert desk.said() == []

    def test_without_trades_it_waits_for_the_grace_in_our_order(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1, hold="5s"))
        desk.trade(0, 99.0, seen=0)
        desk.trade(1, 101.0, seen=1.25)
        desk.advance(7.249_999)
        assert desk.said() == []
        desk.advance(60)
        (fired,) = desk.signals()
        assert fired.at == T0 + 6 * S
        assert fired.seen == OFFSET + T0 + 7_250_000

    @pytest.mark.parametrize("seen", [[], [3.0, 7.5, 8.0], [60.0]])
    def test_how_often_time_is_told_does_not_matter(self, seen: list[float]) -> None:
        desk = Desk()
        desk.engine.arm(above(1, hold="5s"))
        desk.trade(0, 99.0)
        desk.trade(1, 101.0)
        for moment in seen:
            desk.advance(moment)
        desk.engine.quote(Quote(1, T0, 1.0, 1.0, 1.0, 1.0, 0), OFFSET + T0 + 61 * S)
        (fired,) = desk.signals()
        assert (fired.at - T0, fired.seen - OFFSET - T0) == (6 * S, 7 * S)

    def test_another_markets_trade_tells_the_time_as_well(self) -> None:
        desk = Desk(BTC, ETH)
        desk.engine.arm(above(1, symbols=["BTC-USD"], hold="5s"))
        desk.trade(0, 99.0)
        desk.trade(1, 101.0)
        desk.trade(8, 5.0, market=3)
        assert desk.said() == [(1, "fired", 6.0)]

    def test_a_blind_market_keeps_its_timers_waiting(self) -> None:
        desk = Desk()
        for number in (1, 2, 3):
            desk.engine.arm(above(number, level=97 + number, hold="5s"))
        desk.trade(0, 90.0)
        desk.trade(1, 101.0)
        desk.engine.hold(1)
        desk.advance(60)
        assert desk.said() == []
        desk.trade(4, 99.5, late=True, seen=61)
        desk.engine.disarm(uuid.UUID(int=2))
        desk.engine.release(1)
        desk.advance(62)
        assert desk.said() == [(1, "fired", 6.0)]

    def test_a_blind_markets_timer_still_comes_due_by_trades(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1, hold="5s"))
        desk.trade(0, 90.0)
        desk.trade(1, 101.0)
        desk.engine.hold(1)
        desk.advance(60)
        desk.trade(7, 101.0, late=True, seen=61)
        desk.engine.release(1)
        desk.advance(90)
        (fired,) = desk.signals()
        assert (fired.at, fired.late) == (T0 + 6 * S, True)

    def test_many_pendings_do_not_pile_up_timers(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1, hold="1h"))
        for number in range(1_000):
            desk.trade(number / 10, 101.0 if number % 2 else 99.0)
        assert len(desk.engine._due._heap) < 300


def test_cooldown_counts_from_the_last_signal_emitted() -> None:
    desk = Desk()
    desk.engine.arm(above(1, cooldown="10s"))
    for second, price in [(0, 99.0), (1, 101.0), (2, 99.0), (3, 101.0), (4, 99.0), (5, 101.0), (12, 102.0), (13, 99.0)]:
        desk.trade(second, price)
    assert desk.said() == [(1, "fired", 1.0), (1, "cleared", 2.0), (1, "fired", 11.0), (1, "cleared", 13.0)]


class TestChange:
    WHEN: ClassVar[dict[str, Any]] = {"type": "change", "window": "10s", "percent": 2, "direction": "either"}

    def test_both_ways(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, self.WHEN))
        for second, price in [(0, 100), (5, 104), (10, 102), (11, 102.1), (12, 101), (15, 103), (40, 90)]:
            desk.trade(second, float(price))
        signals = desk.signals()
        assert [(s.direction.value, (s.at - T0) // S) for s in signals] == [
            ("fired", 11),
            ("cleared", 12),
            ("fired", 40),
        ]
        first = signals[0]
        assert first.evidence["reference"] == {"at": T0, "price": "100"}
        assert first.evidence["value"] == pytest.approx(2.1)
        assert first.evidence["window"] == 10.0

    def test_without_a_reference_it_does_not_hold(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, self.WHEN, fire_on_arming=True))
        for second in range(10):
            desk.trade(second, 100.0 + 5 * second)
        assert desk.said() == []
        desk.trade(10, 100.0 + 50)
        assert desk.said() == [(1, "fired", 10.0)]

    def test_a_new_version_keeps_the_window(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, self.WHEN))
        desk.trade(0, 100.0)
        desk.engine.arm(active(1, self.WHEN, version=2))
        desk.trade(9, 100.0)
        desk.trade(10, 110.0)
        assert desk.said() == [(1, "fired", 10.0)]

    def test_the_longest_window_is_what_a_restart_reads(self) -> None:
        desk = Desk()
        assert desk.engine.longest_window() == 2 * MINUTE + S
        desk.engine.arm(active(1, {**self.WHEN, "window": "1h"}))
        desk.engine.arm(active(2, {**self.WHEN, "window": "2h"}))
        assert desk.engine.longest_window() == 120 * MINUTE + S
        desk.engine.disarm(uuid.UUID(int=2))
        assert desk.engine.longest_window() == 60 * MINUTE + S
        desk.engine.disarm(uuid.UUID(int=1))
        assert desk.engine.longest_window() == 2 * MINUTE + S


class TestBand:
    WHEN: ClassVar[dict[str, Any]] = {"type": "outside_band"}

    def test_each_side(self) -> None:
        desk = Desk()
        for number, side in enumerate(["upper", "lower", "either"], start=1):
            desk.engine.arm(active(number, {"type": "outside_band", "side": side}))
        desk.activate(forecast(90.0, 110.0), 0)
        for second, price in [(0, 100), (1, 110), (2, 110.1), (3, 109.9), (4, 109), (5, 89), (6, 100)]:
            desk.trade(second, float(price))
        assert desk.said() == [
            (1, "fired", 2.0), (3, "fired", 2.0), (1, "cleared", 4.0), (3, "cleared", 4.0),
            (2, "fired", 5.0), (3, "fired", 5.0), (2, "cleared", 6.0), (3, "cleared", 6.0),
        ]  # fmt: skip

    def test_evidence_and_model(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, self.WHEN))
        desk.activate(forecast(90.0, 110.0), 0)
        desk.trade(0, 100.0)
        desk.trade(61, 121.0)
        (fired,) = desk.signals()
        assert fired.model == f"prophet@{uuid.UUID(int=9)}"
        assert fired.evidence["version"] == str(uuid.UUID(int=9))
        assert fired.evidence["band"] == {"at": T0 + MINUTE, "lower": 90.0, "centre": 100.0, "upper": 110.0}
        assert fired.evidence["value"] == pytest.approx(0.1)

    def test_without_a_band_nothing_is_known(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, self.WHEN))
        desk.engine.arm(active(2, self.WHEN, hold="10s"))
        desk.trade(0, 100.0)
        desk.activate(forecast(90.0, 110.0, expires=5), 0)
        desk.trade(1, 120.0)
        assert desk.said() == [(1, "fired", 1.0)]
        desk.trade(5, 100.0)
        assert [(t.row.rule_id.int, t.row.state.phase) for t in desk.engine.transitions] == [(2, Phase.IDLE)]
        desk.activate(forecast(90.0, 110.0), 6)
        desk.trade(6, 100.0)
        assert desk.said() == [(1, "cleared", 6.0)]

    def test_a_timer_does_not_fire_on_an_expired_band(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, self.WHEN, hold="10s"))
        desk.activate(forecast(90.0, 110.0, expires=5), 0)
        desk.trade(0, 100.0)
        desk.trade(1, 120.0)
        desk.advance(60)
        assert [t.row.state.phase for t in desk.engine.transitions] == [Phase.PENDING, Phase.IDLE]
        assert desk.said() == []

    def test_a_narrow_band_clears_in_its_middle(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, self.WHEN))
        desk.activate(forecast(99.98, 100.02), 0)
        for second, price in [(0, 100), (1, 100.05), (2, 100.015), (3, 100.0)]:
            desk.trade(second, float(price))
        assert desk.said() == [(1, "fired", 1.0), (1, "cleared", 3.0)]

    def test_a_forecast_for_nobody(self) -> None:
        desk = Desk()
        desk.activate(forecast(90.0, 110.0, market=99), 0)
        desk.trade(0, 100.0)
        assert desk.said() == []

    def test_forgotten_bands_cost_nothing(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, self.WHEN))
        desk.engine.disarm(uuid.UUID(int=1))
        assert desk.engine._markets[1].bands == []


class TestAnomaly:
    WHEN: ClassVar[dict[str, Any]] = {"type": "anomaly", "score": 3}

    def quiet(self, desk: Desk, count: int = 200) -> None:
        for number in range(count):
            desk.trade(number, 100.0 * (1 + 1e-4 * math.sin(number * 1.7)))

    def test_a_jump_fires_and_names_the_models(self) -> None:
        desk = Desk(models=True)
        desk.engine.arm(active(1, self.WHEN))
        self.quiet(desk)
        assert desk.said() == []
        desk.trade(200, 110.0)
        desk.trade(201, 110.0)
        fired, cleared = desk.signals()
        assert fired.model == cleared.model == "ewz+tail@1.1"
        assert fired.evidence["value"] == fired.evidence["score"] > 3
        assert sum(fired.evidence["parts"].values()) / 2 == pytest.approx(fired.evidence["score"])
        assert cleared.evidence["score"] < 2.4

    def test_models_off_means_no_anomalies(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, self.WHEN))
        self.quiet(desk)
        desk.trade(200, 200.0)
        assert desk.said() == []
        desk.engine.disarm(uuid.UUID(int=1))
        assert desk.engine._markets[1].score is None
        assert desk.engine.failures == 0

    def test_closed_minutes_keep_their_highest_score(self) -> None:
        desk = Desk(models=True, warm_up=50)
        self.quiet(desk, 119)
        desk.trade(119.5, 103.0)
        desk.trade(120.5, 103.0)
        assert [bar.at for bar in desk.engine.bar_scores] == [T0]
        desk.trade(121, 103.0)
        first, second = desk.engine.bar_scores
        assert (first.market, first.at, second.at) == (1, T0, T0 + MINUTE)
        assert second.score > 3 > first.score
        assert second.model == "ewz+tail@1.1"
        assert second.seen == OFFSET + T0 + 121 * S
        desk.advance(1_000)
        assert [bar.at for bar in desk.engine.bar_scores] == [T0, T0 + MINUTE, T0 + 2 * MINUTE]
        assert desk.engine.bar_scores[2].seen == OFFSET + T0 + 181 * S

    def test_a_long_silence_closes_both_bars(self) -> None:
        desk = Desk(models=True, warm_up=1)
        for second in (0, 1, 59, 60.5):
            desk.trade(second, 100.0 + second / 100, seen=second / 1_000)
        desk.trade(600, 100.0, seen=1)
        assert [bar.at for bar in desk.engine.bar_scores] == [T0, T0 + MINUTE]
        assert desk.engine.failures == 0


class TestOutOfOrder:
    def test_within_the_grace_it_is_judged_but_never_the_prior_sample(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1))
        desk.engine.arm(active(2, UP))
        desk.trade(0, 99.0)
        desk.trade(10, 99.0)
        desk.trade(9.5, 101.0)
        fired = desk.signals()
        assert [(s.rule_id.int, s.at, s.price, s.cause) for s in fired] == [
            (1, T0 + 10 * S, 101.0, "trade:3"), (2, T0 + 10 * S, 101.0, "trade:3"),
        ]  # fmt: skip
        desk.trade(11, 100.5)
        assert desk.said() == []

    def test_a_dip_out_of_order_is_no_prior_for_a_crossing(self) -> None:
        desk = Desk()
        desk.engine.arm(active(1, UP))
        desk.trade(0, 101.0)
        desk.trade(10, 101.0)
        desk.trade(9.9, 99.0)
        desk.trade(11, 101.0)
        assert desk.said() == []

    def test_older_than_the_grace_it_changes_nothing(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1))
        desk.trade(0, 99.0)
        desk.trade(10, 99.0)
        desk.trade(8.9, 101.0)
        assert desk.said() == []

    def test_it_still_counts_in_its_minute(self) -> None:
        desk = Desk()
        for second, price, seen in [(59, 100.0, 59), (60.5, 100.0, 60.5), (59.9, 120.0, 60.6), (60.2, 90.0, 60.7)]:
            desk.trade(second, price, seen=seen)
        market = desk.engine._markets[1]
        assert market.older is not None
        assert (market.older.high, market.older.close, market.older.trades) == (120.0, 100.0, 2)
        assert (market.bar.low, market.bar.trades) == (90.0, 2)

    def test_in_history_it_is_not_judged(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1))
        desk.trade(0, 99.0)
        desk.trade(-0.5, 101.0, seen=1, evaluate=False)
        assert desk.said() == []


@pytest.mark.parametrize("flag", [Flag.SUSPECT, Flag.HISTORY])
def test_flagged_trades_change_nothing(flag: Flag) -> None:
    desk = Desk()
    desk.engine.arm(above(1))
    desk.trade(0, 101.0, flags=flag)
    desk.trade(1, 99.0)
    desk.trade(2, 101.0, flags=flag)
    assert desk.said() == []
    desk.trade(3, 101.0)
    assert desk.said() == [(1, "fired", 3.0)]


@pytest.mark.parametrize("how", [{"flags": Flag.LATE}, {"late": True}])
def test_late_trades_make_late_signals(how: dict[str, Any]) -> None:
    desk = Desk()
    desk.engine.arm(above(1))
    desk.engine.arm(above(2, level="98", fire_on_arming=True, hold="5s"))
    desk.trade(0, 99.0)
    desk.trade(5.5, 101.0, **how)
    desk.trade(7, 90.0, replay=True)
    assert [(s.rule_id.int, s.late, s.replay) for s in desk.signals()] == [
        (2, True, False), (1, True, False), (1, False, True), (2, False, True),
    ]  # fmt: skip


class TestMarketsAndVersions:
    def test_each_market_on_its_own(self) -> None:
        desk = Desk(BTC, BTC2, ETH)
        desk.engine.arm(above(1, symbols=["BTC-USD"]))
        for market in (1, 2, 3):
            desk.trade(0, 99.0, market=market)
            desk.trade(1, 101.0, market=market)
        assert [signal.scope for signal in desk.signals()] == ["coinbase:BTC-USD", "kraken:BTC-USD"]

    def test_a_market_added_later_is_watched_by_rules_that_were_there(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1))
        desk.engine.arm(above(2, symbols=["ETH-USD", "BTC-USD"]))
        desk.engine.arm(active(3, {"type": "below", "level": 100}, symbols=["LTC-USD"]))
        desk.engine.add_market(ETH)
        desk.engine.add_market(ETH)
        kraken_only = msgspec.structs.replace(above(4).rule, venues=("kraken",))
        desk.engine.arm(msgspec.structs.replace(above(4), rule=kraken_only))
        desk.engine.add_market(Market(5, "binance", "ETH-USD", "ETHUSD"))
        for market in (3, 5):
            desk.trade(0, 99.0, market=market)
            desk.trade(1, 101.0, market=market)
        assert [(s.rule_id.int, s.market) for s in desk.signals()] == [(1, 3), (2, 3), (4, 3), (1, 5), (2, 5)]

    def test_a_new_version_starts_anew(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1, hold="5s"))
        desk.trade(0, 99.0)
        desk.trade(1, 101.0)
        desk.engine.arm(above(1, version=2))
        desk.trade(60, 101.0)
        desk.trade(61, 99.0)
        assert desk.said() == []
        desk.trade(62, 101.0)
        (fired,) = desk.signals()
        assert fired.rule_version == 2

    def test_it_begins_after_its_effective_place(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1, effective=OFFSET + T0 + S))
        desk.trade(0, 99.0)
        desk.trade(1, 99.0)
        assert desk.engine.judged == 0
        desk.trade(2, 101.0)
        assert desk.said() == []
        assert desk.engine.judged == 1

    def test_what_is_disarmed_is_silent(self) -> None:
        desk = Desk()
        for number in (1, 2, 3):
            desk.engine.arm(above(number, hold="5s" if number == 3 else "0s"))
        desk.engine.disarm(uuid.UUID(int=2))
        desk.engine.disarm(uuid.UUID(int=2))
        desk.trade(0, 99.0)
        desk.trade(1, 101.0)
        desk.engine.disarm(uuid.UUID(int=1))
        desk.engine.disarm(uuid.UUID(int=3))
        desk.trade(20, 99.0)
        assert desk.said() == [(1, "fired", 1.0)]

    def test_an_unknown_market_is_a_mistake(self) -> None:
        with pytest.raises(KeyError):
            Desk().trade(0, 1.0, market=9)


def test_rules_touched_together_speak_in_order_of_their_ids() -> None:
    desk = Desk()
    for number in (3, 1, 2):
        desk.engine.arm(above(number, level=100 - number))
    desk.trade(0, 90.0)
    desk.trade(1, 101.0)
    assert [number for number, _, _ in desk.said()] == [1, 2, 3]


def test_sleeping_rules_cost_nothing() -> None:
    asked = []
    for count in (10, 10_000):
        desk = Desk()
        for number in range(count):
            desk.engine.arm(above(number + 1, level=200 + number / 100))
        desk.trade(0, 100.0)
        armed = desk.engine.judged
        assert armed == count
        desk.engine.arm(above(count + 1, level=100.5))
        for second in range(1, 1_000):
            desk.trade(second, 100.0 + second % 7 / 5)
        asked.append(desk.engine.judged - armed)
        assert len(desk.said()) == 285
    assert asked[0] == asked[1]


class TestRestart:
    def test_already_true_stays_silent_and_became_true_while_down_fires(self) -> None:
        desk = Desk()
        firing = RuleState(phase=Phase.FIRING, armed=True, since=T0, emitted_at=T0, fired=1)
        desk.engine.arm(above(1), {1: firing})
        desk.engine.arm(above(2))
        desk.engine.arm(active(3, UP))
        desk.engine.arm(above(4, effective=OFFSET + T0 + 2 * S))
        desk.trade(0, 99.0, evaluate=False)
        desk.trade(1, 99.5, evaluate=False)
        assert desk.engine.transitions == []
        desk.trade(60, 101.0, late=True)
        assert [(s.rule_id.int, s.late) for s in desk.signals()] == [(2, True), (3, True)]
        desk.trade(61, 99.0)
        assert [s.rule_id.int for s in desk.signals()] == [1, 2]

    def test_history_in_the_middle_only_moves_numbers(self) -> None:
        desk = Desk()
        desk.engine.arm(above(1))
        desk.engine.arm(active(2, UP))
        desk.trade(0, 99.0)
        desk.trade(1, 99.5, evaluate=False)
        desk.trade(2, 101.0, evaluate=False)
        desk.trade(3, 102.0)
        assert desk.said() == [(1, "fired", 3.0)]

    def test_a_pending_rule_fires_at_its_minute(self) -> None:
        desk = Desk()
        pending = RuleState(
            phase=Phase.PENDING, armed=True, since=T0, due_at=T0 + 30 * MINUTE, due_seen=OFFSET + T0 + 30 * MINUTE + S
        )
        desk.engine.arm(above(1), {1: pending})
        desk.trade(0, 101.0, evaluate=False)
        desk.advance(30 * 60 + 5)
        (fired,) = desk.signals()
        assert (fired.at, fired.price, fired.cause) == (T0 + 30 * MINUTE, 101.0, f"timer:{T0 + 30 * MINUTE}")

    def test_a_timer_waits_for_a_price(self) -> None:
        desk = Desk()
        pending = RuleState(phase=Phase.PENDING, armed=True, since=T0, due_at=T0 + S, due_seen=OFFSET + T0 + 2 * S)
        desk.engine.arm(above(1), {1: pending})
        desk.advance(100)
        assert desk.said() == []
        desk.trade(101, 102.0)
        (fired,) = desk.signals()
        assert (fired.at, fired.price) == (T0 + S, 102.0)

    def test_a_change_without_history_fires_without_a_reference(self) -> None:
        desk = Desk()
        pending = RuleState(phase=Phase.PENDING, armed=True, since=T0, due_at=T0 + 9 * S, due_seen=OFFSET + T0 + 10 * S)
        desk.engine.arm(active(1, TestChange.WHEN), {1: pending})
        desk.trade(0, 102.0, evaluate=False)
        desk.engine.quote(Quote(1, T0, 1.0, 1.0, 1.0, 1.0, 0), OFFSET + T0 + 2 * S)
        assert desk.said() == []
        desk.advance(100)
        (fired,) = desk.signals()
        assert not {"reference", "value", "prior"} & fired.evidence.keys()

    def test_nothing_to_save_before_the_first_trade(self) -> None:
        assert Desk(models=True).engine.snapshot(1) == []

    def test_what_is_not_learned_again(self) -> None:
        desk = Desk(models=True, warm_up=1)
        for second in range(5):
            desk.trade(second, 100.0 + second)
        saved = desk.engine.snapshot(1)
        assert [snapshot.model for snapshot in saved] == ["ewz", "tail", "bank", "bands", "bars"]
        again = Desk(models=True, warm_up=1)
        assert all(again.engine.restore(snapshot) for snapshot in saved)
        for second in range(5):
            again.trade(second, 100.0 + second, evaluate=False)
            again.trade(second - 0.1, 500.0, seen=second - 0.001, evaluate=False)
        assert [s.payload for s in again.engine.snapshot(1)] == [s.payload for s in saved]

    def test_what_cannot_be_restored(self) -> None:
        desk = Desk()
        bars = Snapshot(1, "bars", 1, 5, b"\xff")
        assert not desk.engine.restore(bars)
        assert not desk.engine.restore(msgspec.structs.replace(bars, schema=2))
        assert not desk.engine.restore(msgspec.structs.replace(bars, market=99))
        assert not desk.engine.restore(msgspec.structs.replace(bars, model="ewz"))
        desk.trade(0, 100.0)
        assert [snapshot.model for snapshot in desk.engine.snapshot(1)] == ["bars"]
        desk.trade(1, 100.0, seen=-9, evaluate=False)

    def test_without_models_history_up_to_the_snapshot_is_passed(self) -> None:
        desk = Desk()
        desk.trade(0, 100.0)
        (saved,) = desk.engine.snapshot(1)
        again = Desk()
        assert again.engine.restore(saved)
        again.trade(0, 100.0, evaluate=False)
        assert again.engine._markets[1].bar.trades == 1
