"""Ingest as the rest of the house sees it: built from settings and ports, run until cancelled."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import structlog

from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.domain.market import Market, Trade
from pricewatch.domain.signal import Signal
from pricewatch.domain.time import MINUTE
from pricewatch.domain.watch import STALE_RULES
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.ingest.backoff import doubled
from pricewatch.ingest.candles import is_sound
from pricewatch.ingest.dark import Stored
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.herald import Herald
from pricewatch.ingest.history import VenueHistory
from pricewatch.ingest.instruments import Directory
from pricewatch.ingest.making import Connect, VenueMaker
from pricewatch.ingest.metrics import LiveVenue, samples, venue_status
from pricewatch.ingest.refill import Wanted
from pricewatch.ingest.resume import Ledgers, resume
from pricewatch.ingest.sequence import Hole
from pricewatch.ingest.sequence import Sequence as Ids
from pricewatch.ingest.settings import IngestSettings
from pricewatch.ingest.stayaway import StayAway
from pricewatch.ingest.suspects import Suspects
from pricewatch.ingest.tap import Tap
from pricewatch.ingest.transport.choice import connector
from pricewatch.ingest.watch import Watch
from pricewatch.ports.clock import Clock
from pricewatch.ports.journal import SignalSink, SystemFeed
from pricewatch.ports.ticks import Backlog, CandleImport, Gap, GapLedger, Listing, Mark, TickSink
from pricewatch.telemetry.metrics import Sample

AnswerT = TypeVar("AnswerT")
log = structlog.get_logger(__name__)


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
        stored: Stored | None = None,
        backlog: Backlog | None = None,
        folder: Path | None = None,
        recent: Mapping[int, Sequence[Trade]] | None = None,
        system: SystemFeed | None = None,
        signals: SignalSink | None = None,
        connect: Connect | None = None,
        tap: Tap | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        luck: Callable[[], float] = random.random,
    ) -> None:
        """`folder`: where the times to stay away are kept; without it they end with the process.

        `recent`: each market's newest stored trades in their order, what its next prices are compared with.
        `system` and `signals`: where silence is told; without them it is in the status only.
        """
        self.venues: list[LiveVenue] = []
        self._settings = settings
        self._markets = markets
        self._sink = sink
        self._recent = recent or {}
        self._suspects: Suspects | None = None
        self._system = system
        self._signals = signals
        self._watch: Watch | None = None
        self._herald: Herald | None = None
        self._clock = clock
        self._marks = marks
        self._gaps = gaps
        self._candles = candles
        self._stored = stored
        self._backlog = backlog
        self._connect = connect or (lambda options: connector(settings.transport, options))
        self._tap = tap
        self._pause = pause
        self._luck = luck
        self._away = StayAway(None if folder is None else folder / "stay_away.json", clock)
        self._maker: VenueMaker | None = None
        self._group: asyncio.TaskGroup | None = None
        self._began = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; what waits behind a hole is handed on before the end."""
        if self._settings.suspects.enabled:
            self._doubt()
        try:
            await self._run()
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

    async def _run(self) -> None:
        async with (
            aiohttp.ClientSession(headers={"User-Agent": "pricewatch"}) as http,
            asyncio.TaskGroup() as group,
            asyncio.TaskGroup() as connections,  # ends first: a last frame may still need a task of the others
        ):
            connections.create_task(asyncio.Event().wait(), name="connections")  # there may be none for a while
            self._maker = VenueMaker(
                self._settings,
                sink=self._sink,
                clock=self._clock,
                gaps=self._gaps,
                candles=self._candles,
                stored=self._stored,
                backlog=self._backlog,
                connect=self._connect,
                tap=self._tap,
                pause=self._pause,
                luck=self._luck,
                away=self._away,
                http=http,
                group=group,
                connections=connections,
            )
            self._group = group
            self._began.set()
            await self.add(self._markets, self._marks)
            await self._watch_over(group)

    async def _watch_over(self, group: asyncio.TaskGroup) -> None:
        """From here on silence is noticed."""
        standing: Sequence[Signal] = ()
        if self._system is not None and self._signals is not None:
            system, rules = self._system, list(STALE_RULES.values())
            standing = await self._patiently(lambda: system.standing(rules))
            self._herald = Herald(system, self._signals, mail=self._settings.silence.mail)
            group.create_task(self._herald.run(), name="herald")
        self._watch = Watch(
            self._settings.silence,
            clock=self._clock,
            feeds=self._listened,
            tell=self._tell,
            renew=self.renew,
            recent=self._recent,
            standing=standing,
        )
        group.create_task(self._watch.run(), name="watch")

    def _tell(self, signal: Signal) -> None:
        if self._herald is not None:
            self._herald.tell(signal)

    def _listened(self) -> Iterable[tuple[MarketFeed, bool]]:
        """Every feed, and whether its venue is being read."""
        for live in self.venues:
            relief = live.venue.relief
            is_read = relief is None or not relief.paused
            for feed in live.venue.feeds.values():
                yield feed, is_read

    async def add(
        self, markets: Sequence[Market], marks: Mapping[int, Mark], settings: IngestSettings | None = None
    ) -> None:
        """Listen to these too, from where their stored trades end; those listened to already are left alone.

        The connections that stand take them up as far as the venue's limits allow. Waits for `run` to have begun.
        `settings`: for venues that had none at the start.
        """
        await self._began.wait()
        if self._maker is None or self._group is None:
            raise RuntimeError("run() has made them")
        gaps = await self._ledgers()
        for name, venue in {**(settings or self._settings).venues, **self._settings.venues}.items():
            live = next((one for one in self.venues if one.venue.id == name), None)
            known = live.venue.feeds if live is not None else {}
            new = [market for market in markets if market.venue == name and market.id not in known]
            if not new:
                continue
            if live is None:
                live = self._maker.make(name, venue)
                self.venues.append(live)
            if self._suspects is not None:
                for market in new:
                    self._suspects.add(market.id)
            feeds = live.roster.prepare(new)
            await self._resume(live, feeds, marks, gaps)
            live.roster.place(new)
            if self._candles is not None and live.history is not None and self._settings.backfill_candles:
                self._group.create_task(
                    self._backfill(live, feeds, live.history, self._candles), name=f"candles {name}"
                )

    def remove(self, markets: Collection[int]) -> None:
        """Listen to these no more."""
        for live in self.venues:
            live.roster.remove(markets)

    def renew(self, market: Market) -> bool:
        """Subscribe anew to a market of which nothing comes; False when no connection has it."""
        return any(live.roster.renew(market) for live in self.venues if live.venue.id == market.venue)

    def reopen(self, number: int, gap: Gap) -> None:
        """A hole in what is stored was declared under this id: its trades were heard and lost; ask for them again."""
        for live in self.venues:
            feed = live.venue.feeds.get(gap.market)
            if feed is None:
                continue
            if gap.is_keyless:
                live.dark.resume(feed, number, gap)
            elif isinstance(feed.sequence, Ids):
                hole = Hole(gap.first_key, gap.last_key)
                feed.sequence.reopen(hole)
                live.refiller.chase(feed, Wanted(hole, gap.from_at, gap.to_at), number)

    async def _resume(
        self, live: LiveVenue, feeds: Sequence[MarketFeed], marks: Mapping[int, Mark], gaps: Ledgers
    ) -> None:
        """Go on where the stored trades end, and after the holes among them."""
        for feed in feeds:
            mark = marks.get(feed.market.id)
            if mark is not None:
                await resume(live, feed, mark, gaps, self._stored, self._patiently)

    async def _backfill(
        self, live: LiveVenue, feeds: Sequence[MarketFeed], history: VenueHistory, candles: CandleImport
    ) -> None:
        """Candles of the time before we listened; a market without them is a market without them."""
        end = self._clock.now() // MINUTE * MINUTE
        start = end - self._settings.backfill_candles * MINUTE
        for feed in feeds:
            try:
                found = await history.candles(feed.market, start, end)
                live.candles += await candles.import_candles([candle for candle in found if is_sound(candle)])
            except (Unavailable, Refused) as error:
                live.candle_failures += 1
                log.warning("candles.missing", market=feed.market.key, error=str(error))

    async def _ledgers(self) -> Ledgers:
        return Ledgers(await self._patiently(self._gaps.open_gaps), await self._patiently(self._gaps.patched_gaps))

    async def _patiently(self, ask: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """The store's answer, however long it is away."""
        attempt = 0
        while True:
            try:
                return await ask()
            except Unavailable as error:
                if attempt == 0:
                    log.warning("ingest.store_away", error=str(error))
                await self._pause(doubled(0.2, 5.0, attempt))
                attempt += 1

    def status(self) -> Mapping[str, Any]:
        """Per venue: connections, markets, counters, skew, holes."""
        suspects = self._suspects
        return {
            "venues": {live.venue.id: venue_status(live, self._watch) for live in self.venues},
            "stale": self.stale(),
            "untold": 0 if self._herald is None else self._herald.waiting,
            "suspects": None if suspects is None else suspects.status(),
        }

    def stale(self) -> dict[str, list[str]]:
        """Markets whose silence is too long, with the channels concerned."""
        watch = self._watch
        if watch is None:
            return {}
        found = {feed.market.key: watch.stale_channels(feed.market.id) for feed, _ in self._listened()}
        return {market: channels for market, channels in found.items() if channels}

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
        if self._watch is not None:
            yield from self._watch.samples(feed for feed, _ in self._listened())
        if self._herald is not None:
            yield Sample("untold", self._herald.waiting, "gauge", help="Watch signals waiting for the store")
            yield Sample("untold_lost", self._herald.lost, help="Watch signals given up while the store was away")
