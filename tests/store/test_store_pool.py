from __future__ import annotations

import asyncio
import time

import asyncpg
import pytest

from pricewatch.domain.errors import ConfigError, Unavailable
from pricewatch.store.pool import Connection, Database
from pricewatch.store.settings import StoreSettings

pytestmark = pytest.mark.postgres


async def test_calls_give_values(database: Database) -> None:
    assert await database.fetchval("SELECT 1 + $1::int", 2) == 3
    assert [row["n"] for row in await database.fetch("SELECT n FROM generate_series(1, 3) n")] == [1, 2, 3]
    assert await database.fetchrow("SELECT 1 WHERE false") is None
    assert database.trouble() is None


async def test_a_slow_call_is_cut_at_its_deadline(database: Database) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"within 0\.2 s"):
        await database.call(lambda connection: connection.execute("SELECT pg_sleep(30)"), within=0.2)
    assert time.monotonic() - began < 2
    assert "no answer" in (database.trouble() or "")
    assert await database.fetchval("SELECT 1") == 1
    assert database.trouble() is None


async def test_a_cancelled_call_leaves_a_usable_pool(database_url: str) -> None:
    async with Database(database_url, StoreSettings(pool_size=2)) as database:
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await database.execute("SELECT pg_sleep(30)")
        assert await database.fetchval("SELECT 1") == 1


async def test_errors_of_sql_pass_and_a_transaction_is_undone(database: Database) -> None:
    await database.execute("CREATE TABLE thing (n int UNIQUE)")

    async def twice(connection: Connection) -> None:
        await connection.execute("INSERT INTO thing VALUES (1)")
        await connection.execute("INSERT INTO thing VALUES (1)")

    with pytest.raises(asyncpg.UniqueViolationError):
        await database.transaction(twice)
    assert await database.fetchval("SELECT count(*) FROM thing") == 0


async def test_a_transaction_left_open_does_not_leak(database_url: str) -> None:
    async with Database(database_url, StoreSettings(pool_size=2)) as database:
        await database.call(lambda connection: connection.execute("BEGIN"))
        assert await database.fetchval("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'") == 0


async def test_it_opens_while_nobody_answers() -> None:
    settings = StoreSettings(connect_timeout=0.3)
    async with Database("postgresql://nobody@127.0.0.1:9/nothing", settings) as database:
        with pytest.raises(Unavailable):
            await database.fetchval("SELECT 1")
        assert (database.trouble() or "").startswith("nobody@127.0.0.1:9/nothing")


async def test_an_unknown_database_is_named_without_the_password(database_url: str) -> None:
    wrong = database_url.replace("pricewatch@", "pricewatch:geheim@").replace("/test_", "/absent_")
    async with Database(wrong) as database:
        with pytest.raises(ConfigError, match="absent_") as caught:
            await database.fetchval("SELECT 1")
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "mysql://x/y", "localhost:5432", "postgresql://h:port/x"])
def test_what_is_no_url_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ConfigError, match="postgresql://user:password@host:5432/pricewatch"):
        Database(url)


async def test_killed_connections_are_replaced(database: Database) -> None:
    async def suicide(connection: Connection) -> None:
        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(Unavailable):
        await database.call(suicide)
    assert await database.fetchval("SELECT 1") == 1
