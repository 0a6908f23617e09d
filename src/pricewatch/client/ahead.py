"""Reads a stream while the program works, so that what it was handed goes on being its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from pricewatch.client.signal import Signal


class Ahead:
    """Two loops beside the program: one reads, one keeps what was read; both end with `close`.

    The server bounds what may be read: it hands out no more than `max_in_flight` unacknowledged signals.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[Signal | None]],
        keep: Callable[[], Awaitable[None]],
        pace: Callable[[], float],
    ) -> None:
        """`read` waits for one frame, `keep` says that all is still worked on, every `pace()` seconds."""
        self._read = read
        self._keep = keep
        self._pace = pace
        self._ready: deque[Signal] = deque()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def ready(self) -> Iterable[Signal]:
        """Read, and not asked for yet."""
        return self._ready

    async def next(self) -> Signal:
        """The next one, however long it takes; raises what reading raised, and reads on when asked again.

        Raises `StopAsyncIteration` once it is closed.
        """
        while not self._ready:
            if self._is_closed:
                raise StopAsyncIteration
            task, self._task = self._task, None
            if task is None:
                # An iterator is left by returning: there is no block a TaskGroup could live in. `close` waits for it.
                task = asyncio.create_task(self._run(), name="client.ahead")  # noqa: TID251 - see above
                task.add_done_callback(self._ended)
            elif task.done():
                raise _first(task.exception())
            self._task = task
            self._news.clear()
            await self._news.wait()
        return self._ready.popleft()

    def drop(self) -> list[Signal]:
        """All of them; they are not handed out."""
        dropped = list(self._ready)
        self._ready.clear()
        return dropped

    async def close(self) -> None:
        """Stop reading; doing so twice is fine."""
        self._is_closed = True
        self._ready.clear()
        self._news.set()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Whoever waits is to hear of it; whoever closes does not want to."""
        if not task.cancelled():
            task.exception()
        self._news.set()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_on(), name="client.keep")
            while True:
                signal = await self._read()
                if signal is not None:
                    self._ready.append(signal)
                    self._news.set()

    async def _keep_on(self) -> None:
        while True:
            await asyncio.sleep(self._pace())
            await self._keep()


def _first(error: BaseException | None) -> BaseException:
    """The error itself: a group is of no use to a program that reads one stream."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return StopAsyncIteration() if error is None else error
