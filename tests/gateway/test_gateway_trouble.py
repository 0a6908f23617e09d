from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import pytest
from tests.gateway.gateway_world import BTC, MARKETS, QUICK, Client, World, deaf, until

from pricewatch.domain.errors import ConfigError, Unavailable
from pricewatch.domain.market import Market
from pricewatch.gateway.feed.codes import Close
from pricewatch.gateway.feed.subscription import Phase
from pricewatch.ports.ticks import Sequenced

Connect = Callable[[World, str], Awaitable[Client]]


def frames_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Opcode and payload of every whole frame."""
    at = 0
    while at + 2 <= len(data):
        opcode, size, start = data[at] & 15, data[at + 1], at + 2
        if size == 126:
            size, start = struct.unpack_from(">H", data, start)[0], start + 2
        elif size == 127:
            size, start = struct.unpack_from(">Q", data, start)[0], start + 8
        if start + size > len(data):
            return
        yield opcode, data[start : start + size]
        at = start + size


def is_live(world: World) -> bool:
    return any(one.session.signals and one.session.signals.phase is Phase.LIVE for one in world.gateway._hub.links)


SIGNALS = '{"method":"subscribe","params":{"channel":"signals","symbols":["*"]}}'


async def test_who_lags_within_the_bound_gets_everything_in_order(world: World) -> None:
    account, key = await world.account("ann")
    raw = await deaf(world, key, SIGNALS)
    await until(lambda: is_live(world))
    link = next(iter(world.gateway._hub.links))
    sent = 0
    while len(link.outlet._queue) < 100:
        await world.emit(account)
        sent += 1
    data = b""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        while sum(b'"type":"signal"' in payload for _, payload in frames_of(data)) < sent:
            data += await loop.sock_recv(raw, 65_536)
    found = [json.loads(payload) for opcode, payload in frames_of(data) if opcode == 1]
    assert [one["seq"] for one in found if one["type"] == "signal"] == list(range(1, sent + 1))
    assert {opcode for opcode, _ in frames_of(data)} <= {1, 9, 10}
    await until(lambda: world.gateway.status()["signal_latency_seconds"]["count"] == sent)
    raw.close()


async def test_who_takes_nothing_of_a_backlog_is_let_go() -> None:
    settings = QUICK.model_copy(update={"stall_timeout": 0.2, "close_timeout": 0.1})
    async with World(settings).running() as world:
        account, key = await world.account("ann")
        epoch = (await world.emit(account, 2_000))[0].epoch
        after = f',"after":{{"epoch":{epoch},"seq":0}}}}}}'
        raw = await deaf(world, key, SIGNALS.removesuffix("}}") + after)
        await until(lambda: world.gateway.status()["closed"].get("too_slow"))
        raw.close()


async def test_a_restored_feed_closes_with_its_code(world: World, connect: Connect) -> None:
    account, key = await world.account("ann")
    client = await connect(world, key)
    await client.subscribe("signals", "*")
    entry = (await world.emit(account, tell=False))[0]
    world.gateway.committed([msgspec.structs.replace(entry, epoch=entry.epoch + 1)])
    assert await client.close_code() == Close.EPOCH_CHANGED


async def test_a_taken_port_is_named(world: World) -> None:
    taken = World(QUICK.model_copy(update={"port": world.gateway.port}))
    with pytest.raises(ConfigError, match=r"gateway\.port: cannot listen on"):
        await taken.gateway.run()


async def test_markets_are_read_when_the_store_comes_back() -> None:
    world = World()
    listed = world.shelf.markets
    asked = 0

    async def markets() -> list[Market]:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise Unavailable("not yet")
        return await listed()

    world.shelf.markets = markets  # type: ignore[method-assign]
    async with world.running():
        assert world.gateway.trouble() is None
        assert world.gateway.status()["markets"] == len(MARKETS)


async def test_stored_prices_are_there_before_the_first_print(connect: Connect) -> None:
    world = World()
    trade = world.trade(69_000.5)
    world.gateway = world.new_gateway()
    world.shelf.last_trades = {BTC.id: Sequenced(5, trade)}
    async with world.running():
        _, key = await world.account("ann")
        client = await connect(world, key)
        assert (await client.subscribe("ticker", "*"))["data"][0]["price"] == "69000.5"
        solana = Market(9, "coinbase", "SOL-USD", "SOL-USD")
        world.shelf.listed.append(solana)
        world.trade(150.25, solana)
        shown: set[str] = set()
        while "coinbase:SOL-USD" not in shown:
            shown = {one["market"] for one in (await client.until("ticker"))["data"]}
