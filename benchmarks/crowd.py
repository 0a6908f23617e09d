"""Clients on loopback that only read, and what it costs the hub to write a signal to all of them."""

from __future__ import annotations

import asyncio
import selectors
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from benchmarks.machine import median
from pricewatch.app.clock import SystemClock
from pricewatch.domain.consumer import Filter
from pricewatch.domain.signal import FeedEntry, Signal
from pricewatch.gateway.board import Board
from pricewatch.gateway.feed.hub import Hub, encode_signal
from pricewatch.gateway.feed.link import Link
from pricewatch.gateway.feed.outlet import Outlet
from pricewatch.gateway.feed.session import Session
from pricewatch.gateway.feed.subscription import Phase, Signals
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.wire.feed import Limits

_ACCOUNT = uuid.UUID(int=1)


class Crowd:
    """So many live subscribers of every signal of one account."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._over = threading.Event()

    async def cost(self, signal: Callable[[uuid.UUID, uuid.UUID, int], Signal], times: int) -> float:
        """µs of CPU to encode one signal and write it to every socket, the kernel's part included."""
        clock, settings = SystemClock(), GatewaySettings()
        board = Board(clock, quiet_after=10, blind_after=60)
        hub = Hub(settings, clock=clock, prices=board, troubles=dict)
        loop, near, far = asyncio.get_running_loop(), [], []
        with socket.create_server(("127.0.0.1", 0), backlog=self._count) as server:
            for _ in range(self._count):
                far.append(socket.create_connection(server.getsockname()))
                near.append(server.accept()[0])
        reader = threading.Thread(target=self._read, args=(far,), daemon=True)
        reader.start()
        transports = []
        for one in near:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
            transports.append(transport)
            hub.join(self._link(hub, board, settings, transport))
        try:
            return await self._timed(hub, clock, signal, times)
        finally:
            self._over.set()
            reader.join()
            for transport in transports:
                transport.abort()
            await asyncio.sleep(0)  # they close their sockets in the next turn

    async def _timed(
        self, hub: Hub, clock: SystemClock, signal: Callable[[uuid.UUID, uuid.UUID, int], Signal], times: int
    ) -> float:
        took = []
        for number in range(1, times + 1):
            entry = FeedEntry(
                feed=_ACCOUNT, epoch=1, seq=number, signal=signal(_ACCOUNT, _ACCOUNT, number), committed=clock.now()
            )
            began = time.thread_time()
            hub.committed([entry])
            took.append(1e6 * (time.thread_time() - began))
            await asyncio.sleep(0.001)
        return median(took)

    def _link(self, hub: Hub, board: Board, settings: GatewaySettings, transport: asyncio.Transport) -> Link:
        nothing: Any = None
        outlet = Outlet(nothing, transport, messages=256, size=1 << 20, stall_timeout=30)
        limits = Limits(65_536, 20, 100, 1_000, 256, 1 << 20, 5, 0.1)
        session = Session(
            _ACCOUNT, board=board, limits=limits, strikes=20, document=encode_signal, now=0, may_write=True
        )
        signals = session.feeds["signals"] = Signals(Filter(), None)
        signals.phase, signals.epoch = Phase.LIVE, 1
        return Link(
            session,
            outlet,
            nothing,
            board=hub,
            log=nothing,
            consumers=nothing,
            desks=nothing,
            clock=nothing,
            settings=settings,
            group=nothing,
        )

    def _read(self, clients: list[socket.socket]) -> None:
        with selectors.DefaultSelector() as waiting:
            for client in clients:
                waiting.register(client, selectors.EVENT_READ)
            while not self._over.is_set():
                for key, _ in waiting.select(0.1):
                    key.fileobj.recv(65_536)  # type: ignore[union-attr]
        for client in clients:
            client.close()
