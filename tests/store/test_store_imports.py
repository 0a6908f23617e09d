"""Past trades get their place in the order, once, and are never evaluated as live ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.store.conftest import QUICK

from pricewatch.domain.errors import Refused
from pricewatch.domain.market import Flag, Market, Trade
from pricewatch.domain.time import MINUTE, SECOND
from pricewatch.store.catalog import PostgresCatalog
from pricewatch.store.history import PostgresHistory
from pricewatch.store.imports import TradeImport
from pricewatch.store.journal import PostgresJournal
from pricewatch.store.maintenance import Maintenance
from pricewatch.store.pool import Database
from pricewatch.store.writer import TickStore

THEN = 1_500_000_000_000_000 // MINUTE * MINUTE


class Clock:
    def now(self) -> int:
        return THEN + 400 * 86_400 * SECOND


def trade(key: int, at: int, *, market: int = 2, price: float = 5.0, ref: str | None = None, flags: int = 0) -> Trade:
    return Trade(market, at, price, 1.0, 1, key, at + 1, flags, ref)


@asynccontextmanager
async def importing(
    database: Database, pool: Database, catalog: PostgresCatalog, spool: Path
) -> AsyncIterator[TradeImport]:
    writer = TickStore(database, spool, QUICK, steps=catalog.steps)
    await writer.open()
    await writer.recover()
    try:
        way = TradeImport(pool, writer, Maintenance(database, QUICK, Clock(), writer), shard=0)
        await way.begin()
        yield way
        await way.finish()
    finally:
        await writer.close()


@pytest.fixture
async def markets(catalog: PostgresCatalog) -> dict[int, Market]:
    return {market.id: market for market in await catalog.markets()}


async def test_twice_adds_none_and_the_order_is_that_of_the_venue(
    database: Database, ticks_pool: Database, catalog: PostgresCatalog, markets: dict[int, Market], tmp_path: Path
) -> None:
    history = PostgresHistory(ticks_pool, catalog.steps)
    past = [trade(key, THEN + key // 3 * SECOND, price=100.0 + key, ref=f"id {key}") for key in range(1, 61)]
    async with importing(database, ticks_pool, catalog, tmp_path / "a") as way:
        assert await way.add(markets[2], [*reversed(past[20:40]), past[20]]) == 20
        assert (way.added, way.known) == (20, 1)
    async with importing(database, ticks_pool, catalog, tmp_path / "b") as way:
        assert await way.add(markets[2], past) == 40
        assert await way.add(markets[2], past) == 0
        assert (way.added, way.known) == (40, 80)
    rows = await history.trades(2, THEN, THEN + MINUTE)
    assert {row.trade for row in rows} == set(past)
    assert len({row.seen for row in rows}) == 60
    assert all(row.trade.at <= row.seen < row.trade.at + 10 for row in rows)
    (candle,) = await history.candles(2, THEN, THEN + MINUTE, span=MINUTE)
    assert (candle.open, candle.high, candle.low, candle.close, candle.trades) == (101.0, 160.0, 101.0, 160.0, 60)


async def test_milliseconds_places_shared_between_markets_and_nothing_to_do(
    database: Database, ticks_pool: Database, catalog: PostgresCatalog, markets: dict[int, Market], tmp_path: Path
) -> None:
    async with importing(database, ticks_pool, catalog, tmp_path / "spool") as way:
        assert await way.add(markets[1], []) == 0
        assert await way.add(markets[1], [trade(key, THEN, market=1) for key in range(2_000, 3_500)]) == 1_500
        assert await way.add(markets[2], [trade(key, THEN) for key in range(5)]) == 5
        assert await way.add(markets[1], [trade(2_001, THEN, market=1, flags=Flag.HISTORY)]) == 0
    rows = await PostgresHistory(ticks_pool, catalog.steps).trades(2, THEN, THEN + SECOND)
    assert min(row.seen for row in rows) == THEN + 1_500
    found = await ticks_pool.fetchval("SELECT count(DISTINCT seen) FROM trade")
    assert found == 1_505


async def test_the_evaluation_begins_behind_what_was_imported(
    database: Database, ticks_pool: Database, catalog: PostgresCatalog, markets: dict[int, Market], tmp_path: Path
) -> None:
    journal = PostgresJournal(database, Clock())
    async with importing(database, ticks_pool, catalog, tmp_path / "a") as way:
        await way.add(markets[2], [trade(1, THEN), trade(2, THEN + SECOND)])
    assert (await journal.claim(0, "service")).cursor == THEN + SECOND
    async with importing(database, ticks_pool, catalog, tmp_path / "b") as way:
        await way.add(markets[2], [trade(3, THEN - SECOND)])
    assert (await journal.claim(0, "service")).cursor == THEN + SECOND
    async with importing(database, ticks_pool, catalog, tmp_path / "c") as way:
        await way.add(markets[2], [trade(4, THEN + 60 * SECOND)])
    await database.execute("UPDATE shard SET cursor_seen = $1", THEN)
    with pytest.raises(Refused, match="wait for their evaluation"):
        async with importing(database, ticks_pool, catalog, tmp_path / "d"):
            pass
