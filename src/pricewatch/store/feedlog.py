"""The stored feed in PostgreSQL, for resume and REST."""

from __future__ import annotations

import uuid

import msgspec

from pricewatch.domain.errors import NotFound
from pricewatch.domain.signal import FeedEntry, Signal
from pricewatch.ports.journal import FeedHead
from pricewatch.store import sql
from pricewatch.store.pool import Database, Row

_SQL = sql.load("feedlog")
_BEYOND = 2**63 - 1

_decode = msgspec.json.Decoder(Signal).decode


class PostgresFeedLog:
    """Keeps `ports.journal.FeedLog`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def head(self, account: uuid.UUID) -> FeedHead:
        """Raises `NotFound` for an unknown account."""
        row = await self._database.fetchrow(_SQL["head"], account)
        if row is None:
            raise NotFound(f"there is no account {account}")
        return FeedHead(epoch=row["epoch"], seq=row["seq"])

    async def read(self, account: uuid.UUID, *, after_seq: int, limit: int = 500) -> list[FeedEntry]:
        """Ascending; nothing for an unknown account."""
        return [_entry(row) for row in await self._database.fetch(_SQL["read"], account, after_seq, limit)]

    async def latest(self, account: uuid.UUID, *, before_seq: int | None = None, limit: int = 50) -> list[FeedEntry]:
        """Descending; nothing for an unknown account."""
        before = _BEYOND if before_seq is None else before_seq
        return [_entry(row) for row in await self._database.fetch(_SQL["latest"], account, before, limit)]

    async def get(self, account: uuid.UUID, signal: uuid.UUID) -> FeedEntry | None:
        """None for a foreign signal, too."""
        row = await self._database.fetchrow(_SQL["get"], account, signal)
        return None if row is None else _entry(row)

    async def place_before(self, account: uuid.UUID, instant: int) -> int:
        """By halving: times of commits grow with `seq`, but for clocks that were set."""
        place: int = await self._database.fetchval(_SQL["place_before"], account, instant)
        return place


def _entry(row: Row) -> FeedEntry:
    feed, epoch, seq, payload, committed = row
    return FeedEntry(feed=feed, epoch=epoch, seq=seq, signal=_decode(payload), committed=committed)
