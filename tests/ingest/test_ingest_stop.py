"""The last frame before the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.ingest.conftest import NOW, running

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.time import rfc3339
from pricewatch.ingest.transport.choice import connector
from pricewatch.ingest.transport.options import Options
from pricewatch.ports.connection import Connection, Connector

Wait = Callable[..., Awaitable[None]]
House = Any


class LastWord:
    """A connection that still has a frame in hand when its reader is told to stop."""

    def __init__(self, inner: Connection, frame: str) -> None:
        self._inner = inner
        self._frame = frame
        self._said = False

    async def receive(self) -> bytes | str:
        if self._said:
            raise Unavailable("gone")
        try:
            return await self._inner.receive()
        except asyncio.CancelledError:
            self._said = True
            return self._frame

    async def send(self, frame: str | bytes) -> None:
        await self._inner.send(frame)


class LastWords:
    def __init__(self, inner: Connector, frame: str) -> None:
        self._inner = inner
        self._frame = frame

    @asynccontextmanager
    async def connect(self, url: str) -> AsyncIterator[Connection]:
        async with self._inner.connect(url) as connection:
            yield LastWord(connection, self._frame)


async def test_a_hole_found_by_the_very_last_frame_does_not_break_the_stop(house: House, wait: Wait) -> None:
    row = {"trade_id": 5, "side": "sell", "size": "1.5", "price": "105", "time": rfc3339(NOW - 1_000_000)}
    frame = json.dumps({"type": "match", "product_id": "BTC-USD", **row})

    def connect(options: Options) -> Connector:
        return LastWords(connector("websockets", options), frame)

    ingest = house.make()
    ingest._connect = connect
    async with running(ingest):
        await wait(lambda: bool(house.venue.subscribed) and house.settled())
        await house.venue.trade(1)
        await wait(lambda: house.sink.keys == [1])
    assert house.sink.keys == [1, 5]
    house.balance()
