"""Fifty markets of one venue in virtual time: one goes mute while heartbeats flow, one never begins to speak."""

from __future__ import annotations

import asyncio
import heapq
import json
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.acceptance.virtual import START, Line, Lines, VirtualClock
from tests.ingest.conftest import Collected, MemoryGaps, running

from pricewatch.domain.market import Market
from pricewatch.domain.signal import FeedEntry
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.ingest.worker import Ingest
from pricewatch.testing.journal import MemoryStore

MARKETS = 50
MUTE, NEVER = 7, 13
"""Numbers of the two."""


class Told(NamedTuple):
    """A signal of the system feed and when it could be read there."""

    at: float
    kind: str
    market: int
    last: float
    limit: float


class Found(NamedTuple):
    """Seconds of the loop throughout."""

    told: list[Told]
    fell_silent: float
    spoke_again: float
    began: float
    """When the one that had never spoken did."""
    trades: int
    heartbeats: int

    def check(self) -> None:
        """What the service promises of silence."""
        assert [(one.kind, one.market) for one in sorted(self.told, key=lambda one: (one.market, one.at))] == [
            ("feed.stale", MUTE),
            ("feed.recovered", MUTE),
            ("feed.stale", NEVER),
            ("feed.recovered", NEVER),
        ]
        for stale, recovered in self.pairs():
            assert 0 <= stale.at - (stale.last + stale.limit) <= 5.0
            spoke = self.spoke_again if stale.market == MUTE else self.began
            assert 0 <= recovered.at - spoke <= 2.0
        assert self.pairs()[0][0].last <= self.fell_silent
        assert self.trades > 0 < self.heartbeats

    def pairs(self) -> list[tuple[Told, Told]]:
        """Silence and its end: the mute one's, then the other's."""
        by = {(one.kind, one.market): one for one in self.told}
        return [(by["feed.stale", number], by["feed.recovered", number]) for number in (MUTE, NEVER)]

    def line(self) -> str:
        late = [stale.at - stale.last - stale.limit for stale, _ in self.pairs()]
        ends = [
            recovered.at - spoke
            for (_, recovered), spoke in zip(self.pairs(), (self.spoke_again, self.began), strict=True)
        ]
        return (
            f"{self.trades} trades and {self.heartbeats} heartbeats of {MARKETS} markets: {len(self.told)} words; "
            f"stale {late[0]:.2f} s (mute) and {late[1]:.2f} s (never spoke) after the limits of "
            f"{self.pairs()[0][0].limit:.0f} s and {self.pairs()[1][0].limit:.0f} s; "
            f"recovered {ends[0]:.2f} s and {ends[1]:.2f} s after the first trade"
        )


class _Reader:
    """Where the system feed arrives."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def committed(self, entries: Sequence[FeedEntry]) -> None:
        now = asyncio.get_running_loop().time()
        for entry in entries:
            one = entry.signal
            limit = float(one.evidence.get("limit_seconds") or 0.0)
            self.told.append(Told(now, one.kind, one.market, (one.since - START) / 1e6, limit))


async def listened(*, hours: float, mean: float, seed: int) -> Found:
    """Poisson arrivals, `mean` seconds apart in each market; the silences lie in the first half."""
    luck, loop = random.Random(seed), asyncio.get_running_loop()
    end = hours * 3_600
    fell_silent, spoke_again, began = end * 0.3, end * 0.5, end * 0.4
    reader, store, heartbeats, keys = _Reader(), MemoryStore(), 0, [0] * (MARKETS + 1)

    def heard(line: Line, frame: str) -> None:
        message: dict[str, Any] = json.loads(frame)
        if message["op"] == "subscribe":
            line.natives |= set(message["names"])
            line.say(json.dumps({"type": "subscribed", "names": message["names"]}))

    lines = Lines(heard)
    markets = [Market(number, "toy", f"M{number}-USD", f"M{number}") for number in range(1, MARKETS + 1)]
    ingest = Ingest(
        IngestSettings(
            venues={"toy": VenueSettings(symbols=tuple(one.symbol for one in markets), history=False)},
            backfill_candles=0,
        ),
        markets,
        sink=Collected(),
        clock=VirtualClock(),
        marks={},
        gaps=MemoryGaps(),
        connect=lines.connector,
        system=store.journal,
        signals=reader,
    )

    def speak(number: int) -> None:
        keys[number] += 1
        trade = {"type": "trade", "name": f"M{number}", "key": keys[number], "at": VirtualClock().now()}
        for line in lines.open:
            if f"M{number}" in line.natives:
                line.say(json.dumps(trade))

    async with running(ingest):
        await asyncio.sleep(1.0)
        agenda = [(loop.time() + luck.expovariate(1 / mean), number) for number in range(MARKETS + 1)]
        agenda[NEVER] = (began, NEVER)
        heapq.heapify(agenda)
        while agenda[0][0] < end:
            due, number = heapq.heappop(agenda)
            await asyncio.sleep(max(0.0, due - loop.time()))
            if number == 0:
                for line in lines.open:
                    line.say(json.dumps({"type": "heartbeat"}))
                heartbeats += 1
                heapq.heappush(agenda, (due + 1.0, 0))
                continue
            speak(number)
            following = due + luck.expovariate(1 / mean)
            if number == MUTE and due < fell_silent <= following:
                following = spoke_again
            heapq.heappush(agenda, (following, number))
        await asyncio.sleep(5.0)
    return Found(reader.told, fell_silent, spoke_again, began, sum(keys), heartbeats)
