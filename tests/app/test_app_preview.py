"""A preview over what a live run stored says what the live run said."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import quick, running, simulated
from tests.app.test_app_service import rows

from pricewatch.app.backtesting import over_store
from pricewatch.app.runtime import Service
from pricewatch.domain.account import Role
from pricewatch.ports.preview import Question, Resolution

pytestmark = pytest.mark.postgres

CHANGE = {"type": "change", "window": "2s", "percent": "0.02%", "direction": "either"}
RULES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    *(({"type": "above", "level": str(level)}, {"hysteresis": "0%"}) for level in range(64_900, 65_101, 10)),
    *(
        ({"type": "crosses", "level": str(level), "direction": "down"}, {"hysteresis": "0.001%"})
        for level in range(64_900, 65_101, 20)
    ),
    ({"type": "below", "level": "65000"}, {"for": "300ms", "hysteresis": "0%"}),
    (CHANGE, {"for": "200ms", "cooldown": "2s"}),
    ({"type": "extreme", "of": "high", "window": "1s"}, {}),
    ({"type": "volume", "times": "1.2", "window": "1s", "baseline": "2s"}, {}),
]


async def prepare(service: Service) -> None:
    account = await service.store.accounts.create("ann", "ann@example.org", Role.USER)
    documents = [
        (
            uuid.UUID(int=number),
            json.dumps({"title": f"{number}", "symbols": "*", "when": when, "policy": policy}).encode(),
        )
        for number, (when, policy) in enumerate(RULES, 1)
    ]
    await service.store.rules.create_many(account.id, documents)


async def test_the_ids_of_a_preview_are_those_of_the_live_run(database_url: str, open_folder: Path) -> None:
    async with simulated(rate=300.0) as (venues, _):
        settings = quick(open_folder, database_url, venues)
        async with running(settings, prepare=prepare) as run:
            async with asyncio.timeout(120):
                while len(await rows(database_url, "SELECT DISTINCT rule_id FROM signal")) < 8:
                    await asyncio.sleep(0.05)
            assert run.service.tally().rejected == 0
    signals = await rows(database_url, "SELECT id, rule_id, seen FROM signal ORDER BY seen, rule_id, direction")
    versions = await rows(database_url, "SELECT rule_id, document, effective_seen FROM rule_version")
    end = (await rows(database_url, "SELECT cursor_seen FROM shard"))[0][0] + 1
    active = 0
    async with over_store(settings) as (_, preview):
        for rule, document, effective in versions:
            live = [row["id"] for row in signals if row["rule_id"] == rule]
            asked = Question(document=document, start=effective + 1, end=end, rule_id=rule)
            answer = await preview.run(asked)
            assert answer.resolution is Resolution.TICK
            assert sorted(one.id for one in answer.signals) == sorted(live), document
            assert [one.seen for one in answer.signals] == sorted(one.seen for one in answer.signals)
            active += bool(live)
    assert active >= 8
