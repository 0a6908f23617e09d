from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Flag, Trade
from pricewatch.domain.time import DAY, HOUR, MINUTE
from pricewatch.store.maintenance import Maintenance, _ranges
from pricewatch.store.pool import Database
from pricewatch.store.settings import StoreSettings, TickSettings
from pricewatch.store.writer import TickStore

pytestmark = pytest.mark.postgres

NOW = 1_700_000_000_000_000 - 1_700_000_000_000_000 % DAY + 12 * HOUR


class Noon:
    def now(self) -> int:
        return NOW


@pytest.fixture
async def maintenance(database: Database, tick_store: TickStore) -> AsyncIterator[Maintenance]:
    upkeep = Maintenance(database, TickSettings(rollup_overlap=0), Noon(), tick_store)
    async with upkeep._database:
        yield upkeep


async def store(ticks: TickStore, *trades: tuple[int, float, int], flags: int = 0, received: int = NOW) -> None:
    """Trades as (venue time, price, seen)."""
    for at, price, seen in trades:
        ticks.trade(Trade(2, at, price, 1.0, 1, seen % 2**62, received, flags), seen)
    await ticks.drain()


async def minutes(database: Database, table: str = "candle_1m") -> list[tuple[float, ...]]:
    rows = await database.fetch(f"SELECT open, high, low, close, volume, trades FROM {table} ORDER BY bucket")
    return [tuple(row) for row in rows]


async def test_candles_follow_the_trades(maintenance: Maintenance, tick_store: TickStore, database: Database) -> None:
    await maintenance.rollup()
    await store(tick_store, (NOW, 5.0, 10), (NOW + 1, 7.0, 11), (NOW + MINUTE, 6.0, 12))
    await maintenance.rollup()
    assert await minutes(database) == [(5.0, 7.0, 5.0, 7.0, 2.0, 2), (6.0, 6.0, 6.0, 6.0, 1.0, 1)]
    await store(tick_store, (NOW + 2, 4.0, 13))
    await store(tick_store, (NOW + 3, 9e9, 14), flags=int(Flag.SUSPECT))
    await maintenance.rollup()
    assert await minutes(database) == [(5.0, 7.0, 4.0, 4.0, 3.0, 3), (6.0, 6.0, 6.0, 6.0, 1.0, 1)]
    assert await minutes(database, "candle_1h") == [(5.0, 7.0, 4.0, 6.0, 4.0, 4)]


async def test_rows_stored_behind_the_cursor_are_not_missed(
    maintenance: Maintenance, tick_store: TickStore, database: Database
) -> None:
    await store(tick_store, (NOW, 5.0, 10**15))
    await maintenance.rollup()
    await store(tick_store, (NOW - 400 * DAY, 1.0, 7), (NOW - 300 * DAY, 2.0, 8 + 300 * DAY))
    await maintenance.rollup()
    assert [row[0] for row in await minutes(database)] == [1.0, 2.0, 5.0]
    assert await database.fetchval("SELECT seen FROM candle_cursor") == 10**15


async def test_a_candle_never_loses_trades_that_have_expired(
    maintenance: Maintenance, tick_store: TickStore, database: Database
) -> None:
    await store(tick_store, (NOW, 5.0, 10), (NOW + 1, 7.0, 11))
    await maintenance.rollup()
    await database.execute("DELETE FROM trade WHERE seen = 10")
    await store(tick_store, (NOW + MINUTE, 5.0, 12))
    await maintenance.rollup()
    await database.execute("SELECT ohlcv_rollup('2000-01-01', '2100-01-01')")
    assert (await minutes(database))[0] == (5.0, 7.0, 5.0, 7.0, 2.0, 2)


async def test_partitions_go_by_when_they_were_seen(
    maintenance: Maintenance, tick_store: TickStore, database: Database
) -> None:
    old = NOW - 60 * DAY
    await store(tick_store, (old, 1.0, old), received=old)
    await store(tick_store, (old - DAY, 1.0, NOW - DAY), received=NOW - DAY)
    await store(tick_store, (old - 2 * DAY, 1.0, old - 2 * DAY), received=NOW - DAY)
    await store(tick_store, (NOW, 1.0, NOW))
    await maintenance.partitions()
    assert maintenance.dropped == 1
    found = [row["seen"] for row in await database.fetch("SELECT seen FROM trade ORDER BY ts")]
    assert found == [old - 2 * DAY, NOW - DAY, NOW]
    parts = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'quote'::regclass"
    assert await database.fetchval(parts) == 2
    await maintenance.partitions()
    assert await database.fetchval(parts) == 2


async def test_an_absent_database_is_its_trouble_not_its_end() -> None:
    away = Database("postgresql://nobody@127.0.0.1:9/nothing", StoreSettings(connect_timeout=0.2))
    upkeep = Maintenance(away, TickSettings(), Noon())
    async with upkeep._database:
        with pytest.raises(Unavailable):
            await upkeep.rollup()
        upkeep._failed("rollup", Unavailable("gone"))
        assert upkeep.trouble() == "rollup: gone"
        upkeep._done("rollup")
        assert upkeep.trouble() is None


def test_minutes_are_joined_up_to_an_hour() -> None:
    stretch = [n * MINUTE for n in (0, 1, 2, 5, *range(100, 165))]
    assert list(_ranges(stretch)) == [
        (0, 3 * MINUTE),
        (5 * MINUTE, 6 * MINUTE),
        (100 * MINUTE, 160 * MINUTE),
        (160 * MINUTE, 165 * MINUTE),
    ]
    assert list(_ranges([])) == []


async def test_candles_of_a_minute_do_not_read_the_whole_day(
    maintenance: Maintenance, tick_store: TickStore, database: Database
) -> None:
    await store(tick_store, *((NOW + at * MINUTE, 5.0, 10 + at) for at in range(600)))

    async def whole_days_read() -> int:
        await maintenance._database.call(lambda connection: connection.execute("SELECT pg_stat_force_next_flush()"))
        found: int = await database.fetchval(
            "SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname LIKE 'trade\\_%'"
        )
        return found

    before = await whole_days_read()
    await maintenance._value("rollup", NOW + 9 * MINUTE, NOW + 10 * MINUTE)
    assert await whole_days_read() == before
    assert len(await minutes(database)) == 1
