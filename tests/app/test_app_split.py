"""The roles in processes of their own, over Redis: the same signals, whoever is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from tests.acceptance.oracle import OracleRule, Print, expected
from tests.app.conftest import RULES, Run, on_bus, prepare, quick, running, simulated, until

from pricewatch.accounts.tokens import mint
from pricewatch.app.clock import SystemClock
from pricewatch.config import Settings
from pricewatch.testing.bus import RedisServer

pytestmark = [pytest.mark.postgres, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(180)]
LEVELS = range(1, 900)
"""The rules without timers: the oracle knows no outage."""
SOURCE = Path(__file__).resolve().parents[2] / "src"


async def fetch(url: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


async def prints(url: str) -> list[Print]:
    found = await fetch(
        url,
        "SELECT t.seen, i.venue || ':' || i.symbol AS market, (extract(epoch FROM t.ts) * 1000000)::bigint AS at, "
        "t.price, t.trade_id, t.flags "
        "FROM trade t JOIN instrument i ON i.id = t.instrument_id ORDER BY t.seen",
    )
    return [Print(row["seen"], row["market"], row["at"], row["price"], row["trade_id"], row["flags"]) for row in found]


async def check_signals(url: str, *, only: range) -> int:
    """What was told is what the definitions say about what is stored, each once and in order."""
    versions = await fetch(url, "SELECT rule_id, version, effective_seen FROM rule_version")
    places = {row["rule_id"]: row["effective_seen"] for row in versions}
    rules = [
        OracleRule(
            uuid.UUID(int=number), 1, places[uuid.UUID(int=number)], {"symbols": "*", "when": when, "policy": policy}
        )
        for number, when, policy in RULES
        if number in only
    ]
    wanted = {one.id for one in expected(rules, await prints(url))}
    told = [
        row["id"]
        for row in await fetch(url, "SELECT id, rule_id FROM signal ORDER BY seen")
        if row["rule_id"].int in only
    ]
    assert len(told) == len(set(told))
    assert set(told) == wanted
    return len(told)


async def check_nothing_lost(url: str) -> None:
    for row in await fetch(
        url,
        "SELECT instrument_id, count(*) AS n, max(trade_id) - min(trade_id) + 1 AS span FROM trade "
        "WHERE flags & 4 = 0 GROUP BY instrument_id",
    ):
        assert row["n"] == row["span"]


class EngineProcess:
    """The engine as a process, to be killed."""

    def __init__(self, url: str, redis: str, folder: Path) -> None:
        self.folder = folder
        self.process: asyncio.subprocess.Process | None = None
        inherited = dict(os.environ)  # noqa: TID251 - handed on to the child
        self.environment = {name: value for name, value in inherited.items() if not name.startswith("PRICEWATCH_")} | {
            "PYTHONPATH": str(SOURCE),
            "PRICEWATCH_DATABASE__URL": url,
            "PRICEWATCH_BUS__URL": redis,
            "PRICEWATCH_APP__DATA": str(folder),
            "PRICEWATCH_APP__ROLES": '["engine"]',
            "PRICEWATCH_ENGINE__MODELS": "false",
            "PRICEWATCH_EVALUATION__CHECKPOINT_INTERVAL": "0.05",
            "PRICEWATCH_EVALUATION__RECOVERY_HOLD": "0.2",
            "PRICEWATCH_INGEST__VENUES": json.dumps({"coinbase": {"symbols": ["BTC-USD", "ETH-USD"]}}),
        }

    async def start(self) -> None:
        with (self.folder / "engine.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "pricewatch", "run", env=self.environment, cwd=self.folder, stderr=log
            )

    async def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.process.wait()

    @property
    def log(self) -> str:
        return (self.folder / "engine.log").read_text()


async def started(stack: AsyncExitStack, settings: Settings, **options: Any) -> Run:
    return await stack.enter_async_context(running(settings, **options))


async def test_three_processes_tell_what_one_would(
    database_url: str, open_folder: Path, redis_server: RedisServer
) -> None:
    async with AsyncExitStack() as stack:
        venues, _ = await stack.enter_async_context(simulated())
        settings = quick(open_folder, database_url, venues)
        engine = await started(
            stack,
            on_bus(settings, redis_server, "engine", "training", folder=open_folder / "engine"),
            prepare=prepare,
        )
        gateway = await started(
            stack, on_bus(settings, redis_server, "gateway", "delivery", folder=open_folder / "gateway")
        )
        store = gateway.service.store
        account = await store.owner("ann")
        key = mint(account.id, now=SystemClock().now())
        await store.accounts.add_key(key.key)
        assert engine.service.assembly is not None
        evaluation = engine.service.assembly.evaluation
        assert evaluation is not None
        seen: dict[str, list[dict[str, Any]]] = {"signal": [], "ticker": []}
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {key.text}"}) as session,
            session.ws_connect(gateway.url + "/ws/v1") as socket,
            asyncio.TaskGroup() as group,
        ):
            for number, channel in enumerate(("signals", "ticker")):
                await socket.send_json(
                    {"method": "subscribe", "params": {"channel": channel, "symbols": ["*"]}, "req_id": number}
                )

            async def read() -> None:
                async for message in socket:
                    frame = message.json()
                    seen.setdefault(frame["type"], []).append(frame)

            reading = group.create_task(read())
            ingest = await stack.enter_async_context(
                running(on_bus(settings, redis_server, "ingest", folder=open_folder / "ingest"))
            )
            await until(lambda: evaluation.status()["signals"] >= 3 and len(seen["ticker"]) > 5, within=12)
            # a rule made at the gateway reaches the engine over the bus
            async with session.post(
                gateway.url + "/api/v1/rules",
                json={"title": "new", "symbols": "*", "when": {"type": "above", "level": "1"}},
            ) as answer:
                assert answer.status in {200, 201}, await answer.text()
                made = uuid.UUID((await answer.json())["id"])
            await until(lambda: made in vars(evaluation)["_engine"]._roster._rules, within=2)
            ingest.stop.set()
            await asyncio.sleep(0.8)
            told = evaluation.status()["signals"]
            await until(lambda: len(seen["signal"]) == told)
            reading.cancel()
        assert [frame["seq"] for frame in seen["signal"]] == list(range(1, told + 1))
    await check_nothing_lost(database_url)
    assert await check_signals(database_url, only=LEVELS) >= 1


async def test_a_killed_engine_loses_and_doubles_nothing(
    database_url: str, open_folder: Path, redis_server: RedisServer
) -> None:
    open_folder = open_folder / "deep"
    open_folder.mkdir(mode=0o711)
    async with AsyncExitStack() as stack:
        venues, _ = await stack.enter_async_context(simulated())
        settings = quick(open_folder, database_url, venues)
        async with running(
            on_bus(settings, redis_server, "gateway", folder=open_folder / "gateway"), prepare=prepare
        ) as gateway:
            engine = EngineProcess(database_url, redis_server.url, open_folder)
            await engine.start()
            try:
                await until(lambda: "service.started" in engine.log, within=15)
                ingest = await stack.enter_async_context(
                    running(on_bus(settings, redis_server, "ingest", folder=open_folder / "ingest"))
                )
                await stored(database_url, "signal", 3)
                await engine.end(signal.SIGKILL)
                before = len(await fetch(database_url, "SELECT 1 FROM trade"))
                await asyncio.sleep(0.3)
                await engine.start()
                await until(lambda: engine.log.count("service.started") == 2, within=15)
                await stored(database_url, "trade", before + 100)
                ingest.stop.set()
                await asyncio.sleep(1.0)
                assert await engine.end(signal.SIGTERM) == 0, engine.log
            finally:
                await engine.end(signal.SIGKILL)
            assert gateway.service.port
    await check_nothing_lost(database_url)
    assert await check_signals(database_url, only=LEVELS) >= 1


async def stored(url: str, table: str, count: int) -> None:
    async with asyncio.timeout(60):
        while len(await fetch(url, f"SELECT 1 FROM {table}")) < count:
            await asyncio.sleep(0.1)
