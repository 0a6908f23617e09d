"""Named consumers over the socket and over REST."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from tests.gateway.gateway_world import ETH, QUICK, Client, World, until

from pricewatch.domain.account import Role, Scope

Connect = Callable[[World, str], Awaitable[Client]]


async def joined(client: Client, name: str = "bot", **params: Any) -> dict[str, Any]:
    symbols = params.pop("symbols", ["*"])
    await client.say("subscribe", channel="signals", symbols=symbols, consumer=name, **params)
    return await client.until("snapshot", consumer=name)


async def settled(client: Client, method: str, **params: Any) -> dict[str, Any]:
    await client.say(method, consumer="bot", **params)
    return await client.until("settled")


async def test_a_consumer_begins_now_and_keeps_its_place(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    await world.emit(account, 2)
    client = await connect(world, key)
    snapshot = await joined(client)
    assert (snapshot["resumed"], snapshot["seq"], snapshot["in_flight"]) == (None, 2, 0)
    assert (snapshot["ack_wait"], snapshot["max_in_flight"]) == (30, 64)
    await world.emit(account, 2)
    frames = await client.many("signal", 2)
    assert [(one["seq"], one["attempt"], one["prev"], one["consumer"]) for one in frames] == [
        (3, 1, None, "bot"),
        (4, 1, None, "bot"),
    ]
    assert {one["lease"] for one in frames} == {snapshot["lease"]}
    answer = await settled(client, "ack", seqs=[3, 4])
    assert (answer["ok"], answer["method"], answer["count"], answer["lost"]) == (True, "ack", 2, [])
    await client.socket.close()
    await world.emit(account, 1)
    again = await connect(world, key)
    assert (await joined(again))["resumed"] is True
    assert (await again.until("signal"))["seq"] == 5


async def test_what_is_not_acknowledged_comes_again(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    client = await connect(world, key)
    await joined(client, ack_wait=5)
    await world.emit(account)
    first = await client.until("signal")
    world.clock.advance(5)
    await world.emit(account)  # something happens: it looks at the clock again
    frames = await client.many("signal", 2)
    assert sorted((one["seq"], one["attempt"]) for one in frames) == [(1, 2), (2, 1)]
    assert {one["data"]["id"] for one in frames if one["seq"] == 1} == {first["data"]["id"]}


async def test_two_connections_share_the_work(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    one, two = await connect(world, key), await connect(world, key)
    for client in (one, two):
        await joined(client, max_in_flight=2)
    await world.emit(account, 4)
    seqs = [frame["seq"] for client in (one, two) for frame in await client.many("signal", 2)]
    assert sorted(seqs) == [1, 2, 3, 4]
    await world.emit(account, 2)
    await two.say("ack", consumer="bot", upto=4)
    assert [frame["seq"] for frame in await two.many("signal", 2)] == [5, 6]


async def test_max_in_flight_holds_back(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    client = await connect(world, key)
    await joined(client, max_in_flight=3)
    await world.emit(account, 5)
    await client.many("signal", 3)
    await client.say("ping")
    await client.until("pong")
    assert _seqs(client) == [1, 2, 3]
    for seq in (1, 2):
        await client.say("ack", consumer="bot", seqs=[seq])
    while len(_seqs(client)) < 5:
        await client.next()
    assert _seqs(client) == [1, 2, 3, 4, 5]


def _seqs(client: Client) -> list[int]:
    return [frame["seq"] for frame in client.seen if frame["type"] == "signal"]


async def test_given_back_signals_go_to_another(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    one, two = await connect(world, key), await connect(world, key)
    await joined(one, max_in_flight=1)
    await world.emit(account)
    await one.until("signal")
    await joined(two)
    await settled(one, "extend", seqs=[1], delay=100)
    await settled(one, "nack", seqs=[1], delay=0)
    redelivered = await asyncio.wait_for(_first(one, two), 20)
    assert (redelivered["seq"], redelivered["attempt"]) == (1, 2)


async def _first(*clients: Client) -> dict[str, Any]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.until("signal")) for client in clients]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
    return done.pop().result()


async def test_who_leaves_gives_back_at_once(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    one, two = await connect(world, key), await connect(world, key)
    await joined(one)
    await world.emit(account)
    await one.until("signal")
    await joined(two)
    await one.say("unsubscribe", channel="signals", consumer="bot")
    await one.until("unsubscribed")
    assert (await two.until("signal"))["attempt"] == 2
    await one.say("unsubscribe", channel="signals", consumer="bot")
    assert (await one.until("error"))["code"] == "unknown_consumer"


async def test_a_stranger_cannot_ack(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    one, two = await connect(world, key), await connect(world, key)
    await joined(one)
    await world.emit(account)
    await one.until("signal")
    await joined(two)
    answer = await settled(two, "ack", seqs=[1])
    assert (answer["ok"], answer["lost"], answer["code"]) == (False, [1], "lease_lost")
    lease = next(frame["lease"] for frame in one.seen if frame["type"] == "signal")
    assert (await settled(two, "ack", seqs=[1], lease=lease))["ok"] is True


async def test_a_last_ack_before_the_goodbye_counts(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    client = await connect(world, key)
    await joined(client)
    await world.emit(account, 3)
    await client.many("signal", 3)
    await client.say("ack", consumer="bot", upto=3)
    await client.socket.close()
    await until(lambda: world.gateway.status()["sessions"] == 0)
    assert (await world.store.consumers.listing(account.id))[0].in_flight == 0


async def test_acks_of_what_is_held_are_never_too_many(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    client = await connect(world, key)
    await joined(client)
    for seq in range(1, 301):
        await world.emit(account)
        await client.until("signal")
        await client.say("ack", consumer="bot", seqs=[seq])
    await client.say("ping")
    await client.until("pong")
    assert not [one for one in client.seen if one["type"] == "error"]


async def test_a_deleted_consumer_says_so(world: World, connect: Connect, http: aiohttp.ClientSession) -> None:
    account, key = await world.account("ann")
    headers = {"X-API-Key": key}
    client = await connect(world, key)
    await joined(client)
    await world.emit(account)
    await client.until("signal")
    async with http.get(f"{world.base}/api/v1/consumers", headers=headers) as answer:
        listed = (await answer.json())["consumers"]
    assert [(one["name"], one["in_flight"], one["acknowledged"], one["behind"]) for one in listed] == [("bot", 1, 0, 0)]
    async with http.post(
        f"{world.base}/api/v1/consumers/bot/reset", headers=headers, json={"start": "oldest"}
    ) as answer:
        assert (await answer.json())["behind"] == 1
    assert (await client.until("error"))["code"] == "consumer_ended"
    assert (await joined(client))["seq"] == 0
    assert (await client.until("signal"))["attempt"] == 1
    async with http.delete(f"{world.base}/api/v1/consumers/bot", headers=headers) as answer:
        assert answer.status == 204
    assert (await client.until("error"))["code"] == "consumer_ended"
    async with http.delete(f"{world.base}/api/v1/consumers/bot", headers=headers) as answer:
        assert answer.status == 404
    async with http.post(f"{world.base}/api/v1/consumers/bot/reset", headers=headers, json={"start": 5}) as answer:
        assert (answer.status, (await answer.json())["field"]) == (422, "start")


async def test_consumers_are_their_accounts_own(world: World, connect: Connect, http: aiohttp.ClientSession) -> None:
    ann, ann_key = await world.account("ann")
    _, bob_key = await world.account("bob", Role.ADMIN)
    first, second = await connect(world, ann_key), await connect(world, bob_key)
    await joined(first)
    assert (await joined(second))["resumed"] is None
    await world.emit(ann)
    await first.until("signal")
    assert (await settled(second, "ack", seqs=[1]))["lost"] == [1]
    async with http.delete(f"{world.base}/api/v1/consumers/other", headers={"X-API-Key": bob_key}) as answer:
        assert answer.status == 404


async def test_who_only_reads_joins_no_consumer(world: World, connect: Connect, http: aiohttp.ClientSession) -> None:
    account, key = await world.account("ann")
    _, viewer_key = await world.account("eve", Role.VIEWER)
    entry = (await world.emit(account))[0]
    reading = await connect(world, await world.key(account, scopes=frozenset({Scope.READ})))
    for client in (reading, await connect(world, viewer_key)):
        await client.say("subscribe", channel="signals", symbols=["*"], consumer="bot", start="oldest")
        error = await client.until("error")
        assert (error["code"], "`after`" in error["reason"]) == ("scope_missing", True)
    async with http.get(f"{world.base}/api/v1/consumers", headers={"X-API-Key": key}) as answer:
        assert (await answer.json()) == {"consumers": [], "next": None}
    # It reads the same feed from a place of its own.
    await reading.say("subscribe", channel="signals", symbols=["*"], after={"epoch": entry.epoch, "seq": 0})
    assert (await reading.until("signal"))["seq"] == 1


async def test_a_listing_is_paged_by_name(world: World, connect: Connect, http: aiohttp.ClientSession) -> None:
    _, key = await world.account("ann")
    headers, client = {"X-API-Key": key}, await connect(world, key)
    for name in ("d", "b", "e", "a"):
        await joined(client, name)

    async def page(**query: Any) -> tuple[list[str], str | None]:
        async with http.get(f"{world.base}/api/v1/consumers", headers=headers, params=query) as answer:
            found = await answer.json()
        return [one["name"] for one in found["consumers"]], found["next"]

    names, follow = await page(limit=2)
    assert (names, follow is None) == (["a", "b"], False)
    await joined(client, "aa")
    async with http.delete(f"{world.base}/api/v1/consumers/b", headers=headers) as answer:
        assert answer.status == 204
    assert await page(limit=2, cursor=follow) == (["d", "e"], None)
    assert await page() == (["a", "aa", "d", "e"], None)
    async with http.get(f"{world.base}/api/v1/consumers", headers=headers, params={"cursor": "x"}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, "bad_cursor")


async def test_acks_wait_for_the_database(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    client = await connect(world, key)
    await joined(client)
    await world.emit(account)
    await client.until("signal")
    world.store.journal.down = True
    await client.say("subscribe", channel="signals", symbols=["*"], consumer="late")
    await client.until("subscribed")
    world.store.journal.down = False
    assert (await client.until("snapshot", consumer="late"))["seq"] == 1


async def test_a_filtered_consumer(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    client = await connect(world, key)
    await joined(client, symbols=["ETH-USD"], kinds=["above"], severities=["warning"])
    await world.emit(account, 2)
    await world.emit(account, 1, ETH)
    assert (await client.until("signal"))["seq"] == 3


@pytest.mark.parametrize(
    ("method", "params", "code", "word"),
    [
        ("subscribe", {"consumer": "a b"}, "invalid", "consumer"),
        ("subscribe", {"consumer": "bot", "after": {"epoch": 1, "seq": 1}}, "invalid", "consumer"),
        ("subscribe", {"consumer": "bot", "start": {"epoch": 1, "seq": 9}}, "invalid", "start"),
        ("subscribe", {"consumer": "bot", "start": "middle"}, "invalid", "start"),
        ("subscribe", {"start": "oldest"}, "invalid", "start"),
        ("subscribe", {"ack_wait": 5}, "invalid", "ack_wait"),
        ("subscribe", {"consumer": "bot", "ack_wait": 0}, "invalid", "ack_wait"),
        ("subscribe", {"consumer": "bot", "max_in_flight": 1_000}, "invalid", "max_in_flight"),
        ("subscribe", {"seqs": [1]}, "invalid", "seqs"),
        ("ack", {"seqs": [1]}, "invalid", "consumer"),
        ("ack", {"consumer": "bot"}, "invalid", "seqs"),
        ("ack", {"consumer": "bot", "seqs": [1], "upto": 1}, "invalid", "seqs"),
        ("ack", {"consumer": "bot", "seqs": [1], "delay": 1}, "invalid", "delay"),
        ("ack", {"consumer": "bot", "seqs": [1], "start": "oldest"}, "invalid", "start"),
        ("nack", {"consumer": "nobody", "seqs": [1]}, "unknown_consumer", "nobody"),
    ],
)
async def test_bad_requests_name_the_field(
    world: World, connect: Connect, method: str, params: dict[str, Any], code: str, word: str
) -> None:
    _, key = await world.account("ann")
    client = await connect(world, key)
    more = {"channel": "signals", "symbols": ["*"]} if method == "subscribe" else {}
    await client.say(method, **more, **params)
    error = await client.until("error")
    assert error["code"] == code
    assert word in error["reason"]


async def test_a_session_joins_a_consumer_once_and_sixteen_in_all(world: World, connect: Connect) -> None:
    _, key = await world.account("ann")
    client = await connect(world, key)
    for number in range(16):
        await joined(client, f"bot{number}")
    await client.say("subscribe", channel="signals", symbols=["*"], consumer="bot3")
    assert (await client.until("error"))["code"] == "already_subscribed"
    await client.say("subscribe", channel="signals", symbols=["*"], consumer="bot16")
    assert (await client.until("error"))["code"] == "too_many_consumers"


async def test_redelivery_happens_by_itself(http: aiohttp.ClientSession) -> None:
    world = World(QUICK.model_copy(update={"consumer_poll": 0.05}))
    async with world.running():
        account, key = await world.account("ann")
        async with http.ws_connect(f"{world.base}/ws/v1", headers={"X-API-Key": key}) as socket:
            client = Client(socket)
            await joined(client, ack_wait=5)
            await world.emit(account)
            await client.until("signal")
            world.clock.advance(5)
            assert (await client.until("signal"))["attempt"] == 2
