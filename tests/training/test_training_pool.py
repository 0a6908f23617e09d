from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs
from tests.training import bombs
from tests.training.training_world import Desk, answer, job, until, walk

from pricewatch.domain.model import What
from pricewatch.training.job import Failed, Fitted, Job
from pricewatch.training.pool import FitPool
from pricewatch.training.settings import TrainingSettings

pytestmark = pytest.mark.filterwarnings("default")
Work = Callable[[Job], Fitted | Failed]


def children() -> set[int]:
    """The fit processes: spawned by multiprocessing, whatever else this test run has started."""
    found = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


@asynccontextmanager
async def pooled(work: Work | None = None, **changes: Any) -> AsyncIterator[FitPool]:
    settings = TrainingSettings(**changes)
    pool = FitPool(settings) if work is None else FitPool(settings, work)
    try:
        yield pool
    finally:
        await pool.close()
    assert children() == set()


async def test_a_real_fit_in_its_own_process_which_is_replaced_in_time() -> None:
    work = job(walk(320))
    async with pooled(tasks_per_child=2) as pool:
        assert isinstance(await pool.fit(work), Fitted)
        (worker,) = children()
        assert os.getpgid(worker) == worker
        assert psutil.Process(worker).nice() >= min(19, psutil.Process().nice() + 10)
        assert isinstance(await pool.fit(work), Fitted)
        assert children() == set()
        assert pool.replaced == 1


@pytest.mark.parametrize("work", [bombs.hang, bombs.hang_deaf])
async def test_a_fit_that_hangs_is_killed_with_what_it_started_and_the_next_one_works(work: Work) -> None:
    async with pooled(work, fit_timeout=2.0) as pool:
        with capture_logs() as logs:
            outcome = await pool.fit(job(walk(320)))
        assert outcome == Failed("killed after 2.0 s", "killed")
        assert pool.killed == 1
        assert [one["event"] for one in logs] == ["training.process_killed"]
        assert children() == set()
        assert not [one for one in psutil.Process().children(recursive=True) if "time.sleep(3600)" in one.cmdline()]
        pool._work, pool._settings = bombs.fine, TrainingSettings()
        assert "price by" in str(await pool.fit(job(walk(320))))


async def test_a_close_in_the_middle_of_a_start_ends_what_was_started() -> None:
    async with pooled(bombs.fine) as pool, asyncio.TaskGroup() as group:
        task = group.create_task(pool.fit(job(walk(320))))
        await asyncio.sleep(0)
        task.cancel()
        await pool.close()
        assert children() == set()
        assert not Path(pool._folder).exists()


@pytest.mark.parametrize("work", [bombs.die, bombs.crash])
async def test_a_fit_process_that_dies_is_replaced(work: Work) -> None:
    async with pooled(work) as pool:
        with capture_logs() as logs:
            outcome = await pool.fit(job(walk(320)))
        assert isinstance(outcome, Failed)
        assert outcome.status == "died"
        assert pool.broken == 1
        assert [one["event"] for one in logs] == ["training.process_died"]
        pool._work = bombs.fine
        assert "price by" in str(await pool.fit(job(walk(320))))


async def test_a_fit_process_killed_between_fits_is_replaced() -> None:
    async with pooled(bombs.fine) as pool:
        await pool.fit(job(walk(320)))
        (worker,) = children()
        os.kill(worker, signal.SIGKILL)
        outcomes = [await pool.fit(job(walk(320))) for _ in range(2)]
        assert [one.status for one in outcomes if isinstance(one, Failed)][-1] == "fine"
        assert pool.broken <= 1


async def test_a_memory_bomb_meets_its_limit_and_nobody_else_is_hurt() -> None:
    async with pooled(bombs.eat_memory, memory_limit=600 * 1024**2) as pool:
        with capture_logs() as logs:
            outcome = await pool.fit(job(walk(320)))
        assert isinstance(outcome, Failed)
        assert outcome.status == "memory"
        assert pool.out_of_memory == 1
        assert [one["event"] for one in logs] == ["training.out_of_memory"]
        assert children() == set(), "a process that ran out of memory is not used again"


async def test_too_little_memory_for_the_libraries_fails_that_fit_alone() -> None:
    async with pooled(memory_limit=150 * 1024**2, fit_timeout=30.0) as pool:
        assert isinstance(await pool.fit(job(walk(320))), Failed)


async def test_temporary_files_go_with_their_process() -> None:
    async with pooled(bombs.leave_files, tasks_per_child=2) as pool:
        first = await pool.fit(job(walk(320)))
        assert isinstance(first, Failed)
        file = Path(first.reason)
        assert file.exists()
        assert file.parent != Path(tempfile.gettempdir())
        await pool.fit(job(walk(320)))
        assert not file.parent.exists()


async def test_closing_twice_and_before_the_first_fit_is_fine() -> None:
    pool = FitPool(TrainingSettings())
    await pool.close()
    await pool.close()


@pytest.mark.parametrize("work", [bombs.hang_deaf, bombs.die, bombs.eat_memory])
async def test_whatever_happens_to_a_process_the_band_in_use_stays_and_it_is_written_down(work: Work) -> None:
    limit = 1.5 if work is bombs.hang_deaf else 60.0
    pool = FitPool(TrainingSettings(fit_timeout=limit, memory_limit=600 * 1024**2), work)
    desk = Desk(350, pool=pool)
    good = answer(job(walk(350)))
    calls: list[Job] = []

    async def first_good_then_bad(asked: Job) -> Fitted | Failed:
        calls.append(asked)
        return good if len(calls) == 1 else await FitPool.fit(pool, asked)

    desk.trainer._refitter.fits = Passing(first_good_then_bad)
    async with desk.running():
        await until(lambda: desk.shelf.told)
        before = await desk.registry.pointers()
        desk.trainer._last.clear()
        desk.trainer.refit_soon(1, "test")
        await until(lambda: desk.trainer.failed)
    assert len(desk.shelf.told) == 1, "nothing visible has changed"
    assert [one for one in await desk.registry.pointers() if one.kind == "price"] == before
    status = {"hang_deaf": "killed", "die": "died", "eat_memory": "memory"}[work.__name__]
    failures = [one for one in await desk.registry.events() if one.what is What.FAILED and one.kind == "price"]
    assert [one.detail["status"] for one in failures] == [status]
    assert desk.trainer.status()["states"][status] >= 1


class Passing:
    """`Fits` by a function; only `price` reaches it."""

    def __init__(self, call: Callable[[Job], Any]) -> None:
        self._call = call

    async def fit(self, asked: Job) -> Fitted | Failed:
        if asked.kind != "price":
            return Failed("too few", "short")
        outcome: Fitted | Failed = await self._call(asked)
        return outcome


async def test_the_loop_goes_on_while_a_process_is_killed() -> None:
    async with pooled(bombs.hang_deaf, fit_timeout=1.0) as pool:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0.001)

        async with asyncio.TaskGroup() as group:
            task = group.create_task(beat())
            await pool.fit(job(walk(320)))
            task.cancel()
    assert beats > 50
