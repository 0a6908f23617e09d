"""Choices of markets, in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from pricewatch.ports.markets import MarketChoice
from pricewatch.store.pool import Database
from pricewatch.store.sql import load

SQL = load("choices")


class PostgresMarketBook:
    """Keeps `MarketBook`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def choose(self, choice: MarketChoice) -> None:
        """From now on this holds for its market."""
        await self._database.execute(
            SQL["choose"], choice.venue, choice.symbol, choice.wanted, choice.account, choice.at
        )

    async def forget(self, venue: str, symbol: str, *, by: uuid.UUID | None = None) -> bool:
        """From now on the configuration holds again; False when there was no choice."""
        return bool(await self._database.fetchval(SQL["forget"], venue, symbol, by))

    async def choices(self) -> Sequence[MarketChoice]:
        """All of them, by venue and symbol."""
        return [MarketChoice(*row) for row in await self._database.fetch(SQL["choices"])]
