"""What goes to the venue: answers at once and in order, requests at the venue's pace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from pricewatch.domain.errors import Unavailable
from pricewatch.ports.connection import Connection

_MOST = 1_000
"""Answers that may wait; a venue that asks faster than it reads is no venue to stay with."""


class Sender:
    """One connection's. Nothing is sent before `open`."""

    def __init__(
        self,
        connection: Connection,
        *,
        interval: float,
        pause: Callable[[float], Awaitable[None]],
        sent: Callable[[str], None],
    ) -> None:
        """`interval`: seconds between two requests. `sent` is told of every frame that goes out."""
        self._connection = connection
        self._interval = interval
        self._pause = pause
        self._sent = sent
        self._open = asyncio.Event()
        self._answers: deque[str] = deque()
        self._due = asyncio.Event()
        self._turn = asyncio.Lock()

    def open(self) -> None:
        """The venue takes messages from now on."""
        self._open.set()

    async def opened(self) -> None:
        """Return once messages may be sent."""
        await self._open.wait()

    def answer(self, frame: str) -> None:
        """Send soon, before any request. Never blocks; raises `Unavailable` when the venue takes no answers."""
        if len(self._answers) >= _MOST:
            raise Unavailable(f"the venue asked {_MOST} times without reading our answers")
        self._answers.append(frame)
        self._due.set()

    async def request(self, frame: str) -> None:
        """Send when it is this request's turn; returns when the next one may follow."""
        async with self._turn:
            await self._open.wait()
            await self._send(frame)
            await self._pause(self._interval)

    async def run(self) -> None:
        """Send the answers, until cancelled."""
        await self._open.wait()
        while True:
            await self._due.wait()
            self._due.clear()
            while self._answers:
                await self._send(self._answers[0])
                self._answers.popleft()

    async def _send(self, frame: str) -> None:
        self._sent(frame)
        await self._connection.send(frame)
