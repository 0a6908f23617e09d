"""Looks at every market now and then: who has been silent for too long, who speaks again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog

from pricewatch.domain.market import Flag, Market, Trade
from pricewatch.domain.signal import Signal
from pricewatch.domain.time import SECOND
from pricewatch.domain.watch import CHANNELS, STALE, Place, recovered, stale
from pricewatch.ingest.cadence import Cadence, Heard, Silent
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.quality import SilenceSettings
from pricewatch.ports.clock import Clock
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)

_OLD = int(Flag.LATE | Flag.HISTORY)


class Watch:
    """Every market's cadences, per channel. What is new goes to `tell`; `renew` is asked to subscribe anew.

    Silence is measured by our clock from arrival to arrival; heartbeats do not count. While the process itself is
    held up, or reads nothing on purpose, nobody is silent.
    """

    def __init__(
        self,
        settings: SilenceSettings,
        *,
        clock: Clock,
        feeds: Callable[[], Iterable[tuple[MarketFeed, bool]]],
        tell: Callable[[Signal], None],
        renew: Callable[[Market], bool],
        recent: Mapping[int, Sequence[Trade]],
        standing: Iterable[Signal] = (),
    ) -> None:
        """`feeds`: every market listened to, and whether it is being read; `standing`: the newest word on each."""
        self.alarms = 0
        self.recoveries = 0
        self._settings = settings
        self._bounds = settings.bounds()
        self._clock = clock
        self._feeds = feeds
        self._tell = tell
        self._renew = renew
        self._recent = recent
        self._said = {
            (one.market, str(one.evidence["channel"])): one.since for one in standing if one.kind == STALE
        }  # fmt: skip
        self._cadences: dict[int, tuple[Cadence, Cadence]] = {}
        self._refilled: dict[int, int] = {}
        self._before = 0

    async def run(self) -> None:
        """Until cancelled."""
        self._before = self._clock.now()
        while True:
            await asyncio.sleep(self._settings.interval)
            self.look()

    def look(self) -> None:
        """Once."""
        now = self._clock.now()
        passed, self._before = now - (self._before or now), now
        asleep = passed - round(self._settings.interval * SECOND)
        if asleep > max(SECOND // 2, round(self._settings.interval * SECOND)):
            log.info("watch.asleep", seconds=asleep / SECOND)
        else:
            asleep = 0
        here = set()
        for feed, is_read in self._feeds():
            here.add(feed.market.id)
            self._look_at(feed, now, excused=asleep if is_read else max(passed, 0))
        for gone in self._cadences.keys() - here:
            del self._cadences[gone]

    def _look_at(self, feed: MarketFeed, now: int, *, excused: int) -> None:
        cadences = self._cadences.get(feed.market.id)
        if cadences is None:
            cadences = self._cadences[feed.market.id] = self._begin(feed.market, now)
        for channel, cadence, spoke in zip(CHANNELS, cadences, (feed.last_trade, feed.last_quote), strict=True):
            if excused:
                cadence.excuse(excused)
            if feed.is_blind:
                cadence.interrupted()
            found = cadence.look(now, spoke)
            if isinstance(found, Silent):
                self._silent(feed, channel, found)
            elif isinstance(found, Heard):
                self._heard(feed, channel, found)

    def _begin(self, market: Market, now: int) -> tuple[Cadence, Cadence]:
        trades, quotes = Cadence(self._bounds, now), Cadence(self._bounds, now, expected=False)
        trades.seed(trade.received for trade in self._recent.get(market.id, ()) if not trade.flags & _OLD)
        for channel, cadence in zip(CHANNELS, (trades, quotes), strict=True):
            since = self._said.get((market.id, channel))
            if since is not None:
                cadence.resume(since)
        return trades, quotes

    def _silent(self, feed: MarketFeed, channel: str, found: Silent) -> None:
        market = feed.market
        self.alarms += 1
        self._refilled[market.id] = feed.refilled
        log.warning("feed.stale", market=market.key, channel=channel, limit=found.limit / SECOND)
        self._tell(stale(_place(market), channel, last=found.last, due=found.due, limit=found.limit, ever=found.ever))
        if not feed.is_blind:
            self._renew(market)

    def _heard(self, feed: MarketFeed, channel: str, found: Heard) -> None:
        market = feed.market
        self.recoveries += 1
        missing = sum(hole.last - hole.first + 1 for hole in feed.sequence.missing())
        filled = feed.refilled - self._refilled.pop(market.id, 0)
        log.info("feed.recovered", market=market.key, channel=channel, silent=(found.at - found.last) / SECOND)
        self._tell(recovered(_place(market), channel, last=found.last, at=found.at, missing=missing, filled=filled))

    def stale_channels(self, market: int) -> list[str]:
        """The channels of a market whose silence is too long."""
        cadences = self._cadences.get(market, ())
        return [
            channel for channel, cadence in zip(CHANNELS, cadences, strict=False) if cadence.silent_since is not None
        ]

    def status(self, market: int) -> dict[str, Any]:
        """Per channel: for how long it has been silent, and for how long it may be."""
        now, cadences = self._clock.now(), self._cadences.get(market, ())
        return {
            channel: {
                "silent_seconds": round(cadence.silence(now) / SECOND, 3),
                "limit_seconds": round(cadence.limit / SECOND, 3),
                "stale": cadence.silent_since is not None,
            }
            for channel, cadence in zip(CHANNELS, cadences, strict=False)
            if cadence.ever or channel == CHANNELS[0]
        }

    def samples(self, feeds: Iterable[MarketFeed]) -> Iterable[Sample]:
        """Alarms in all, and each market's state."""
        yield Sample("stale_alarms", self.alarms, help="Times a market's channel became stale")
        yield Sample("stale_recoveries", self.recoveries, help="Times a stale channel spoke again")
        for feed in feeds:
            labels = (("venue", feed.market.venue), ("symbol", feed.market.symbol))
            yield Sample("stale", len(self.stale_channels(feed.market.id)), "gauge", labels, "Stale channels.")


def _place(market: Market) -> Place:
    return Place(market.id, market.venue, market.symbol)
