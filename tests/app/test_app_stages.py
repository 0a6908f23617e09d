"""Start in order, stop in reverse."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from pricewatch.app.clock import SystemClock
from pricewatch.app.loopwatch import LoopWatch, core_wait
from pricewatch.app.stages import Stages, close_within


async def test_the_newest_ends_first_and_steps_keep_their_place() -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def step() -> None:
        ended.append("step")

    async with asyncio.TaskGroup() as group:
        stages = Stages(group, 1.0)
        stages.start("first", work("first"))
        stages.on_stop("step", step)
        stages.start("second", work("second"))
        await asyncio.sleep(0)
        await stages.stop()
        await stages.stop()
    assert ended == ["second", "step", "first"]


async def test_slow_and_failing_steps_do_not_stop_the_stop() -> None:
    ended: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with_patience = asyncio.get_running_loop().time() + 0.2
            while asyncio.get_running_loop().time() < with_patience:
                try:
                    await asyncio.sleep(0.05)
                except asyncio.CancelledError:
                    ended.append("cancelled again")

    async def fails() -> None:
        raise ZeroDivisionError

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def last() -> None:
        ended.append("last")

    async with asyncio.TaskGroup() as group:
        stages = Stages(group, 0.05)
        stages.on_stop("last", last)
        stages.on_stop("fails", fails)
        stages.on_stop("hangs", hangs)
        stages.start("stubborn", stubborn())
        await asyncio.sleep(0)
        await stages.stop()
    assert ended[-1] == "last"
    assert "cancelled again" in ended[:-1]


async def test_one_crash_ends_all() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    async def breaks() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the group is what raises
        async with asyncio.TaskGroup() as group:
            stages = Stages(group, 1.0)
            stages.start("work", work())
            await asyncio.sleep(0)
            stages.start("breaks", breaks())
            await asyncio.Event().wait()
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)
    assert ended == ["work"]


async def test_a_closing_step_in_time_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    async def done() -> None:
        return

    await close_within("done", 1.0, done)
    assert not capsys.readouterr().out


async def test_the_loop_watch_sees_a_stall() -> None:
    watch = LoopWatch(interval=0.005, stall=0.02)
    assert watch.status()["mean_ms"] is None
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        await asyncio.sleep(0.02)
        time.sleep(0.05)  # noqa: ASYNC251 - the stall itself
        await asyncio.sleep(0.02)
        task.cancel()
    assert watch.stalls >= 1
    assert watch.status()["worst_ms"] > 20
    assert watch.trouble() is None
    assert {sample.name for sample in watch.samples()} == {"stalls", "late_seconds", "worst_seconds"}
    assert watch.status()["recent"]["stalls"] >= 1
    assert watch.status()["recent"]["worst_ms"] == watch.status()["worst_ms"]
    watch.reset()
    fresh = watch.status()
    assert (fresh["mean_ms"], fresh["worst_ms"], fresh["stalls"]) == (None, 0.0, 0)
    assert fresh["recent"]["mean_ms"] is None


async def test_the_loop_watch_tells_its_own_lateness_from_the_machine_s() -> None:
    """Whoever waits for a core all the time is never late by its own doing."""
    waited = iter(float(number) for number in range(10_000))
    machine, ours = LoopWatch(0.005, 0.02, waited=lambda: next(waited)), LoopWatch(0.005, 0.02, waited=float)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(watch.run()) for watch in (machine, ours)]
        await asyncio.sleep(0.02)
        time.sleep(0.05)  # noqa: ASYNC251 - the stall itself
        await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
    assert machine.status()["recent"]["own_worst_ms"] == 0
    assert machine.status()["recent"]["stalls"] >= 1
    assert machine.status()["recent"]["own_stalls"] == 0
    assert ours.status()["recent"]["own_stalls"] >= 1


async def test_the_loop_watch_forgets_what_is_not_recent() -> None:
    watch = LoopWatch(interval=0.005, stall=0.02, window=0.05)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        await asyncio.sleep(0.01)
        time.sleep(0.05)  # noqa: ASYNC251 - the stall itself
        async with asyncio.timeout(30):
            while not watch.stalls or watch.looks < 3 or len(watch._recent) == watch.looks:
                await asyncio.sleep(0.005)
        task.cancel()
    assert watch.stalls >= 1


def test_the_wait_for_a_core_is_known_or_nothing(tmp_path: Path) -> None:
    told = tmp_path / "schedstat"
    told.write_text("1 2500000000 3\n")
    assert core_wait(told)() == (2.5 if sys.platform == "linux" else 0.0)
    assert core_wait(tmp_path / "none")() == 0.0


def test_the_system_clock_tells_microseconds() -> None:
    assert abs(SystemClock().now() - time.time_ns() // 1000) < 1_000_000
