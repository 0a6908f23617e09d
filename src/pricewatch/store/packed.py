"""Candles for fits, put together by the database: the event loop only passes them on."""

from __future__ import annotations

from collections.abc import Mapping

from pricewatch.domain.errors import Invalid
from pricewatch.domain.packed import Packed
from pricewatch.domain.time import HOUR, MINUTE
from pricewatch.store.pool import Connection, Database, Row
from pricewatch.store.sql import load

_MARKET = load("market")
SQL = load("packed")
_WITHIN = 30.0
"""Seconds a market's history may take to be read: where no hours are stored they come from 60 minutes each."""
_ALL = 2**31 - 1


def _columns(rows: str) -> str:
    return SQL["columns"].rstrip(";").replace("(rows)", f"({rows.rstrip(';')})")


_MINUTES = _columns(_MARKET["candles_1m"])
_IN_HOURS = _columns(SQL["in_hours"].replace("(rows)", f"({_MARKET['candles_1m'].rstrip(';')})"))
_HOURS = _columns(_MARKET["candles_1h"])
_SPREADS = _columns(SQL["spreads"])


class PostgresPackedHistory:
    """Keeps `PackedHistory`."""

    def __init__(self, ticks: Database, steps: Mapping[int, int]) -> None:
        """`ticks` is a pool made with `Database.for_ticks`; `steps` as the catalog keeps them."""
        self._ticks = ticks
        self._steps = steps

    async def candles(self, market: int, start: int, end: int, *, span: int) -> Packed:
        """The same as `History.candles`. Raises `Invalid` for spans other than a minute or an hour."""
        if span == MINUTE:
            return await self._minutes(_MINUTES, market, -(-start // MINUTE) * MINUTE, end)
        if span != HOUR:
            raise Invalid("span", f"{span} is not stored; ask for {MINUTE} (a minute) or {HOUR} (an hour)")
        first = -(-start // HOUR) * HOUR
        border = await self._ticks.fetchval(_MARKET["whole_hours_upto"], market, first, end)
        settled = first if border is None else max(first, border - border % HOUR)
        hours = await self._read(_HOURS, market, first, settled, _ALL)
        return hours + await self._minutes(_IN_HOURS, market, settled, -(-end // HOUR) * HOUR)

    async def spreads(self, market: int, start: int, end: int) -> Packed:
        """Mean spreads in per cent as candles of whole hours with `start <= at < end`."""
        return await self._read(_SPREADS, market, start, end)

    async def _minutes(self, sql: str, market: int, start: int, end: int) -> Packed:
        return await self._read(sql, market, start, end, _ALL, self._steps.get(market, 1))

    async def _read(self, sql: str, *args: object) -> Packed:
        async def work(connection: Connection) -> Row | None:
            return await connection.fetchrow(sql, *args)

        row = await self._ticks.call(work, within=_WITHIN)
        return Packed() if row is None or row["at"] is None else Packed(*row)
