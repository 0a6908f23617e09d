"""When what stands behind the feeds has no room: reading waits, and if that lasts, only the extremes are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from pricewatch.ingest.counters import Counters
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ports.ticks import Backlog

log = structlog.get_logger(__name__)


class Relief:
    """One venue's. Without a backlog to ask, reading never waits."""

    def __init__(
        self,
        venue: str,
        backlog: Backlog | None,
        *,
        patience: float,
        feeds: Mapping[int, MarketFeed],
        counters: Counters,
        shed: Callable[[MarketFeed, int, int], None],
        group: asyncio.TaskGroup,
    ) -> None:
        """`patience`: seconds reading waits before it goes on and sheds; venues cut off who does not read.

        `shed` is told of the venue times of which trades were left out.
        """
        self.paused = 0
        """Connections of which nothing is read."""
        self.shedding = False
        self._venue = venue
        self._backlog = backlog
        self._patience = patience
        self._feeds = feeds
        self._counters = counters
        self._shed = shed
        self._group = group

    def is_due(self) -> bool:
        """Whether reading has to wait; cheap enough to be asked after every frame."""
        return self._backlog is not None and not self.shedding and self._backlog.is_full()

    async def wait(self) -> None:
        """Return when reading may go on: with room, or shedding without it."""
        if self._backlog is None:
            return
        if not self.paused:
            self._counters.pauses += 1
            log.warning("feed.paused", venue=self._venue)
        self.paused += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._room(self._backlog)
        except TimeoutError:
            self._begin(self._backlog)
        finally:
            self.paused -= 1

    def added(self, feed: MarketFeed) -> None:
        """A market added meanwhile is treated like the others."""
        if self.shedding:
            feed.shed()

    def _begin(self, backlog: Backlog) -> None:
        if self.shedding:
            return
        self.shedding = True
        log.warning("feed.shedding", venue=self._venue)
        for feed in self._feeds.values():
            feed.shed()
        self._group.create_task(self._end(backlog), name=f"shedding {self._venue}")

    async def _end(self, backlog: Backlog) -> None:
        await self._room(backlog)
        self.shedding = False
        log.info("feed.whole", venue=self._venue, shed=self._counters.shed)
        for feed in self._feeds.values():
            span = feed.unshed()
            if span is not None:
                self._shed(feed, *span)

    @staticmethod
    async def _room(backlog: Backlog) -> None:
        while backlog.is_full():
            await backlog.eased()
