"""The gap ledger as ingest keeps it: patient while the database is away, with what is open in view."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Market
from pricewatch.ingest.backoff import doubled
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.settings import VenueSettings
from pricewatch.ports.clock import Clock
from pricewatch.ports.ticks import Closed, Gap, GapLedger

AnswerT = TypeVar("AnswerT")
log = structlog.get_logger(__name__)


class Declared:
    """One venue's declared holes."""

    def __init__(
        self,
        ledger: GapLedger,
        settings: VenueSettings,
        *,
        clock: Clock,
        counters: Counters,
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        self.open: dict[int, Gap] = {}
        """Not closed yet, by id."""
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._counters = counters
        self._pause = pause

    def remember(self, number: int, gap: Gap) -> None:
        """A hole that an earlier process declared."""
        self.open[number] = gap

    async def declare(self, market: Market, gap: Gap) -> int:
        """Write the hole down, however long the ledger is away; returns its id."""
        self._counters.gaps_declared += 1
        log.warning(
            "gap.declared",
            market=market.key,
            reason=gap.reason,
            **({} if gap.is_keyless else {"first": gap.first_key, "last": gap.last_key}),
        )
        opened = self._clock.now()
        number = await self._persist(lambda: self._ledger.declare(gap, opened_seen=opened))
        self.open[number] = gap
        return number

    async def close(self, market: Market, number: int, how: Closed = Closed.FILLED) -> None:
        """The hole is closed, however long the ledger is away."""
        closed = self._clock.now()
        await self._persist(lambda: self._ledger.close(number, closed_seen=closed, how=how))
        self.open.pop(number, None)
        log.info("gap.closed", market=market.key, gap=number, how=how.value)

    async def _persist(self, act: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        attempt = 0
        while True:
            try:
                return await act()
            except Unavailable as error:
                if attempt == 0:
                    log.warning("gap.ledger_away", error=str(error))
                await self._pause(doubled(self._settings.refill_backoff, self._settings.refill_backoff_cap, attempt))
                attempt += 1
