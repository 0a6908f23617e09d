"""What the service tells of itself, on a channel with a place to resume from, and by REST."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from tests.gateway.gateway_world import BTC, KRAKEN, Client, World

from pricewatch.domain.market import Market
from pricewatch.domain.watch import SYSTEM, Hole, Place, gap_opened

Connect = Callable[[World, str], Awaitable[Client]]


async def tell(world: World, *numbers: int, market: Market = BTC, live: bool = True) -> None:
    place = Place(market.id, market.venue, market.symbol)
    told = [gap_opened(place, Hole(number, 1, 2, 3, 4, "test"), seen=number) for number in numbers]
    entries = await world.store.journal.append(told)
    if live:
        world.gateway.committed(entries)


async def test_it_comes_live_to_every_account_that_asked(world: World, connect: Connect) -> None:
    _, first = await world.account("ann")
    bob, second = await world.account("bob")
    clients = [await connect(world, key) for key in (first, second)]
    for client in clients:
        snapshot = await client.subscribe("system", "*")
        assert (snapshot["channel"], snapshot["seq"], snapshot["data"]) == ("system", 0, [])
    await clients[1].subscribe("signals", "*")
    await tell(world, 1, 2)
    for client in clients:
        frames = await client.many("signal", 2)
        assert [(one["channel"], one["seq"], one["prev"]) for one in frames] == [("system", 1, 0), ("system", 2, 1)]
        assert [one["data"]["kind"] for one in frames] == ["feed.gap", "feed.gap"]
    await world.emit(bob)
    own = await clients[1].until("signal")
    assert (own["channel"], own["seq"]) == ("signals", 1)
    assert world.gateway.status()["signal_latency_seconds"]["count"] == 1


async def test_each_channel_is_resumed_from_its_own_place(world: World, connect: Connect) -> None:
    ann, key = await world.account("ann")
    await tell(world, 1, 2, 3, live=False)
    await world.emit(ann, 5)
    client = await connect(world, key)
    await client.subscribe("signals", "*")
    head = await world.store.journal.head(SYSTEM)
    snapshot = await client.subscribe("system", "*", after={"epoch": head.epoch, "seq": 1})
    assert (snapshot["resumed"], snapshot["newest"]["seq"]) == (True, 3)
    assert [one["seq"] for one in await client.many("signal", 2)] == [2, 3]
    assert (await client.until("caught_up"))["channel"] == "system"


async def test_a_filter_leaves_no_false_hole_and_an_end_ends_it(world: World, connect: Connect) -> None:
    _, key = await world.account("ann")
    client = await connect(world, key)
    await client.subscribe("system", "kraken:BTC-USD")
    await tell(world, 1)
    await tell(world, 2, market=KRAKEN)
    frame = await client.until("signal")
    assert (frame["seq"], frame["prev"], frame["data"]["market"]) == (2, 0, "kraken:BTC-USD")
    await client.say("unsubscribe", channel="system")
    assert (await client.until("unsubscribed"))["channel"] == "system"
    await client.say("unsubscribe", channel="system", symbols=["kraken:BTC-USD"])
    assert (await client.until("error"))["code"] == "not_subscribed"


async def test_rest_reads_the_same_feed(world: World, http: aiohttp.ClientSession) -> None:
    _, key = await world.account("ann")
    await tell(world, 1, 2, live=False)

    async def get(path: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key}"}
        async with http.get(f"{world.base}/api/v1{path}", headers=headers) as answer:
            return answer.status, await answer.json()

    status, found = await get("/signals?feed=system&after_seq=1")
    assert (status, found["seq"], [one["cause"] for one in found["signals"]]) == (200, 2, ["gap:2"])
    assert (await get("/signals"))[1]["signals"] == []
    status, one = await get(f"/signals/{found['signals'][0]['id']}")
    assert (status, one["seq"]) == (200, 2)
    status, problem = await get("/signals?feed=mine")
    assert (status, problem["field"]) == (422, "feed")
