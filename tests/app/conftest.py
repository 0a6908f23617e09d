"""A whole service in this loop, on the simulator's venues and the session's PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from tests.conftest import missing

from pricewatch.app.clock import SystemClock
from pricewatch.app.runtime import Service
from pricewatch.bus.settings import BusSettings
from pricewatch.config import AppSettings, Settings
from pricewatch.delivery.settings import DeliverySettings
from pricewatch.domain.account import Role
from pricewatch.engine.settings import EngineSettings
from pricewatch.evaluation.settings import EvaluationSettings
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.simulator.server import Addresses, SimulatorServer
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.store.settings import StoreSettings
from pricewatch.testing.bus import RedisServer
from pricewatch.training.settings import TrainingSettings


async def until(holds: Callable[[], object], within: float = 60) -> None:
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def simulated(**settings: Any) -> AsyncIterator[tuple[Addresses, SimulatorServer]]:
    options: dict[str, Any] = {
        "markets": {"coinbase": ("BTC-USD", "ETH-USD")},
        "rate": 40.0,
        "history_minutes": 5,
        "seed": 3,
    }
    server = SimulatorServer(SimulatorSettings(**options | settings), clock=SystemClock())
    addresses = await server.start()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.run())
        try:
            yield addresses, server
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await server.stop()


def quick(folder: Path, url: str, venues: Addresses | None = None, **changes: Any) -> Settings:
    """Settings of a service that does everything soon."""
    sections: dict[str, Any] = {
        "app": AppSettings(data=folder, drain_timeout=3.0),
        "database": StoreSettings(url=SecretStr(url), probe_interval=0.1),
        "ingest": IngestSettings(
            backfill_candles=0,
            venues={
                "coinbase": VenueSettings(
                    symbols=("BTC-USD", "ETH-USD"),
                    socket_url=f"{venues.ws}/coinbase" if venues else "ws://127.0.0.1:9",
                    rest_url=f"{venues.rest}/coinbase" if venues else "http://127.0.0.1:9",
                    history_interval=0.0,
                    backoff_base=0.05,
                    backoff_cap=0.2,
                    open_interval=0.0,
                )
            },
        ),
        "engine": EngineSettings(models=False),
        "evaluation": EvaluationSettings(checkpoint_interval=0.05, rules_interval=0.2, recovery_hold=0.5),
        "training": TrainingSettings(enabled=False),
        "delivery": DeliverySettings(poll_interval=0.1),
        "gateway": GatewaySettings(port=0, reconnect_spread=0.1, retry_pause=0.1, close_timeout=0.5),
    }
    return Settings(**sections | changes)


class Run:
    """One service at work."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.service = Service(settings, **options)
        self.stop = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.service.port}"

    async def ready(self) -> None:
        """Wait until the service says it is ready."""
        async with asyncio.timeout(60):
            while (await self.get("/readyz"))[0] != 200:
                await asyncio.sleep(0.02)

    async def get(self, path: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text


@asynccontextmanager
async def running(settings: Settings, *, wait: bool = True, **options: Any) -> AsyncIterator[Run]:
    run = Run(settings, **options)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run.service.run(run.stop))
        try:
            if wait:
                async with asyncio.timeout(60):
                    await run.service.started.wait()
            yield run
        finally:
            run.stop.set()
            async with asyncio.timeout(60):
                await task


RULES: list[tuple[int, dict[str, Any], dict[str, Any]]] = [
    (number, {"type": "above", "level": str(level)}, {}) for number, level in enumerate(range(64_800, 65_200, 25), 1)
] + [(900, {"type": "change", "window": "2s", "percent": "0.05%", "direction": "either"}, {"for": "1s"})]


async def prepare(service: Service) -> None:
    """An account with rules that the simulated market will meet."""
    store = service.store
    account = await store.accounts.find("ann") or await store.accounts.create("ann", "ann@example.org", Role.USER)
    documents = [
        (
            uuid.UUID(int=number),
            json.dumps({"title": f"rule {number}", "symbols": "*", "when": when, "policy": policy}).encode(),
        )
        for number, when, policy in RULES
    ]
    await store.rules.create_many(account.id, documents)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    if RedisServer.program() is None:
        missing("there is no redis-server on the PATH")
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


def on_bus(settings: Settings, server: RedisServer, *roles: str, folder: Path) -> Settings:
    return settings.model_copy(
        update={
            "app": settings.app.model_copy(update={"roles": roles, "data": folder}),
            "bus": BusSettings(url=SecretStr(server.url), block=0.2, socket_timeout=2.0),
        }
    )
