from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pricewatch.ports.ticks import Listing
from pricewatch.store.catalog import PostgresCatalog
from pricewatch.store.pool import Database
from pricewatch.store.settings import TickSettings
from pricewatch.store.writer import TickStore

LISTINGS = [
    Listing("binance", "BTC-USDT", "BTCUSDT", 1_000),
    Listing("coinbase", "BTC-USD", "BTC-USD", 1),
    Listing("kraken", "BTC-USD", "XBT/USD", 1),
]
QUICK = TickSettings(batch_age=0.005, quote_interval=0.02, retry_base=0.02, retry_cap=0.1, fsync=False)


@pytest.fixture
async def catalog(database: Database) -> PostgresCatalog:
    """Markets 1 (milliseconds), 2 and 3 (microseconds)."""
    catalog = PostgresCatalog(database)
    assert [market.id for market in await catalog.register(LISTINGS)] == [1, 2, 3]
    return catalog


@pytest.fixture
async def ticks_pool(database: Database) -> AsyncIterator[Database]:
    async with database.for_ticks(2) as pool:
        yield pool


@pytest.fixture
async def tick_store(database: Database, catalog: PostgresCatalog, tmp_path: Path) -> AsyncIterator[TickStore]:
    """Open and recovered; `drain` moves its rows, nothing runs beside."""
    store = TickStore(database, tmp_path / "spool", QUICK, steps=catalog.steps)
    await store.open()
    await store.recover()
    yield store
    await store.close()
