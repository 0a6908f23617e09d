"""One venue's ingest, built straight down the page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import aiohttp

from pricewatch.domain.market import Market
from pricewatch.engine.gate import Limits
from pricewatch.exchanges.base import Endpoints, Exchange
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.ingest.compare import Compare
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.dark import Dark, Stored
from pricewatch.ingest.declared import Declared
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.history import VenueHistory
from pricewatch.ingest.metrics import LiveVenue
from pricewatch.ingest.pace import Pace
from pricewatch.ingest.patch import Patcher
from pricewatch.ingest.recent import Recent
from pricewatch.ingest.refill import Late, Refiller
from pricewatch.ingest.relief import Relief
from pricewatch.ingest.roster import Roster
from pricewatch.ingest.runner import Runner
from pricewatch.ingest.sequence import Sequence as Ids
from pricewatch.ingest.session import Venue
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.ingest.stayaway import Distance, StayAway
from pricewatch.ingest.tap import Tap
from pricewatch.ingest.transport.options import Options
from pricewatch.ingest.venue_rest import VenueRest
from pricewatch.ports.clock import Clock
from pricewatch.ports.connection import Connector
from pricewatch.ports.ticks import Backlog, CandleImport, GapLedger, TickSink

Connect = Callable[[Options], Connector]
"""Makes a venue's connector."""


class VenueMaker:
    """Builds venues that share a sink, a ledger and a task group."""

    def __init__(
        self,
        settings: IngestSettings,
        *,
        sink: TickSink,
        clock: Clock,
        gaps: GapLedger,
        candles: CandleImport | None,
        stored: Stored | None,
        backlog: Backlog | None,
        connect: Connect,
        tap: Tap | None,
        pause: Callable[[float], Awaitable[None]],
        luck: Callable[[], float],
        away: StayAway,
        http: aiohttp.ClientSession,
        group: asyncio.TaskGroup,
        connections: asyncio.TaskGroup,
    ) -> None:
        """`connections`: what reads from venues, and ends before `group`."""
        self._settings = settings
        self._sink = sink
        self._clock = clock
        self._gaps = gaps
        self._candles = candles
        self._stored = stored
        self._backlog = backlog
        self._connect = connect
        self._tap = tap
        self._pause = pause
        self._luck = luck
        self._away = away
        self._http = http
        self._group = group
        self._connections = connections

    def make(self, name: str, settings: VenueSettings) -> LiveVenue:
        """The venue without any market; nothing runs yet."""
        kind, clock, group, pause = EXCHANGES[name], self._clock, self._group, self._pause
        endpoints = Endpoints(
            socket=settings.socket_url or kind.endpoints.socket, rest=settings.rest_url or kind.endpoints.rest
        )
        counters = Counters()
        distance = Distance(
            name,
            opening=Pace(kind.open_interval if settings.open_interval is None else settings.open_interval),
            asking=Pace(kind.history_interval if settings.history_interval is None else settings.history_interval),
            book=self._away,
        )
        rest = VenueRest(self._http, distance=distance, timeout=settings.history_timeout, counters=counters)
        history = (
            VenueHistory(kind((), endpoints), rest, clock=clock, counters=counters, limit=settings.max_gap)
            if settings.history
            else None
        )
        declared = Declared(self._gaps, settings, clock=clock, counters=counters, pause=pause)
        patcher = Patcher(settings, history=history, candles=self._candles, clock=clock, pause=pause)
        late = Late(clock, self._backlog)
        refiller = Refiller(
            settings, history=history, declared=declared, patcher=patcher, late=late, pause=pause, group=group
        )
        dark = Dark(
            settings,
            history=history,
            stored=self._stored,
            declared=declared,
            patcher=patcher,
            late=late,
            pause=pause,
            group=group,
        )
        compare = Compare(
            refiller,
            dark,
            consecutive=kind.consecutive,
            clock=clock,
            reconcile_after=settings.reconcile_after,
        )
        feeds: dict[int, MarketFeed] = {}
        relief = Relief(
            name,
            self._backlog,
            patience=self._settings.pause_limit,
            feeds=feeds,
            counters=counters,
            shed=compare.shed,
            group=group,
        )
        venue = Venue(
            id=name,
            settings=settings,
            feeds=feeds,
            limits=Limits(markets=frozenset(), ahead=round(self._settings.max_ahead * 1e6)),
            counters=counters,
            clock=clock,
            pause=pause,
            max_skew=round(self._settings.max_skew * 1e6),
            tap=self._tap,
            relief=relief,
        )
        rotating = asyncio.Lock()

        def make_feed(market: Market) -> MarketFeed:
            feed = MarketFeed(
                market,
                Ids() if kind.consecutive else Recent(settings.recent_trades),
                sink=self._sink,
                limits=venue.limits,
                counters=counters,
                hole_found=refiller.hole_found,
                capacity=settings.gap_hold_trades,
            )
            relief.added(feed)
            return feed

        def build(markets: Sequence[Market]) -> Exchange:
            return kind(markets, endpoints)

        def make_runner(markets: Sequence[Market], runner: str) -> Runner:
            return Runner(
                venue,
                markets,
                build=build,
                connector=self._connect(self._options(kind, settings)),
                compare=compare,
                rest=rest,
                distance=distance,
                rotating=rotating,
                lifetime=kind.lifetime,
                luck=self._luck,
                name=runner,
            )

        size = min(kind.markets_per_connection, settings.markets_per_connection or kind.markets_per_connection)
        roster = Roster(venue, size=size, make_feed=make_feed, make_runner=make_runner, group=self._connections)
        return LiveVenue(venue, refiller, dark, history, distance, roster, kind.approximate)

    def _options(self, kind: type[Exchange], settings: VenueSettings) -> Options:
        return Options(
            open_timeout=settings.connect_timeout,
            ping_interval=settings.ping_interval if kind.keepalive.protocol_ping else 0.0,
            compression=self._settings.compression,
            max_frame=self._settings.max_frame,
        )
