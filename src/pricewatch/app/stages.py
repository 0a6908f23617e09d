"""Start in order, stop in reverse, each step named, none for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)

Step = Callable[[], Awaitable[object]]


class Stages:
    """Long-lived workers under one parent. A worker that fails takes the process down: start-up is the recovery."""

    def __init__(self, group: asyncio.TaskGroup, drain_timeout: float) -> None:
        self._group = group
        self._timeout = drain_timeout
        self._steps: list[tuple[str, asyncio.Task[None] | Step]] = []

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run it from now on; it is cancelled before those started earlier."""
        self._steps.append((name, self._group.create_task(work, name=name)))

    def on_stop(self, name: str, step: Step) -> None:
        """Call it at the stop, when all that was started later has ended."""
        self._steps.append((name, step))

    async def stop(self) -> None:
        """End everything, newest first."""
        while self._steps:
            name, step = self._steps.pop()
            if isinstance(step, asyncio.Task):
                await self._cancel(name, step)
            else:
                await close_within(name, self._timeout, step)

    async def _cancel(self, name: str, task: asyncio.Task[None]) -> None:
        task.cancel()
        _, late = await asyncio.wait({task}, timeout=self._timeout)
        if late:
            log.warning("stop.slow", step=name, seconds=self._timeout)
            task.cancel()  # a library may have swallowed the first one: nothing may keep us here for ever
            await asyncio.wait({task}, timeout=self._timeout)


async def close_within(name: str, seconds: float, step: Step) -> None:
    """Run one closing step; when it is slow or fails, say so and go on with the next."""
    try:
        async with asyncio.timeout(seconds):
            await step()
    except TimeoutError:
        log.warning("stop.slow", step=name, seconds=seconds)
    except Exception as error:
        log.exception("stop.failed", step=name, error=str(error))
