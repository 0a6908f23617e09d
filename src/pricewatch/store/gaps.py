"""The ledger of holes, in PostgreSQL: each declared and closed together with its place in the system feed."""

from __future__ import annotations

from collections.abc import Sequence

from pricewatch.domain.signal import FeedEntry, Signal
from pricewatch.domain.watch import Hole, Place, gap_closed, gap_opened
from pricewatch.ports.journal import SignalSink
from pricewatch.ports.ticks import Closed, Gap, GapRow, GapTotals
from pricewatch.store.pool import Connection, Database, Row
from pricewatch.store.sql import load
from pricewatch.store.system import PostgresSystemFeed

SQL = load("gaps")


class PostgresGapLedger:
    """Keeps `GapLedger` and `GapBook`."""

    def __init__(self, database: Database, feed: PostgresSystemFeed) -> None:
        self.sink: SignalSink | None = None
        """Who is told of what was committed to the feed."""
        self.mail = False
        """Whether administrators are owed a mail of each."""
        self._database = database
        self._feed = feed

    async def declare(self, gap: Gap, *, opened_seen: int) -> int:
        """Write the hole down; returns its id. Declared again with the same `opened_seen` it is the same hole."""

        async def work(connection: Connection) -> tuple[int, list[FeedEntry]]:
            [(number, venue, symbol)] = await connection.fetch(
                SQL["declare"],
                *(gap.market, gap.first_key, gap.last_key, gap.from_at, gap.to_at, gap.reason, opened_seen),
            )
            signal = gap_opened(Place(gap.market, venue, symbol), _hole(number, gap), seen=opened_seen)
            return number, await self._tell(connection, signal)

        number, entries = await self._database.transaction(work)
        self._told(entries)
        return number

    async def close(self, gap_id: int, *, closed_seen: int, how: Closed = Closed.FILLED) -> None:
        """The hole is closed; closing it again changes nothing."""

        async def work(connection: Connection) -> list[FeedEntry]:
            row = await connection.fetchrow(SQL["close"], gap_id, closed_seen, how.value)
            if row is None:
                return []
            venue, symbol, *rest = row
            gap = Gap(*rest)
            place = Place(gap.market, venue, symbol)
            return await self._tell(connection, gap_closed(place, _hole(gap_id, gap), how=how.value, seen=closed_seen))

        self._told(await self._database.transaction(work))

    async def open_gaps(self) -> list[tuple[int, Gap]]:
        """Holes not yet closed, with their ids."""
        return [(number, Gap(*rest)) for number, *rest in await self._database.fetch(SQL["open"])]

    async def patched_gaps(self) -> list[Gap]:
        """Holes closed by candles, newest first, a bounded number: their trades are still missing."""
        return [Gap(*row) for row in await self._database.fetch(SQL["patched"])]

    async def page(
        self,
        *,
        markets: Sequence[int] | None = None,
        is_open: bool | None = None,
        since: int = 0,
        after: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[GapRow]:
        """Ascending by id: those after `after`, else the newest ones (below `before`)."""
        chosen = None if markets is None else list(markets)
        if after is not None:
            rows = await self._database.fetch(SQL["after"], chosen, is_open, since, after, limit)
        else:
            rows = await self._database.fetch(SQL["newest"], chosen, is_open, since, before, limit)
        found = [_row(row) for row in rows]
        return found if after is not None else found[::-1]

    async def totals(self) -> GapTotals:
        """How many there are of each kind, and since when the oldest is open."""
        return GapTotals(*(await self._database.fetch(SQL["totals"]))[0])

    async def _tell(self, connection: Connection, signal: Signal) -> list[FeedEntry]:
        return await self._feed.within(connection, [signal], mail=self.mail)

    def _told(self, entries: Sequence[FeedEntry]) -> None:
        if entries and self.sink is not None:
            self.sink.committed(entries)


def _hole(number: int, gap: Gap) -> Hole:
    return Hole(number, gap.first_key, gap.last_key, gap.from_at, gap.to_at, gap.reason)


def _row(row: Row) -> GapRow:
    number, opened, closed, how, *rest = row
    return GapRow(number, Gap(*rest), opened, closed, None if how is None else Closed(how))
