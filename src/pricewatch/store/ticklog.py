"""Stored trades in the order of evaluation, from PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from pricewatch.domain.market import Trade
from pricewatch.domain.time import SECOND
from pricewatch.ports.ticks import Sequenced
from pricewatch.store.pool import Connection, Database, Row
from pricewatch.store.sql import load

SQL = load("market")

BATCH = 5_000
_FIRST_SPAN = 10 * SECOND
_PATIENCE = 60.0


class PostgresTickLog:
    """Keeps `TickLog`. The table has no tree index by `seen`: it is read span by span, each sorted alone."""

    def __init__(self, ticks: Database, steps: Mapping[int, int], *, batch: int = BATCH) -> None:
        """`ticks` is a pool made with `Database.for_ticks`; `steps` as the catalog keeps them."""
        self._ticks = ticks
        self._steps = steps
        self._batch = batch

    async def read(
        self, after: int, *, upto: int | None = None, market: int | None = None
    ) -> AsyncIterator[list[Sequenced]]:
        """Batches of trades with `after < seen <= upto`, in order of `seen`; raises `Unavailable`."""
        await self._ticks.call(lambda connection: connection.execute(SQL["summarize"]), within=_PATIENCE)
        end = await self._ticks.fetchval(SQL["newest_seen"], after, upto)
        span = _FIRST_SPAN
        while end is not None and after < end:
            until = min(after + span, end)
            rows = await self._rows(after, until, market)
            if len(rows) == self._batch:
                rows = await self._whole_instants(rows, market)
                until = rows[-1]["seen"]
                span = max(1, span // 2)
            elif len(rows) < self._batch // 4:
                span *= 4
            if rows:
                yield [sequenced(row, self._steps) for row in rows]
            after = until

    async def _rows(self, after: int, until: int, market: int | None) -> list[Row]:
        name, args = ("read_all", ()) if market is None else ("read_market", (market,))

        async def indexed(connection: Connection) -> list[Row]:
            # Rows this fresh have no statistics: left alone, the planner reads the whole table for every span.
            await connection.execute("SET LOCAL enable_seqscan = off")
            return await connection.fetch(SQL[name], after, until, self._batch, *args)

        return await self._ticks.transaction(indexed)

    async def _whole_instants(self, rows: list[Row], market: int | None) -> list[Row]:
        """A full batch may end in the middle of one `seen` that several owners gave: read that one whole."""
        last = rows[-1]["seen"]
        if market is not None:
            return rows
        return [row for row in rows if row["seen"] < last] + await self._ticks.fetch(SQL["read_at"], last)


def sequenced(row: Row, steps: Mapping[int, int]) -> Sequenced:
    """The trade as it was live, from a row of the trade table."""
    ts, seen, market, price, size, side, key, received, flags, ref = row
    step = steps.get(market, 1)
    at = ts if step == 1 else ts - ts % step
    return Sequenced(seen, Trade(market, at, price, size, side, key, received, flags, ref))
