"""One fit process, replaced when it hangs, dies or has done enough."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import signal
import tempfile
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path

from pricewatch.training.job import Failed, Fitted, Job
from pricewatch.training.process import prepare, run
from pricewatch.training.settings import TrainingSettings


class FitPool:
    """Never raises for what happens inside a fit; a fit that hangs is killed with all it started."""

    def __init__(self, settings: TrainingSettings) -> None:
        self._settings = settings
        self._pool: ProcessPoolExecutor | None = None
        self._folder = ""
        self._tasks = 0
        self.killed = 0
        self.broken = 0

    async def fit(self, job: Job) -> Fitted | Failed:
        """One at a time."""
        if self._pool is None:
            self._open()
        assert self._pool is not None  # noqa: S101 - just opened
        self._tasks += 1
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._settings.fit_timeout):
                outcome = await loop.run_in_executor(self._pool, run, job)
        except TimeoutError:
            self.killed += 1
            await self.close()
            return Failed(f"killed after {self._settings.fit_timeout} s")
        except BrokenProcessPool:
            self.broken += 1
            await self.close()
            return Failed("the fit process died (out of memory?)")
        if self._tasks >= self._settings.tasks_per_child:
            await self.close()
        return outcome

    async def close(self) -> None:
        """Kill the process and whatever it started, and remove its files. The next fit starts a new one."""
        pool, self._pool, self._tasks = self._pool, None, 0
        if pool is None:
            return
        self._kill()
        await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def _open(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="pricewatch-fit-")
        self._pool = ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=prepare,
            initargs=(self._folder, self._settings.nice, self._settings.memory_limit),
        )

    def _kill(self) -> None:
        """Only living children of ours: their ids cannot have been given to anybody else."""
        ours = {child.pid for child in multiprocessing.active_children()}
        for mark in Path(self._folder).glob("*.pid"):
            if int(mark.stem) in ours:
                with suppress(ProcessLookupError):
                    os.killpg(int(mark.stem), signal.SIGKILL)
