"""Holes in a market's trades: filled from the venue's history, or declared; never silent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import structlog

from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.ingest.backoff import doubled
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.history import VenueHistory
from pricewatch.ingest.sequence import Hole
from pricewatch.ingest.settings import VenueSettings
from pricewatch.ports.clock import Clock
from pricewatch.ports.ticks import Gap, GapLedger

AnswerT = TypeVar("AnswerT")
log = structlog.get_logger(__name__)

_SLICE = 500
"""Late trades handed on before others get their turn."""
_MAX_PARTS = 20
"""Remains of one hole declared one by one; more are declared as one."""


class Wanted(msgspec.Struct, frozen=True):
    """A hole and the venue times around it."""

    hole: Hole
    from_at: int
    to_at: int


class Refiller:
    """One venue's. Live trades wait behind a hole for at most `gap_hold`; afterwards it is declared."""

    def __init__(
        self,
        settings: VenueSettings,
        *,
        history: VenueHistory | None,
        ledger: GapLedger,
        clock: Clock,
        counters: Counters,
        pause: Callable[[float], Awaitable[None]],
        group: asyncio.TaskGroup,
    ) -> None:
        self._settings = settings
        self._history = history
        self._ledger = ledger
        self._clock = clock
        self._counters = counters
        self._pause = pause
        self._group = group
        self._episodes: dict[int, list[Wanted]] = {}
        self.open: dict[tuple[int, Hole], Wanted] = {}
        """Declared and not yet filled, by market."""
        self._down = False

    def hole_found(self, feed: MarketFeed, hole: Hole, since: int) -> bool:
        """Take care of a hole; True when the market's live trades should wait for it."""
        wanted = Wanted(hole, since, max(since, feed.last_at))
        number = feed.market.id
        if (holes := self._episodes.get(number)) is not None:
            holes.append(wanted)
            return True
        if self._history is None or self._settings.gap_hold == 0 or not self._fillable(hole):
            self.chase(feed, wanted)
            return False
        self._episodes[number] = [wanted]
        self._group.create_task(self._episode(feed), name=f"refill {feed.market.key}")
        return True

    def chase(self, feed: MarketFeed, wanted: Wanted, gap: int | None = None) -> None:
        """Declare the hole (unless it is declared as `gap`) and go on trying to fill it."""
        self._group.create_task(self._chase(feed, wanted, gap), name=f"chase {feed.market.key}")

    async def reconcile(self, feed: MarketFeed) -> None:
        """Ask what a silent market printed after the last trade seen, until it is known or a trade comes."""
        seen, attempt = feed.trades_live, 0
        while self._history is not None and (high := feed.sequence.high) is not None and feed.trades_live == seen:
            try:
                trades = await self._history.trades(feed.market, high + 1, None, feed.last_at)
            except Unavailable as error:
                self._lost(error)
            except Refused as error:
                log.warning("history.refused", market=feed.market.key, reason=str(error))
                return
            else:
                self._back()
                for start in range(0, len(trades), _SLICE):
                    feed.late(trades[start : start + _SLICE], now=self._clock.now())
                    await asyncio.sleep(0)
                return
            await self._pause(self._wait(attempt))
            attempt += 1

    async def _episode(self, feed: MarketFeed) -> None:
        """Hold, fetch, release; what remains is chased."""
        holes = self._episodes[feed.market.id]
        try:
            async with asyncio.timeout(self._settings.gap_hold):
                await self._fill_all(feed, holes)
        except TimeoutError:
            log.info("feed.hold_ended", market=feed.market.key, held=feed.held)
        finally:
            del self._episodes[feed.market.id]
            feed.release()
        for wanted in holes:
            for part in self._remains(feed, wanted):
                self.chase(feed, part)

    async def _fill_all(self, feed: MarketFeed, holes: list[Wanted]) -> None:
        """Until nothing is missing; holes found meanwhile are filled too."""
        attempt = 0
        while True:
            for wanted in list(holes):
                if not self._fillable(wanted.hole) or not await self._fill(feed, wanted):
                    return
            if not any(feed.sequence.missing(wanted.hole) for wanted in holes):
                return
            await asyncio.sleep(self._wait(attempt))
            attempt += 1

    async def _fill(self, feed: MarketFeed, wanted: Wanted) -> bool:
        """One attempt at what is still missing; False when the venue refuses for good."""
        if self._history is None:
            return False
        try:
            for part in feed.sequence.missing(wanted.hole):
                trades = await self._history.trades(feed.market, part.first, part.last, wanted.from_at)
                for start in range(0, len(trades), _SLICE):
                    feed.late(trades[start : start + _SLICE], now=self._clock.now())
                    await asyncio.sleep(0)
        except Unavailable as error:
            self._lost(error)
        except Refused as error:
            log.warning("history.refused", market=feed.market.key, reason=str(error))
            return False
        else:
            self._back()
        return True

    async def _chase(self, feed: MarketFeed, wanted: Wanted, gap: int | None) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._settings.refill_deadline
        number = gap if gap is not None else await self._declare(feed, wanted)
        self.open[feed.market.id, wanted.hole] = wanted
        attempt = 0
        while feed.sequence.missing(wanted.hole):
            if loop.time() >= until or not self._fillable(wanted.hole) or not await self._fill(feed, wanted):
                log.warning("gap.stays", market=feed.market.key, first=wanted.hole.first, last=wanted.hole.last)
                return
            if feed.sequence.missing(wanted.hole):
                await self._pause(self._wait(attempt))
                attempt += 1
        del self.open[feed.market.id, wanted.hole]
        await self._persist(lambda: self._ledger.close(number, closed_seen=self._clock.now()))
        log.info("gap.filled", market=feed.market.key, first=wanted.hole.first, last=wanted.hole.last)

    async def _declare(self, feed: MarketFeed, wanted: Wanted) -> int:
        first, last = wanted.hole
        declared = Gap(feed.market.id, first, last, wanted.from_at, wanted.to_at, "trade ids jumped")
        self._counters.gaps_declared += 1
        log.warning("gap.declared", market=feed.market.key, first=first, last=last)
        return await self._persist(lambda: self._ledger.declare(declared, opened_seen=self._clock.now()))

    async def _persist(self, act: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """The ledger's answer, however long it is away."""
        attempt = 0
        while True:
            try:
                return await act()
            except Unavailable as error:
                if attempt == 0:
                    log.warning("gap.ledger_away", error=str(error))
                await self._pause(self._wait(attempt))
                attempt += 1

    def _remains(self, feed: MarketFeed, wanted: Wanted) -> list[Wanted]:
        parts = feed.sequence.missing(wanted.hole)
        if len(parts) > _MAX_PARTS:
            parts = [Hole(parts[0].first, parts[-1].last)]
        return [Wanted(part, wanted.from_at, wanted.to_at) for part in parts]

    def _fillable(self, hole: Hole) -> bool:
        return self._history is not None and hole.last - hole.first < self._settings.max_gap

    def _wait(self, attempt: int) -> float:
        return doubled(self._settings.refill_backoff, self._settings.refill_backoff_cap, attempt)

    def _lost(self, error: Unavailable) -> None:
        if not self._down:
            self._down = True
            log.warning("history.away", error=str(error))

    def _back(self) -> None:
        if self._down:
            self._down = False
            log.info("history.back")
