"""Refits: what one costs in a warm process, and what the event loop notices while 200 markets are refitted."""

from __future__ import annotations

import asyncio
import math
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from pydantic import SecretStr

from pricewatch.app.clock import SystemClock
from pricewatch.app.loopwatch import core_wait
from pricewatch.app.prompt import prompt
from pricewatch.app.wiring import Store, build_store
from pricewatch.config import AppSettings, Settings
from pricewatch.domain.market import Candle, Market
from pricewatch.domain.model import Forecast
from pricewatch.domain.packed import packed
from pricewatch.domain.time import HOUR, MINUTE
from pricewatch.ports.ticks import Listing
from pricewatch.store.embedded import EmbeddedPostgres
from pricewatch.store.migrate import migrate
from pricewatch.store.settings import StoreSettings
from pricewatch.training.job import Failed, Fitted, Job
from pricewatch.training.pool import FitPool
from pricewatch.training.process import run
from pricewatch.training.settings import TrainingSettings
from pricewatch.training.worker import Trainer

REFIT_HEAD = ["kind", "rows", "fits", "CPU median ms", "wall median ms", "wall p95 ms", "artefact bytes"]
LAG_HEAD = [
    "event loop",
    "seconds",
    "refits",
    "lag p50 ms",
    "lag p99 ms",
    "lag max ms",
    "lag but for waits for a core p99 ms",
    "max ms",
    "own work p99 ms",
    "own work max ms",
]
ROWS = 2_016


def walk(rows: int, span: int, end: int, seed: int, market: int = 1) -> list[Candle]:
    """A random walk with a day's rhythm."""
    luck, price, found = random.Random(seed), 100.0, []
    for place in range(rows):
        at = end - (rows - place) * span
        wide = 0.0005 * (1.5 + math.sin(2 * math.pi * (at % (24 * HOUR)) / (24 * HOUR)))
        price *= math.exp(luck.gauss(0.0, wide))
        far = abs(luck.gauss(wide, wide / 4)) + 1e-6
        found.append(Candle(market, at, price, price * (1 + far), price * (1 - far), price, luck.uniform(1, 2), 9))
    return found


def run_refits(*, quick: bool) -> list[list[str]]:
    """One kind after the other, each in the same process once it is warm."""
    return asyncio.run(_refits(3 if quick else 30))


async def _refits(times: int) -> list[list[str]]:
    pool = FitPool(TrainingSettings(tasks_per_child=10_000, nice=0), timed)
    rows = []
    try:
        for kind, span in (("price", MINUTE), ("range", HOUR), ("volume", HOUR), ("outlook", HOUR)):
            jobs = [_job(kind, span, seed) for seed in range(times + 1)]
            took, used, size = [], [], 0
            for job in jobs:
                began = time.perf_counter()
                outcome = await pool.fit(job)
                took.append(1000 * (time.perf_counter() - began))
                assert not isinstance(outcome, Failed), outcome
                used.append(float(outcome.note))
                size = len(outcome.artefact)
            warm = sorted(took[1:])
            p95 = warm[int(0.95 * (len(warm) - 1))]
            cpu, wall = statistics.median(used[1:]), statistics.median(warm)
            rows.append([kind, str(ROWS), str(times), f"{cpu:.0f}", f"{wall:.0f}", f"{p95:.0f}", str(size)])
    finally:
        await pool.close()
    return rows


def timed(job: Job) -> Fitted | Failed:
    """A fit with the milliseconds of processor time it took, the library's own process included, as its note."""
    before = _used()
    outcome = run(job)
    if isinstance(outcome, Failed):
        return outcome
    return msgspec.structs.replace(outcome, note=f"{1000 * (_used() - before):.3f}")


def _used() -> float:
    both = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(one.ru_utime + one.ru_stime for one in both)


def _job(kind: str, span: int, seed: int) -> Job:
    end = 1_769_868_000_000_000 // HOUR * HOUR
    reach = 4 * HOUR if kind == "price" else 120 * HOUR if kind == "outlook" else 24 * HOUR
    return Job(kind, packed(walk(ROWS, span, end, seed)), span, end, 300, ROWS, reach, [0.8, 0.95, 0.99])


class _Loop:
    """How late the loop is, and how much of that is its own work: a clock that wants to tick each millisecond."""

    def __init__(self) -> None:
        self._late: list[float] = []
        self._own: list[float] = []
        self._work: list[float] = []

    async def run(self) -> None:
        loop, waited = asyncio.get_running_loop(), core_wait()
        while True:
            due, busy, queued = loop.time() + 0.001, time.thread_time(), waited()
            await asyncio.sleep(0.001)
            late = max(0.0, loop.time() - due)
            self._late.append(1000 * late)
            self._own.append(1000 * max(0.0, late - (waited() - queued)))
            self._work.append(1000 * (time.thread_time() - busy))

    def row(self, name: str, seconds: float, refits: int) -> list[str]:
        late, own, work = sorted(self._late), sorted(self._own), sorted(self._work)
        p99 = int(0.99 * (len(late) - 1))
        return [
            *(name, f"{seconds:.0f}", str(refits), f"{statistics.median(late):.2f}", f"{late[p99]:.2f}"),
            *(f"{late[-1]:.1f}", f"{own[p99]:.2f}", f"{own[-1]:.1f}", f"{work[p99]:.2f}", f"{work[-1]:.1f}"),
        ]


class _Sink:
    """A `ForecastSink` that counts."""

    def __init__(self) -> None:
        self.told = 0

    def forecast_ready(self, forecast: Forecast) -> None:
        self.told += 1


def run_lag(*, quick: bool, say: Callable[[str], None]) -> list[list[str]]:
    """Everything real: candles read from PostgreSQL, versions registered, rows stored."""
    return asyncio.run(_lag(5 if quick else 200, say))


async def _lag(count: int, say: Callable[[str], None]) -> list[list[str]]:
    with tempfile.TemporaryDirectory(prefix="pricewatch-bench-") as folder:
        server = EmbeddedPostgres(Path(folder) / "pg")
        await server.start()
        try:
            settings = Settings(app=AppSettings(data=Path(folder)), database=StoreSettings(url=SecretStr(server.url())))
            store = build_store(settings, server.url(), SystemClock())
            async with store.database, store.bulk, store.commits:
                await migrate(store.database)
                markets = await _fill(store, count, say)
                return await _measure(store, markets, say)
        finally:
            await server.stop()


async def _fill(store: Store, count: int, say: Callable[[str], None]) -> Sequence[Market]:
    say(f"filling {count} markets with {ROWS} candles each")
    markets = await store.catalog.register([Listing("coinbase", f"C{n}-USD", f"C{n}-USD") for n in range(count)])
    end = SystemClock().now() // MINUTE * MINUTE
    for market in markets:
        await store.history.import_candles(walk(ROWS, MINUTE, end, market.id, market.id))
    return markets


async def _measure(store: Store, markets: Sequence[Market], say: Callable[[str], None]) -> list[list[str]]:
    prompt()  # as the service does
    idle = _Loop()
    await _during(idle, lambda: False, least=10.0)
    sink = _Sink()
    trainer = Trainer(
        TrainingSettings(),
        markets,
        history=store.history,
        columns=store.columns,
        spreads=store.spreads,
        models=store.models,
        registry=store.registry,
        artefacts=store.artefacts,
        forecasts=sink,
        clock=SystemClock(),
    )
    say(f"refitting {len(markets)} markets")
    busy, began = _Loop(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(trainer.run())
        await _during(busy, lambda: len(trainer._states) < 4 * len(markets), least=0.0)
        task.cancel()
    seconds = time.perf_counter() - began
    assert sink.told == len(markets), trainer.status()
    return [idle.row("idle", 10.0, 0), busy.row("while refitting", seconds, trainer.fitted)]


async def _during(loop: _Loop, more: Callable[[], bool], *, least: float) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(loop.run())
        await asyncio.sleep(least)
        while more():  # noqa: ASYNC110 - a look ten times a second disturbs less than telling would
            await asyncio.sleep(0.1)
        task.cancel()
