"""Ingest as the rest of the house sees it: built from settings and ports, run until cancelled."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import aiohttp
import structlog

from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.domain.market import Market, Trade
from pricewatch.domain.time import HOUR, MINUTE
from pricewatch.engine.gate import Limits
from pricewatch.exchanges.base import Endpoints, Exchange
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.ingest.backoff import doubled
from pricewatch.ingest.candles import is_sound
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.history import VenueHistory
from pricewatch.ingest.instruments import Directory
from pricewatch.ingest.metrics import LiveVenue, samples, venue_status
from pricewatch.ingest.pace import Pace
from pricewatch.ingest.refill import Refiller, Wanted
from pricewatch.ingest.runner import Runner
from pricewatch.ingest.sequence import Hole
from pricewatch.ingest.sequence import Sequence as Ids
from pricewatch.ingest.session import Tap, Venue
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.ingest.suspects import Suspects
from pricewatch.ingest.transport.choice import connector
from pricewatch.ingest.transport.options import Options
from pricewatch.ports.clock import Clock
from pricewatch.ports.connection import Connector
from pricewatch.ports.ticks import CandleImport, Gap, GapLedger, Listing, Mark, TickSink
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)

Connect = Callable[[Options], Connector]
"""Makes a venue's connector."""


def listings(settings: IngestSettings, directory: Directory | None = None) -> list[Listing]:
    """Every market the settings ask for, for the catalog to number; without those a venue says it does not have."""
    asked = [(name, symbol) for name, venue in settings.venues.items() if venue.enabled for symbol in venue.symbols]
    return [
        Listing(name, symbol, native, EXCHANGES[name].step)
        for name, symbol in asked
        if (native := directory.native(name, symbol) if directory else EXCHANGES[name].native(symbol)) is not None
    ]


class Ingest:
    """Every enabled venue's connections. Trades reach the sink once each, oldest first behind a filled hole."""

    name = "ingest"

    def __init__(
        self,
        settings: IngestSettings,
        markets: Sequence[Market],
        *,
        sink: TickSink,
        clock: Clock,
        marks: Mapping[int, Mark],
        gaps: GapLedger,
        candles: CandleImport | None = None,
        recent: Mapping[int, Sequence[Trade]] | None = None,
        connect: Connect | None = None,
        tap: Tap | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        luck: Callable[[], float] = random.random,
    ) -> None:
        """`recent`: each market's newest stored trades in their order, what its next prices are compared with."""
        self.venues: list[LiveVenue] = []
        self._settings = settings
        self._markets = markets
        self._sink = sink
        self._recent = recent or {}
        self._suspects: Suspects | None = None
        self._clock = clock
        self._marks = marks
        self._gaps = gaps
        self._candles = candles
        self._connect = connect or (lambda options: connector(settings.transport, options))
        self._tap = tap
        self._pause = pause
        self._luck = luck

    async def run(self) -> None:
        """Until cancelled; what waits behind a hole is handed on before the end."""
        open_gaps = await self._open_gaps()
        if self._settings.suspects.enabled:
            self._doubt()
        try:
            await self._run(open_gaps)
        finally:
            if self._suspects is not None:
                self._suspects.flush()

    def _doubt(self) -> None:
        """From here on doubtful prints wait in front of the sink."""
        self._sink = self._suspects = Suspects(
            self._sink,
            self._settings.suspects.doubts(),
            [market.id for market in self._markets],
            later=asyncio.get_running_loop().call_later,
            recent=self._recent,
        )

    async def _run(self, open_gaps: Sequence[tuple[int, Gap]]) -> None:
        async with (
            aiohttp.ClientSession(headers={"User-Agent": "pricewatch"}) as http,
            asyncio.TaskGroup() as group,
        ):
            for name, settings in self._settings.venues.items():
                markets = [market for market in self._markets if market.venue == name]
                if settings.enabled and markets:
                    live = self._build(name, settings, markets, http, group)
                    self.venues.append(live)
                    self._resume(live, open_gaps)
                    self._start(live, group)

    def _build(
        self,
        name: str,
        settings: VenueSettings,
        markets: Sequence[Market],
        http: aiohttp.ClientSession,
        group: asyncio.TaskGroup,
    ) -> LiveVenue:
        kind = EXCHANGES[name]
        endpoints = Endpoints(
            socket=settings.socket_url or kind.endpoints.socket, rest=settings.rest_url or kind.endpoints.rest
        )

        def build(some: Sequence[Market]) -> Exchange:
            return kind(some, endpoints)

        counters = Counters()
        limits = Limits(markets=frozenset(market.id for market in markets), ahead=round(self._settings.max_ahead * 1e6))
        history = (
            VenueHistory(build(markets), settings, session=http, clock=self._clock, counters=counters)
            if settings.history
            else None
        )
        refiller = Refiller(
            settings,
            history=history,
            ledger=self._gaps,
            clock=self._clock,
            counters=counters,
            pause=self._pause,
            group=group,
        )
        feeds = {
            market.id: MarketFeed(
                market,
                Ids(),
                sink=self._sink,
                limits=limits,
                counters=counters,
                hole_found=refiller.hole_found,
                capacity=settings.gap_hold_trades,
            )
            for market in markets
        }
        venue = Venue(
            id=name,
            settings=settings,
            feeds=feeds,
            limits=limits,
            counters=counters,
            clock=self._clock,
            pause=self._pause,
            max_skew=round(self._settings.max_skew * 1e6),
            tap=self._tap,
        )
        return LiveVenue(venue, refiller, history, self._runners(venue, kind, build, markets, refiller))

    def _runners(
        self,
        venue: Venue,
        kind: type[Exchange],
        build: Callable[[Sequence[Market]], Exchange],
        markets: Sequence[Market],
        refiller: Refiller,
    ) -> list[Runner]:
        settings, size = venue.settings, kind.markets_per_connection
        options = Options(
            open_timeout=settings.connect_timeout,
            ping_interval=settings.ping_interval if kind.keepalive.protocol_ping else 0.0,
            compression=self._settings.compression,
            max_frame=self._settings.max_frame,
        )
        opening = Pace(kind.open_interval if settings.open_interval is None else settings.open_interval)
        return [
            Runner(
                venue,
                markets[start : start + size],
                build=build,
                connector=self._connect(options),
                refiller=refiller,
                opening=opening,
                luck=self._luck,
                name=f"{venue.id}.{start // size + 1}",
            )
            for start in range(0, len(markets), size)
        ]

    def _resume(self, live: LiveVenue, open_gaps: Sequence[tuple[int, Gap]]) -> None:
        """Go on where the stored trades end, and after the holes among them."""
        for number, feed in live.venue.feeds.items():
            mark = self._marks.get(number)
            if mark is None:
                continue
            declared = {
                Hole(gap.first_key, gap.last_key): (gap_id, gap) for gap_id, gap in open_gaps if gap.market == number
            }
            high = max([mark.key, *(hole.last for hole in declared)])
            feed.sequence = Ids(high, [*mark.missing, *declared])
            feed.last_at = mark.at
            known = Ids(high, declared)
            for hole, (gap_id, gap) in declared.items():
                live.refiller.chase(feed, Wanted(hole, gap.from_at, gap.to_at), gap_id)
            for first, last in mark.missing:
                if not known.missing((first, last)):
                    # Nothing says when it happened: the stored keys it lies among are recent.
                    live.refiller.chase(feed, Wanted(Hole(first, last), max(0, mark.at - HOUR), mark.at))

    def _start(self, live: LiveVenue, group: asyncio.TaskGroup) -> None:
        for runner in live.runners:
            group.create_task(runner.run(), name=f"ingest {runner.name}")
        if self._candles is not None and live.history is not None and self._settings.backfill_candles:
            group.create_task(self._backfill(live, live.history, self._candles), name=f"candles {live.venue.id}")

    async def _backfill(self, live: LiveVenue, history: VenueHistory, candles: CandleImport) -> None:
        """Candles of the time before we listened; a market without them is a market without them."""
        end = self._clock.now() // MINUTE * MINUTE
        start = end - self._settings.backfill_candles * MINUTE
        for feed in live.venue.feeds.values():
            try:
                found = await history.candles(feed.market, start, end)
                live.candles += await candles.import_candles([candle for candle in found if is_sound(candle)])
            except (Unavailable, Refused) as error:
                live.candle_failures += 1
                log.warning("candles.missing", market=feed.market.key, error=str(error))

    async def _open_gaps(self) -> list[tuple[int, Gap]]:
        attempt = 0
        while True:
            try:
                return await self._gaps.open_gaps()
            except Unavailable as error:
                if attempt == 0:
                    log.warning("gap.ledger_away", error=str(error))
                await self._pause(doubled(0.2, 5.0, attempt))
                attempt += 1

    def status(self) -> Mapping[str, Any]:
        """Per venue: connections, markets, counters, skew, holes."""
        suspects = self._suspects
        return {
            "venues": {live.venue.id: venue_status(live) for live in self.venues},
            "suspects": None if suspects is None else suspects.status(),
        }

    def trouble(self) -> str | None:
        """Only when no connection at all stands; one venue away is told by `status`."""
        runners = [runner for live in self.venues for runner in live.runners]
        if not runners or any(runner.sessions for runner in runners):
            return None
        return "no venue is connected: " + "; ".join(f"{runner.name}: {runner.trouble}" for runner in runners)[:300]

    def samples(self) -> Iterable[Sample]:
        """Counters and gauges by venue."""
        for live in self.venues:
            yield from samples(live)
        if self._suspects is not None:
            yield from self._suspects.samples()
