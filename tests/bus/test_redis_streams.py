from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr, ValidationError
from redis.asyncio import Redis

from pricewatch.bus.redis_streams import RedisBus
from pricewatch.bus.settings import BusSettings
from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.testing.bus import RedisServer

pytestmark = pytest.mark.redis


@pytest.fixture
async def bus(redis_server: RedisServer) -> AsyncIterator[RedisBus]:
    bus = RedisBus(BusSettings(url=SecretStr(redis_server.url), block=0.1, socket_timeout=1.0, connect_timeout=1.0))
    yield bus
    await bus.close()


async def test_a_restart_in_between_loses_no_unsent_message(bus: RedisBus, redis_server: RedisServer) -> None:
    subscription = await bus.subscribe("ticks", "engine", "a")
    redis_server.kill()
    bus.publish("ticks", b"x")
    with pytest.raises(Unavailable):
        await bus.flush()
    bus.publish("ticks", b"y")
    with pytest.raises(Unavailable):
        await bus.flush()
    with pytest.raises(Unavailable):
        await subscription.next(1.0)
    assert bus.trouble() is not None
    assert bus.status()["unsent"] == 2
    redis_server.start()
    await bus.flush()
    batch = await subscription.next(5.0)
    assert batch is not None
    assert batch.messages == [b"x", b"y"]
    await subscription.ack(batch)
    assert bus.trouble() is None
    assert bus.status()["dropped"] == 0


async def test_what_a_durable_redis_kept_is_still_owed_after_its_restart(
    bus: RedisBus, redis_server: RedisServer
) -> None:
    redis_server.kill()
    redis_server.start(durable=True)
    subscription = await bus.subscribe("ticks", "engine", "a")
    for message in (b"x", b"y"):
        bus.publish("ticks", message)
        await bus.flush()
    batch = await subscription.next(5.0)
    assert batch is not None
    redis_server.kill()
    with pytest.raises(Unavailable):
        await subscription.ack(batch)
    redis_server.start(durable=True)
    await subscription.ack(batch)
    second = await subscription.next(5.0)
    assert second is not None
    assert second.messages == [b"y"]


async def test_a_quiet_stream_waits_without_false_alarm(bus: RedisBus) -> None:
    subscription = await bus.subscribe("ticks", "engine", "a")
    assert await subscription.next(0.5) is None
    assert bus.trouble() is None


async def test_a_foreign_or_broken_entry_is_passed_over(bus: RedisBus, redis_server: RedisServer) -> None:
    subscription = await bus.subscribe("ticks", "engine", "a")
    async with Redis.from_url(redis_server.url) as other:
        await other.xadd("pricewatch:ticks", {"what": "ever"})
        await other.xadd("pricewatch:ticks", {"m": b"\xc1\xff"})
    bus.publish("ticks", b"x")
    await bus.flush()
    batch = await subscription.next(5.0)
    assert batch is not None
    assert batch.messages == [b"x"]
    async with Redis.from_url(redis_server.url) as other:
        assert (await other.xpending("pricewatch:ticks", "engine"))["pending"] == 1


async def test_open_work_that_was_trimmed_away_does_not_block(bus: RedisBus, redis_server: RedisServer) -> None:
    crashed = await bus.subscribe("ticks", "engine", "a")
    bus.publish("ticks", b"gone")
    await bus.flush()
    assert await crashed.next(5.0) is not None
    async with Redis.from_url(redis_server.url) as other:
        await other.xtrim("pricewatch:ticks", maxlen=0, approximate=False)
    bus.publish("ticks", b"there")
    await bus.flush()
    batch = await (await bus.subscribe("ticks", "engine", "a")).next(5.0)
    assert batch is not None
    assert batch.messages == [b"there"]


async def test_a_key_of_another_kind_is_refused(bus: RedisBus, redis_server: RedisServer) -> None:
    async with Redis.from_url(redis_server.url) as other:
        await other.set("pricewatch:ticks", "text")
    with pytest.raises(Refused, match="WRONGTYPE"):
        await bus.subscribe("ticks", "engine", "a")


async def test_a_close_without_redis_is_quiet(redis_server: RedisServer) -> None:
    bus = RedisBus(BusSettings(url=SecretStr(redis_server.url), connect_timeout=0.5))
    subscription = await bus.subscribe("ticks", "engine", "a")
    redis_server.kill()
    bus.publish("ticks", b"x")
    await subscription.close()
    await bus.close()
    assert {sample.name for sample in bus.samples()} == {"published", "entries", "dropped", "unsent"}


def test_answers_must_outlast_blocking_reads() -> None:
    with pytest.raises(ValidationError, match="must exceed block"):
        BusSettings(block=5.0, socket_timeout=5.0)


async def test_what_a_former_process_of_the_same_name_took_is_found_again(redis_server: RedisServer) -> None:
    settings = BusSettings(url=SecretStr(redis_server.url), block=0.05, claim_idle=0.2)
    present, former = RedisBus(settings), RedisBus(settings)
    subscription = await present.subscribe("ticks", "engine", "shard-0")
    assert await subscription.next(0.05) is None
    woken = await former.subscribe("ticks", "engine", "shard-0")
    former.publish("ticks", b"x")
    await former.flush()
    taken = await woken.next(5.0)
    found = await subscription.next(5.0)
    assert taken == found
    assert found is not None
    await subscription.ack(found)
    assert await subscription.next(0.5) is None
    await present.close()
    await former.close()
