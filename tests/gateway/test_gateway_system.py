"""What the service tells of itself, on a channel with a place to resume from, and by REST."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from tests.gateway.gateway_world import BTC, KRAKEN, Client, World

from pricewatch.domain.market import Market
from pricewatch.domain.watch import SYSTEM, Hole, Place, gap_opened, recovered, stale
from pricewatch.ports.ticks import UNKNOWN_KEYS, Closed, Gap

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


async def test_a_stale_market_is_shown_as_such_until_it_speaks(
    world: World, connect: Connect, http: aiohttp.ClientSession
) -> None:
    _, key = await world.account("ann")
    place = Place(BTC.id, BTC.venue, BTC.symbol)
    world.trade(70_000)
    client = await connect(world, key)
    await client.subscribe("ticker", "*")

    async def state(wanted: str) -> None:
        while (await client.until("heartbeat"))["feeds"]["coinbase:BTC-USD"]["state"] != wanted:
            pass

    await state("live")
    told = [stale(place, channel, last=1, due=9, limit=8, ever=True) for channel in ("trades", "quotes")]
    world.gateway.committed(await world.store.journal.append(told))
    await state("stale")
    heard = recovered(place, "trades", last=1, at=20, missing=0, filled=0)
    world.gateway.committed(await world.store.journal.append([heard]))
    async with http.get(f"{world.base}/api/v1/symbols", headers={"X-API-Key": key}) as answer:
        rows = {row["market"]: row["state"] for row in (await answer.json())["symbols"]}
    assert rows["coinbase:BTC-USD"] == "stale"
    again = recovered(place, "quotes", last=1, at=21, missing=0, filled=0)
    world.gateway.committed(await world.store.journal.append([again]))
    await state("live")


async def test_who_starts_later_knows_what_is_stale(http: aiohttp.ClientSession) -> None:
    world = World()
    place = Place(BTC.id, BTC.venue, BTC.symbol)
    await world.store.journal.append([stale(place, "trades", last=1, due=9, limit=8, ever=True)])
    _, key = await world.account("ann")
    async with world.running(), http.get(f"{world.base}/api/v1/symbols", headers={"X-API-Key": key}) as answer:
        rows = {row["market"]: row["state"] for row in (await answer.json())["symbols"]}
    assert rows["coinbase:BTC-USD"] == "stale"


async def test_the_ledger_of_holes(world: World, http: aiohttp.ClientSession) -> None:
    _, key = await world.account("ann")
    for number in range(4):
        hole = Gap(
            BTC.id if number % 2 else KRAKEN.id, 5, 9, 1_700_000_000_000_000, 1_700_000_001_000_000, "ids jumped"
        )
        await world.gaps.declare(hole, opened_seen=1_700_000_002_000_000 + number * 1_000_000)
    await world.gaps.declare(Gap(99, *UNKNOWN_KEYS, 1, 2, "closed"), opened_seen=1_700_000_009_000_000)
    await world.gaps.close(2, closed_seen=1_700_000_010_000_000, how=Closed.CANDLES)

    async def get(query: str) -> tuple[int, Any]:
        async with http.get(f"{world.base}/api/v1/gaps{query}", headers={"X-API-Key": key}) as answer:
            return answer.status, await answer.json()

    async def ids(query: str) -> list[int]:
        status, body = await get(query)
        assert status == 200
        return [one["id"] for one in body["gaps"]]

    assert await ids("") == [1, 2, 3, 4, 5]
    assert await ids("?symbol=btc-usd&limit=2") == [3, 4]
    assert await ids("?symbol=coinbase:BTC-USD&after=0") == [2, 4]
    assert await ids("?open=false") == [2]
    assert await ids("?open=true&before=4") == [1, 3]
    assert await ids("?since=2023-11-14T22:13:25Z") == [4, 5]
    _, body = await get("?open=false")
    assert body["gaps"] == [
        {
            "id": 2, "market": "coinbase:BTC-USD", "venue": "coinbase", "symbol": "BTC-USD", "state": "candles",
            "reason": "ids jumped", "first_key": "5", "last_key": "9", "missing": 5,
            "from": "2023-11-14T22:13:20.000000Z", "to": "2023-11-14T22:13:21.000000Z",
            "opened": "2023-11-14T22:13:23.000000Z", "closed": "2023-11-14T22:13:30.000000Z",
        }
    ]  # fmt: skip
    _, body = await get("?after=4")
    assert (body["gaps"][0]["missing"], body["gaps"][0]["first_key"], body["gaps"][0]["state"]) == (None, None, "open")
    for query, field in (
        ("?open=maybe", "open"),
        ("?symbol=BTC-USX", "symbol"),
        ("?after=x", "after"),
        ("?no=1", "no"),
    ):
        status, problem = await get(query)
        assert (status, problem["field"]) == (422, field)
