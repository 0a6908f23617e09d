"""Stored inputs, read again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from tests.backtest.past_promises import BINANCE, COINBASE, Filled, PastPromises
from tests.store.conftest import QUICK

from pricewatch.domain.market import Candle
from pricewatch.domain.model import Activation, BarScore, Forecast
from pricewatch.ports.preview import Past, PlacedQuote
from pricewatch.ports.ticks import Listing, Sequenced
from pricewatch.store.catalog import PostgresCatalog
from pricewatch.store.history import PostgresHistory
from pricewatch.store.maintenance import Maintenance
from pricewatch.store.models import PostgresModelStore
from pricewatch.store.past import PostgresPast
from pricewatch.store.pool import Database
from pricewatch.store.writer import TickStore
from pricewatch.testing.clock import ManualClock

pytestmark = pytest.mark.postgres


class Stored:
    def __init__(self, database: Database, pool: Database, catalog: PostgresCatalog, folder: Path) -> None:
        self.models = PostgresModelStore(database)
        self.history = PostgresHistory(pool, catalog.steps)
        self.past: Past = PostgresPast(pool, self.history, self.models)
        self.writer = TickStore(database, folder, QUICK, steps=catalog.steps)
        self.maintenance = Maintenance(database, QUICK, ManualClock(), self.writer)

    async def trades(self, trades: Sequence[Sequenced]) -> None:
        for one in trades:
            self.writer.trade(one.trade, one.seen)
        await self.writer.drain()

    async def quotes(self, quotes: Sequence[PlacedQuote]) -> None:
        for one in quotes:
            self.writer.quote(one.quote, one.seen)
            self.writer._pack_quotes()
        await self.writer.drain()

    async def candles(self, candles: Sequence[Candle]) -> None:
        await self.history.import_candles(candles)

    async def scores(self, scores: Sequence[BarScore]) -> None:
        await self.models.save_bar_scores(scores)

    async def forecasts(self, pairs: Sequence[tuple[Activation, Forecast]]) -> None:
        for _, forecast in pairs:
            await self.models.save_forecast(forecast)
        await self.models.activate([activation for activation, _ in pairs])

    async def rolled_up(self) -> None:
        await self.maintenance.catch_up()


class TestPostgresPast(PastPromises):
    @pytest.fixture
    async def filled(self, database: Database, tmp_path: Path) -> AsyncIterator[Filled]:
        catalog = PostgresCatalog(database)
        await catalog.register([Listing(one.venue, one.symbol, one.native, one.step) for one in (BINANCE, COINBASE)])
        async with database.for_ticks(2, by_index=True) as pool:
            stored = Stored(database, pool, catalog, tmp_path / "spool")
            await stored.writer.open()
            await stored.writer.recover()
            yield stored
            await stored.writer.close()
