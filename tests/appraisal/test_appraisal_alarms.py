from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec
import pytest

from pricewatch.appraisal.alarms import Appraisal, appraise
from pricewatch.appraisal.alarms_page import alarms_page, alarms_table, totals_table
from pricewatch.domain.account import Role
from pricewatch.domain.market import Market
from pricewatch.domain.model import BarScore
from pricewatch.domain.time import DAY, HOUR, MINUTE, rfc3339
from pricewatch.engine.falsealarms import FalseAlarmCount
from pricewatch.testing.accounts import MemoryAccounts
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.models import MemoryModelStore
from pricewatch.testing.records import MemoryWatchlists
from pricewatch.testing.rules import MemoryRuleBook

MARKETS = [Market(1, "coinbase", "BTC-USD", "BTC-USD"), Market(2, "coinbase", "ETH-USD", "ETH-USD")]
NOW = 1_700_000_000_000_000 // MINUTE * MINUTE


def rare(title: str, symbols: object, when: object = None) -> bytes:
    stated = {"type": "anomaly", "false_alarms": "252/week"} if when is None else when
    return msgspec.json.encode({"title": title, "symbols": symbols, "when": stated})


async def judged(models: MemoryModelStore, market: int, start: int, alarms: Sequence[float | None]) -> None:
    await models.save_bar_scores(
        [BarScore(market, start + place * MINUTE, 1.0, "m", 1, rate) for place, rate in enumerate(alarms)]
    )


@pytest.fixture
async def found() -> Appraisal:
    """Two armed and unarmed rules of ann's with a rate of one in 40 minutes, one without; one of bob's."""
    clock = ManualClock(NOW)
    accounts, models = MemoryAccounts(clock), MemoryModelStore()
    book = MemoryRuleBook(clock, accounts, batch=2)
    ann = await accounts.create("ann", "ann@example.org", Role.USER)
    bob = await accounts.create("bob", "bob@example.org", Role.USER)
    armed = await book.create(ann.id, rare("<armed>", ["BTC-USD"]))
    book.take_up(armed.id, 1, NOW - HOUR)
    await book.create(ann.id, rare("new", "*"), rule_id=uuid.UUID(int=1))
    await book.create(ann.id, rare("level", "*", {"type": "above", "level": "1"}))
    await book.create(bob.id, rare("foreign", "*"))
    await judged(models, 1, NOW - DAY, [*[None] * 78, 100.0, 300.0])
    await judged(models, 1, NOW - HOUR, [*[None] * 37, 9.0, None, 8.0])
    told: list[tuple[str, int, int]] = []
    done = await appraise(
        book.everything(),
        {ann.id: ann.name},
        MARKETS,
        count=FalseAlarmCount(models, MemoryWatchlists(clock, accounts)),
        now=NOW,
        progress=lambda name, done, count: told.append((name, done, count)),
    )
    assert sorted(name for name, _, _ in told) == ["<armed>", "level", "new"]
    assert told[-1][1:] == (3, 3)
    return done


def test_each_rule_that_states_a_rate_is_told_by_market(found: Appraisal) -> None:
    assert {one.title: [row.market for row in one.markets] for one in found.rules} == {
        "<armed>": ["coinbase:BTC-USD"],
        "new": ["coinbase:BTC-USD", "coinbase:ETH-USD"],
    }
    armed = next(one for one in found.rules if one.since is not None)
    assert (armed.account, armed.version, armed.since) == ("ann", 1, rfc3339(NOW - HOUR))
    rows = {(row[1], row[2]): row[3:] for row in alarms_table(found)[1]}
    assert rows == {
        ("<armed>", "coinbase:BTC-USD"): ("252", "126.00", "80", "504.00", "40"),
        ("new", "coinbase:BTC-USD"): ("252", "252.00", "120", "not armed", ""),
        ("new", "coinbase:ETH-USD"): ("252", "nothing judged", "0", "not armed", ""),
    }


def test_rates_are_told_over_all_rules(found: Appraisal) -> None:
    assert [one[:4] for one in found.totals] == [(252.0, "history", 200, 4), (252.0, "armed", 40, 2)]
    assert [row[4:] for row in totals_table(found)[1]] == [("201.60", "0.80"), ("504.00", "2.00")]


def test_a_page_has_the_same_figures_and_a_plot(found: Appraisal) -> None:
    html = alarms_page(found)
    assert "&lt;armed&gt;" in html
    assert "data:image/png" in html
    assert "504.00" in html


def test_nothing_judged_and_no_rules_are_a_page(found: Appraisal) -> None:
    assert "data:image/png" not in alarms_page(Appraisal([]))
    quiet = found.rules[0]._replace(
        markets=[row for one in found.rules for row in one.markets if not row.history.minutes]
    )
    assert [one.factor for one in Appraisal([quiet]).totals] == [None]
    assert totals_table(Appraisal([quiet]))[1][0][4:] == ("nothing judged", "")
