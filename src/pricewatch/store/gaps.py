"""The ledger of holes, in PostgreSQL."""

from __future__ import annotations

from pricewatch.ports.ticks import Gap
from pricewatch.store.pool import Database
from pricewatch.store.sql import load

SQL = load("gaps")


class PostgresGapLedger:
    """Keeps `GapLedger`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def declare(self, gap: Gap, *, opened_seen: int) -> int:
        """Write the hole down; returns its id."""
        number: int = await self._database.fetchval(
            SQL["declare"],
            *(gap.market, gap.first_key, gap.last_key, gap.from_at, gap.to_at, gap.reason, opened_seen),
        )
        return number

    async def close(self, gap_id: int, *, closed_seen: int) -> None:
        """The hole was filled; closing it again changes nothing."""
        await self._database.execute(SQL["close"], gap_id, closed_seen)

    async def open_gaps(self) -> list[tuple[int, Gap]]:
        """Holes not yet filled, with their ids."""
        return [(number, Gap(*rest)) for number, *rest in await self._database.fetch(SQL["open"])]
