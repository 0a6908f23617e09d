"""What the simulator's tests share: a clock, a running server, a seeded tape."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple, NoReturn

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as _connect
from websockets.exceptions import ConnectionClosed

from pricewatch.simulator.server import Addresses, SimulatorServer
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import SeededTape, Tape

START = 1_795_000_000_000_000


connect = partial(_connect, max_queue=None, max_size=None)
"""A client that takes in whatever comes, so that it never stops reading its own close."""


async def until_closed(socket: ClientConnection) -> NoReturn:
    """Listen until the connection ends; raises how it ended, with the frames before it as notes."""
    frames: list[str] = []
    while True:
        try:
            frames.append(str(await socket.recv()))
        except ConnectionClosed as exc:
            for frame in frames or [""]:
                exc.add_note(frame)
            raise


class WallClock:
    def now(self) -> int:
        return time.time_ns() // 1_000


class Running(NamedTuple):
    server: SimulatorServer
    addresses: Addresses
    task: asyncio.Task[None]


@asynccontextmanager
async def serving(settings: SimulatorSettings, tapes: Sequence[Tape] = ()) -> AsyncIterator[Running]:
    server = SimulatorServer(settings, clock=WallClock(), tapes=tapes)
    addresses = await server.start()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.run())
        try:
            yield Running(server, addresses, task)
        finally:
            task.cancel()
            await server.stop()


def seeded(**changes: Any) -> SeededTape:
    tape = SeededTape(SimulatorSettings(**{"programme": False, "history_minutes": 120, **changes}), start=START)
    for _ in tape.take(START + 20_000_000, 100_000, heard=True):
        pass
    return tape
