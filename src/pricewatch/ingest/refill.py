"""Holes in a market's trade ids: filled from the venue's history, or declared; never silent."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.domain.market import Market, Trade
from pricewatch.ingest.backoff import doubled
from pricewatch.ingest.declared import Declared
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.history import VenueHistory
from pricewatch.ingest.patch import Patcher
from pricewatch.ingest.sequence import Hole
from pricewatch.ingest.settings import VenueSettings
from pricewatch.ports.clock import Clock
from pricewatch.ports.ticks import Backlog, Closed, Gap

log = structlog.get_logger(__name__)

_SLICE = 500
"""Late trades handed on before others get their turn."""
_MAX_CHASES = 100
"""Holes of one market chased one by one at a time."""
_BULK = 1.0
"""Seconds over which further ones are put together."""
_MAX_PARTS = 20
"""Remains of one hole declared one by one; more are declared as one."""


class Wanted(msgspec.Struct, frozen=True):
    """A hole and the venue times around it."""

    hole: Hole
    from_at: int
    to_at: int


def _together(one: Wanted, other: Wanted) -> Wanted:
    hole = Hole(min(one.hole.first, other.hole.first), max(one.hole.last, other.hole.last))
    return Wanted(hole, min(one.from_at, other.from_at), max(one.to_at, other.to_at))


class Late:
    """Hands found trades on, as fast as the stages behind take them."""

    def __init__(self, clock: Clock, backlog: Backlog | None) -> None:
        self._clock = clock
        self._backlog = backlog

    async def hand_on(self, feed: MarketFeed, trades: list[Trade]) -> None:
        """A slice at a time, others in between."""
        for start in range(0, len(trades), _SLICE):
            if self._backlog is not None and self._backlog.is_full():
                await self._backlog.eased()
            feed.late(trades[start : start + _SLICE], now=self._clock.now())
            await asyncio.sleep(0)


class Refiller:
    """One venue's. Live trades wait behind a hole for at most `gap_hold`; afterwards it is declared."""

    def __init__(
        self,
        settings: VenueSettings,
        *,
        history: VenueHistory | None,
        declared: Declared,
        patcher: Patcher,
        late: Late,
        pause: Callable[[float], Awaitable[None]],
        group: asyncio.TaskGroup,
    ) -> None:
        self.declared = declared
        self._settings = settings
        self._history = history
        self._patcher = patcher
        self._late = late
        self._pause = pause
        self._group = group
        self._episodes: dict[int, list[Wanted]] = {}
        self._doubted: set[int] = set()
        self._down = False
        self._chases: Counter[int] = Counter()
        self._more: dict[int, Wanted] = {}

    def hole_found(self, feed: MarketFeed, hole: Hole, since: int) -> bool:
        """Take care of a hole; True when the market's live trades should wait for it."""
        wanted = Wanted(hole, since, max(since, feed.last_at))
        number = feed.market.id
        if (holes := self._episodes.get(number)) is not None:
            holes.append(wanted)
            return True
        if self._settings.gap_hold == 0 or not self._fillable(feed.market, hole):
            self.chase(feed, wanted)
            return False
        self._episodes[number] = [wanted]
        self._group.create_task(self._episode(feed), name=f"refill {feed.market.key}")
        return True

    def chase(self, feed: MarketFeed, wanted: Wanted, gap: int | None = None) -> None:
        """Declare the hole (unless it is declared as `gap`) and go on trying to fill it.

        With very many of one market under way, those of a second are declared as one.
        """
        number = feed.market.id
        if gap is not None or self._chases[number] < _MAX_CHASES:
            self._group.create_task(self._counted(feed, wanted, gap), name=f"chase {feed.market.key}")
            self._chases[number] += 1
        elif (known := self._more.get(number)) is not None:
            self._more[number] = _together(known, wanted)
        else:
            self._more[number] = wanted
            self._group.create_task(self._in_bulk(feed), name=f"chase {feed.market.key}")

    async def reconcile(self, feed: MarketFeed) -> None:
        """Ask what a silent market printed after the last trade seen, until it is known or a trade comes."""
        seen, attempt = feed.trades_live, 0
        history = self._history
        if history is None or not history.has_trades(feed.market):
            return
        while (high := feed.sequence.high) is not None and feed.trades_live == seen:
            try:
                trades = await history.trades(feed.market, high + 1, None, feed.last_at)
            except Unavailable as error:
                self._lost(error)
            except Refused as error:
                log.warning("history.refused", market=feed.market.key, reason=str(error))
                return
            else:
                self._back()
                await self._late.hand_on(feed, trades)
                return
            await self._pause(self._wait(attempt))
            attempt += 1

    def doubt(self, feed: MarketFeed) -> None:
        """The venue says that trades may be missing: the next id tells, or its history before that."""
        if feed.market.id not in self._doubted:
            self._doubted.add(feed.market.id)
            self._group.create_task(self._reconcile_once(feed), name=f"reconcile {feed.market.key}")

    async def _reconcile_once(self, feed: MarketFeed) -> None:
        try:
            await self.reconcile(feed)
        finally:
            self._doubted.discard(feed.market.id)

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
                if not self._fillable(feed.market, wanted.hole) or not await self._fill(feed, wanted):
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
                await self._late.hand_on(feed, trades)
        except Unavailable as error:
            self._lost(error)
        except Refused as error:
            log.warning("history.refused", market=feed.market.key, reason=str(error))
            return False
        else:
            self._back()
        return True

    async def _counted(self, feed: MarketFeed, wanted: Wanted, gap: int | None) -> None:
        await self._chase(feed, wanted, gap)
        self._chases[feed.market.id] -= 1

    async def _in_bulk(self, feed: MarketFeed) -> None:
        await self._pause(_BULK)
        await self._chase(feed, self._more.pop(feed.market.id), None)

    async def _chase(self, feed: MarketFeed, wanted: Wanted, number: int | None) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._settings.refill_deadline
        market, (first, last) = feed.market, wanted.hole
        gap = Gap(market.id, first, last, wanted.from_at, wanted.to_at, "trade ids jumped")
        if number is None:
            number = await self.declared.declare(market, gap)
        else:
            self.declared.remember(number, gap)
        attempt = 0
        while feed.sequence.missing(wanted.hole):
            if loop.time() >= until or not self._fillable(market, wanted.hole) or not await self._fill(feed, wanted):
                await self._give_up(feed, wanted, number)
                return
            if feed.sequence.missing(wanted.hole):
                await self._pause(self._wait(attempt))
                attempt += 1
        await self.declared.close(market, number)

    async def _give_up(self, feed: MarketFeed, wanted: Wanted, number: int) -> None:
        """No trades are to be had, or not any more: candles, or the hole stays declared."""
        market, (first, last) = feed.market, wanted.hole
        if await self._patcher.patch(market, wanted.from_at, wanted.to_at):
            await self.declared.close(market, number, Closed.CANDLES)
            return
        log.warning("gap.stays", market=market.key, first=first, last=last)

    def _remains(self, feed: MarketFeed, wanted: Wanted) -> list[Wanted]:
        parts = feed.sequence.missing(wanted.hole)
        if len(parts) > _MAX_PARTS:
            parts = [Hole(parts[0].first, parts[-1].last)]
        return [Wanted(part, wanted.from_at, wanted.to_at) for part in parts]

    def _has_trades(self, market: Market) -> bool:
        return self._history is not None and self._history.has_trades(market)

    def _fillable(self, market: Market, hole: Hole) -> bool:
        return hole.last - hole.first < self._settings.max_gap and self._has_trades(market)

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
