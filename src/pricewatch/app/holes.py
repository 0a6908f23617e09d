"""How many holes the ledger has: read now and then, for `/status` and `/metrics` (a `Part`)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.time import rfc3339
from pricewatch.ports.clock import Clock
from pricewatch.ports.ticks import GapBook, GapTotals
from pricewatch.telemetry.metrics import Sample


class Holes:
    """A hole is no trouble of the service: it is told, counted and dated."""

    name = "gaps"

    def __init__(self, book: GapBook, clock: Clock, interval: float) -> None:
        self._book = book
        self._clock = clock
        self._interval = interval
        self._totals: GapTotals | None = None

    async def run(self) -> None:
        """Until cancelled; while the ledger is away the last figures stand."""
        while True:
            await self.look()
            await asyncio.sleep(self._interval)

    async def look(self) -> None:
        """Once."""
        try:
            self._totals = await self._book.totals()
        except Unavailable:
            return  # the database's own part says so

    def status(self) -> Mapping[str, Any]:
        """Null before the ledger was first read."""
        totals = self._totals
        if totals is None:
            return {"open": None, "filled": None, "candles": None, "oldest": None}
        oldest = None if totals.oldest is None else rfc3339(totals.oldest)
        return {"open": totals.open, "filled": totals.filled, "candles": totals.candles, "oldest": oldest}

    def trouble(self) -> str | None:
        """Never."""
        return None

    def samples(self) -> Iterable[Sample]:
        """Nothing before the ledger was first read."""
        totals = self._totals
        if totals is None:
            return
        yield Sample("open", totals.open, "gauge", help="Declared holes not closed yet")
        yield Sample("filled", totals.filled, help="Holes whose trades were refilled")
        yield Sample("candles", totals.candles, help="Holes closed by candles only")
        age = 0.0 if totals.oldest is None else max(0.0, (self._clock.now() - totals.oldest) / 1e6)
        yield Sample("oldest_seconds", age, "gauge", help="Age of the oldest open hole; 0 without one")
