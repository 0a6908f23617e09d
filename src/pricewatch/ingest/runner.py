"""One chunk of a venue's markets, kept connected for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import structlog

from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.domain.market import Market
from pricewatch.exchanges.base import Exchange
from pricewatch.ingest.backoff import Backoff
from pricewatch.ingest.pace import Pace
from pricewatch.ingest.refill import Refiller
from pricewatch.ingest.session import Session, Venue
from pricewatch.ports.connection import Connector

log = structlog.get_logger(__name__)


class Runner:
    """Reconnects with backoff, and replaces a connection before the venue would close it for its age."""

    def __init__(
        self,
        venue: Venue,
        markets: Sequence[Market],
        *,
        build: Callable[[Sequence[Market]], Exchange],
        connector: Connector,
        refiller: Refiller,
        opening: Pace,
        luck: Callable[[], float],
        name: str,
    ) -> None:
        self.name = name
        self.markets = tuple(markets)
        self.url = build(markets).url()
        self.since: int | None = None
        """When the newest connection opened; None before the first."""
        self.sessions: list[Session] = []
        """Open ones: two while one replaces the other."""
        self.trouble: str | None = "not connected yet"
        self._venue = venue
        self._build = build
        self._connector = connector
        self._refiller = refiller
        self._opening = opening
        self._luck = luck
        self._numbers = count(1)

    async def run(self) -> None:
        """Until cancelled."""
        self._blind()
        async with asyncio.TaskGroup() as group:
            old: asyncio.Task[None] | None = None
            while True:
                ready = asyncio.Event()
                keeper = group.create_task(self._keep(ready), name=f"feed {self.name}")
                await ready.wait()
                if old is not None:
                    old.cancel()
                old = keeper
                await self._venue.pause(self._venue.settings.rotate_after)
                log.info("feed.rotating", feed=self.name)

    async def _keep(self, ready: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        backoff = Backoff(self._venue.settings, self._luck)
        while True:
            await self._opening.turn()
            began = loop.time()
            backoff.began(began)
            opened: list[float] = []
            error = await self._live(ready, opened)
            reason, retry_after = str(error), error.retry_after if isinstance(error, Refused) else None
            now = loop.time()
            if retry_after is not None:
                self._opening.stay_away(retry_after)
            wait = backoff.after(now - opened[0] if opened else 0.0, now, retry_after)
            if backoff.failures <= 1:
                log.warning("feed.lost", feed=self.name, reason=reason, wait=round(wait, 3))
            self.trouble = reason
            self._venue.counters.reconnects += 1
            await self._venue.pause(wait)

    async def _live(self, ready: asyncio.Event, opened: list[float]) -> Refused | Unavailable:
        """One connection from opening to its end; why it ended."""
        exchange = self._build(self.markets)
        name = f"{self.name}.{next(self._numbers)}"
        try:
            async with self._connector.connect(exchange.url()) as connection:
                opened.append(asyncio.get_running_loop().time())
                self._opened(name)
                session = Session(self._venue, exchange, connection, name, ready)
                self.sessions.append(session)
                try:
                    return await session.run(self._reconcile())
                finally:
                    self.sessions.remove(session)
                    if not self.sessions:
                        self._blind()
        except (Refused, Unavailable) as error:
            return error

    def _opened(self, name: str) -> None:
        venue = self._venue
        venue.counters.connects += 1
        self.since = venue.clock.now()
        if venue.tap is not None:
            venue.tap.opened(name, self.url, self.since)
        if self.trouble is not None:
            self.trouble = None
            log.info("feed.connected", feed=self.name, markets=len(self.markets))

    async def _reconcile(self) -> None:
        """Compare the markets that stay silent after connecting with the venue's history."""
        feeds = [self._venue.feeds[market.id] for market in self.markets]
        before = [feed.trades_live for feed in feeds]
        await asyncio.sleep(self._venue.settings.reconcile_after)
        for feed, count_before in zip(feeds, before, strict=True):
            if feed.trades_live == count_before:
                await self._refiller.reconcile(feed)
            feed.sighted()

    def _blind(self) -> None:
        for market in self.markets:
            self._venue.feeds[market.id].blind()

    def status(self) -> dict[str, Any]:
        """The connection for `/status`."""
        pending = sorted({item.native for session in self.sessions for item in session.pending})
        return {
            "name": self.name,
            "url": self.url,
            "connected": bool(self.sessions),
            "since": self.since if self.sessions else None,
            "trouble": self.trouble,
            "unconfirmed": pending,
        }
