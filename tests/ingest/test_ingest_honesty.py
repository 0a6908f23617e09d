"""Days of a venue in seconds: refusals are not stormed, replaced connections cost nothing, silence is told in time."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from tests.acceptance.silence import listened
from tests.acceptance.virtual import Line, Lines, VirtualClock, virtually
from tests.ingest.conftest import Collected, MemoryGaps, running
from tests.ingest.toy import odd
from tests.ingest.toyhouse import markets

from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.ingest.quality import SilenceSettings
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.ingest.transport.refusal import Banned
from pricewatch.ingest.worker import Ingest

MINUTE, HOUR = 60.0, 3_600.0


def acknowledge(line: Line, frame: str) -> None:
    message = json.loads(frame)
    if message["op"] == "subscribe":
        line.natives |= set(message["names"])
        line.say(json.dumps({"type": "subscribed", "names": message["names"]}))


def listening(lines: Lines, count: int, sink: Collected, gaps: MemoryGaps, luck: Callable[[], float]) -> Ingest:
    some = markets(count)
    venue = VenueSettings(symbols=tuple(market.symbol for market in some), history=False)
    return Ingest(
        IngestSettings(venues={"toy": venue}, backfill_candles=0, silence=SilenceSettings(interval=30.0)),
        some,
        sink=sink,
        clock=VirtualClock(),
        marks={},
        gaps=gaps,
        connect=lines.connector,
        luck=luck,
    )


async def attempts(answer: Callable[[int], None], seconds: float, luck: Callable[[], float]) -> list[list[float]]:
    """When each of four connections was tried."""
    lines = Lines(acknowledge, answer)
    async with running(listening(lines, 4, Collected(), MemoryGaps(), luck)):
        await asyncio.sleep(seconds)
    assert len(lines.attempts) == 4
    return lines.attempts


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection a market, with the venue's own settings as they ship."""
    monkeypatch.setitem(EXCHANGES, "toy", odd(markets_per_connection=1))


def lucky(seed: int) -> Callable[[], float]:
    return random.Random(seed).random


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("luck", [lambda: 0.0, lucky(1), lambda: 1.0], ids=["least", "some", "most"])
def test_ten_minutes_of_refused_connections_are_thirty_attempts_at_most(luck: Callable[[], float]) -> None:
    def refuse(_: int) -> None:
        raise Unavailable("connection refused")

    tried = virtually(attempts(refuse, 60 * MINUTE, luck))
    for times in tried:
        assert len(times) > 60, "it never gives up"
        for place, start in enumerate(times):
            assert sum(start <= one < start + 10 * MINUTE for one in times[place:]) <= 30
        assert max(after - before for before, after in pairwise(times)) <= 10 * MINUTE


@pytest.mark.usefixtures("alone")
def test_connections_that_open_and_break_are_refused_ones_too() -> None:
    cut: list[Line] = []

    def heard(line: Line, _: str) -> None:
        cut.append(line)
        line.cut()

    async def broken() -> list[list[float]]:
        lines = Lines(heard)
        async with running(listening(lines, 4, Collected(), MemoryGaps(), lambda: 0.0)):
            await asyncio.sleep(10 * MINUTE - 1)
        return lines.attempts

    tried = virtually(broken())
    assert cut
    assert [len(times) <= 30 for times in tried] == [True] * 4


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("kind", [Refused, Banned])
@pytest.mark.parametrize("seed", range(5))
def test_no_attempt_lies_within_a_retry_after(kind: type[Refused], seed: int) -> None:
    luck = random.Random(seed)
    embargoes: list[tuple[float, float]] = []

    def refuse(_: int) -> None:
        now = asyncio.get_running_loop().time()
        if luck.random() < 0.5:
            raise Unavailable("connection refused")
        seconds = luck.choice([1.0, 5.0, 30.0, 60.0, 300.0])
        embargoes.append((now, now + seconds))
        raise kind("HTTP 429", retry_after=seconds)

    tried = virtually(attempts(refuse, 30 * MINUTE, luck.random))
    everything = [time for times in tried for time in times]
    assert len(embargoes) > 5
    assert [(a, since, until) for a in everything for since, until in embargoes if since < a < until] == []


@pytest.mark.parametrize("word", [True, False], ids=["announced", "unannounced"])
def test_days_of_forced_closes_leave_no_gap(monkeypatch: pytest.MonkeyPatch, word: bool) -> None:
    """A venue that closes every connection after 24 hours to the second, saying so before or not."""
    monkeypatch.setitem(EXCHANGES, "toy", odd(markets_per_connection=1, lifetime=24 * HOUR))
    days, closed, said = 2, [0], {market.native: 0 for market in markets(4)}

    async def live() -> tuple[Lines, Collected, MemoryGaps, Ingest]:
        loop = asyncio.get_running_loop()

        def heard(line: Line, frame: str) -> None:
            acknowledge(line, frame)
            loop.call_later(24 * HOUR, end, line)
            if word:
                loop.call_later(12 * HOUR, line.say, json.dumps({"type": "closing"}))

        def end(line: Line) -> None:
            closed[0] += line in lines.open
            line.cut()

        lines, sink, gaps = Lines(heard), Collected(), MemoryGaps()
        ingest = listening(lines, 4, sink, gaps, lucky(2))
        async with running(ingest):
            await asyncio.sleep(5.0)
            while loop.time() < days * 24 * HOUR:
                for native, before in said.items():
                    said[native] = before + 1
                    trade = {"type": "trade", "name": native, "key": before + 1, "at": VirtualClock().now()}
                    for line in lines.open:
                        if native in line.natives:
                            line.say(json.dumps(trade))
                await asyncio.sleep(30.0)
        return lines, sink, gaps, ingest

    lines, sink, gaps, ingest = virtually(live())
    counters = ingest.venues[0].venue.counters
    assert all(len(times) >= (days * 2 if word else days) for times in lines.attempts), "they were replaced"
    for market in markets(4):
        keys = [trade.key for trade in sink.trades if trade.market == market.id]
        assert keys == list(range(1, said[market.native] + 1))
    assert gaps.declared == {}
    assert (closed, counters.reconnects) == ([0], 0)
    assert lines.most <= (8 if word else 5), "by age, one is replaced at a time"


def test_a_mute_market_and_one_that_never_speaks_among_fifty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXCHANGES, "toy", odd(markets_per_connection=25))
    found = virtually(listened(hours=1.5, mean=15.0, seed=1))
    found.check()
