from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from tests.cli.conftest import Command

from pricewatch.app.wiring import open_store
from pricewatch.config import load
from pricewatch.domain.account import Role
from pricewatch.domain.model import BarScore
from pricewatch.domain.time import MINUTE
from pricewatch.ports.ticks import Listing

pytestmark = pytest.mark.postgres


async def fill(config: Path) -> None:
    """One rule of ann's at three alarms a week, and fifty judged minutes with two alarms."""
    async with open_store(load(config)) as store:
        (market,) = await store.catalog.register([Listing("coinbase", "BTC-USD", "BTC-USD")])
        ann = await store.accounts.create("ann", "ann@example.org", Role.USER)
        await store.accounts.create("bob", "bob@example.org", Role.USER)
        document = {"title": "rare", "symbols": "*", "when": {"type": "anomaly", "false_alarms": "3/week"}}
        stored = await store.rules.create(ann.id, msgspec.json.encode(document))
        last = stored.created // MINUTE * MINUTE
        await store.models.save_bar_scores(
            [
                BarScore(market.id, last - place * MINUTE, 1.0, "m", 1, 2.0 if place in {3, 40} else None)
                for place in range(1, 51)
            ]
        )


def test_stated_and_observed_false_alarms(pw: Command, config: Path, tmp_path: Path) -> None:
    asyncio.run(fill(config))
    given = ("evaluate", "alarms", "--config", str(config))
    told = pw(*given, "--json").json
    (rule,) = told["rules"]
    assert (rule["account"], rule["title"], rule["since"]) == ("ann", "rare", None)
    (market,) = rule["markets"]
    assert (market["market"], market["stated_per_week"], market["armed"]) == ("coinbase:BTC-USD", 3.0, None)
    assert (market["history"]["minutes"], market["history"]["alarms"]) == (50, 2)
    assert told["totals"] == [
        {
            "stated_per_week": 3.0,
            "span": "history",
            "minutes": 50,
            "alarms": 2,
            "per_week": pytest.approx(403.2),
            "factor": pytest.approx(134.4),
        }
    ]
    page = tmp_path / "page.html"
    table = pw(*given, "--account", "ann", "--report", str(page))
    assert "403.20" in table.out
    assert "403.20" in page.read_text()
    none = pw(*given, "--account", "bob")
    assert (none.code, none.out) == (0, "")
    assert "no rule states a rate" in none.err
    assert pw(*given, "--account", "nobody").code != 0
