"""Silence as signals: said once, ended once, not for our own sleep; told however long the store is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from pricewatch.app.clock import SystemClock
from pricewatch.domain.market import Market, Trade
from pricewatch.domain.signal import FeedEntry, Signal
from pricewatch.domain.time import SECOND, rfc3339
from pricewatch.domain.watch import SYSTEM
from pricewatch.engine.gate import Limits
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.herald import Herald
from pricewatch.ingest.quality import SilenceSettings
from pricewatch.ingest.sequence import Sequence as Ids
from pricewatch.ingest.watch import Watch
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.journal import MemoryStore

S = SECOND
Wait = Callable[..., Awaitable[None]]
House = Any


class Nowhere:
    def offer(self, tick: object) -> None: ...

    def blind(self, market: int) -> None: ...

    def sighted(self, market: int) -> None: ...


class Bench:
    """Two markets watched once a second by hand."""

    def __init__(self, *, standing: Sequence[Signal] = (), recent: dict[int, list[Trade]] | None = None) -> None:
        self.clock = ManualClock()
        self.told: list[Signal] = []
        self.renewed: list[str] = []
        self.is_read = True
        self.feeds = [self.feed(Market(1, "coinbase", "BTC-USD", "b")), self.feed(Market(2, "kraken", "ETH-USD", "e"))]
        self.keys = [0, 0]
        self.watch = Watch(
            SilenceSettings(start=100.0, floor=10.0),
            clock=self.clock,
            feeds=lambda: [(feed, self.is_read) for feed in self.feeds],
            tell=self.told.append,
            renew=self.renew,
            recent=recent or {},
            standing=standing,
        )

    def feed(self, market: Market) -> MarketFeed:
        feed = MarketFeed(
            market, Ids(), sink=Nowhere(), limits=Limits(markets=frozenset({market.id})), counters=Counters(),
            hole_found=lambda *_: False, capacity=10,
        )  # fmt: skip
        feed.heard()
        return feed

    def renew(self, market: Market) -> bool:
        self.renewed.append(market.key)
        return True

    def trade(self, place: int = 0, *, skip: int = 0, key: int | None = None) -> None:
        self.keys[place] += 1 + skip
        now = self.clock.now()
        self.feeds[place].trade(Trade(self.feeds[place].market.id, now, 1.0, 1.0, 0, key or self.keys[place], now))

    def pass_(self, seconds: int, *, speaking: Sequence[int] = ()) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            for place in speaking:
                self.trade(place)
            self.watch.look()

    def said(self) -> list[tuple[str, str, str]]:
        return [(one.kind, one.scope, str(one.evidence["channel"])) for one in self.told]


def test_one_goes_mute_and_one_never_speaks() -> None:
    bench = Bench()
    bench.pass_(98, speaking=[0])
    assert bench.said() == []
    bench.pass_(4, speaking=[0])
    assert bench.said() == [("feed.stale", "kraken:ETH-USD", "trades")]
    assert bench.told[0].title == "kraken:ETH-USD trades: nothing came yet"
    bench.pass_(20)
    assert bench.said()[1:] == [("feed.stale", "coinbase:BTC-USD", "trades")]
    assert bench.renewed == ["kraken:ETH-USD", "coinbase:BTC-USD"]
    assert bench.watch.stale_channels(1) == ["trades"]
    assert bench.watch.status(1)["trades"]["stale"]
    bench.pass_(1, speaking=[0, 1])
    assert [kind for kind, *_ in bench.said()[2:]] == ["feed.recovered"] * 2
    assert bench.watch.stale_channels(1) == []
    assert len({one.id for one in bench.told}) == 4
    samples = {(one.name, one.labels): one.value for one in bench.watch.samples(bench.feeds)}
    assert samples["stale_alarms", ()] == samples["stale_recoveries", ()] == 2


def test_repetitions_and_heartbeats_are_silence() -> None:
    bench = Bench()
    bench.pass_(60, speaking=[0, 1])
    for _ in range(60):
        bench.clock.advance(1)
        bench.trade(0, key=1)
        bench.feeds[0].last_received = bench.clock.now()
        bench.trade(1)
        bench.watch.look()
    assert bench.said() == [("feed.stale", "coinbase:BTC-USD", "trades")]


def test_the_end_says_what_is_missing_and_what_was_refilled() -> None:
    bench = Bench()
    bench.pass_(60, speaking=[0, 1])
    bench.pass_(60, speaking=[1])
    feed = bench.feeds[0]
    now, high = bench.clock.now(), bench.keys[0]
    bench.trade(0, skip=50)
    feed.late([Trade(1, now, 1.0, 1.0, 0, high + n, now) for n in (1, 2, 3)], now=now)
    bench.pass_(1)
    assert (bench.told[-1].evidence["missing"], bench.told[-1].evidence["filled"]) == (47, 3)


@pytest.mark.parametrize("way", ["asleep", "not reading"])
def test_our_own_absence_is_nobodys_silence(way: str) -> None:
    bench = Bench()
    bench.pass_(60, speaking=[0, 1])
    if way == "asleep":
        bench.clock.advance(3_600)
        bench.watch.look()
    else:
        bench.is_read = False
        bench.pass_(600)
        bench.is_read = True
    bench.pass_(5)
    assert bench.said() == []
    bench.pass_(60, speaking=[0])
    assert bench.said() == [("feed.stale", "kraken:ETH-USD", "trades")]


def test_without_a_connection_it_is_silent_too_but_not_asked_for_again() -> None:
    bench = Bench()
    bench.pass_(60, speaking=[0, 1])
    for feed in bench.feeds:
        feed.blind()
    bench.pass_(60)
    assert [kind for kind, *_ in bench.said()] == ["feed.stale"] * 2
    assert bench.renewed == []


def test_after_a_restart_what_was_said_is_not_said_again() -> None:
    before = Bench()
    before.pass_(60, speaking=[0, 1])
    before.pass_(60)
    after = Bench(standing=before.told)
    after.pass_(300, speaking=[1])
    assert after.said() == [("feed.recovered", "kraken:ETH-USD", "trades")]
    assert after.watch.stale_channels(1) == ["trades"]


def test_a_slow_market_is_known_from_its_stored_trades() -> None:
    now = ManualClock().now()
    stored = [Trade(1, now, 1.0, 1.0, 0, n, now - n * 600 * S) for n in range(64)]
    bench = Bench(recent={1: stored})
    bench.pass_(900, speaking=[1])
    assert bench.said() == []


def test_markets_may_come_and_go() -> None:
    bench = Bench()
    bench.pass_(60, speaking=[0, 1])
    gone = bench.feeds.pop()
    bench.pass_(300, speaking=[0])
    assert bench.said() == []
    assert bench.watch.status(gone.market.id) == {}
    bench.feeds.append(bench.feed(gone.market))
    bench.pass_(90, speaking=[0])
    assert bench.said() == []


class Heard:
    def __init__(self) -> None:
        self.entries: list[FeedEntry] = []
        self.changed = asyncio.Event()

    def committed(self, entries: Sequence[FeedEntry]) -> None:
        self.entries += entries
        self.changed.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.entries) < count:
                self.changed.clear()
                await self.changed.wait()


async def test_the_herald_tells_in_order_once_the_store_is_back() -> None:
    bench = Bench()
    bench.pass_(150, speaking=[0])
    bench.pass_(60)
    bench.pass_(1, speaking=[0, 1])
    store, heard = MemoryStore(), Heard()
    store.journal.down = True
    herald = Herald(store.journal, heard, retry=0.005)
    for signal in bench.told:
        herald.tell(signal)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(herald.run())
        await asyncio.sleep(0.02)
        assert (heard.entries, herald.waiting) == ([], len(bench.told))
        store.journal.down = False
        await heard.until(len(bench.told))
        herald.tell(bench.told[0])
        more = Bench()
        more.pass_(150)
        herald.tell(more.told[0])
        await heard.until(len(bench.told))
        task.cancel()
    assert [entry.signal for entry in heard.entries[: len(bench.told)]] == bench.told
    assert [entry.seq for entry in heard.entries] == list(range(1, len(heard.entries) + 1))
    assert {entry.feed for entry in heard.entries} == {SYSTEM}


async def test_what_the_store_keeps_waiting_is_bounded() -> None:
    bench = Bench()
    bench.pass_(150)
    store = MemoryStore()
    herald = Herald(store.journal, Heard(), most=2)
    for signal in (*bench.told, *bench.told):
        herald.tell(signal)
    assert (herald.waiting, herald.lost) == (2, 2 * len(bench.told) - 2)


async def test_a_mute_market_is_told_while_heartbeats_flow(house: House, wait: Wait) -> None:
    store, heard = MemoryStore(), Heard()
    common = {"silence": {"interval": 0.05, "start": 0.6, "floor": 0.3}}
    async with house.listening(common=common, clock=SystemClock(), system=store.journal, signals=heard) as ingest:
        now = rfc3339(SystemClock().now())
        await house.venue.trade(1, time=now)
        await wait(lambda: house.sink.keys == [1])
        await heard.until(1)
        assert ingest.stale() == {"coinbase:BTC-USD": ["trades"]}
        await wait(lambda: len(house.venue.subscribed) > 1)
        await house.venue.trade(2, time=now)
        await heard.until(2)
        assert ingest.stale() == {}
    assert [entry.signal.kind for entry in heard.entries[:2]] == ["feed.stale", "feed.recovered"]
