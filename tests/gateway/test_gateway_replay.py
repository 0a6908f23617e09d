"""Filters and replay by time on the feed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.gateway.gateway_world import BTC, ETH, Client, World

from pricewatch.domain.time import SECOND, rfc3339

Connect = Callable[[World, str], Awaitable[Client]]


async def test_filters_leave_no_false_hole(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    client = await connect(world, key)
    first = (await world.emit(account))[0]
    await client.subscribe("signals", "*", rules=[str(first.signal.rule_id)], kinds=["above"])
    await world.emit(account, 3)
    again = await connect(world, key)
    await again.subscribe("signals", "*", severities=["warning", "critical"])
    await client.say("subscribe", channel="signals", symbols=["ETH-USD"], kinds=["above"])
    assert (await client.until("error"))["code"] == "already_subscribed"
    await client.subscribe("signals", "ETH-USD")
    await world.emit(account)
    frame = await again.until("signal")
    assert (frame["prev"], frame["seq"]) == (4, 5)
    assert not [one for one in client.seen if one["type"] == "signal"]


async def test_words_no_signal_has_are_refused_with_a_hint(world: World, connect: Connect) -> None:
    _, key = await world.account("ann")
    client = await connect(world, key)
    for params, word in (
        ({"kinds": ["abvoe"]}, "did you mean above?"),
        ({"severities": ["loud"]}, "info, warning, critical"),
        ({"rules": ["x"]}, "rules"),
    ):
        await client.say("subscribe", channel="signals", symbols=["*"], **params)
        error = await client.until("error")
        assert error["code"] == "invalid"
        assert word in error["reason"]
    await client.say("subscribe", channel="ticker", symbols=["*"], kinds=["above"])
    assert "kinds" in (await client.until("error"))["reason"]


async def history(world: World, account: Any, count: int) -> list[int]:
    """One signal a second; the times of their commits."""
    times = []
    for number in range(count):
        times.append(world.clock.now())
        await world.emit(account, 1, ETH if number % 2 else BTC)
        world.clock.advance(1)
    return times


async def test_a_stretch_of_time_is_replayed_and_ends(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    times = await history(world, account, 10)
    client = await connect(world, key)
    span = {"from": rfc3339(times[3]), "to": rfc3339(times[8])}
    snapshot = await client.subscribe("signals", "ETH-USD", **span)
    assert (snapshot["resumed"], snapshot["seq"], snapshot["data"]) == (True, 3, [])
    done = await client.until("replay_done")
    frames = [one for one in client.seen if one["type"] == "signal"]
    assert [(one["prev"], one["seq"], one["replay"]) for one in frames] == [(3, 4, True), (4, 6, True), (6, 8, True)]
    assert done["seq"] == 8
    assert not frames[0]["data"]["replay"]
    # the subscription is over: another may begin
    snapshot = await client.subscribe("signals", "*", **{"from": rfc3339(times[9]), "to": rfc3339(times[9] + SECOND)})
    assert (await client.until("replay_done"))["seq"] == 10


async def test_an_empty_stretch_ends_at_once(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    times = await history(world, account, 2)
    client = await connect(world, key)
    await client.subscribe("signals", "*", **{"from": rfc3339(times[0] + 1), "to": rfc3339(times[0] + 2)})
    assert (await client.until("replay_done"))["seq"] == 1


async def test_without_an_end_it_goes_on_live(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    times = await history(world, account, 4)
    client = await connect(world, key)
    await client.subscribe("signals", "*", **{"from": rfc3339(times[2])})
    await client.until("caught_up")
    await world.emit(account)
    await client.until("signal", seq=5)
    frames = [one for one in client.seen if one["type"] == "signal"]
    assert [(one["seq"], one.get("replay", False)) for one in frames] == [(3, True), (4, True), (5, False)]


async def test_before_all_there_is_begins_with_the_first(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    times = await history(world, account, 2)
    client = await connect(world, key)
    snapshot = await client.subscribe("signals", "*", **{"from": rfc3339(times[0] - 99 * SECOND)})
    assert (snapshot["resumed"], snapshot["seq"]) == (True, 0)


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "2023-01-01T00:00:00"}, "zone"),
        ({"from": "2099-01-01T00:00:00Z"}, "future"),
        ({"from": "2023-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}, "to: lies in the future"),
        ({"from": "2023-01-02T00:00:00Z", "to": "2023-01-01T00:00:00Z"}, "not after"),
        ({"to": "2023-01-01T00:00:00Z"}, "needs `from`"),
        ({"from": "2023-01-01T00:00:00Z", "after": {"epoch": 1, "seq": 1}}, "leave one out"),
    ],
)
async def test_odd_times_are_refused(world: World, connect: Connect, params: dict[str, Any], word: str) -> None:
    _, key = await world.account("ann")
    client = await connect(world, key)
    await client.say("subscribe", channel="signals", symbols=["*"], **params)
    error = await client.until("error")
    assert error["code"] == "invalid"
    assert word in error["reason"]


async def test_what_expired_while_a_client_read_is_said(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    entries = await world.emit(account, 1_500)
    client = await connect(world, key)
    feed = world.store.journal._feeds[account.id]
    await client.say("subscribe", channel="signals", symbols=["*"], after={"epoch": entries[0].epoch, "seq": 0})
    await client.until("signal", seq=1)
    del feed[:1_200]
    again = await client.until("snapshot")
    assert (again["resumed"], again["reason"]) == (False, "expired")
    assert (await client.until("signal"))["seq"] == again["seq"] + 1 >= 1_201
