from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise

import pytest
from tests.simulator.sim_support import START, seeded

from pricewatch.domain.errors import ConfigError, Invalid
from pricewatch.simulator.ledger import Print
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.programme import Event, Script
from pricewatch.simulator.reference import Reference, rhythm
from pricewatch.simulator.registry import listed
from pricewatch.simulator.session import Live
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import SeededTape


def prints(seconds: float, **settings: object) -> dict[str, list[Print]]:
    tape = SeededTape(SimulatorSettings.model_validate({"history_minutes": 60, **settings}), start=START)
    found: dict[str, list[Print]] = {key: [] for key in tape.ledgers}
    for item in tape.take(START + int(seconds * 1_000_000), 10_000_000, heard=False):
        assert isinstance(item, Live)
        if isinstance(item.event, Sweep):
            found[item.ledger.listing.key] += item.event.prints
    return found


def test_a_seed_gives_the_same_trades_and_another_seed_others() -> None:
    assert prints(20) == prints(20)
    assert prints(20, seed=8) != prints(20)


def test_speed_squeezes_times_and_changes_nothing_else() -> None:
    slow, fast = prints(20), prints(2, speed=10)
    for key, trades in slow.items():
        same = list(zip(trades, fast[key], strict=False))
        assert len(same) > 20
        for one, other in same:
            assert (one.id, one.price, one.size, one.side) == (other.id, other.price, other.size, other.side)
            assert (other.at - START) * 10 == pytest.approx(one.at - START, abs=30_000)


def test_ids_are_consecutive_and_times_have_the_venues_precision() -> None:
    for key, trades in prints(15, programme=False).items():
        assert [trade.id for trade in trades] == list(range(trades[0].id, trades[0].id + len(trades)))
        assert all(one.at <= other.at for one, other in pairwise(trades))
        fine = any(trade.at % 1_000 for trade in trades)
        assert fine is not key.startswith("binance")


def test_a_later_run_never_repeats_an_id() -> None:
    first = SeededTape(SimulatorSettings(history_minutes=0), start=START)
    second = SeededTape(SimulatorSettings(history_minutes=0), start=START + 60_000_000)
    for _ in first.take(START + 60_000_000, 1_000_000, heard=False):
        pass
    for key, ledger in first.ledgers.items():
        assert ledger.last is not None
        assert ledger.last.id < (second.ledgers[key].first_id or 0)


def test_the_rate_is_as_asked() -> None:
    found = prints(100, rate=20.0, programme=False)
    for trades in found.values():
        assert 1_600 < len(trades) < 2_400


def test_the_demo_shows_everything_within_25_seconds() -> None:
    found = prints(38)
    level = listed("coinbase", "BTC-USD").level
    bitcoin = [trade.price for trade in found["coinbase:BTC-USD"] if trade.at < START + 25_000_000]
    assert any(one <= level < other for one, other in pairwise(bitcoin))
    assert any(one >= level > other for one, other in pairwise(bitcoin))
    assert min(bitcoin[-3:]) < level * 0.999
    assert _fastest(found["kraken:SOL-USD"], 5.0) > 1.5
    ether = [trade for trade in found["binance:ETH-USDT"] if START + 11_000_000 < trade.at < START + 18_000_000]
    assert max(trade.price for trade in ether) > 3_490 * 1.012
    assert ether[-1].price == pytest.approx(ether[0].price, rel=0.004)
    tether = [trade for trade in found["binance:BTC-USDT"] if START + 18_200_000 < trade.at < START + 38_000_000]
    assert all(trade.price > 64_900 * 1.036 for trade in tether)


def _fastest(trades: list[Print], seconds: float) -> float:
    return max(
        100 * (late.price / early.price - 1)
        for early in trades
        for late in trades
        if 0 <= late.at - early.at <= seconds * 1_000_000
    )


def test_oscillation_stays_around_its_level() -> None:
    swing = [trade.price for trade in prints(16)["coinbase:ETH-USD"] if trade.at > START + 5_300_000]
    assert all(abs(price / 3_500 - 1) < 0.0008 for price in swing)
    assert min(swing) < 3_500 < max(swing)


def test_silence_late_and_duplicate() -> None:
    trades = prints(70)["kraken:BTC-USD"]
    assert not any(START + 40_000_000 < trade.at < START + 55_000_000 for trade in trades)
    bitcoin = prints(25)["coinbase:BTC-USD"]
    assert any(late.at < early.at for early, late in pairwise(bitcoin))
    tape = SeededTape(SimulatorSettings(history_minutes=0), start=START)
    items = [item for item in tape.take(START + 30_000_000, 100_000, heard=False) if isinstance(item, Live)]
    copies = [item.event.copies for item in items if isinstance(item.event, Sweep)]
    assert copies.count(2) == 1


def test_the_script_comes_back_with_the_opposite_sign() -> None:
    script = Script([Event(kind="jump", market="m", at=1, percent=2)], every=10)
    first, second, third = script.pop(), script.pop(), script.pop()
    assert [(event.at, event.percent) for event in (first, second, third)] == [(1, 2), (11, -2), (21, 2)]
    assert Script().next_at() == math.inf


def test_an_event_can_be_injected() -> None:
    tape = seeded()
    tape.inject(Event(kind="jump", market="kraken:SOL-USD", percent=10), START + 20_000_000)
    for _ in tape.take(START + 25_000_000, 100_000, heard=False):
        pass
    last = tape.ledgers["kraken:SOL-USD"].last
    assert last is not None
    assert last.price > 149.6 * 1.09
    with pytest.raises(Invalid, match="not simulated"):
        tape.inject(Event(kind="jump", market="kraken:X-Y"), START)


def test_history_is_continuous_with_the_start() -> None:
    tape = SeededTape(SimulatorSettings(programme=False), start=START)
    for ledger in tape.ledgers.values():
        assert len(ledger.minutes) >= 1_500
        past = [bar for bar in ledger.minutes if bar.at < START - START % 60_000_000]
        assert past[-1].close == pytest.approx(ledger.listing.price, rel=1e-4)
        assert all(one.at + 60_000_000 == other.at for one, other in pairwise(past))
        assert all(one.close == other.open for one, other in pairwise(past))
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in past)


def test_venues_agree_on_an_asset_and_the_day_has_a_rhythm() -> None:
    found = prints(60, programme=False)
    one, other = found["coinbase:BTC-USD"][-1].price, found["kraken:BTC-USD"][-1].price
    assert one == pytest.approx(other, rel=0.001)
    assert rhythm(0) > 1.5
    assert rhythm(12) < 1.0
    assert sum(rhythm(hour / 10) for hour in range(240)) / 240 == pytest.approx(1.0, abs=0.01)


def test_volatility_clusters_and_tails_are_fat() -> None:
    path = Reference("a seed", opens_at=12.0, history_minutes=0)
    returns = [path.at(second + 1) - path.at(second) for second in range(20_000)]
    mean = sum(value**2 for value in returns) / len(returns)
    kurtosis = sum(value**4 for value in returns) / len(returns) / mean**2
    assert kurtosis > 4
    calm = [min(value**2, 9 * mean) for value in returns]
    centre = sum(calm) / len(calm)
    covariance = sum((one - centre) * (other - centre) for one, other in pairwise(calm))
    assert covariance / sum((value - centre) ** 2 for value in calm) > 0.03


def test_speed_max_is_refused_for_a_simulation() -> None:
    with pytest.raises(ConfigError, match="replays"):
        SeededTape(SimulatorSettings(speed="max"), start=START)
    with pytest.raises(ValueError, match="above 0"):
        SimulatorSettings(speed=0)


def test_the_ledger_keeps_a_bounded_number_of_trades() -> None:
    tape = SeededTape(SimulatorSettings(rate=400, history_trades=1_000, history_minutes=0), start=START)
    for _ in tape.take(START + 10_000_000, 1_000_000, heard=False):
        pass
    for ledger in tape.ledgers.values():
        assert ledger.printed > 2_000
        assert len(ledger.newest(10_000)) <= 1_250


def test_every_listing_has_its_name_and_decimals() -> None:
    by_venue = defaultdict(set)
    for venue in ("coinbase", "kraken", "binance"):
        by_venue[venue].add(listed(venue, "BTC-USD").native)
    assert by_venue == {"coinbase": {"BTC-USD"}, "kraken": {"BTC/USD"}, "binance": {"BTCUSD"}}
    assert listed("kraken", "BTC-USD").decimals == 1
    assert listed("binance", "FOO-USDT").price > 0


def test_a_script_that_waits_begins_with_the_first_listener() -> None:
    tape = SeededTape(SimulatorSettings(programme_waits=True, history_minutes=0), start=START)

    def ceiling(seconds: int, *, heard: bool) -> float:
        for _ in tape.take(START + seconds * 1_000_000, 100_000, heard=heard):
            pass
        return max(trade.price for trade in tape.ledgers["binance:BTC-USDT"].newest(1_000))

    quiet = ceiling(60, heard=False)
    assert quiet < 64_900 * 1.01
    assert ceiling(61, heard=True) < 64_900 * 1.01
    assert ceiling(85, heard=False) > 64_900 * 1.036


def test_a_script_that_does_not_repeat_ends() -> None:
    script = Script([Event(kind="jump", market="coinbase:BTC-USD", at=1)])
    script.add(Event(kind="jump", market="coinbase:BTC-USD", at=2), again=True)
    assert [script.pop().at, script.pop().at] == [1, 2]
    assert script.next_at() == float("inf")
