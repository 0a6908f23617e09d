"""One fit process, replaced when it hangs, dies or has done enough."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path

import structlog

from pricewatch.training.job import Failed, Fitted, Job
from pricewatch.training.process import prepare, run
from pricewatch.training.settings import TrainingSettings

log = structlog.get_logger(__name__)


class FitPool:
    """Never raises for what happens inside a fit; a fit that hangs is killed with all it started."""

    def __init__(self, settings: TrainingSettings, work: Callable[[Job], Fitted | Failed] = run) -> None:
        """`work` is what the process does; it must be importable there."""
        self._settings = settings
        self._work = work
        self._pool: asyncio.Future[ProcessPoolExecutor] | None = None
        self._folder = ""
        self._tasks = 0
        self.killed = 0
        """Processes killed at the time limit."""
        self.broken = 0
        """Processes that died by themselves."""
        self.out_of_memory = 0
        """Fits that asked for more memory than they may have."""
        self.replaced = 0
        """Processes that had done enough."""

    async def fit(self, job: Job) -> Fitted | Failed:
        """One at a time."""
        loop = asyncio.get_running_loop()
        if self._pool is None:
            self._pool = loop.run_in_executor(None, self._start)
        pool = await asyncio.shield(self._pool)
        self._tasks += 1
        try:
            async with asyncio.timeout(self._settings.fit_timeout):
                outcome = await loop.run_in_executor(pool, self._work, job)
        except TimeoutError:
            self.killed += 1
            log.warning("training.process_killed", kind=job.kind, seconds=self._settings.fit_timeout)
            await self.close()
            return Failed(f"killed after {self._settings.fit_timeout} s", "killed")
        except BrokenProcessPool:
            self.broken += 1
            log.warning("training.process_died", kind=job.kind)
            await self.close()
            return Failed("the fit process died (out of memory?)", "died")
        await self._look_after(outcome)
        return outcome

    async def close(self) -> None:
        """Kill the process and whatever it started, and remove its files. The next fit starts a new one."""
        started, self._pool, self._tasks = self._pool, None, 0
        if started is None:
            return
        pool = await started
        self._kill()
        await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _look_after(self, outcome: Fitted | Failed) -> None:
        """A process that ran out of memory may be in any state; one that has done enough leaves its files behind."""
        if isinstance(outcome, Failed) and outcome.status == "memory":
            self.out_of_memory += 1
            log.warning("training.out_of_memory", reason=outcome.reason, limit=self._settings.memory_limit)
            await self.close()
        elif self._tasks >= self._settings.tasks_per_child:
            self.replaced += 1
            await self.close()

    def _start(self) -> ProcessPoolExecutor:
        """Not on the event loop: a process takes milliseconds to start."""
        self._folder = tempfile.mkdtemp(prefix="pricewatch-fit-")
        pool = ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=prepare,
            initargs=(self._folder, self._settings.nice, self._settings.memory_limit),
        )
        pool.submit(os.getpid)
        return pool

    def _kill(self) -> None:
        """Only living children of ours: their ids cannot have been given to anybody else."""
        ours = {child.pid for child in multiprocessing.active_children()}
        for mark in Path(self._folder).glob("*.pid"):
            if int(mark.stem) in ours:
                with suppress(ProcessLookupError):
                    os.killpg(int(mark.stem), signal.SIGKILL)
