"""The bus between processes: nothing lost, nothing twice, whatever goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from tests.app.conftest import until

from pricewatch.app.fanout import Signals, Tapes
from pricewatch.app.links import (
    RULES,
    SIGNALS,
    TICKS,
    Inlet,
    Outlet,
    RulesInlet,
    SignalInlet,
    TapeInlet,
    TickInlet,
)
from pricewatch.bus.codec import pack_ticks
from pricewatch.bus.memory import MemoryBus
from pricewatch.bus.settings import BusSettings
from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Quote, Tick, Trade
from pricewatch.domain.signal import FeedEntry
from pricewatch.ports.bus import Batch, Subscription
from pricewatch.ports.ticks import Mark
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.deliveries import some_signal
from pricewatch.testing.ticks import MemoryTicks


def trade(key: int, market: int = 1) -> Trade:
    return Trade(market, key * 1_000, 100.0, 1.0, 0, key, key)


QUOTE = Quote(1, 5, 99.0, 1.0, 101.0, 1.0, 5)


class Engine:
    """A `TickSink` that stores at once what it is offered, as evaluation does."""

    def __init__(self, ticks: MemoryTicks) -> None:
        self.ticks = ticks
        self.got: list[object] = []
        self.woken = 0

    def offer(self, tick: Tick) -> None:
        self.got.append(tick)
        if isinstance(tick, Trade):
            self.ticks.trade(tick, len(self.got))

    def blind(self, market: int) -> None:
        self.got.append(("blind", market))

    def sighted(self, market: int) -> None:
        self.got.append(("sighted", market))

    def rules_changed(self) -> None:
        self.woken += 1


class Shaky(MemoryBus):
    """Goes away when told; what it has taken it keeps."""

    def __init__(self) -> None:
        super().__init__(BusSettings())
        self.away = False

    def _check(self) -> None:
        if self.away:
            raise Unavailable("the bus is away")

    async def flush(self) -> None:
        self._check()
        await super().flush()

    async def subscribe(self, topic: str, group: str, consumer: str) -> Subscription:
        self._check()
        return _Shaken(self, await super().subscribe(topic, group, consumer))


class _Shaken:
    def __init__(self, bus: Shaky, inner: Subscription) -> None:
        self._bus = bus
        self._inner = inner

    async def next(self, timeout: float) -> Batch | None:  # noqa: ASYNC109 - the port's
        self._bus._check()
        batch = await self._inner.next(min(timeout, 0.02))
        self._bus._check()
        return batch

    async def ack(self, batch: Batch) -> None:
        self._bus._check()
        await self._inner.ack(batch)

    async def close(self) -> None:
        await self._inner.close()


@asynccontextmanager
async def working(*works: Any) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        await asyncio.sleep(0)
        yield
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def ticks() -> MemoryTicks:
    return MemoryTicks()


@pytest.fixture
def engine(ticks: MemoryTicks) -> Engine:
    return Engine(ticks)


@pytest.fixture
def bus() -> Shaky:
    return Shaky()


def inlet(engine: Engine, marks: dict[int, Mark] | None = None) -> TickInlet:
    return TickInlet(engine, engine.ticks, marks or {}, [1, 2])


async def test_ticks_and_sights_arrive_in_order(bus: Shaky, engine: Engine) -> None:
    outlet = Outlet(bus, 0.001)
    async with working(inlet(engine).run(bus, TICKS, "engine", "a"), outlet.run()):
        await asyncio.sleep(0.01)
        outlet.offer(trade(1))
        outlet.blind(1)
        outlet.offer(trade(2))
        outlet.quote(QUOTE, 0)
        outlet.sighted(1)
        outlet.blind(99)
        outlet.trade(trade(3), 0)
        await until(lambda: len(engine.got) == 6)
        await until(lambda: len(engine.ticks.stored) == 3)
    assert engine.got == [trade(1), ("blind", 1), trade(2), QUOTE, ("sighted", 1), trade(3)]


async def test_a_batch_is_acknowledged_only_once_its_rows_are_durable(bus: Shaky, engine: Engine) -> None:
    engine.ticks.away = True
    subscription = await bus.subscribe(TICKS, "engine", "a")
    await subscription.close()
    for key in range(1, 4):
        bus.publish(TICKS, pack_ticks([trade(key)]))
        await bus.flush()
    async with working(inlet(engine).run(bus, TICKS, "engine", "a")):
        await until(lambda: len(engine.got) == 3)  # a table that is away does not stop evaluation
        await asyncio.sleep(0.05)
    killed = Engine(MemoryTicks())
    async with working(inlet(killed).run(bus, TICKS, "engine", "a")):
        await until(lambda: killed.got == [trade(1), trade(2), trade(3)])
        await until(lambda: len(killed.ticks.stored) == 3)
        await asyncio.sleep(0.05)
    after = Engine(MemoryTicks())
    async with working(inlet(after).run(bus, TICKS, "engine", "a")):
        await asyncio.sleep(0.05)
    assert not after.got


async def test_while_the_table_is_away_nothing_is_offered_twice(bus: Shaky, engine: Engine) -> None:
    engine.ticks.away = True
    outlet = Outlet(bus, 0.001)
    reader = inlet(engine)
    async with working(reader.run(bus, TICKS, "engine", "a"), outlet.run()):
        await asyncio.sleep(0.01)
        for key in range(1, 6):
            outlet.offer(trade(key))
            await asyncio.sleep(0.01)
        bus.away = True
        await asyncio.sleep(0.05)
        outlet.offer(trade(6))
        await asyncio.sleep(0.05)
        bus.away = False
        await until(lambda: len(engine.got) == 6)
        engine.ticks.away = False
        await until(lambda: len(engine.ticks.stored) == 6)
        await until(lambda: not reader._unacknowledged)
    assert engine.got == [trade(key) for key in range(1, 7)]


async def test_what_is_stored_already_is_left_out_after_a_start(engine: Engine) -> None:
    reader = inlet(engine, {1: Mark(1, 10, 0, missing=((4, 5),))})
    reader.take(Batch(TICKS, "1", [pack_ticks([trade(key) for key in (3, 4, 5, 6, 11, 7)]), pack_ticks([trade(1, 2)])]))
    assert engine.got == [trade(4), trade(5), trade(11), trade(7), trade(1, 2)]
    assert reader.repeated == 2


async def test_a_message_sent_twice_is_taken_once(engine: Engine) -> None:
    reader = inlet(engine)
    message = pack_ticks([trade(1)])
    reader.take(Batch(TICKS, "1", [message]))
    reader.take(Batch(TICKS, "2", [message]))
    assert engine.got == [trade(1)]
    for number in range(300):
        reader.take(Batch(TICKS, f"3-{number}", [pack_ticks([trade(2 + number)])]))
    assert len(reader._recent) <= 256


async def test_unknown_markets_and_rubbish_are_dropped(engine: Engine) -> None:
    reader = inlet(engine)
    reader.take(Batch(TICKS, "1", [b"\xff", pack_ticks([trade(1, 77), trade(1, 78), trade(1)])]))
    assert engine.got == [trade(1)]
    assert reader.unknown == 2


async def test_a_stop_while_the_bus_is_away_is_a_clean_stop(bus: Shaky) -> None:
    outlet = Outlet(bus, 0.001)
    async with working(outlet.run()):
        bus.away = True
        outlet.offer(trade(1))
        await asyncio.sleep(0.02)


async def test_the_outlet_sends_what_waited_when_the_bus_is_back(bus: Shaky, engine: Engine) -> None:
    outlet = Outlet(bus, 0.001)
    async with working(inlet(engine).run(bus, TICKS, "engine", "a"), outlet.run()):
        await asyncio.sleep(0.01)
        bus.away = True
        outlet.offer(trade(1))
        await asyncio.sleep(0.02)
        bus.away = False
        await until(lambda: engine.got == [trade(1)])


async def test_signals_rules_and_prices_reach_their_readers(bus: Shaky) -> None:
    told: list[FeedEntry] = []
    shown: list[object] = []

    class Reader(Engine):
        def committed(self, entries: Any) -> None:
            told.extend(entries)

        def trade(self, trade: Trade, seen: int) -> None:
            shown.append((trade, seen))

        def quote(self, quote: Quote, seen: int) -> None:
            shown.append((quote, seen))

    reader = Reader(MemoryTicks())
    clock = ManualClock()
    outlet = Outlet(bus, 0.001)
    signal = some_signal()
    entry = FeedEntry(feed=signal.account_id, epoch=1, seq=1, signal=signal, committed=5)
    async with working(
        Inlet(bus, TICKS, "g", "a", TapeInlet(reader, clock).take).run(),
        Inlet(bus, SIGNALS, "g", "a", SignalInlet(reader).take).run(),
        Inlet(bus, RULES, "g", "a", RulesInlet(reader).take).run(),
        outlet.run(),
    ):
        await asyncio.sleep(0.01)
        bus.away = True
        await asyncio.sleep(0.03)
        bus.away = False
        await asyncio.sleep(0.3)
        bus.publish(TICKS, b"\xff")
        bus.publish(SIGNALS, b"\xff")
        outlet.offer(trade(1))
        outlet.blind(1)
        outlet.offer(QUOTE)
        outlet.committed([entry])
        outlet.rules_changed()
        await until(lambda: told and reader.woken and len(shown) == 2)
    assert told == [entry]
    assert shown == [(trade(1), clock.now()), (QUOTE, clock.now())]


def test_a_fan_out_calls_each_in_order() -> None:
    calls: list[object] = []

    class One:
        def __init__(self, name: str) -> None:
            self.name = name

        def trade(self, trade: Trade, seen: int) -> None:
            calls.append((self.name, "trade", seen))

        def quote(self, quote: Quote, seen: int) -> None:
            calls.append((self.name, "quote", seen))

        def committed(self, entries: Any) -> None:
            calls.append((self.name, "signals", len(entries)))

    tapes, signals = Tapes(One("a")), Signals(One("a"))
    tapes.add(One("b"))
    signals.add(One("b"))
    tapes.trade(trade(1), 1)
    tapes.quote(QUOTE, 2)
    signals.committed([])
    assert calls == [(name, what, n) for what, n in (("trade", 1), ("quote", 2), ("signals", 0)) for name in "ab"]
