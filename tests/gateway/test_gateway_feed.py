from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from tests.gateway.gateway_world import BTC, ETH, KRAKEN, QUICK, Client, World, deaf, until

from pricewatch.domain.account import Role
from pricewatch.gateway.feed.codes import Close

SIGNALS = '{"method":"subscribe","params":{"channel":"signals","symbols":["*"]}}'
Connect = Callable[[World, str], Awaitable[Client]]


async def test_welcome_names_the_head(world: World, http: aiohttp.ClientSession) -> None:
    account, key = await world.account("ann")
    await world.emit(account, 3)
    async with http.ws_connect(f"{world.base}/ws/v1", headers={"X-API-Key": key}) as socket:
        welcome = await socket.receive_json()
    assert welcome["type"] == "welcome"
    assert welcome["protocol"] == 1
    assert welcome["account"] == str(account.id)
    assert welcome["head"]["seq"] == 3
    assert welcome["limits"]["frame_bytes"] == 65_536


async def test_welcome_comes_without_the_log(world: World, http: aiohttp.ClientSession) -> None:
    account, key = await world.account("ann")
    world.store.journal.down = True
    async with http.ws_connect(f"{world.base}/ws/v1", headers={"X-API-Key": key}) as socket:
        client = Client(socket)
        assert (await client.next())["head"] is None
        await client.say("subscribe", channel="signals", symbols=["*"])
        await client.until("subscribed")
        beat = await client.until("heartbeat")
        assert not beat["live"]
        world.store.journal.down = False
        assert (await client.until("snapshot"))["seq"] == 0
        await world.emit(account)
        assert (await client.until("signal"))["seq"] == 1


async def test_ticker_begins_with_a_snapshot_and_conflates(world: World, connect: Connect) -> None:
    _, key = await world.account("ann")
    world.trade(70_000.1)
    client = await connect(world, key)
    snapshot = await client.subscribe("ticker", "btc-usd")
    assert [one["market"] for one in snapshot["data"]] == ["coinbase:BTC-USD"]
    assert snapshot["data"][0]["price"] == "70000.1"
    for price in range(100):
        world.trade(70_000 + price)
    world.trade(1.5, ETH)
    world.trade(70_500.5, KRAKEN)
    frame = await client.until("ticker")
    while len(frame["data"]) < 2:
        frame = await client.until("ticker")
    assert {one["market"]: one["price"] for one in frame["data"]} == {
        "coinbase:BTC-USD": "70099",
        "kraken:BTC-USD": "70500.5",
    }


async def test_suspects_and_old_refills_are_not_the_price(world: World, connect: Connect) -> None:
    _, key = await world.account("ann")
    first = world.trade(70_000)
    world.trade(1, flags=1)
    world.trade(2, flags=2, at=first.at - 1_000_000)
    snapshot = await (await connect(world, key)).subscribe("ticker", "coinbase:BTC-USD")
    assert snapshot["data"][0]["price"] == "70000"


async def test_signals_come_at_once_and_chain(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    await world.emit(account, 2)
    client = await connect(world, key)
    snapshot = await client.subscribe("signals", "*")
    assert snapshot["snapshot"] is True
    assert [one["seq"] for one in snapshot["data"]] == [1, 2]
    assert snapshot["seq"] == 2
    entries = await world.emit(account, 3)
    frames = await client.many("signal", 3)
    assert [frame["seq"] for frame in frames] == [3, 4, 5]
    assert [frame["prev"] for frame in frames] == [2, 3, 4]
    assert frames[0]["data"]["id"] == str(entries[0].signal.id)
    assert frames[0]["data"]["price"] == "70012.4"


async def test_filtered_signals_name_the_previous_match(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    client = await connect(world, key)
    await client.subscribe("signals", "ETH-USD")
    for market in (ETH, BTC, BTC, ETH):
        await world.emit(account, 1, market)
    frames = await client.many("signal", 2)
    assert [(frame["prev"], frame["seq"]) for frame in frames] == [(0, 1), (1, 4)]


async def test_resume_gives_every_missed_signal_once(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    client = await connect(world, key)
    await client.subscribe("signals", "*")
    await world.emit(account, 2)
    last = (await client.many("signal", 2))[-1]
    await client.socket.close()
    await world.emit(account, 1_201)
    again = await connect(world, key)
    await again.say("subscribe", channel="signals", symbols=["*"], after={"epoch": last["epoch"], "seq": last["seq"]})
    async with asyncio.TaskGroup() as group:
        group.create_task(_trickle(world, account, 20))
        frames = await again.many("signal", 1_221)
    assert [frame["seq"] for frame in frames] == list(range(3, 1_224))
    assert [frame["prev"] for frame in frames] == list(range(2, 1_223))
    snapshot = next(one for one in again.seen if one["type"] == "snapshot")
    assert (snapshot["resumed"], snapshot["data"], snapshot["seq"]) == (True, [], 2)


async def _trickle(world: World, account: object, count: int) -> None:
    for _ in range(count):
        await world.emit(account)  # type: ignore[arg-type]
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(("epoch", "seq", "reason"), [(1, 1, "epoch"), (0, 99, "future")])
async def test_a_wrong_place_is_said_to_be_wrong(
    world: World, connect: Connect, epoch: int, seq: int, reason: str
) -> None:
    account, key = await world.account("ann")
    entry = (await world.emit(account, 3))[0]
    client = await connect(world, key)
    snapshot = await client.subscribe("signals", "*", after={"epoch": epoch or entry.epoch, "seq": seq})
    assert snapshot["resumed"] is False
    assert snapshot["reason"] == reason
    assert snapshot["oldest"] == {"epoch": entry.epoch, "seq": 1}
    assert snapshot["newest"] == {"epoch": entry.epoch, "seq": 3}
    await world.emit(account)
    assert (await client.until("signal"))["seq"] == 4


async def test_a_lost_notification_is_read_from_the_log(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    client = await connect(world, key)
    await client.subscribe("signals", "*")
    await world.emit(account, 2, tell=False)
    twice = await world.emit(account, 1)
    world.gateway.committed(twice)
    frames = await client.many("signal", 3)
    assert [frame["seq"] for frame in frames] == [1, 2, 3]
    await world.emit(account)
    assert (await client.until("signal"))["seq"] == 4


async def test_accounts_do_not_see_each_other(world: World, connect: Connect) -> None:
    ann, ann_key = await world.account("ann")
    bob, bob_key = await world.account("bob", Role.ADMIN)
    first, second = await connect(world, ann_key), await connect(world, bob_key)
    for client in (first, second):
        await client.subscribe("signals", "*")
    mine = (await world.emit(ann))[0]
    his = (await world.emit(bob))[0]
    assert (await first.until("signal"))["data"]["id"] == str(mine.signal.id)
    assert (await second.until("signal"))["data"]["id"] == str(his.signal.id)


async def test_heartbeats_carry_seq_and_feed_age(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    world.trade(70_000)
    client = await connect(world, key)
    await client.subscribe("ticker", "coinbase:BTC-USD", "kraken:BTC-USD")
    await client.subscribe("signals", "*")
    await world.emit(account, 1)
    world.clock.advance(61)
    while True:
        beat = await client.until("heartbeat")
        if beat["seq"] == 1 and beat["feeds"]["coinbase:BTC-USD"]["age"] == 61:
            break
    assert beat["live"]
    assert beat["feeds"]["coinbase:BTC-USD"]["state"] == "blind"
    assert beat["feeds"]["kraken:BTC-USD"] == {"age": None, "state": "waiting"}


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", "bad_json"),
        ("[" * 20_000, "invalid"),
        ('{"method": 5}', "invalid"),
        ('{"method": "subscribe", "extra": 1}', "invalid"),
        ('{"method": "dance"}', "unknown_method"),
        ('{"method": "subscribe", "params": {"channel": "gossip"}}', "unknown_channel"),
        ('{"method": "subscribe", "params": {"channel": "ticker", "symbols": []}}', "invalid"),
        ('{"method": "ping", "req_id": "' + "x" * 70_000 + '"}', "too_large"),
        (b"\x00\x01", "not_text"),
    ],
)
async def test_bad_frames_get_an_error(world: World, connect: Connect, frame: str | bytes, code: str) -> None:
    _, key = await world.account("ann")
    client = await connect(world, key)
    if isinstance(frame, bytes):
        await client.socket.send_bytes(frame)
    else:
        await client.socket.send_str(frame)
    error = await client.until("error")
    assert (error["code"], error["ok"]) == (code, False)
    await client.say("ping")
    assert (await client.until("pong"))["req_id"] == 1


async def test_unknown_symbols_are_answered_one_by_one(world: World, connect: Connect) -> None:
    _, key = await world.account("ann")
    client = await connect(world, key)
    await client.say("subscribe", channel="ticker", symbols=["BTC-USD", "BTC-UDS"])
    assert (await client.until("subscribed"))["symbol"] == "BTC-USD"
    error = await client.until("error")
    assert error["code"] == "unknown_symbol"
    assert error["did_you_mean"][0] == "BTC-USD"


async def test_a_flood_is_closed_for_abuse(world: World, connect: Connect) -> None:
    _, key = await world.account("ann")
    client = await connect(world, key)
    for _ in range(200):
        await client.say("ping")
    assert await client.close_code() == Close.ABUSE


async def test_a_far_too_big_frame_ends_the_connection(world: World, connect: Connect) -> None:
    _, key = await world.account("ann")
    client = await connect(world, key)
    await client.socket.send_str("x" * 2_000_000)
    assert await client.close_code() in {Close.MESSAGE_TOO_BIG, 1006}


async def test_a_revoked_key_closes_its_sockets(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    client = await connect(world, key)
    stored = (await world.store.accounts.keys(account.id))[0]
    await world.store.accounts.revoke_key(account.id, stored.id, world.clock.now())
    assert await client.close_code() == Close.KEY_REVOKED


async def test_a_stop_says_when_to_come_back(http: aiohttp.ClientSession) -> None:
    world = World()
    account, key = await world.account("ann")
    async with asyncio.TaskGroup() as group, world.running():
        socket = await http.ws_connect(f"{world.base}/ws/v1", headers={"X-API-Key": key})
        client = Client(socket)
        await client.next()
        await client.subscribe("signals", "*")
        await world.emit(account)
        leaving = group.create_task(_until_the_end(client))
        await asyncio.sleep(0)
    frames, code = leaving.result()
    assert [one["type"] for one in frames if one["type"] != "heartbeat"] == ["signal", "going_away"]
    assert 0 <= frames[-1]["reconnect_after"] <= 0.1
    assert code == Close.GOING_AWAY


async def _until_the_end(client: Client) -> tuple[list[dict[str, Any]], int | None]:
    frames = [message.json() async for message in client.socket]
    return frames, client.socket.close_code


async def test_a_slow_client_is_closed_and_others_do_not_notice(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    slow = await deaf(world, key, SIGNALS)
    await until(lambda: any(one.session.signals for one in world.gateway._hub.links))
    healthy = await connect(world, key)
    await healthy.subscribe("signals", "*")
    for seq in range(1, 3_001):
        await world.emit(account)
        assert (await healthy.until("signal"))["seq"] == seq
    await until(lambda: world.gateway.status()["closed"].get("too_slow"))
    assert world.gateway.status()["sessions"] == 1
    slow.close()


async def test_prices_never_queue_for_a_slow_client(world: World, connect: Connect) -> None:
    _, key = await world.account("ann")
    slow = await deaf(world, key, SIGNALS.replace("signals", "ticker"))
    await until(lambda: any(one.session.tickers for one in world.gateway._hub.links))
    healthy = await connect(world, key)
    await healthy.subscribe("ticker", "*")
    for price in range(400):
        world.trade(1_000 + price)
        await healthy.until("ticker")
    link = next(one for one in world.gateway._hub.links if one.session.tickers and one.outlet.sent < 300)
    assert len(link.outlet._queue) <= 1
    slow.close()


async def test_a_burst_beyond_the_bound_closes_nobody_who_reads(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    clients = [await connect(world, key) for _ in range(3)]
    for client in clients:
        await client.subscribe("signals", "*")
    await world.emit(account, 1_000)
    for client in clients:
        assert [frame["seq"] for frame in await client.many("signal", 1_000)] == list(range(1, 1_001))


async def test_a_hundred_clients_get_every_signal(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    clients = [await connect(world, key) for _ in range(100)]
    for client in clients:
        await client.subscribe("signals", "*")
    for _ in range(20):
        await world.emit(account)
    for client in clients:
        assert [frame["seq"] for frame in await client.many("signal", 20)] == list(range(1, 21))
    latency = world.gateway.status()["signal_latency_seconds"]
    assert latency["count"] == latency["recent"]["count"] == 20
    assert latency["p99"] is not None
    assert latency["recent"]["worst"] >= latency["recent"]["p50"]


async def test_too_many_sessions_are_refused_with_a_code(http: aiohttp.ClientSession) -> None:
    async with World(QUICK.model_copy(update={"max_account_sessions": 1})).running() as world:
        _, key = await world.account("ann")
        headers = {"X-API-Key": key}
        async with http.ws_connect(f"{world.base}/ws/v1", headers=headers) as first:
            await first.receive_json()
            async with http.ws_connect(f"{world.base}/ws/v1", headers=headers) as second:
                assert await Client(second).close_code() == Close.TOO_MANY_SESSIONS


async def test_status_channel_and_unsubscribe(world: World, connect: Connect) -> None:
    _, key = await world.account("ann")
    client = await connect(world, key)
    await client.say("subscribe", channel="status")
    assert (await client.until("status"))["ok"] is True
    world.engine.problem = "the spool is full"
    changed = await client.until("status", ok=False)
    assert changed["parts"] == {"evaluation": "the spool is full", "gateway": None}
    await client.subscribe("ticker", "*")
    await client.say("unsubscribe", channel="ticker")
    assert (await client.until("unsubscribed"))["symbol"] == "*"
    await client.say("unsubscribe", channel="ticker", symbols=["BTC-USD"])
    assert (await client.until("error"))["code"] == "not_subscribed"
