"""Spreads by hour, counted from stored quotes as they are asked for, in PostgreSQL."""

from __future__ import annotations

from pricewatch.domain.time import DAY, HOUR
from pricewatch.store.pool import Connection, Database
from pricewatch.store.sql import load

SQL = load("spreads")
_WITHIN = 30.0
"""Seconds a day of one market's quotes may take to be counted."""


class PostgresSpreads:
    """Keeps `Spreads`."""

    def __init__(self, ticks: Database) -> None:
        """`ticks` is a pool made with `Database.for_ticks`."""
        self._ticks = ticks

    async def count_spreads(self, market: int, upto: int) -> None:
        """Count the whole hours before `upto` that have not been counted yet, a day at a time."""
        end = upto - upto % HOUR
        since = await self._ticks.fetchval(SQL["counted_upto"], market)
        if since is None:
            first = await self._ticks.fetchval(SQL["first_quote"], market)
            since = end if first is None else first - first % HOUR
        while since < end:
            until = min(since - since % DAY + DAY, end)
            await self._count(market, since, until)
            since = until

    async def _count(self, market: int, since: int, until: int) -> None:
        async def work(connection: Connection) -> None:
            await connection.execute(SQL["count"], market, since, until)

        await self._ticks.call(work, within=_WITHIN)
