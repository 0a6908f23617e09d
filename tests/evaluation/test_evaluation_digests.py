"""A digest of what a paused rule kept back: once, also when the process is killed before, at or after it."""

from __future__ import annotations

import uuid

import pytest
from tests.evaluation.conftest import World, commit

from pricewatch.domain.account import Role
from pricewatch.domain.rule import Order
from pricewatch.domain.signal import Direction, Signal
from pricewatch.ports.outbox import Delivery

ONE = uuid.UUID(int=1)
PRICES = [90, 110, 90, 110, 90, 110, 90, 110, 90, 110, 90, 90, 90, 90, 90, 110, 90, 90, 90, 90, 90, 90, 90, 90]
"""A second apart: fired at 2, paused at 4; kept back at 6, 8, 10 and 16."""


async def told(world: World) -> list[Signal]:
    return [entry.signal for entry in world.feed() if entry.signal.direction is Direction.DIGEST]


async def live(*killed: int) -> tuple[list[Signal], list[Delivery]]:
    """The day's prices; after those trades, all of them committed but the last one, the process is killed."""
    world = World()
    await world.open()
    world.account = (await world.store.accounts.create("bob", "bob@example.org", Role.USER)).id
    await world.above(most_per_hour=1, digest="10s", channels=["email"])
    evaluation = await world.recovered()
    for number, price in enumerate(PRICES, 1):
        evaluation.offer(world.trade(price))
        if number in killed:
            world.ticks.spool()
            evaluation = await world.recovered()
        else:
            assert await commit(evaluation)
    return await told(world), await world.store.outbox.claim("email", limit=100, lease=1.0)


@pytest.mark.parametrize("killed", [(), (5,), (9, 10), (13,), (14,), (15,), tuple(range(3, 24))], ids=str)
async def test_it_is_told_once_an_interval_wherever_the_process_is_killed(killed: tuple[int, ...]) -> None:
    digests, owed = await live(*killed)
    assert [one.evidence["count"] for one in digests] == [3, 1]
    assert [one.id for one in digests] == [one.id for one in (await live())[0]]
    mails = [one.signal.direction.value for one in owed]
    assert mails == ["fired", "paused", "digest", "digest"]
    assert len({one.id for one in owed}) == 4


async def test_a_resume_while_down_tells_the_rest_at_its_place(world: World) -> None:
    await world.above(most_per_hour=1)
    evaluation = await world.recovered()
    for price in PRICES[:8]:
        evaluation.offer(world.trade(price))
    assert await commit(evaluation)
    await world.store.rules.command(world.account, ONE, Order.RESUME, until=0)
    for _ in range(2):  # the second start finds it told
        evaluation = await world.recovered()
        assert await commit(evaluation)
    (digest,) = await told(world)
    (taken,) = [one async for batch in world.store.rules.taken_commands() for one in batch]
    assert (digest.cause, digest.evidence["count"]) == (f"timer:{taken.effective_seen}", 2)


async def test_a_blind_market_is_still_blind_for_its_digest_after_a_restart(world: World) -> None:
    await world.above(most_per_hour=1, digest="10s")
    evaluation = await world.recovered()
    for price in PRICES[:6]:
        evaluation.offer(world.trade(price))
    evaluation.blind(1)
    world.clock.advance(30)
    evaluation.offer(world.trade(50, market=2))
    assert await commit(evaluation)
    assert await told(world) == []
    evaluation = await world.recovered()
    assert await told(world) == []
    evaluation.offer(world.trade(110))
    assert await commit(evaluation)
    assert [one.evidence["count"] for one in await told(world)] == [1]
