"""Days in seconds: an event loop whose time jumps to the next timer, and a venue without sockets on it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pricewatch.domain.errors import Unavailable

START = 1_800_000_000_000_000
"""The wall clock, in microseconds, when a loop begins at 0."""

ResultT = TypeVar("ResultT")


class _Skipping(selectors.DefaultSelector):
    """Instead of waiting for a timer, says how long it would have waited."""

    def __init__(self, skip: Callable[[float], None]) -> None:
        super().__init__()
        self._skip = skip

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("nothing will ever happen: no timer, no socket that is ready")
            self._skip(max(timeout, 0.0))
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time stands still while something runs. Nothing on it may use threads or wait for other processes."""

    def __init__(self) -> None:
        self._virtual = 0.0
        super().__init__(_Skipping(self._pass))

    def time(self) -> float:
        return self._virtual

    def _pass(self, seconds: float) -> None:
        self._virtual += seconds


class VirtualClock:
    """Keeps `ports.clock.Clock` by the running loop's time."""

    def now(self) -> int:
        return START + round(asyncio.get_running_loop().time() * 1e6)


def virtually(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run to the end on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


class Line:
    """One connection: what the venue says waits here to be read. Keeps `ports.connection.Connection`."""

    def __init__(self, heard: Callable[[Line, str], None]) -> None:
        self.natives: set[str] = set()
        """What it has subscribed to."""
        self._frames: asyncio.Queue[str | None] = asyncio.Queue()
        self._heard = heard

    def say(self, frame: str) -> None:
        self._frames.put_nowait(frame)

    def cut(self) -> None:
        self._frames.put_nowait(None)

    async def receive(self) -> str:
        frame = await self._frames.get()
        if frame is None:
            raise Unavailable("the venue closed the connection")
        return frame

    async def send(self, frame: str | bytes) -> None:
        self._heard(self, frame if isinstance(frame, str) else frame.decode())


class Lines:
    """A venue's connections. Keeps `ports.connection.Connector`; `answer` decides what an attempt meets.

    Each market's connection of the product has a connector of its own: `attempts` is by connector.
    """

    def __init__(self, heard: Callable[[Line, str], None], answer: Callable[[int], None] = lambda _: None) -> None:
        """`answer` is given the connector's number and raises what the attempt shall meet."""
        self.open: list[Line] = []
        self.most = 0
        """Open at the same time."""
        self.attempts: list[list[float]] = []
        """Loop times, by connector."""
        self._heard = heard
        self._answer = answer

    def connector(self, _: object) -> Connector:
        self.attempts.append([])
        return Connector(self, len(self.attempts) - 1)

    @asynccontextmanager
    async def line(self, number: int) -> AsyncIterator[Line]:
        self.attempts[number].append(asyncio.get_running_loop().time())
        self._answer(number)
        line = Line(self._heard)
        self.open.append(line)
        self.most = max(self.most, len(self.open))
        try:
            yield line
        finally:
            self.open.remove(line)


class Connector:
    """One of the product's connectors."""

    def __init__(self, lines: Lines, number: int) -> None:
        self._lines = lines
        self._number = number

    def connect(self, url: str) -> Any:
        del url
        return self._lines.line(self._number)
