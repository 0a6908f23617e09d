"""The quick way says what the plain one says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.backtest.conftest import BTC, KRAKEN, START, S, document, memory, plainly, question, replay, told, trade

from pricewatch.domain.market import Flag
from pricewatch.ports.ticks import Sequenced

LEVELS: dict[str, dict[str, Any]] = {
    "above": {"type": "above", "level": "100"},
    "below": {"type": "below", "level": "100"},
    "up": {"type": "crosses", "level": "100", "direction": "up"},
    "down": {"type": "crosses", "level": "100", "direction": "down"},
    "enter": {"type": "channel", "lower": "99.5", "upper": "100.5", "direction": "enter"},
    "exit": {"type": "channel", "lower": "99.5", "upper": "100.5", "direction": "exit"},
}
POLICIES: list[dict[str, Any]] = [
    {},
    {"for": "30s"},
    {"for": "90s"},
    {"cooldown": "5m"},
    {"fires": "once"},
    {"hysteresis": "0%"},
    {"most_per_hour": 1, "digest": "3m"},
    {"most_per_hour": 1, "digest": "50s", "for": "10s", "cooldown": "2m"},
    {"for": "59s", "cooldown": "2m", "clear_signal": False},
]


@st.composite
def series(draw: st.DrawFn) -> list[Sequenced]:
    """Prices around the levels, quiet and busy minutes, prints out of order, refills, suspects, history."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from([0, 1, 200_000, 900_000, 7 * S, 31 * S, 61 * S, 200 * S]),
                st.sampled_from([99.0, 99.4, 99.5, 99.7, 99.9, 99.95, 100.0, 100.05, 100.2, 100.5, 100.6, 103.0]),
                st.sampled_from([0, 0, 0, 0, 0, 400_000, 800_000, 3 * S, 90 * S, 400 * S]),
                st.sampled_from([0] * 12 + [int(Flag.LATE), int(Flag.SUSPECT), int(Flag.HISTORY)]),
            ),
            min_size=1,
            max_size=60,
        )
    )
    now, found = START - 20 * S, []
    for key, (wait, price, far, flag) in enumerate(steps, 1):
        now += wait
        delay = far if flag & Flag.LATE else min(far, 3 * S)  # only refills come minutes late
        found.append((now + delay + key, key, now, price, flag))
    return [trade(key, at, price, seen=seen, flags=flag) for seen, key, at, price, flag in found]


@pytest.mark.parametrize("kind", LEVELS)
@given(trades=series(), policy=st.sampled_from(POLICIES), lag=st.sampled_from([0, 5 * 365 * 86_400 * S]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_quick_way_gives_the_same_signals_in_the_same_order(
    kind: str, trades: list[Sequenced], policy: dict[str, Any], lag: int
) -> None:
    shifted = [Sequenced(one.seen + lag, one.trade) for one in trades]
    asked = question(document(LEVELS[kind], **policy))
    answer = asyncio.run(replay(memory(shifted)).run(asked))
    assert told(answer.signals) == told(plainly(asked, shifted))


def busy(count: int = 40_000) -> list[Sequenced]:
    """Two markets; every twentieth minute wanders around the level."""
    found = []
    for number in range(count):
        at = START + number * S // 4
        minute = number // 240
        price = 100 + ((number * 37) % 21 - 10) / 50 if minute % 20 == 7 else 98 + (number % 7) / 10
        found.append(trade(number + 1, at, price, market=1 + number % 2, seen=at + 30_000 + number % 3))
    return found


async def test_only_minutes_that_may_matter_are_read_and_markets_are_told_in_one_order() -> None:
    trades = busy()
    asked = question(document(LEVELS["above"], hysteresis="0.2%"))
    answer = await replay(memory(trades, BTC, KRAKEN)).run(asked)
    assert told(answer.signals) == told(plainly(asked, trades, BTC, KRAKEN))
    assert len(answer.signals) > 20
    assert {one.scope for one in answer.signals} == {BTC.key, KRAKEN.key}
    assert answer.trades < len(trades) / 4
