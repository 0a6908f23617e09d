"""After silence: what a market may have missed while nobody heard it, looked up at the venue."""

from __future__ import annotations

import asyncio

from pricewatch.domain.time import SECOND
from pricewatch.ingest.dark import Dark
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.refill import Refiller
from pricewatch.ports.clock import Clock

MARGIN = 10 * SECOND
"""How late a venue may send a trade: a connection has surely brought what is older than its last frame by so much."""
_AHEAD = SECOND

Heard = tuple[MarketFeed, int, float]
"""A market just heard, its count of live trades, and the loop time at which it is to be compared."""


class Compare:
    """One venue's."""

    def __init__(
        self, refiller: Refiller, dark: Dark, *, consecutive: bool, clock: Clock, reconcile_after: float
    ) -> None:
        """`consecutive`: trade ids tell what is missing. `reconcile_after`: seconds a market may be silent first."""
        self._refiller = refiller
        self._dark = dark
        self._consecutive = consecutive
        self._clock = clock
        self._after = reconcile_after

    def heard(self, feed: MarketFeed, queue: asyncio.Queue[Heard], skew: int) -> None:
        """A connection brings the market's trades, from now on."""
        since = feed.heard()
        if since is not None and not self._consecutive:
            self._dark.lit(feed, since, self._now(skew), "no connection")
        queue.put_nowait((feed, feed.trades_live, asyncio.get_running_loop().time() + self._after))

    def lost(self, feed: MarketFeed, reason: str, since: int, skew: int) -> None:
        """The venue's own counter says that something is missing since our time `since`."""
        if self._consecutive:
            self._refiller.doubt(feed)
        else:
            self._dark.lit(feed, since + skew - MARGIN, self._now(skew), reason)

    def shed(self, feed: MarketFeed, from_at: int, to_at: int) -> None:
        """We ourselves left trades of these venue times out; ids that count show it by themselves."""
        if not self._consecutive:
            self._dark.lit(feed, from_at, to_at, "no room")

    async def run(self, queue: asyncio.Queue[Heard]) -> None:
        """Compare the markets that stay silent after connecting with the venue's history, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            feed, before, due = await queue.get()
            await asyncio.sleep(due - loop.time())
            if feed.trades_live == before and self._consecutive:
                await self._refiller.reconcile(feed)
            feed.sighted()

    def _now(self, skew: int) -> int:
        return self._clock.now() + skew + _AHEAD
