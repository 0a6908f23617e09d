"""The system feed in PostgreSQL: signals without a shard, placed like all others."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec

from pricewatch.domain.signal import FeedEntry, Signal
from pricewatch.domain.watch import SYSTEM
from pricewatch.ports.clock import Clock
from pricewatch.store import sql
from pricewatch.store.pool import Connection, Database

_SQL = sql.load("system")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Signal).decode


class PostgresSystemFeed:
    """Keeps `ports.journal.SystemFeed`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def append(self, signals: Sequence[Signal], *, mail: bool = False) -> list[FeedEntry]:
        """One statement, one transaction."""
        if not signals:
            return []
        return await self._database.call(lambda connection: self.within(connection, signals, mail=mail))

    async def within(self, connection: Connection, signals: Sequence[Signal], *, mail: bool = False) -> list[FeedEntry]:
        """As `append`, as a part of the connection's transaction."""
        now = self._clock.now()
        known = {signal.id: signal for signal in signals}
        rows = [
            (one.id, one.rule_id, one.rule_version, one.market, one.direction, one.at, one.seen, _encode(one))
            for one in known.values()
        ]
        placed = await connection.fetch(_SQL["append"], SYSTEM, now, *zip(*rows, strict=True), mail)
        return [FeedEntry(feed=SYSTEM, epoch=row[1], seq=row[2], signal=known[row[0]], committed=now) for row in placed]

    async def standing(self, rules: Sequence[uuid.UUID]) -> list[Signal]:
        """Per rule and market the newest signal."""
        return [_decode(row["payload"]) for row in await self._database.fetch(_SQL["standing"], SYSTEM, list(rules))]
