"""Two engines over one database and bus, in this loop: one owns the shard, the other stands by."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest
from tests.app.conftest import Run, on_bus, prepare, quick, running, simulated, until
from tests.app.test_app_split import LEVELS, check_nothing_lost, check_signals, fetch, stored

from pricewatch.app.runtime import first_cause
from pricewatch.domain.errors import Fenced
from pricewatch.evaluation.settings import EvaluationSettings
from pricewatch.testing.bus import RedisServer

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.redis
async def test_a_second_engine_stands_by_until_the_first_hands_over(
    database_url: str, open_folder: Path, redis_server: RedisServer
) -> None:
    async with simulated() as (venues, _):
        settings = quick(open_folder, database_url, venues)
        async with running(
            on_bus(settings, redis_server, "engine", folder=open_folder / "first"), prepare=prepare
        ) as first:
            second_settings = on_bus(settings, redis_server, "engine", "gateway", folder=open_folder / "second")
            async with running(second_settings, wait=False) as second:
                await until(lambda: second.service.assembly is not None and second.service.port)

                async def troubles() -> dict[str, str]:
                    status, answer = await second.get("/readyz")
                    assert status == 503
                    found: dict[str, str] = answer["troubles"]
                    return found

                async with asyncio.timeout(30):
                    while (await troubles())["shard"].endswith("nobody we know of"):
                        await asyncio.sleep(0.05)
                async with running(on_bus(settings, redis_server, "ingest", folder=open_folder / "ingest")) as ingest:
                    await a_level_is_crossed(database_url)
                    first.stop.set()
                    await second.ready()
                    assert (await second.get("/status"))[1]["parts"]["shard"]["takeovers"] == 1
                    before = await count(database_url)
                    await stored(database_url, "trade", before + 60)
                    ingest.stop.set()
                    await asyncio.sleep(1.0)
    await check_nothing_lost(database_url)
    assert await check_signals(database_url, only=LEVELS) >= 1


@pytest.mark.redis
async def test_an_engine_that_was_replaced_ends(
    database_url: str, open_folder: Path, redis_server: RedisServer
) -> None:
    run = Run(on_bus(quick(open_folder, database_url), redis_server, "engine", folder=open_folder / "engine"))

    async def replaced() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(run.service.run(run.stop))
            await run.service.started.wait()
            await run.service.store.journal.claim(0, "another")

    with pytest.raises(BaseExceptionGroup) as told:
        await replaced()
    assert isinstance(first_cause(told.value), Fenced)


async def a_level_is_crossed(url: str) -> None:
    """Wait for a signal that the oracle can speak of."""
    highest = uuid.UUID(int=LEVELS.stop)
    async with asyncio.timeout(90):
        while not await fetch(
            url, f"SELECT 1 FROM signal WHERE rule_id < '{highest}' AND rule_id > '{uuid.UUID(int=0)}'"
        ):
            await asyncio.sleep(0.1)


async def count(url: str) -> int:
    return len(await fetch(url, "SELECT 1 FROM trade"))


async def test_two_whole_services_share_a_database(database_url: str, open_folder: Path) -> None:
    """No bus: what is missed between the two comes from the venue's history."""
    async with simulated() as (venues, _):
        evaluation = EvaluationSettings(
            checkpoint_interval=0.05, rules_interval=0.2, recovery_hold=0.5, replaceable=True
        )
        first, second = (
            quick(open_folder / name, database_url, venues, evaluation=evaluation) for name in ("first", "second")
        )
        async with running(first, prepare=prepare) as one, running(second, wait=False) as two:
            await a_level_is_crossed(database_url)
            assert not two.service.started.is_set()
            one.stop.set()
            await two.ready()
            before = await count(database_url)
            await stored(database_url, "trade", before + 60)
    await check_nothing_lost(database_url)
    assert await check_signals(database_url, only=LEVELS) >= 1
