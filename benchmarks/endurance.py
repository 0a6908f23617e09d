"""The feed under ill treatment: random cuts, rolling restarts, and clients that read nothing or too little."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

from tests.gateway.gateway_world import QUICK, World, until

from benchmarks.subscribers import Reader
from pricewatch.client import Client, Options
from pricewatch.domain.account import Account
from pricewatch.gateway.settings import GatewaySettings

CUTS_HEAD = ["clients", "cuts", "signals", "missing", "doubled", "out of order", "time"]
RESTARTS_HEAD = ["clients", "restarts", "signals", "missing", "doubled", "out of order", "all back after, worst"]
SLOW_HEAD = ["good / stalled / dripping", "signals", "p50", "p99", "to the good alone", "closed as too slow", "memory"]

_FAST = Options(pause_first=0.01, pause_cap=0.05, forgive_after=0.0)


class Tally(NamedTuple):
    """How a run went; the first three must be 0."""

    missing: int
    doubled: int
    disordered: int
    clients: int
    times: int
    signals: int
    seconds: float

    def row(self) -> list[str]:
        """For a table."""
        numbers = (self.clients, self.times, self.signals, self.missing, self.doubled, self.disordered)
        return [*(f"{one:,}" for one in numbers), f"{self.seconds:.1f} s"]


class Book:
    """What each client acted on."""

    def __init__(self, clients: int) -> None:
        self.acted: list[list[int]] = [[] for _ in range(clients)]

    def faults(self, upto: int) -> tuple[int, int, int]:
        """Missing, doubled, out of order, over all clients."""
        wanted = range(1, upto + 1)
        missing = sum(len(set(wanted) - set(one)) for one in self.acted)
        doubled = sum(len(one) - len(set(one)) for one in self.acted)
        odd = sum(after <= before for one in self.acted for before, after in itertools.pairwise(one))
        return missing, doubled, odd - min(odd, doubled)


async def _follow(client: Client, acted: list[int]) -> None:
    async for signal in client.signals(start="oldest"):
        acted.append(signal.seq)  # noqa: PERF401 - it never ends


async def _everybody(
    world: World, key: str, clients: int, work: Callable[[], Awaitable[int]], options: Options = _FAST
) -> tuple[Book, int]:
    """Clients follow the feed while the work is done; the signals there are, all of them read or given up."""
    book = Book(clients)
    url = f"ws://127.0.0.1:{world.gateway.port}/ws/v1"
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        mine = [await stack.enter_async_context(Client(key, url, options=options)) for _ in range(clients)]
        tasks = [group.create_task(_follow(client, acted)) for client, acted in zip(mine, book.acted, strict=True)]
        await until(lambda: len(world.gateway._hub.links) == clients)
        count = await work()
        try:
            await until(lambda: all(one and one[-1] >= count for one in book.acted))
        finally:
            for task in tasks:
                task.cancel()
    return book, count


async def cuts(times: int, clients: int = 5, seed: int = 1) -> Tally:
    """Connections are cut at random moments, with what was under way; signals come all the while."""
    luck, world = random.Random(seed), World()
    async with world.running():
        account, key = await world.account("ann")

        async def work() -> int:
            done = signals = 0
            while done < times:
                signals += len(await world.emit(account, luck.randint(1, 5)))
                links = [link for link in world.gateway._hub.links if luck.random() < 0.1]
                for link in links[: times - done]:
                    link.outlet._transport.abort()
                    done += 1
                await asyncio.sleep(luck.uniform(0, 0.01))
            return signals

        began = time.perf_counter()
        book, count = await _everybody(world, key, clients, work)
    return Tally(*book.faults(count), clients, times, count, time.perf_counter() - began)


async def restarts(times: int, clients: int) -> Tally:
    """The gateway stops as for a deployment and starts again; signals are committed also while it is away.

    `seconds` is the longest time from a start until everybody was back.
    """
    world = World(QUICK.model_copy(update={"port": _free_port(), "reconnect_spread": 1.0, "close_timeout": 2.0}))
    account, key = await world.account("ann")
    slowest = 0.0
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.running())

        async def work() -> int:
            nonlocal slowest
            signals = len(await world.emit(account, 3))
            for _ in range(times):
                await stack.aclose()
                world.gateway = world.new_gateway()
                signals += len(await world.emit(account, 3, tell=False))
                await stack.enter_async_context(world.running())
                began = time.perf_counter()
                for _ in range(5):
                    signals += len(await world.emit(account))
                    await asyncio.sleep(0.02)
                await until(lambda: len(world.gateway._hub.links) == clients)
                slowest = max(slowest, time.perf_counter() - began)
            return signals

        book, count = await _everybody(world, key, clients, work, Options(pause_first=0.1, pause_cap=1.0))
    return Tally(*book.faults(count), clients, times, count, slowest)


# -- slow readers -----------------------------------------------------------------------------------------------------


class Timed(Reader):
    """A good reader that notes when each signal came."""

    def __init__(self, key: str, ready: asyncio.Semaphore) -> None:
        super().__init__(key, ready, None)
        self.arrived: dict[int, float] = {}

    def connection_lost(self, exc: Exception | None) -> None:
        """The end is the run's."""

    def _take(self, kind: int, payload: bytes, now: int) -> None:
        super()._take(kind, payload, now)
        if kind == 0x1 and payload.startswith(b'{"type":"signal"'):
            self.arrived[self.seq] = time.perf_counter()


class Phase(NamedTuple):
    """What the good readers saw, and what became of the others."""

    latencies: list[float]
    closed: int
    memory: float
    """MiB that the process grew by."""


async def slow(good: int, stalled: int, dripping: int, signals: int, rate: float) -> tuple[Phase, Phase]:
    """The good ones alone, then beside the others. Every signal is read by every good one, or it does not return."""
    return await _phase(good, 0, 0, signals, rate), await _phase(good, stalled, dripping, signals, rate)


async def _phase(good: int, stalled: int, dripping: int, signals: int, rate: float) -> Phase:
    world = World(GatewaySettings(port=0, key_ttl=60, reconnect_spread=0.1))
    async with world.running(), AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        account, key = await world.account("ann")
        before = _memory()
        readers = [await _good(stack, world, key) for _ in range(good)]
        others = [await _deaf(stack, world, key) for _ in range(stalled + dripping)]
        drips = [group.create_task(_drip(one)) for one in others[stalled:]]
        await until(lambda: len(_feeds(world)) == good + len(others))
        told = await _emit(world, account, signals, rate)
        await until(lambda: all(len(one.arrived) == signals for one in readers))
        grown, closed = _memory() - before, world.gateway.status()["closed"].get("too_slow", 0)
        for task in drips:
            task.cancel()
    return Phase(sorted(at - told[seq] for one in readers for seq, at in one.arrived.items()), closed, grown)


def slow_rows(good: int, stalled: int, dripping: int, phases: tuple[Phase, Phase]) -> list[list[str]]:
    """As a table."""
    base = _part(phases[0], 0.99)
    names = (f"{good} / 0 / 0", f"{good} / {stalled} / {dripping}")
    return [
        [
            name,
            f"{len(phase.latencies) // good:,}",
            f"{_part(phase, 0.5):.2f} ms",
            f"{_part(phase, 0.99):.2f} ms",
            f"{_part(phase, 0.99) / base:.2f}",
            str(phase.closed),
            f"{phase.memory:+.0f} MiB",
        ]
        for name, phase in zip(names, phases, strict=True)
    ]


def _part(phase: Phase, part: float) -> float:
    return 1000 * phase.latencies[round(part * (len(phase.latencies) - 1))]


def _feeds(world: World) -> list[Any]:
    return [link for link in world.gateway._hub.links if link.session.signals is not None]


async def _emit(world: World, account: Account, count: int, rate: float) -> dict[int, float]:
    told, due = {}, time.perf_counter()
    for _ in range(count):
        now = time.perf_counter()
        for entry in await world.emit(account):
            told[entry.seq] = now
        due += 1 / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    return told


async def _good(stack: AsyncExitStack, world: World, key: str) -> Timed:
    ready = asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()
    transport, reader = await loop.create_connection(lambda: Timed(key, ready), "127.0.0.1", world.gateway.port)
    stack.callback(transport.abort)
    await ready.acquire()
    return reader


async def _deaf(stack: AsyncExitStack, world: World, key: str) -> socket.socket:
    """Subscribes to signals and prices, and then reads nothing by itself."""
    loop = asyncio.get_running_loop()
    raw = socket.socket()
    stack.callback(raw.close)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    await loop.sock_connect(raw, ("127.0.0.1", world.gateway.port))
    head = (
        "GET /ws/v1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-API-Key: {key}\r\n\r\n"
    )
    await loop.sock_sendall(raw, head.encode())
    body = json.dumps({"method": "subscribe", "params": {"channel": "signals", "symbols": ["*"]}}).encode()
    size = bytes((0xFE,)) + struct.pack(">H", len(body)) if len(body) > 125 else bytes((0x80 | len(body),))
    await loop.sock_sendall(raw, b"\x81" + size + bytes(4) + body)
    return raw


async def _drip(raw: socket.socket) -> None:
    """Reads a few bytes now and then, until it is closed."""
    loop = asyncio.get_running_loop()
    try:
        while await loop.sock_recv(raw, 64):  # noqa: ASYNC110 - slowly is the point
            await asyncio.sleep(0.05)
    except OSError:
        return


def _memory() -> float:
    """MiB of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def run(*, quick: bool, say: Callable[[str], None]) -> tuple[list[list[str]], list[list[str]], list[list[str]]]:
    """Cuts, restarts, slow readers."""
    say("cuts")
    cut = asyncio.run(cuts(20, 2) if quick else cuts(1_000))
    say("restarts")
    restarted = asyncio.run(restarts(1, 3) if quick else restarts(20, 100))
    say("slow readers")
    beside: list[list[str]] = []
    for crowd in ((3, 1, 1),) if quick else ((100, 50, 50), (80, 10, 10)):
        phases = asyncio.run(slow(*crowd, *((30, 200) if quick else (3_000, 100))))
        beside += slow_rows(*crowd, phases)
    return [cut.row()], [restarted.row()], beside
