from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from pricewatch.domain.errors import Unavailable
from pricewatch.store.pool import Connection, Database, Line
from pricewatch.store.settings import StoreSettings

pytestmark = pytest.mark.postgres
PID = "SELECT pg_backend_pid()"


@pytest.fixture
async def line(database: Database) -> AsyncIterator[Line]:
    async with database.alone() as line:
        yield line


async def test_all_calls_go_over_one_connection(line: Line) -> None:
    pids = [await line.fetchval(PID) for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(line.fetchval(PID)) for _ in range(3)]
    assert {*pids, *(task.result() for task in tasks)} == {pids[0]}


async def test_an_answer_comes_without_a_task_of_its_own(line: Line) -> None:
    await line.fetchval(PID)
    seen: list[asyncio.Task[object] | None] = []

    async def work(connection: Connection) -> object:
        seen.append(asyncio.current_task())
        return await connection.fetchval(PID)

    await line.call(work)
    assert seen == [asyncio.current_task()]


async def test_a_slow_call_is_cut_and_the_next_one_served(line: Line) -> None:
    with pytest.raises(Unavailable, match=r"within 0\.2 s"):
        await line.call(lambda connection: connection.execute("SELECT pg_sleep(30)"), within=0.2)
    assert "no answer" in (line.trouble() or "")
    assert await line.fetchval("SELECT 1") == 1
    assert line.trouble() is None


async def test_a_cancelled_call_leaves_a_usable_line(line: Line) -> None:
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await line.execute("SELECT pg_sleep(30)")
    assert await line.fetchval("SELECT 1") == 1


async def test_a_refused_statement_leaves_nothing_open(line: Line) -> None:
    async def half(connection: Connection) -> None:
        await connection.execute("BEGIN")
        await connection.execute("SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await line.call(half)
    assert await line.fetchval("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'") == 0


async def test_a_killed_connection_is_replaced(database: Database, line: Line) -> None:
    first = await line.fetchval(PID)
    assert await database.fetchval("SELECT pg_terminate_backend($1)", first)

    async def replaced() -> int:
        while True:
            with contextlib.suppress(Unavailable):
                return int(await line.fetchval(PID))

    async with asyncio.timeout(30):
        assert await replaced() != first


async def test_a_closed_line_says_so_and_closes_twice(database: Database) -> None:
    line = database.alone()
    await line.open()
    await line.fetchval(PID)
    await line.close()
    await line.close()
    with pytest.raises(Unavailable, match="closed"):
        await line.fetchval(PID)


@asynccontextmanager
async def _cable(url: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """The server behind a cable; while the event is not set, nothing passes and nobody is told."""
    parts = urlsplit(url)
    socket = parse_qs(parts.query)["host"][0] + "/.s.PGSQL.5432"
    plugged = asyncio.Event()
    plugged.set()

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while some := await source.read(65_536):
                await plugged.wait()
                sink.write(some)
            sink.close()

    async def join(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, out = await asyncio.open_unix_connection(socket)
        async with asyncio.TaskGroup() as group:
            group.create_task(carry(near, out))
            group.create_task(carry(far, back))

    server = await asyncio.start_server(join, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}", plugged
        plugged.set()


async def test_a_cut_cable_ends_a_call_in_time(database_url: str) -> None:
    async with _cable(database_url) as (url, plugged), Line(url, StoreSettings(connect_timeout=30.0)) as line:
        assert await line.fetchval("SELECT 1") == 1
        plugged.clear()
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(Unavailable, match="no answer"):
            await line.call(lambda connection: connection.fetchval("SELECT 2"), within=0.2)
        assert loop.time() - began < 20
        plugged.set()
        assert await line.fetchval("SELECT 3") == 3
