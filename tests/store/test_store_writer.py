from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pricewatch.domain.errors import ConfigError, Unavailable
from pricewatch.domain.market import Quote, Trade
from pricewatch.domain.time import DAY
from pricewatch.ports.ticks import Listing
from pricewatch.store.catalog import PostgresCatalog
from pricewatch.store.embedded import EmbeddedPostgres
from pricewatch.store.migrate import migrate
from pricewatch.store.pool import Database
from pricewatch.store.settings import EmbeddedSettings, StoreSettings, TickSettings
from pricewatch.store.writer import TickStore

pytestmark = pytest.mark.postgres

START = 1_700_000_000_000_000
QUICK = TickSettings(
    batch_age=0.002, batch_rows=500, quote_interval=0.02, retry_base=0.02, retry_cap=0.1, fsync_interval=0.05
)


def trade(key: int, *, at: int | None = None, market: int = 2, ref: str | None = None, price: float = 1.5) -> Trade:
    moment = START + key if at is None else at
    return Trade(market=market, at=moment, price=price, size=1.0, side=1, key=key, received=moment, ref=ref)


def offer(store: TickStore, keys: range, *, later: int = 0) -> None:
    for key in keys:
        store.trade(trade(key), key + later)


async def count(database: Database, table: str = "trade") -> int:
    return int(await database.fetchval(f"SELECT count(*) FROM {table}"))


@asynccontextmanager
async def running(store: TickStore) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(store.run())
        yield
        task.cancel()


async def test_ticks_flow_into_the_table_by_themselves(tick_store: TickStore, database: Database) -> None:
    async with running(tick_store):
        for start in range(0, 3_000, 300):
            offer(tick_store, range(start, start + 300))
            tick_store.spool()
            await asyncio.sleep(0)
        async with asyncio.timeout(60):
            while tick_store.status()["waiting"]:
                await asyncio.sleep(0.01)
    assert await count(database) == tick_store.stored == tick_store.received == 3_000
    assert tick_store.trouble() is None


async def test_duplicates_are_counted_and_the_rest_stored(tick_store: TickStore, database: Database) -> None:
    offer(tick_store, range(100))
    await tick_store.drain()
    offer(tick_store, range(50, 150), later=1_000)
    offer(tick_store, range(140, 160), later=2_000)
    await tick_store.drain()
    assert (tick_store.received, tick_store.stored, tick_store.conflicts) == (220, 160, 60)
    assert await count(database) == 160


async def test_partitions_are_made_where_the_data_is(tick_store: TickStore, database: Database) -> None:
    for day in (0, 3, 4_000):
        tick_store.trade(trade(day, at=START + day * DAY), day)
    await tick_store.drain()
    parts = await database.fetch(
        "SELECT inhrelid::regclass::text AS n FROM pg_inherits WHERE inhparent = 'trade'::regclass"
    )
    assert sorted(row["n"] for row in parts) == ["trade_20231114", "trade_20231117", "trade_20341027"]
    assert tick_store.stored == 3


async def test_a_poisoned_row_goes_alone(tick_store: TickStore, database: Database) -> None:
    offer(tick_store, range(60))
    tick_store.trade(trade(60, ref="nul\x00"), 60)
    tick_store.trade(trade(61, price=float("nan")), 61)
    tick_store.trade(trade(62, price=float("inf")), 62)
    tick_store.trade(trade(2**63), 63)
    tick_store.trade(trade(64, ref="\ud800"), 64)
    offer(tick_store, range(65, 125))
    await tick_store.drain()
    assert (tick_store.stored, tick_store.quarantined, tick_store.conflicts) == (120, 5, 0)
    assert await count(database) == 120


async def test_quotes_are_conflated(tick_store: TickStore, database: Database) -> None:
    async with running(tick_store):
        for n in range(100):
            tick_store.quote(Quote(1 + n % 2, START + n, 1.0 + n, 1.0, 2.0 + n, 1.0, START + n), n)
        async with asyncio.timeout(60):
            while tick_store.quotes_stored < 2:
                await asyncio.sleep(0.01)
    rows = await database.fetch("SELECT instrument_id, bid, seen FROM quote ORDER BY 1")
    assert [tuple(row) for row in rows] == [(1, 99.0, 98), (2, 100.0, 99)]
    assert tick_store.quotes_dropped == 0


async def test_under_pressure_quotes_go_first(database: Database, catalog: PostgresCatalog, tmp_path: Path) -> None:
    store = TickStore(database, tmp_path / "s", QUICK.model_copy(update={"quote_pressure": 0}), steps=catalog.steps)
    await store.open()
    offer(store, range(5))
    store.spool()
    store.quote(Quote(1, START, 1.0, 1.0, 2.0, 1.0, START), 9)
    store._pack_quotes()
    assert store.quotes_dropped == 1
    await store.close()


async def test_what_a_killed_process_spooled_is_stored_at_the_next_start(
    database: Database, catalog: PostgresCatalog, tmp_path: Path
) -> None:
    first = TickStore(database, tmp_path / "s", QUICK, steps=catalog.steps)
    await first.open()
    offer(first, range(50))
    await first.drain()
    offer(first, range(50, 120))
    first.spool()
    first._spool.close()
    await first._database.close()
    second = TickStore(database, tmp_path / "s", QUICK, steps=catalog.steps)
    await second.open()
    await second.recover()
    assert await count(database) == 120
    assert (second.stored, second.conflicts, second.replayed) == (0, 0, 120)
    await second.close()


async def test_a_second_service_cannot_have_the_spool(
    tick_store: TickStore, database: Database, tmp_path: Path
) -> None:
    second = TickStore(database, tmp_path / "spool", QUICK)
    with pytest.raises(ConfigError, match="another pricewatch"):
        await second.open()


async def test_changed_tables_are_refused(database: Database, tmp_path: Path) -> None:
    await database.execute("ALTER TABLE trade ADD COLUMN extra int")
    store = TickStore(database, tmp_path / "s", QUICK)
    await store.open()
    with pytest.raises(ConfigError, match="other columns"):
        await store.recover()
    await store.close()


async def test_missing_tables_are_named(empty_database_url: str, tmp_path: Path) -> None:
    async with Database(empty_database_url) as database:
        store = TickStore(database, tmp_path / "s", QUICK)
        await store.open()
        with pytest.raises(ConfigError, match="run the migrations"):
            await store.recover()
        await store.close()


async def test_a_full_disk_is_told_and_overcome(tick_store: TickStore, database: Database) -> None:
    offer(tick_store, range(10))

    def full(kind: int, count: int, payload: bytes | bytearray) -> int:
        raise OSError(28, "No space left on device")

    real = tick_store._spool.append
    tick_store._spool.append = full  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="No space left"):
        tick_store.spool()
    assert "No space left" in (tick_store.trouble() or "")
    tick_store._spool.append = real  # type: ignore[method-assign]
    offer(tick_store, range(10, 20))
    await tick_store.drain()
    assert tick_store.trouble() is None
    assert await count(database) == 20


async def test_nothing_is_lost_when_the_server_is_killed_again_and_again(open_folder: Path) -> None:
    """kill -9 of the server in the middle of writing: it is restarted, and after the drain every row is there once."""
    settings = EmbeddedSettings(restart_base=0.02, stop_patience=3)
    async with EmbeddedPostgres(open_folder / "data", settings) as server, asyncio.TaskGroup() as group:
        supervisor = group.create_task(server.run())
        async with Database(server.url(), StoreSettings(connect_timeout=1)) as database:
            await migrate(database)
            catalog = PostgresCatalog(database)
            await catalog.register([Listing("a", "X-Y", "xy"), Listing("b", "X-Y", "xy")])
            store = TickStore(database, open_folder / "spool", QUICK, steps=catalog.steps)
            await store.open()
            await store.recover()
            async with running(store):
                for round_number in range(40):
                    offer(store, range(round_number * 250, round_number * 250 + 250))
                    store.spool()
                    await asyncio.sleep(0.02)
                    if round_number in {10, 25}:
                        pid = server.pid
                        assert pid is not None
                        os.kill(pid, signal.SIGKILL)
                async with asyncio.timeout(60):
                    while True:
                        try:
                            await store.drain()
                        except Unavailable:
                            await asyncio.sleep(0.05)
                        else:
                            break
            assert await count(database) == 10_000
            assert await database.fetchval("SELECT count(DISTINCT seen) FROM trade") == 10_000
            assert (store.stored, store.conflicts, store.quarantined) == (10_000, 0, 0)
            assert server.status()["restarts"] >= 1
            await store.close()
        supervisor.cancel()


async def test_it_starts_while_the_database_is_away(tmp_path: Path) -> None:
    database = Database("postgresql://nobody@127.0.0.1:9/nothing", StoreSettings(connect_timeout=0.2))
    store = TickStore(database, tmp_path / "s", QUICK)
    await store.open()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await store.recover()
    offer(store, range(100))
    with pytest.raises(Unavailable):
        await store.drain()
    assert "ticks wait in the spool" in (store.trouble() or "")
    assert store.status()["waiting"] == 100
    assert {sample.name for sample in store.samples()} >= {"trades_received", "spool_rows"}
    await store.close()
