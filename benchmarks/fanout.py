"""What it costs to bring prices to many clients: ours, and `websockets.broadcast` of the same messages."""

from __future__ import annotations

import asyncio
import base64
import os
import selectors
import socket
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.machine import median
from pricewatch.app.clock import SystemClock
from pricewatch.domain.market import Market, Trade
from pricewatch.gateway.board import Board
from pricewatch.gateway.feed.hub import Hub
from pricewatch.gateway.feed.link import Link
from pricewatch.gateway.feed.outlet import Outlet
from pricewatch.gateway.feed.session import Session
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.wire.feed import Limits, ticker_frame

HEAD = ["clients", "prices a flush", "ours, a price and client", "`websockets.broadcast`, the same", "ratio"]
_EVERYTHING = frozenset({"*"})


@contextmanager
def drained(clients: list[socket.socket]) -> Iterator[None]:
    """A thread reads whatever comes, as long as the body runs."""
    over = threading.Event()

    def read() -> None:
        with selectors.DefaultSelector() as waiting:
            for client in clients:
                waiting.register(client, selectors.EVENT_READ)
            while not over.is_set():
                for key, _ in waiting.select(0.05):
                    key.fileobj.recv(1 << 20)  # type: ignore[union-attr]

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for client in clients:
            client.close()


async def _ours(clients: int, prices: int, times: int) -> float:
    """µs of CPU a price and client: flushes of so many changed markets."""
    clock, settings = SystemClock(), GatewaySettings()
    board = Board(clock, quiet_after=10, blind_after=60)
    board.list_markets([Market(number, "binance", f"M{number}-USDT", f"M{number}") for number in range(prices)])
    hub = Hub(settings, clock=clock, prices=board, troubles=dict)
    loop, near, far = asyncio.get_running_loop(), [], []
    with socket.create_server(("127.0.0.1", 0), backlog=clients) as server:
        for _ in range(clients):
            far.append(socket.create_connection(server.getsockname()))
            near.append(server.accept()[0])
    with drained(far):
        transports = []
        for one in near:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
            transports.append(transport)
            link = _link(hub, board, settings, transport)
            hub.join(link)
            hub.prices(link, _EVERYTHING)
        number = 0

        async def flush() -> None:
            nonlocal number
            number += 1
            for market in range(prices):
                board.trade(_trade(market, number, clock.now()), 0)
            await hub.flush_prices()

        took = await _timed(flush, times)
        for transport in transports:
            transport.abort()
        await asyncio.sleep(0)
    return took / clients / prices


async def _theirs(clients: int, prices: int, times: int) -> float:
    """The same prices, each broadcast as it comes."""
    connections: list[ServerConnection] = []
    everybody = asyncio.Event()

    async def handle(connection: ServerConnection) -> None:
        connections.append(connection)
        if len(connections) == clients:
            everybody.set()
        await connection.wait_closed()

    clock = SystemClock()
    board = Board(clock, quiet_after=10, blind_after=60)
    board.list_markets([Market(number, "binance", f"M{number}-USDT", f"M{number}") for number in range(prices)])
    async with serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None, open_timeout=60) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        far = [await asyncio.to_thread(_upgraded, port) for _ in range(clients)]
        with drained(far):
            await everybody.wait()
            number = 0

            async def flush() -> None:
                nonlocal number
                number += 1
                for market in range(prices):
                    board.trade(_trade(market, number, clock.now()), 0)
                board.take_dirty()
                for market in range(prices):
                    broadcast(connections, ticker_frame(board.documents([market])).decode())

            took = await _timed(flush, times)
    return took / clients / prices


async def _timed(flush: Callable[[], Awaitable[None]], times: int) -> float:
    took = []
    for _ in range(times):
        began = time.thread_time()
        await flush()
        took.append(1e6 * (time.thread_time() - began))
        await asyncio.sleep(0.05)  # the readers catch up
    return median(took)


def _upgraded(port: int) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    raw.sendall(
        f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += raw.recv(1)
    return raw


def _link(hub: Hub, board: Board, settings: GatewaySettings, transport: asyncio.Transport) -> Link:
    nothing: Any = None
    outlet = Outlet(nothing, transport, messages=256, size=1 << 20, stall_timeout=30)
    limits = Limits(65_536, 20, 100, 1_000, 256, 1 << 20, 5, 0.1)
    session = Session(
        uuid.UUID(int=1), board=board, limits=limits, strikes=20, document=lambda _: b"", now=0, may_write=False
    )
    session.tickers = _EVERYTHING
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


def _trade(market: int, number: int, now: int) -> Trade:
    return Trade(market=market, at=now, price=70_000.5 + number, size=0.25, side=1, key=number, received=now)


def run(*, quick: bool) -> list[list[str]]:
    """One row for each number of prices in a flush."""
    clients, times = (5, 3) if quick else (1_000, 30)
    rows = []
    for prices in (1, 20, 200):
        ours, theirs = (
            asyncio.run(_ours(clients, prices, times)),
            asyncio.run(_theirs(clients, prices, max(3, times // 3))),
        )
        rows.append([f"{clients:,}", str(prices), f"{ours:.2f} µs", f"{theirs:.2f} µs", f"{theirs / ours:.1f}"])
    return rows
