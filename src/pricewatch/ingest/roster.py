"""One venue's markets on its connections: as many on each as the venue allows, added and removed while they run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from itertools import count

import structlog

from pricewatch.domain.market import Market
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.runner import Runner
from pricewatch.ingest.session import Venue

log = structlog.get_logger(__name__)


class Roster:
    """Places markets on runners. A new market goes where there is room, else on one new connection."""

    def __init__(
        self,
        venue: Venue,
        *,
        size: int,
        make_feed: Callable[[Market], MarketFeed],
        make_runner: Callable[[Sequence[Market], str], Runner],
        group: asyncio.TaskGroup,
    ) -> None:
        """`size`: markets a connection takes at most."""
        self.runners: list[Runner] = []
        self._venue = venue
        self._size = size
        self._make_feed = make_feed
        self._make_runner = make_runner
        self._group = group
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._numbers = count(1)

    def prepare(self, markets: Sequence[Market]) -> list[MarketFeed]:
        """Feeds for markets not known yet; nothing is listened to before `place`."""
        feeds = [self._make_feed(market) for market in markets if market.id not in self._venue.feeds]
        self._venue.feeds.update((feed.market.id, feed) for feed in feeds)
        self._bound()
        return feeds

    def place(self, markets: Sequence[Market]) -> None:
        """Listen to these, whose feeds are prepared."""
        waiting = [market for market in markets if market.id in self._venue.feeds]
        for runner in self.runners:
            room = self._size - len(runner.markets)
            if room > 0 and waiting:
                runner.add(waiting[:room])
                waiting = waiting[room:]
        for start in range(0, len(waiting), self._size):
            runner = self._make_runner(waiting[start : start + self._size], f"{self._venue.id}.{next(self._numbers)}")
            self.runners.append(runner)
            self._tasks[runner.name] = self._group.create_task(runner.run(), name=f"ingest {runner.name}")

    def remove(self, markets: Collection[int]) -> None:
        """Listen to these no more; what waits of them is handed on. A connection without markets is closed."""
        for runner in list(self.runners):
            gone = [market for market in runner.markets if market.id in markets]
            if not gone:
                continue
            runner.remove({market.native for market in gone})
            for market in gone:
                feed = self._venue.feeds.pop(market.id)
                feed.release()
                feed.blind()
            if not runner.markets:
                self.runners.remove(runner)
                self._tasks.pop(runner.name).cancel()
        for number in markets:
            self._venue.feeds.pop(number, None)  # prepared, and not placed yet
        self._bound()

    def renew(self, market: Market) -> bool:
        """Subscribe anew to a market of which nothing comes, on the connection it is on; False when it is on none."""
        for runner in self.runners:
            if runner.sessions and market in runner.markets:
                log.info("feed.renewed", market=market.key)
                runner.renew(market.native)
                return True
        return False

    def _bound(self) -> None:
        self._venue.limits.markets = frozenset(self._venue.feeds)
