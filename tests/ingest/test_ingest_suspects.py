"""Doubtful prints in front of the sink: order, timers, blindness, the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pricewatch.domain.market import Flag, Quote, Trade
from pricewatch.engine.doubt import Doubts
from pricewatch.ingest.quality import SuspectSettings
from pricewatch.ingest.suspects import Suspects
from pricewatch.testing.ticks import MemoryTicks

S = 1_000_000
T0 = 1_700_000_000 * S


class Sink:
    def __init__(self) -> None:
        self.told: list[object] = []

    def offer(self, tick: Trade | Quote) -> None:
        self.told.append((tick.market, tick.price, tick.flags) if isinstance(tick, Trade) else tick)

    def blind(self, market: int) -> None:
        self.told.append(("blind", market))

    def sighted(self, market: int) -> None:
        self.told.append(("sighted", market))


class Timers:
    """`call_later` by hand."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.set: list[tuple[asyncio.TimerHandle, Callable[[int], None], int]] = []

    def __call__(self, delay: float, act: Callable[[int], None], market: int) -> asyncio.TimerHandle:
        assert delay == 2.0
        handle = asyncio.TimerHandle(0.0, act, (market,), self.loop)
        self.set.append((handle, act, market))
        return handle

    def fire(self) -> None:
        due, self.set = self.set, []
        for handle, act, market in due:
            if not handle.cancelled():
                act(market)


def trade(market: int, key: int, price: float, flags: int = 0) -> Trade:
    return Trade(market, T0 + key * S // 10, price, 1.0, 1, key, T0 + key * S // 10, flags)


class Bench:
    def __init__(self) -> None:
        self.sink = Sink()
        self.timers = Timers()
        self.suspects = Suspects(
            self.sink,
            Doubts(),
            [1, 2],
            later=self.timers,
            recent={1: [trade(1, 0, 100.0)], 2: [trade(2, 0, 50.0)], 9: [trade(9, 0, 1.0)]},
        )

    def close(self) -> None:
        self.timers.loop.close()


def test_only_the_doubtful_market_waits_and_quotes_never_do() -> None:
    bench = Bench()
    quote = Quote(1, T0, 99.0, 1.0, 101.0, 1.0, T0)
    bench.suspects.offer(trade(1, 1, 110.0))
    bench.suspects.offer(quote)
    bench.suspects.offer(trade(2, 1, 50.1))
    assert bench.sink.told == [quote, (2, 50.1, 0)]
    assert bench.suspects.status() == {"held": 1, "confirmed": 0, "flagged": 0}
    bench.suspects.offer(trade(1, 2, 110.1))
    assert bench.sink.told[2:] == [(1, 110.0, 0), (1, 110.1, 0)]
    bench.timers.fire()
    assert len(bench.sink.told) == 4
    assert bench.suspects.status() == {"held": 0, "confirmed": 1, "flagged": 0}
    bench.close()


def test_time_decides_where_nothing_follows() -> None:
    bench = Bench()
    bench.suspects.offer(trade(1, 1, 110.0))
    bench.suspects.offer(trade(2, 1, 5_000.0))
    bench.timers.fire()
    assert bench.sink.told == [(1, 110.0, 0), (2, 5_000.0, Flag.SUSPECT)]
    assert [(one.name, one.value) for one in bench.suspects.samples()] == [
        ("suspects_held", 0), ("suspects_confirmed", 1), ("suspects_flagged", 1),
    ]  # fmt: skip
    bench.close()


def test_each_doubtful_print_has_its_own_time() -> None:
    bench = Bench()
    for key, price in ((1, 1_000.0), (2, 10.0)):
        bench.suspects.offer(trade(1, key, price))
    assert bench.sink.told == [(1, 1_000.0, Flag.SUSPECT)]
    assert [handle.cancelled() for handle, *_ in bench.timers.set] == [True, False]
    bench.suspects.flush()
    assert bench.sink.told[1:] == [(1, 10.0, Flag.SUSPECT)]
    assert bench.suspects.held == 0
    bench.close()


def test_an_old_print_is_no_sign_of_a_connection() -> None:
    bench = Bench()
    bench.suspects.offer(trade(1, 1, 110.0))
    bench.suspects.blind(1)
    bench.timers.fire()
    assert bench.sink.told == [("blind", 1), (1, 110.0, 0), ("blind", 1)]
    bench.suspects.sighted(1)
    bench.suspects.offer(trade(1, 9, 300.0))
    bench.timers.fire()
    assert bench.sink.told[3:] == [("sighted", 1), (1, 300.0, 0)]
    bench.close()


def test_a_market_added_later_is_judged_from_its_first_print_on() -> None:
    bench = Bench()
    bench.suspects.add(1)
    bench.suspects.add(3)
    bench.suspects.offer(trade(3, 1, 7.0))
    bench.suspects.offer(trade(3, 2, 70.0))
    bench.suspects.offer(trade(1, 1, 1_000.0))
    assert bench.sink.told == [(3, 7.0, 0)]
    bench.close()


async def test_what_is_stored_is_what_a_restart_remembers() -> None:
    ticks = MemoryTicks()
    for seen, one in enumerate([trade(1, 1, 100.0), trade(1, 3, 300.0, int(Flag.SUSPECT)), trade(1, 2, 100.1)], 1):
        ticks.trade(one, seen)
    await ticks.drain()
    found = await ticks.recent([1, 2], 2)
    assert {market: [one.trade.price for one in newest] for market, newest in found.items()} == {1: [300.0, 100.1]}
    assert (await ticks.last(9))[1].trade.price == 100.1


def test_settings_say_the_same_as_the_engine() -> None:
    assert SuspectSettings().doubts() == Doubts()
