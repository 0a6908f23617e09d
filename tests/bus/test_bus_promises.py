from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from pydantic import SecretStr

from pricewatch.bus.memory import MemoryBus
from pricewatch.bus.redis_streams import RedisBus
from pricewatch.bus.settings import BusSettings
from pricewatch.ports.bus import Bus, Subscription
from pricewatch.testing.bus import RedisServer

PATIENCE = 5.0
SOON = 0.05


async def read(subscription: Subscription, *, ack: bool = True) -> list[bytes]:
    """Everything there is now."""
    messages: list[bytes] = []
    while (batch := await subscription.next(SOON)) is not None:
        messages += batch.messages
        if ack:
            await subscription.ack(batch)
    return messages


class BusPromises:
    """What every keeper of the port keeps."""

    async def test_what_is_flushed_together_arrives_together_and_in_order(self, bus: Bus) -> None:
        subscription = await bus.subscribe("ticks", "engine", "a")
        for number in range(3):
            bus.publish("ticks", b"%d" % number)
        await bus.flush()
        batch = await subscription.next(PATIENCE)
        assert batch is not None
        assert batch.topic == "ticks"
        assert batch.messages == [b"0", b"1", b"2"]

    async def test_nothing_is_sent_before_the_flush(self, bus: Bus) -> None:
        subscription = await bus.subscribe("ticks", "engine", "a")
        bus.publish("ticks", b"x")
        assert await subscription.next(SOON) is None

    async def test_silence_is_none(self, bus: Bus) -> None:
        subscription = await bus.subscribe("ticks", "engine", "a")
        assert await subscription.next(0.0) is None
        assert await subscription.next(SOON) is None

    async def test_order_over_many_flushes(self, bus: Bus) -> None:
        subscription = await bus.subscribe("ticks", "engine", "a")
        sent = [b"%03d" % number for number in range(200)]
        for message in sent:
            bus.publish("ticks", message)
            await bus.flush()
        assert await read(subscription) == sent

    async def test_a_new_group_starts_now(self, bus: Bus) -> None:
        await bus.subscribe("ticks", "engine", "a")
        bus.publish("ticks", b"before")
        await bus.flush()
        late = await bus.subscribe("ticks", "store", "a")
        bus.publish("ticks", b"after")
        await bus.flush()
        assert await read(late) == [b"after"]

    async def test_each_group_sees_everything(self, bus: Bus) -> None:
        groups = [await bus.subscribe("ticks", name, "a") for name in ("engine", "store")]
        bus.publish("ticks", b"x")
        await bus.flush()
        assert [await read(group) for group in groups] == [[b"x"], [b"x"]]

    async def test_topics_are_apart(self, bus: Bus) -> None:
        signals = await bus.subscribe("signals", "gateway", "a")
        ticks = await bus.subscribe("ticks", "gateway", "a")
        bus.publish("signals", b"s")
        bus.publish("ticks", b"t")
        await bus.flush()
        assert await read(signals) == [b"s"]
        assert await read(ticks) == [b"t"]

    async def test_two_consumers_of_a_group_share_the_work(self, bus: Bus) -> None:
        first = await bus.subscribe("ticks", "engine", "a")
        second = await bus.subscribe("ticks", "engine", "b")
        sent = [b"%02d" % number for number in range(20)]
        for message in sent:
            bus.publish("ticks", message)
            await bus.flush()
        seen: list[bytes] = []
        for reader in (first, second) * 10:
            batch = await reader.next(SOON)
            if batch is not None:
                seen += batch.messages
                await reader.ack(batch)
        seen += await read(first) + await read(second)
        assert sorted(seen) == sent

    async def test_acknowledged_never_comes_again(self, bus: Bus) -> None:
        first = await bus.subscribe("ticks", "engine", "a")
        bus.publish("ticks", b"x")
        await bus.flush()
        assert await read(first) == [b"x"]
        await first.close()
        assert await read(await bus.subscribe("ticks", "engine", "a")) == []

    async def test_one_consumer_does_not_see_its_own_open_work_twice(self, bus: Bus) -> None:
        subscription = await bus.subscribe("ticks", "engine", "a")
        for message in (b"x", b"y"):
            bus.publish("ticks", message)
            await bus.flush()
        assert await read(subscription, ack=False) == [b"x", b"y"]

    async def test_after_a_close_the_next_consumer_gets_what_was_open_first(self, bus: Bus) -> None:
        first = await bus.subscribe("ticks", "engine", "a")
        for message in (b"x", b"y"):
            bus.publish("ticks", message)
            await bus.flush()
        assert await first.next(PATIENCE) is not None
        await first.close()
        bus.publish("ticks", b"z")
        await bus.flush()
        assert await read(await bus.subscribe("ticks", "engine", "b")) == [b"x", b"y", b"z"]

    async def test_a_crashed_consumer_finds_its_open_work_under_its_name(self, bus: Bus) -> None:
        crashed = await bus.subscribe("ticks", "engine", "a")
        for message in (b"x", b"y"):
            bus.publish("ticks", message)
            await bus.flush()
        assert await crashed.next(PATIENCE) is not None
        assert await read(await bus.subscribe("ticks", "engine", "a")) == [b"x", b"y"]

    async def test_a_crashed_consumers_work_goes_to_another_after_a_while(self, impatient: Bus) -> None:
        crashed = await impatient.subscribe("ticks", "engine", "a")
        impatient.publish("ticks", b"x")
        await impatient.flush()
        assert await crashed.next(PATIENCE) is not None
        batch = await (await impatient.subscribe("ticks", "engine", "b")).next(PATIENCE)
        assert batch is not None
        assert batch.messages == [b"x"]

    async def test_the_backlog_is_bounded_and_keeps_the_newest(self, small: Bus) -> None:
        lagging = await small.subscribe("ticks", "engine", "a")
        for number in range(500):
            small.publish("ticks", b"%03d" % number)
            await small.flush()
        kept = await read(lagging)
        assert 10 <= len(kept) <= 250
        assert kept[-1] == b"499"
        assert all(int(after) - int(before) == 1 for before, after in pairwise(kept))

    async def test_the_open_batch_is_bounded_and_keeps_the_newest(self, small: Bus) -> None:
        subscription = await small.subscribe("ticks", "engine", "a")
        for number in range(40):
            small.publish("ticks", b"%02d" % number)
        await small.flush()
        assert await read(subscription) == [b"%02d" % number for number in range(20, 40)]

    async def test_large_flushes_are_cut_into_entries(self, small: Bus) -> None:
        subscription = await small.subscribe("ticks", "engine", "a")
        for number in range(20):
            small.publish("ticks", b"%02d" % number)
        await small.flush()
        batch = await subscription.next(PATIENCE)
        assert batch is not None
        assert len(batch.messages) == 8


def settings(url: str = "", **changes: Any) -> BusSettings:
    return BusSettings.model_validate({"url": SecretStr(url), **changes})


IMPATIENT: dict[str, Any] = {"claim_idle": 0.2, "block": 0.05}
SMALL: dict[str, Any] = {"backlog": 10, "open_limit": 20, "entry_limit": 8}


class TestMemoryBus(BusPromises):
    @pytest.fixture
    def bus(self) -> Bus:
        return MemoryBus(settings())

    @pytest.fixture
    def impatient(self) -> Bus:
        return MemoryBus(settings(**IMPATIENT))

    @pytest.fixture
    def small(self) -> Bus:
        return MemoryBus(settings(**SMALL))


@pytest.mark.redis
class TestRedisBus(BusPromises):
    @pytest.fixture
    async def bus(self, redis_server: RedisServer) -> AsyncIterator[Bus]:
        bus = RedisBus(settings(redis_server.url))
        yield bus
        await bus.close()

    @pytest.fixture
    async def impatient(self, redis_server: RedisServer) -> AsyncIterator[Bus]:
        bus = RedisBus(settings(redis_server.url, **IMPATIENT))
        yield bus
        await bus.close()

    @pytest.fixture
    async def small(self, redis_server: RedisServer) -> AsyncIterator[Bus]:
        bus = RedisBus(settings(redis_server.url, **SMALL))
        yield bus
        await bus.close()
