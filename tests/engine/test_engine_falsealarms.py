from __future__ import annotations

import uuid

import msgspec
import pytest

from pricewatch.domain.account import Role
from pricewatch.domain.market import Market
from pricewatch.domain.model import BarScore
from pricewatch.domain.time import DAY, HOUR, MINUTE, rfc3339
from pricewatch.engine.falsealarms import HISTORY, FalseAlarmCount
from pricewatch.ports.rules import StoredRule
from pricewatch.testing.accounts import MemoryAccounts
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.models import MemoryModelStore
from pricewatch.testing.records import MemoryWatchlists

BTC = Market(1, "coinbase", "BTC-USD", "BTC-USD")
ETH = Market(2, "coinbase", "ETH-USD", "ETH-USD")
NOW = 1_700_000_000_000_000 // MINUTE * MINUTE
TWO_RATES = {"type": "or", "of": [{"type": "anomaly", "false_alarms": rate} for rate in ("7/week", "3/week")]}


def rule(account: uuid.UUID, symbols: object, when: object = TWO_RATES) -> StoredRule:
    document = msgspec.json.encode({"title": "rare", "symbols": symbols, "when": when})
    return StoredRule(uuid.uuid4(), account, 1, document, NOW)


@pytest.fixture
def models() -> MemoryModelStore:
    return MemoryModelStore()


@pytest.fixture
def lists() -> MemoryWatchlists:
    clock = ManualClock(NOW)
    return MemoryWatchlists(clock, MemoryAccounts(clock))


async def judged(models: MemoryModelStore, start: int, alarms: list[float | None], market: Market = BTC) -> None:
    await models.save_bar_scores(
        [BarScore(market.id, start + place * MINUTE, 1.0, "m", 1, rate) for place, rate in enumerate(alarms)]
    )


async def test_a_statement_is_its_rates_and_its_markets(models: MemoryModelStore) -> None:
    clock = ManualClock(NOW)
    accounts = MemoryAccounts(clock)
    owner = await accounts.create("ann", "ann@example.org", Role.USER)
    lists = MemoryWatchlists(clock, accounts)
    count = FalseAlarmCount(models, lists)
    all_of_them = await count.statement(rule(owner.id, "*"), [ETH, BTC])
    assert all_of_them == ("rare", [3.0, 7.0], [BTC, ETH])
    silent = await count.statement(rule(owner.id, "*", {"type": "above", "level": "1"}), [ETH, BTC])
    assert silent == ("rare", [], [])
    listed = rule(owner.id, {"watchlist": "majors"})
    assert (await count.statement(listed, [ETH, BTC])).markets == []
    await lists.create(owner.id, "majors", ["ETH-USD"])
    assert (await count.statement(listed, [ETH, BTC])).markets == [ETH]


async def test_before_arming_there_is_history_alone(models: MemoryModelStore, lists: MemoryWatchlists) -> None:
    await judged(models, NOW - DAY, [None, 2.0, 5.0, None])
    await judged(models, NOW - HISTORY - HOUR, [0.1])
    found = await FalseAlarmCount(models, lists).count([ETH, BTC], [3.0, 7.0], None, NOW)
    assert [(one.market, one.stated_per_week) for one in found] == [
        ("coinbase:BTC-USD", 3.0),
        ("coinbase:BTC-USD", 7.0),
        ("coinbase:ETH-USD", 3.0),
        ("coinbase:ETH-USD", 7.0),
    ]
    assert all(one.armed is None for one in found)
    assert (found[0].history.minutes, found[0].history.alarms, found[0].history.per_week) == (4, 1, 2520.0)
    assert (found[2].history.minutes, found[2].history.per_week) == (0, None)
    assert (found[0].history.start, found[0].history.end) == (rfc3339(NOW - HISTORY), rfc3339(NOW))


async def test_since_arming_is_told_beside_it(models: MemoryModelStore, lists: MemoryWatchlists) -> None:
    armed = NOW - HOUR
    await judged(models, armed - MINUTE, [2.0, None, 2.0, None, 1.0])
    count = FalseAlarmCount(models, lists)
    (only,) = await count.count([BTC], [3.0], armed, NOW)
    assert (only.history.minutes, only.history.alarms, only.history.end) == (1, 1, rfc3339(armed))
    assert only.armed is not None
    assert (only.armed.minutes, only.armed.alarms, only.armed.start) == (4, 2, rfc3339(armed))
    (ahead,) = await count.count([BTC], [3.0], NOW + HOUR, NOW)  # whose clock armed it was ahead of ours
    assert ahead.history.end == rfc3339(NOW)
    assert ahead.armed is not None
    assert ahead.armed.minutes == 0
