"""Trades of the past into the tick tables: each gets a place in the order beside those that are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from pricewatch.domain.errors import Refused
from pricewatch.domain.market import Market, Trade
from pricewatch.domain.time import SECOND
from pricewatch.store.maintenance import Maintenance
from pricewatch.store.pool import Database
from pricewatch.store.sql import load
from pricewatch.store.writer import TickStore

SQL = load("imports")

_CHUNK = 20_000
_SPARE = SECOND
"""Places beyond a chunk's last trade that its ties may need."""


class TradeImport:
    """`begin`, then `add` as often as wanted, then `finish`. Doing it twice adds nothing.

    A trade's place in the order is its venue's time, or the next free microsecond. Imported trades are never
    evaluated as live ones: the evaluation's cursor goes beyond them.
    """

    def __init__(self, database: Database, writer: TickStore, maintenance: Maintenance, *, shard: int) -> None:
        """`database` is a pool for ticks; `writer` has a spool of its own, `maintenance` asks it what was stored."""
        self._database = database
        self._writer = writer
        self._maintenance = maintenance
        self._shard = shard
        self._cursor = 0
        self.added = 0
        self.known = 0
        """Trades that were there already."""

    async def begin(self) -> None:
        """Raises `Refused` while stored trades wait for their evaluation."""
        cursor: int = await self._database.fetchval(SQL["cursor"], self._shard) or 0
        if await self._database.fetchval(SQL["beyond"], cursor + 5 * SECOND):
            raise Refused(
                "stored trades still wait for their evaluation; start the service once until it is ready, then import"
            )
        self._cursor = cursor

    async def add(self, market: Market, trades: Sequence[Trade]) -> int:
        """Store one market's trades in the order of their `at`; returns how many were new. Raises `Unavailable`."""
        ordered = sorted(trades, key=attrgetter("at"))
        before = self.added
        for start in range(0, len(ordered), _CHUNK):
            await self._add(market, ordered[start : start + _CHUNK])
        return self.added - before

    async def _add(self, market: Market, trades: Sequence[Trade]) -> None:
        first, last = trades[0].at, trades[-1].at
        step = market.step
        rows = await self._database.fetch(
            SQL["known"], market.id, first - first % step, last - last % step + step, step
        )
        known = {(row["at"], row["trade_id"]) for row in rows}
        fresh = list(_fresh(trades, known, step))
        self.known += len(trades) - len(fresh)
        if not fresh:
            return
        places = {row["seen"] for row in await self._database.fetch(SQL["taken"], first, last + _SPARE)}
        seen = 0
        for seen, trade in _placed(fresh, places):
            self._writer.trade(trade, seen)
        if seen > self._cursor:
            await self._database.execute(SQL["pass_over"], self._shard, seen)
            self._cursor = seen
        await self._writer.drain()
        self.added += len(fresh)

    async def finish(self) -> None:
        """Bring the candles up to what was added; raises `Unavailable`."""
        if self.added:
            await self._maintenance.catch_up()


def _fresh(trades: Iterable[Trade], known: set[tuple[int, int]], step: int) -> Iterator[Trade]:
    """Those that are new, each once."""
    for trade in trades:
        identity = trade.at - trade.at % step, trade.key
        if identity not in known:
            known.add(identity)
            yield trade


def _placed(trades: Iterable[Trade], taken: set[int]) -> Iterator[tuple[int, Trade]]:
    """Each with its place: its time, or the next microsecond nobody has."""
    seen = 0
    for trade in trades:
        seen = max(seen + 1, trade.at)
        while seen in taken:
            seen += 1
        yield seen, trade
