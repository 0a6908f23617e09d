from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Candle, Market, Trade
from pricewatch.domain.model import Activation, BarScore, Forecast, Snapshot
from pricewatch.domain.time import HOUR, MINUTE
from pricewatch.ports.ticks import Mark, Sequenced
from pricewatch.testing.clock import ManualClock
from pricewatch.training.job import Failed, Fitted, Job
from pricewatch.training.pool import FitPool
from pricewatch.training.settings import TrainingSettings
from pricewatch.training.worker import Trainer, usable

NOW = 1_769_868_180_000_000 - 1_769_868_180_000_000 % MINUTE + 30_000_000
FAST: dict[str, Any] = {"retry_interval": 0.05, "rows": 400, "min_rows": 300}
pytestmark = pytest.mark.filterwarnings("default")


class Shelf:
    """The ports a trainer needs, with one market's candles."""

    def __init__(self, rows: int) -> None:
        luck = random.Random(5)
        price, first = 100.0, NOW - NOW % MINUTE - rows * MINUTE
        self.stored: list[Candle] = []
        for place in range(rows):
            price *= math.exp(luck.gauss(0.0, 0.0005))
            self.stored.append(Candle(1, first + place * MINUTE, price, price, price, price, 1.0, 1))
        self.mark: int | None = None
        self.down = False
        self.forecasts: list[Forecast] = []
        self.told: list[Forecast] = []

    async def marks(self, markets: Sequence[int]) -> Mapping[int, Mark]:
        _ = markets
        return {}

    async def recent(self, markets: Sequence[int], limit: int) -> Mapping[int, Sequence[Sequenced]]:
        assert limit == 1
        if self.down:
            raise Unavailable("no database")
        at = self.mark
        return {} if at is None else {one: [Sequenced(1, Trade(one, at, 1.0, 1.0, 0, 1, at))] for one in markets}

    async def last(self, upto: int) -> Mapping[int, Sequenced]:
        _ = upto
        return {}

    async def trades(self, market: int, start: int, end: int, *, limit: int = 100_000) -> list[Sequenced]:
        _ = market, start, end, limit
        return []

    async def candles(self, market: int, start: int, end: int, *, span: int, limit: int = 10_000) -> list[Candle]:
        assert span == MINUTE
        return [candle for candle in self.stored if candle.market == market and start <= candle.at < end][:limit]

    async def save_forecast(self, forecast: Forecast) -> None:
        if self.down:
            raise Unavailable("no database")
        self.forecasts.append(forecast)

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None: ...

    async def snapshots(self) -> list[Snapshot]:
        return []

    async def activate(self, activations: Sequence[Activation]) -> None: ...

    async def active_forecasts(self, at_seen: int) -> list[tuple[Activation, Forecast]]:
        _ = at_seen
        return []

    async def forecast(self, market: int) -> Forecast | None:
        _ = market
        return None

    async def save_bar_scores(self, scores: Sequence[BarScore]) -> None: ...

    def forecast_ready(self, forecast: Forecast) -> None:
        assert forecast in self.forecasts, "told before it was stored"
        self.told.append(forecast)


class Scripted:
    """A fit pool that answers as told."""

    killed = broken = 0

    def __init__(self, answers: Iterable[Callable[[Job], Fitted | Failed]]) -> None:
        self.answers = list(answers)
        self.jobs: list[Job] = []

    async def fit(self, job: Job) -> Fitted | Failed:
        self.jobs.append(job)
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(job)

    async def close(self) -> None: ...


def good(job: Job) -> Fitted:
    steps = range(job.steps)
    return Fitted([100.0 for _ in steps], [99.0 for _ in steps], [101.0 for _ in steps])


def bad(job: Job) -> Fitted:
    return Fitted([math.nan] * job.steps, [1.0] * job.steps, [2.0] * job.steps)


def trainer(shelf: Shelf, *answers: Callable[[Job], Fitted | Failed], **changes: Any) -> tuple[Trainer, Scripted]:
    worker = Trainer(
        TrainingSettings(**{**FAST, **changes}),
        [Market(1, "coinbase", "BTC-USD", "BTC-USD")],
        history=shelf,
        models=shelf,
        forecasts=shelf,
        clock=ManualClock(NOW),
    )
    pool = Scripted(answers or [good])
    worker._pool = pool  # type: ignore[assignment]
    return worker, pool


@asynccontextmanager
async def running(worker: Trainer) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(worker.run())
        yield
        task.cancel()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_market_is_fitted_stored_and_then_told() -> None:
    shelf = Shelf(350)
    worker, _ = trainer(shelf)
    async with running(worker):
        await until(lambda: shelf.told)
    (forecast,) = shelf.told
    minute = NOW - NOW % MINUTE
    assert (forecast.market, forecast.model, forecast.level, forecast.step) == (1, "prophet", 0.95, MINUTE)
    assert forecast.trained_to == minute
    assert forecast.trained_from == minute - 350 * MINUTE
    assert forecast.rows_used == 350
    assert forecast.expires == minute + 2 * HOUR
    assert len(forecast.rows) == 240
    assert forecast.rows[0].at == minute
    assert worker.status()["fitted"] == 1
    assert worker.trouble() is None


async def test_too_few_candles_are_waited_for() -> None:
    shelf = Shelf(350)
    shelf.stored, rest = shelf.stored[:299], shelf.stored[299:]
    worker, pool = trainer(shelf)
    async with running(worker):
        await until(lambda: worker.status()["too_few_rows"])
        assert pool.jobs == []
        shelf.stored += rest
        await until(lambda: shelf.told)
    assert worker.status()["too_few_rows"] == 0


async def test_only_the_newest_rows_are_read() -> None:
    shelf = Shelf(700)
    worker, pool = trainer(shelf)
    async with running(worker):
        await until(lambda: shelf.told)
    assert len(pool.jobs[0].at) == 400
    assert pool.jobs[0].at[-1] == shelf.stored[-1].at


async def test_recordings_of_the_past_are_fitted_at_their_own_time() -> None:
    shelf = Shelf(350)
    shelf.mark = shelf.stored[-1].at + 5_000_000
    worker, _ = trainer(shelf)
    worker._clock = ManualClock(NOW + 10_000 * HOUR)
    async with running(worker):
        await until(lambda: shelf.told)
    assert shelf.told[0].trained_to == shelf.stored[-1].at, "the open minute is left out"


async def test_failures_change_nothing_but_counters_and_are_tried_again() -> None:
    shelf = Shelf(350)
    worker, _ = trainer(shelf, lambda _: Failed("no luck"), bad, good)
    async with running(worker):
        await until(lambda: worker.status()["failed"])
        assert worker.status()["failing"] == {"1": "no luck"}
        await until(lambda: shelf.told)
    assert worker.status()["failed"] == 2
    assert worker.status()["failing"] == {}
    assert len(shelf.forecasts) == 1
    assert {sample.name for sample in worker.samples()} >= {"fits", "failures", "killed"}


async def test_storage_away_is_told_and_overcome() -> None:
    shelf = Shelf(350)
    shelf.down = True
    worker, _ = trainer(shelf)
    async with running(worker):
        await until(worker.trouble)
        shelf.down = False
        await until(lambda: shelf.told)
        assert worker.trouble() is None


async def test_disabled_is_quiet() -> None:
    shelf = Shelf(350)
    worker, pool = trainer(shelf, enabled=False)
    async with running(worker):
        await asyncio.sleep(0.1)
    assert pool.jobs == []


def test_candles_are_put_in_order_once_a_minute_and_finite() -> None:
    def candle(at: int, close: float) -> Candle:
        return Candle(1, at, close, close, close, close, 1.0)

    dirty = [candle(3, 1.0), candle(1, math.nan), candle(2, math.inf), candle(4, 0.0), candle(3, 2.0), candle(0, 5.0)]
    assert [(clean.at, clean.close) for clean in usable(dirty)] == [(0, 5.0), (3, 2.0)]


def test_settings_leave_no_time_without_a_band() -> None:
    with pytest.raises(ValidationError, match="must exceed refit_interval"):
        TrainingSettings(ttl=3600.0)
    with pytest.raises(ValidationError, match="must reach as far as ttl"):
        TrainingSettings(horizon=3600.0)
    with pytest.raises(ValidationError, match="at least min_rows"):
        TrainingSettings(rows=100)


def children() -> set[int]:
    """The fit processes: spawned by multiprocessing, whatever else this test run has started."""
    found = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def small_job() -> Job:
    shelf = Shelf(320)
    return Job([c.at for c in shelf.stored], [c.close for c in shelf.stored], 10, MINUTE, 0.95, 3.0, 0.0002)


async def test_a_real_fit_in_its_own_process_which_is_replaced_in_time() -> None:
    pool = FitPool(TrainingSettings(tasks_per_child=2))
    try:
        assert isinstance(await pool.fit(small_job()), Fitted)
        (worker,) = children()
        assert os.getpgid(worker) == worker
        assert psutil.Process(worker).nice() >= 10
        assert isinstance(await pool.fit(small_job()), Fitted)
        assert children() == set()
    finally:
        await pool.close()


async def test_a_fit_that_hangs_is_killed_and_the_next_one_works() -> None:
    pool = FitPool(TrainingSettings(fit_timeout=0.05))
    try:
        outcome = await pool.fit(small_job())
        assert isinstance(outcome, Failed)
        assert outcome.reason == "killed after 0.05 s"
        assert pool.killed == 1
        assert children() == set()
        pool._settings = TrainingSettings()
        assert isinstance(await pool.fit(small_job()), Fitted)
    finally:
        await pool.close()


async def test_a_fit_process_that_dies_is_replaced() -> None:
    pool = FitPool(TrainingSettings())
    try:
        assert isinstance(await pool.fit(small_job()), Fitted)
        (worker,) = children()
        os.kill(worker, signal.SIGKILL)
        outcomes = [await pool.fit(small_job()) for _ in range(2)]
        assert isinstance(outcomes[-1], Fitted)
        assert pool.broken <= 1
    finally:
        await pool.close()


async def test_too_little_memory_fails_that_fit_alone() -> None:
    pool = FitPool(TrainingSettings(memory_limit=150 * 1024**2, fit_timeout=15.0))
    try:
        assert isinstance(await pool.fit(small_job()), Failed)
    finally:
        await pool.close()
