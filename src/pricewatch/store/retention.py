"""Forgets signals that have been kept long enough, oldest first, so that every feed stays without a hole."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.time import SECOND
from pricewatch.ports.clock import Clock
from pricewatch.store import sql
from pricewatch.store.pool import Database
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)

_SQL = sql.load("retention")
_BATCH = 1_000


class Retention:
    """Runs until cancelled. A signal whose deliveries are not all settled stays, though its place in the feed goes."""

    name = "retention"

    def __init__(self, database: Database, clock: Clock, *, keep: float, interval: float) -> None:
        """Seconds, counted from the commit."""
        self._database = database
        self._clock = clock
        self._keep = round(keep * SECOND)
        self._interval = interval
        self._trouble: str | None = None
        self.forgotten = 0

    async def run(self) -> None:
        """What fails because the database is away is done the next time."""
        while True:
            try:
                await self.forget()
            except Unavailable as error:
                if self._trouble is None:
                    log.warning("retention.lost", error=str(error))
                self._trouble = str(error)
            else:
                self._trouble = None
            await asyncio.sleep(self._interval)

    async def forget(self) -> None:
        """Once, for all feeds; raises `Unavailable`."""
        before, gone = self._clock.now() - self._keep, 0
        for row in await self._database.fetch(_SQL["feeds"]):
            while True:
                count: int = await self._database.fetchval(_SQL["forget"], row["feed_id"], before, _BATCH)
                gone += count
                if count < _BATCH:
                    break
        if gone:
            log.info("retention.forgotten", signals=gone)
            self.forgotten += gone

    def status(self) -> Mapping[str, Any]:
        """For `/status`."""
        return {"signals_forgotten": self.forgotten, "keep_seconds": self._keep / SECOND}

    def trouble(self) -> str | None:
        """Why it could not do its work the last time."""
        return self._trouble

    def samples(self) -> Iterable[Sample]:
        """For `/metrics`."""
        yield Sample("signals_forgotten", self.forgotten, help="Signals kept long enough and removed.")
