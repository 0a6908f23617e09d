from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from pricewatch.domain.market import Market, Trade
from pricewatch.engine.gauges.beyond import Beyond
from pricewatch.engine.gauges.peak import Peak
from pricewatch.engine.gauges.retreat import Retreat
from pricewatch.engine.gauges.sums import TRIM, WHOLE, Sums
from pricewatch.engine.gauges.surge import Volatility, Volume
from pricewatch.engine.market import MarketState
from pricewatch.rules.base import Feature
from pricewatch.testing.desk import Desk, S, active


@given(
    steps=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=60),
    span=st.integers(1, 9),
    sign=st.sampled_from([1, -1]),
)
def test_the_peak_is_the_windows(steps: list[tuple[int, int, int]], span: int, sign: int) -> None:
    peak, now, known = Peak(span, sign), 100, []
    for on, price, back in steps:
        now += on
        if back:
            peak.insert(now - back, float(price))
            known.append((now - back, price))
        else:
            peak.add(now, float(price))
            known.append((now, price))
        peak.trim(now)
        inside = [(sign * price, at) for at, price in known if now - span < at]
        if inside:
            assert (sign * peak.price, peak.at) == max(inside)
        else:
            assert math.isnan(peak.price)
            assert peak.at == 0


def test_a_window_ends_just_before_its_span() -> None:
    gauge = Retreat(Feature("drop", 10))
    assert gauge.facts() == {}
    assert gauge.trade(1, 200.0, 1.0) == 0.0
    assert gauge.trade(10, 100.0, 1.0) == 50.0
    assert gauge.facts() == {"extreme": {"at": 1, "price": "200"}}
    assert gauge.trade(11, 100.0, 1.0) == 0.0


@given(high=st.integers(2, 10**9), steps=st.integers(1, 10**9))
def test_a_distance_is_exactly_what_decimals_say(high: int, steps: int) -> None:
    """Both prices to a hundredth: 70000.1 - 69999.9 is 0.2."""
    low = 1 + steps % high
    gauge = Retreat(Feature("drop_by", 10))
    gauge.trade(0, high / 100, 1.0)
    assert gauge.trade(1, low / 100, 1.0) == max(high - low, 0) / 100


def test_an_extreme_is_beyond_the_others_of_a_whole_window() -> None:
    gauge = Beyond(Feature("over_high", 10))
    assert math.isnan(gauge.trade(1, 100.0, 1.0))
    assert math.isnan(gauge.trade(10, 90.0, 1.0))
    assert gauge.facts() == {}
    assert gauge.trade(11, 90.0, 1.0) == 0.0  # the 100 has just left
    assert gauge.trade(12, 99.0, 1.0) == 10.0
    assert gauge.facts() == {"extreme": {"at": 11, "price": "90"}}
    assert math.isnan(gauge.trade(30, 500.0, 1.0))  # nothing to compare with


def test_the_smallest_step_is_a_new_extreme() -> None:
    gauge = Beyond(Feature("under_low", 2))
    gauge.trade(1, 123_456.0, 1.0)
    gauge.trade(2, 123_456.0, 1.0)
    assert 0.0 < gauge.trade(3, 123_455.999999999, 1.0) < 1e-10


def test_volume_is_compared_with_the_baseline_before_the_window() -> None:
    gauge = Volume(Feature("volume", 2 * S, 4 * S))
    for second in range(1, 7):
        assert math.isnan(gauge.trade(second * S, 5.0, 1.0))
    assert gauge.trade(7 * S, 5.0, 3.0) == 1.6  # 4 in 2 s, after 5 in the whole seconds of the 4 s before
    gauge.late(6 * S + 1, 5.0, 6.0)
    assert gauge.trade(7 * S, 5.0, 0.5) == 4.2
    assert gauge.facts() == {"recent": 10.5, "usual": 2.5}
    gauge.late(2 * S, 5.0, 1.0)  # older than the window, as a long grace allows
    assert gauge.trade(7 * S, 5.0, 0.0) == 3.5
    assert math.isnan(gauge.trade(60 * S, 5.0, 0.0))


def test_volatility_is_that_of_returns() -> None:
    gauge = Volatility(Feature("volatility", S, 2 * S))
    assert math.isnan(gauge.trade(S, 100.0, 1.0))
    assert math.isnan(gauge.trade(2 * S, 101.0, 1.0))
    gauge.late(2 * S, 500.0, 1.0)
    assert gauge.trade(4 * S, 99.0, 1.0) == round(math.log(101 / 99) / math.log(1.01) * math.sqrt(2), 10)
    facts = gauge.facts()
    assert round(facts["recent"], 9) == round(100 * math.log(101 / 99), 9)
    assert round(facts["usual"], 9) == round(100 * math.log(1.01) / math.sqrt(2), 9)


def test_a_window_nobody_reads_is_forgotten() -> None:
    desk = Desk()
    one, other = (
        active(number, {"type": "trailing", "percent": "5%", "window": "10s"}, effective=0) for number in (1, 2)
    )
    desk.engine.arm(one)
    desk.trade(0, 100)
    desk.engine.arm(other)
    desk.engine.disarm(one.id)
    desk.trade(1, 94)
    assert desk.said() == []  # true already at its first trade
    desk.trade(2, 96)
    desk.trade(3, 94)
    (signal,) = desk.signals()
    assert signal.evidence["extreme"]["price"] == "100"
    assert signal.evidence["value"] == 6.0
    desk.engine.disarm(other.id)
    market = desk.engine._markets[1]
    assert (market.gauges, len(market.indexes)) == ([], 1)
    desk.engine.arm(active(3, {"type": "trailing", "percent": "5%", "window": "10s"}))
    desk.trade(4, 94)
    desk.trade(5, 93)
    assert desk.said() == []


def test_an_expired_rule_is_never_asked_again() -> None:
    desk = Desk()
    desk.engine.arm(active(1, {"type": "above", "level": "100"}, fires="once"))
    for second, price in enumerate([99, 101, 99, 101, 99, 101]):
        desk.trade(second, price)
    assert desk.said() == [(1, "fired", 1.0), (1, "cleared", 2.0)]
    assert desk.engine.judged == 3


def test_what_was_printed_before_a_rule_came_is_not_its_gauges_business() -> None:
    market = MarketState(Market(1, "binance", "BTC-USDT", "BTCUSDT"), None)
    feature = Feature("drop", 10)
    market.index(feature, after=5)
    (followed,) = market.gauges
    followed.gauge.trade(3, 100.0, 1.0)
    for seen, drop in ((5, 0.0), (6, 50.0)):
        market.seen = seen
        market.late(Trade(1, 2, 200.0, 1.0, 0, seen, seen))
        assert followed.gauge.trade(3, 100.0, 1.0) == drop


def test_an_extreme_forgets_many_prices_at_once() -> None:
    peak = Peak(1_000, 1)
    for at in range(10_000):
        peak.trim(at)
        peak.add(at, 20_000.0 - at)
    assert (peak.at, peak.price, len(peak._ats) < 6_000) == (9_000, 11_000.0, True)
    peak.insert(9_500, 10_600.0)
    peak.insert(9_999, 5.0)
    assert (peak.at, peak.price) == (9_000, 11_000.0)
    peak.insert(9_990, 12_000.0)
    assert (peak.at, peak.price) == (9_990, 12_000.0)
    peak.trim(99_999)
    assert (peak.at, math.isnan(peak.price)) == (0, True)


def test_after_a_long_silence_sums_begin_anew_and_after_a_shorter_one_go_on() -> None:
    for silence, usual in ((100, 0), (6, 30)):
        sums = Sums(4 * S, 60 * S)
        for tenth in range(40):
            sums.add(tenth * S // 10, 1)
        sums.add(4 * S, 5)
        sums.trim(4 * S)
        now = (4 + silence) * S
        sums.add(now, 7)
        sums.trim(now)
        assert (sums.recent, sums.usual) == (7, 45 if usual else 0)


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0, 1, 300_000, 900_000, S, 7 * S, 61 * S, 130 * S, 400 * S]),
            st.sampled_from([0, 0, 0, 1, 400_000, S]),
            st.sampled_from([1, 1, 1, 30]),
        ),
        min_size=1,
        max_size=25,
    ),
    window=st.sampled_from([2 * S, 60 * S, 200 * S]),
    baseline=st.sampled_from([2 * S, 90 * S, 300 * S]),
)
def test_sums_are_those_of_what_is_in_them(steps: list[tuple[int, int, int]], window: int, baseline: int) -> None:
    """However far time goes on, however much comes at once, and with late ones between."""
    sums, now, known = Sums(window, baseline), 500 * S, []
    for number, (on, back, burst) in enumerate(steps, 1):
        now += on
        for part in range(burst):
            at = now - back if back else now + part
            (sums.insert if back else sums.add)(at, number)
            known.append((at, number))
        now = max(now, known[-1][0])
        if not back:  # time goes on with trades in order
            sums.trim(now)
            cutoff, oldest = now - window, (now - window - baseline) // S
            assert sums.recent == sum(amount for at, amount in known if at > cutoff)
            assert sums.usual == sum(amount for at, amount in known if at <= cutoff and at // S >= oldest)


def test_bursts_leave_at_once_and_late_ones_find_their_place() -> None:
    sums = Sums(S, 120 * S)
    for number in range(1_000):
        sums.add(number, 1)
    sums.insert(500, 10)
    sums.insert(S + 5, 100)  # a second nobody has spoken of yet
    sums.add(S + 600, 1)
    sums.trim(S + 600)
    assert (sums.recent, sums.usual) == (399 + 101, 601 + 10)
    sums.add(70 * S, 1)
    sums.trim(70 * S)
    assert (sums.recent, sums.usual) == (1, 1_111)
    sums.add(122 * S, 0)
    sums.trim(122 * S)
    assert (sums.recent, sums.usual) == (0, 102)
    sums.add(123 * S, 0)
    sums.trim(123 * S)
    assert sums.usual == 1


def test_sums_keep_no_more_than_is_in_them_and_run_over_unnoticed() -> None:
    sums, size = Sums(1_000 * S, 2_000 * S), WHOLE // 2_100
    for number in range(20_000):
        sums.add(number * S, size)
        sums.trim(number * S)
    assert (sums.recent, sums.usual) == (1_000 * size, 2_001 * size)
    kept = len(sums._main._singles.keys) + len(sums._main._seconds.keys)
    assert kept < 4 * TRIM
