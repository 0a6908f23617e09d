"""An ingest listening to the made-up venue over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from tests.ingest.conftest import Collected, MemoryCandles, MemoryGaps, StillClock, running, until
from tests.ingest.toy import NOW, Toy, ToyVenue

from pricewatch.domain.market import Market
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.ingest.worker import Ingest
from pricewatch.ports.ticks import Backlog, Mark, Sequenced

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "ADA-USD", "XRP-USD", "LTC-USD", "DOT-USD")


def markets(count: int) -> list[Market]:
    return [Market(number, "toy", symbol, symbol) for number, symbol in enumerate(SYMBOLS[:count], 1)]


class StoredTrades:
    """What the store has; tests put the sink's trades in."""

    def __init__(self) -> None:
        self.rows: list[Sequenced] = []

    async def trades(self, market: int, start: int, end: int, *, limit: int = 100_000) -> list[Sequenced]:
        found = [row for row in self.rows if row.trade.market == market and start <= row.trade.at < end]
        return found[:limit]


class ToyHouse:
    """The venue, its ingest, and what came out."""

    def __init__(self, venue: ToyVenue, base: str) -> None:
        self.venue = venue
        self.base = base
        self.sink = Collected()
        self.gaps = MemoryGaps()
        self.candles = MemoryCandles()
        self.stored = StoredTrades()
        self.clock = StillClock()
        self.ingest: Ingest | None = None

    def make(
        self,
        some: Sequence[Market],
        *,
        marks: dict[int, Mark] | None = None,
        common: dict[str, Any] | None = None,
        backlog: Backlog | None = None,
        folder: Path | None = None,
        luck: Callable[[], float] = lambda: 1.0,
        pause: Any = asyncio.sleep,
        **settings: Any,
    ) -> Ingest:
        quick: dict[str, Any] = {
            "symbols": tuple(market.symbol for market in some),
            "socket_url": f"ws://{self.base}/ws",
            "rest_url": f"http://{self.base}",
            "backoff_base": 0.01,
            "backoff_cap": 0.02,
            "refill_backoff": 0.01,
            "refill_backoff_cap": 0.02,
            "reconcile_after": 0.05,
            "subscribe_timeout": 0.3,
            "rotate_overlap": 0.02,
            "idle_timeout": 30.0,
        }
        wide: dict[str, Any] = {"backfill_candles": 0, "suspects": {"enabled": False}}
        self.ingest = Ingest(
            IngestSettings(venues={"toy": VenueSettings(**(quick | settings))}, **(wide | (common or {}))),
            some,
            sink=self.sink,
            clock=self.clock,
            marks=marks or {},
            gaps=self.gaps,
            candles=self.candles,
            stored=self.stored,
            backlog=backlog,
            folder=folder,
            pause=pause,
            luck=luck,
        )
        return self.ingest

    @asynccontextmanager
    async def listening(self, count: int = 1, **settings: Any) -> AsyncIterator[Ingest]:
        """Ingest running and subscribed; afterwards every trade is accounted for."""
        ingest = self.make(markets(count), **settings)
        async with running(ingest):
            await until(self.settled)
            yield ingest
        self.balance()

    def settled(self) -> bool:
        assert self.ingest is not None
        runners = [runner for live in self.ingest.venues for runner in live.runners]
        return bool(runners) and all(
            runner.sessions and all(session.asking.stands.is_set() for session in runner.sessions) for runner in runners
        )

    @property
    def counters(self) -> Any:
        assert self.ingest is not None
        return self.ingest.venues[0].venue.counters

    def balance(self) -> None:
        counters = self.counters
        assert counters.received == counters.offered + counters.duplicates + sum(counters.rejected.values())
        assert counters.offered == len(self.sink.trades)
        identities = [(trade.market, trade.key) for trade in self.sink.trades]
        assert len(set(identities)) == len(identities)

    async def say(self, message: dict[str, Any]) -> None:
        """Send a printed trade and wait until it has been counted."""
        before = self.counters.received
        await self.venue.send(message)
        await until(lambda: self.counters.received > before)


@asynccontextmanager
async def toy_house(patch: pytest.MonkeyPatch, kind: type[Toy] = Toy) -> AsyncIterator[ToyHouse]:
    """A venue of this kind on loopback."""
    patch.setitem(EXCHANGES, "toy", kind)
    venue = ToyVenue()
    server = TestServer(venue.app())
    await server.start_server()
    try:
        yield ToyHouse(venue, f"{server.host}:{server.port}")
    finally:
        await server.close()


__all__ = ["NOW", "ToyHouse", "markets", "toy_house"]
