"""Times of which nobody knows what was missed, where ids do not count: looked through, or declared as such."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import msgspec
import structlog

from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.domain.market import Market
from pricewatch.ingest.backoff import doubled
from pricewatch.ingest.declared import Declared
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.history import VenueHistory
from pricewatch.ingest.patch import Patcher
from pricewatch.ingest.refill import Late
from pricewatch.ingest.settings import VenueSettings
from pricewatch.ports.ticks import UNKNOWN_KEYS, Closed, Gap, Sequenced

log = structlog.get_logger(__name__)


class Stored(Protocol):
    """What is stored already, so that nothing is evaluated twice."""

    async def trades(self, market: int, start: int, end: int, *, limit: int = 100_000) -> list[Sequenced]:
        """Trades with `start <= at < end`, oldest first. Raises `Unavailable`."""
        ...


class Span(msgspec.Struct):
    """Venue times, both inclusive; it grows while it is looked through."""

    from_at: int
    to_at: int
    reason: str
    after: int
    """The newest trade known before it: a history that does not show it does not reach far enough. 0: none."""


class Dark:
    """One venue's dark times. Live trades wait for at most `gap_hold`, as behind a hole."""

    def __init__(
        self,
        settings: VenueSettings,
        *,
        history: VenueHistory | None,
        stored: Stored | None,
        declared: Declared,
        patcher: Patcher,
        late: Late,
        pause: Callable[[float], Awaitable[None]],
        group: asyncio.TaskGroup,
    ) -> None:
        self._settings = settings
        self._history = history
        self._stored = stored
        self._declared = declared
        self._patcher = patcher
        self._late = late
        self._pause = pause
        self._group = group
        self._spans: dict[int, Span] = {}
        """Being looked through for the first time, by market."""

    def lit(self, feed: MarketFeed, from_at: int, to_at: int, reason: str) -> None:
        """Trades of `[from_at, to_at]` may be missing: look for them, or declare the time."""
        known = self._spans.get(feed.market.id)
        if known is not None:
            known.from_at, known.to_at = min(known.from_at, from_at), max(known.to_at, to_at)
            return
        span = self._spans[feed.market.id] = Span(from_at, max(from_at, to_at), reason, min(feed.last_at, to_at))
        self._group.create_task(self._first_look(feed, span), name=f"dark {feed.market.key}")

    def resume(self, feed: MarketFeed, number: int, gap: Gap) -> None:
        """Go on with a time that an earlier process declared."""
        self._declared.remember(number, gap)
        span = Span(gap.from_at, gap.to_at, gap.reason, min(gap.from_at, feed.last_at))
        self._group.create_task(self._chase(feed, span, number), name=f"chase {feed.market.key}")

    async def _first_look(self, feed: MarketFeed, span: Span) -> None:
        found = False
        try:
            if self._has_trades(feed.market) and self._settings.gap_hold > 0:
                feed.hold()
                async with asyncio.timeout(self._settings.gap_hold):
                    found = await self._look(feed, span)
        except TimeoutError:
            log.info("feed.hold_ended", market=feed.market.key, held=feed.held)
        finally:
            del self._spans[feed.market.id]
            feed.release()
        if not found:
            await self._chase(feed, span, await self._declare(feed.market, span))
            return
        # A history may lag behind the feed: only a later look is the last one.
        await self._pause(self._settings.reconcile_after)
        if not await self._look(feed, span):
            await self._chase(feed, span, await self._declare(feed.market, span))

    async def _declare(self, market: Market, span: Span) -> int:
        return await self._declared.declare(
            market, Gap(market.id, *UNKNOWN_KEYS, span.from_at, span.to_at, span.reason)
        )

    async def _chase(self, feed: MarketFeed, span: Span, number: int) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._settings.refill_deadline
        market, attempt = feed.market, 0
        if not self._has_trades(market):
            await self._patch(market, span, number)
            return
        while not await self._look(feed, span):
            if loop.time() >= until:
                await self._patch(market, span, number)
                return
            await self._pause(doubled(self._settings.refill_backoff, self._settings.refill_backoff_cap, attempt))
            attempt += 1
        await self._declared.close(market, number)

    async def _patch(self, market: Market, span: Span, number: int) -> None:
        """There are no trades to be had, or not any more."""
        if await self._patcher.patch(market, span.from_at, span.to_at):
            await self._declared.close(market, number, Closed.CANDLES)
        else:
            log.warning("gap.stays", market=market.key, gap=number)

    async def _look(self, feed: MarketFeed, span: Span) -> bool:
        """One pass over the venue's history; True when it had all of that time."""
        from_at, to_at = span.from_at, span.to_at
        since = min(from_at, span.after or from_at)
        if self._history is None:
            return False
        try:
            found = await self._history.between(feed.market, since, to_at)
            stored = await self._keys(feed.market, since, to_at)
        except Unavailable as error:
            log.debug("history.away", market=feed.market.key, error=str(error))
            return False
        except Refused as error:
            log.warning("history.refused", market=feed.market.key, reason=str(error))
            return False
        joins = not span.after or any(
            trade.at <= span.after and (trade.key in stored or trade.key in feed.sequence) for trade in found.trades
        )
        await self._late.hand_on(feed, [trade for trade in found.trades if trade.key not in stored])
        return joins and found.complete and (span.from_at, span.to_at) == (from_at, to_at)

    async def _keys(self, market: Market, since: int, until: int) -> Collection[int]:
        """What the store has of that time; the newest trades are in the feed's own memory."""
        if self._stored is None:
            return frozenset()
        return {one.trade.key for one in await self._stored.trades(market.id, since, until + 1)}

    def _has_trades(self, market: Market) -> bool:
        return self._history is not None and self._history.has_trades(market)
