"""The ledger of holes, in PostgreSQL."""

from __future__ import annotations

from pricewatch.ports.ticks import Closed, Gap
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

    async def close(self, gap_id: int, *, closed_seen: int, how: Closed = Closed.FILLED) -> None:
        """The hole is closed; closing it again changes nothing."""
        await self._database.execute(SQL["close"], gap_id, closed_seen, how.value)

    async def open_gaps(self) -> list[tuple[int, Gap]]:
        """Holes not yet closed, with their ids."""
        return [(number, Gap(*rest)) for number, *rest in await self._database.fetch(SQL["open"])]

    async def patched_gaps(self) -> list[Gap]:
        """Holes closed by candles, newest first, a bounded number: their trades are still missing."""
        return [Gap(*row) for row in await self._database.fetch(SQL["patched"])]
