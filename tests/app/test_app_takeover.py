"""Two engines over one database and bus, in this loop: one owns the shard, the other stands by."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.app.conftest import Run, on_bus, prepare, quick, running, simulated, until
from tests.app.test_app_split import LEVELS, check_nothing_lost, check_signals, fetch, stored

from pricewatch.app.runtime import first_cause
from pricewatch.domain.errors import Fenced
from pricewatch.testing.bus import RedisServer

pytestmark = [pytest.mark.postgres, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(180)]


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
                    await stored(database_url, "signal", 2)
                    first.stop.set()
                    await second.ready()
                    assert (await second.get("/status"))[1]["parts"]["shard"]["takeovers"] == 1
                    before = await count(database_url)
                    await stored(database_url, "trade", before + 60)
                    ingest.stop.set()
                    await asyncio.sleep(1.0)
    await check_nothing_lost(database_url)
    assert await check_signals(database_url, only=LEVELS) >= 1


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


async def count(url: str) -> int:
    return len(await fetch(url, "SELECT 1 FROM trade"))
