"""Streams over a real gateway, and over servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.client.test_client_feed import server
from tests.client.test_client_follower import data
from tests.gateway.gateway_world import ETH, QUICK, World, until
from websockets.asyncio.server import ServerConnection

from pricewatch.client import (
    BlockingClient,
    Client,
    FileCursors,
    Health,
    MemoryCursors,
    NotPricewatch,
    Options,
    PositionLost,
    Refused,
    Rejected,
    Signal,
    Signals,
    Unauthorized,
)
from pricewatch.domain.account import Account
from pricewatch.domain.errors import ConfigError

FAST = Options(pause_first=0.001, pause_cap=0.02, close_timeout=1.0)
REPOSITORY = Path(__file__).resolve().parents[2]


def address(world: World) -> str:
    return f"ws://127.0.0.1:{world.gateway.port}/ws/v1"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World(QUICK.model_copy(update={"consumer_poll": 0.05})).running() as running:
        yield running


async def take(stream: Signals, count: int) -> list[Signal]:
    async with asyncio.timeout(30):
        return [await anext(stream) for _ in range(count)]


async def begun(world: World, task: asyncio.Task[Any]) -> None:
    """The stream's subscription stands."""
    await until(
        lambda: task.done() or any(link.session.feeds or list(link.session.sharing.members) for link in links(world))
    )


def links(world: World) -> Any:
    return world.gateway._hub.links


@asynccontextmanager
async def taking(world: World, stream: Signals, count: int) -> AsyncIterator[asyncio.Task[list[Signal]]]:
    """So many signals are waited for while the body makes them."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(take(stream, count))
        await begun(world, task)
        yield task


async def live(world: World) -> None:
    await until(lambda: all(feed.phase.name == "LIVE" for link in links(world) for feed in link.session.feeds.values()))


async def test_signals_come_as_documents(world: World) -> None:
    account, key = await world.account("ann")
    async with Client(key, address(world), options=FAST) as client:
        async with taking(world, client.signals("BTC-USD", kinds=["above"]), 1) as task:
            await live(world)
            await world.emit(account, 1, ETH)
            entry = (await world.emit(account))[0]
        signal = task.result()[0]
    assert (signal.id, signal.seq, signal.price, signal.symbol) == (entry.signal.id, 2, "70012.4", "BTC-USD")
    assert (signal.attempt, signal.replay) == (1, False)


async def test_a_stream_goes_on_across_runs_from_a_file(world: World, tmp_path: Path) -> None:
    account, key = await world.account("ann")
    cursors = tmp_path / "bot.json"
    async with Client(key, address(world), cursors=FileCursors(cursors), options=FAST) as client:
        async with taking(world, client.signals(), 2) as task:
            await live(world)
            await world.emit(account, 2)
        assert [one.seq for one in task.result()] == [1, 2]
    await world.emit(account, 3)
    # The second one was handed out, but the loop never came back for it: it comes again.
    async with Client(key, address(world), cursors=FileCursors(cursors), options=FAST) as client:
        assert [one.seq for one in await take(client.signals(), 4)] == [2, 3, 4, 5]
    assert json.loads(cursors.read_bytes())["signals"]["seq"] == 4


async def test_a_first_start_with_the_oldest(world: World) -> None:
    account, key = await world.account("ann")
    await world.emit(account, 3)
    async with Client(key, address(world), options=FAST) as client:
        assert [one.seq for one in await take(client.signals(start="oldest"), 3)] == [1, 2, 3]


async def test_manual_acks_move_the_position(world: World) -> None:
    account, key = await world.account("ann")
    await world.emit(account, 4)
    cursors = MemoryCursors()
    async with Client(key, address(world), cursors=cursors, options=FAST) as client:
        stream = client.signals(start="oldest", ack="manual")
        signals = await take(stream, 4)
        await stream.ack(signals[1])
    position = await cursors.load("signals")
    assert position is not None
    assert position.seq == 2


async def test_cut_connections_lose_and_double_nothing(world: World) -> None:
    account, key = await world.account("ann")
    async with Client(key, address(world), options=FAST) as client:
        async with taking(world, client.signals(), 200) as task:
            await live(world)
            for number in range(200):
                await world.emit(account)
                if number % 10 == 0:
                    for link in list(links(world)):
                        link.outlet._transport.abort()
                await asyncio.sleep(0.001)
        assert [one.seq for one in task.result()] == list(range(1, 201))


async def test_a_place_of_another_feed_is_lost(world: World, tmp_path: Path) -> None:
    account, key = await world.account("ann")
    _, other = await world.account("bob")
    await world.emit(account, 2)
    cursors = FileCursors(tmp_path / "bot.json")
    async with Client(key, address(world), cursors=cursors, options=FAST) as client:
        await take(client.signals(start="oldest"), 2)
    async with Client(other, address(world), cursors=cursors, options=FAST) as client:
        with pytest.raises(PositionLost, match="account"):
            await take(client.signals(), 1)


async def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bot.json"
    path.write_text("[1, 2]")
    with pytest.raises(ConfigError, match="no positions"):
        await FileCursors(path).load("signals")


async def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path, world: World) -> None:
    account, key = await world.account("ann")
    await world.emit(account)
    cursors = FileCursors(tmp_path / "nowhere" / "bot.json")
    async with Client(key, address(world), cursors=cursors, options=FAST) as client:
        with pytest.raises(FileNotFoundError):
            await take(client.signals(start="oldest"), 2)


async def test_a_consumer_shares_and_acknowledges(world: World) -> None:
    account, key = await world.account("ann")
    await world.emit(account, 20)
    done: list[int] = []

    async def work(client: Client) -> None:
        async for signal in client.signals(consumer="bot", start="oldest", max_in_flight=2):
            done.append(signal.seq)
            await asyncio.sleep(0.001)

    async with (
        Client(key, address(world), options=FAST) as one,
        Client(key, address(world), options=FAST) as two,
        asyncio.TaskGroup() as group,
    ):
        tasks = [group.create_task(work(client)) for client in (one, two)]
        await until(lambda: len(done) == 20)
        for task in tasks:
            task.cancel()
    assert sorted(done) == list(range(1, 21))
    state = (await world.store.consumers.listing(account.id))[0]
    assert state.in_flight <= 2  # of a body that was cancelled before the loop came back


async def test_what_a_body_failed_at_comes_again_at_once(world: World) -> None:
    account, key = await world.account("ann")
    await world.emit(account)
    for attempt in (1, 2):
        async with Client(key, address(world), options=FAST) as client:
            signal = (await take(client.signals(consumer="bot", start="oldest"), 1))[0]
            assert signal.attempt == attempt


async def test_an_ack_before_the_break_counts(world: World) -> None:
    account, key = await world.account("ann")
    await world.emit(account)
    async with Client(key, address(world), options=FAST) as client:
        stream = client.signals(consumer="bot", start="oldest")
        async for signal in stream:
            await stream.ack(signal)
            break
    assert (await world.store.consumers.listing(account.id))[0].in_flight == 0
    assert stream.lost_leases == 0
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    await stream.aclose()


async def test_given_back_and_extended_ones(world: World) -> None:
    account, key = await world.account("ann")
    await world.emit(account, 2)
    async with Client(key, address(world), options=FAST) as client:
        stream = client.signals(consumer="bot", start="oldest", ack="manual")
        first = (await take(stream, 1))[0]
        await stream.extend(first, 100)
        await stream.nack(first)
        rest = await take(stream, 2)
        assert sorted((one.seq, one.attempt) for one in rest) == [(1, 2), (2, 1)]
        for signal in rest:
            await stream.ack(signal)
    assert (await world.store.consumers.listing(account.id))[0].in_flight == 0


def is_held(world: World, account: Account, *seqs: int) -> bool:
    """The server hands none of these out within its `ack_wait` of 0.3 s: its own clock says so."""
    pending = world.store.consumers._held[account.id, "bot"].pending
    return all(seq in pending and pending[seq].due >= world.clock.now() + 300_000 for seq in seqs)


async def test_a_slow_body_keeps_what_it_holds(world: World) -> None:
    account, key = await world.account("ann")
    await world.emit(account, 2)
    async with Client(key, address(world), options=FAST) as client:
        stream = client.signals(consumer="bot", start="oldest", ack_wait=0.3)
        first = (await take(stream, 1))[0]
        for _ in range(5):  # the body works for three times the wait
            await until(lambda: is_held(world, account, 1, 2))
            world.clock.advance(0.2)
        second = (await take(stream, 1))[0]
        await stream.ack(second)
        assert [(one.seq, one.attempt) for one in (first, second)] == [(1, 1), (2, 1)]
    assert (await world.store.consumers.listing(account.id))[0].in_flight == 0
    assert stream.lost_leases == 0


async def test_closing_ends_who_waits(world: World) -> None:
    _, key = await world.account("ann")
    async with Client(key, address(world), options=FAST) as client, asyncio.TaskGroup() as group:
        stream = client.signals(consumer="bot")
        task = group.create_task(list_of(stream))
        await begun(world, task)
        await stream.aclose()
        assert await task == []


async def list_of(stream: Signals) -> list[Signal]:
    return [one async for one in stream]


async def test_it_knows_when_it_is_blind(world: World) -> None:
    _, key = await world.account("ann")
    told: list[Health] = []
    world.trade(70_000)
    async with Client(key, address(world), options=FAST) as client:
        stream = client.signals("coinbase:BTC-USD", on_health=told.append)
        assert (stream.health.connected, stream.health.blind, stream.health.age) == (False, True, None)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(take(stream, 1))
            await until(lambda: not stream.health.blind)
            assert stream.health.feeds["coinbase:BTC-USD"].state == "live"
            assert stream.health.age is not None
            world.clock.advance(61)
            await until(lambda: stream.health.blind_markets == ["coinbase:BTC-USD"])
            for link in list(links(world)):
                link.outlet._transport.abort()
            await until(lambda: any(not one.connected for one in told))
            task.cancel()
    assert [(one.connected, one.blind) for one in told[:4]] == [
        (True, True),  # nothing is known before the first heartbeat
        (True, False),
        (True, True),
        (False, True),
    ]


async def test_a_wrong_key_symbol_or_address_is_an_error(world: World) -> None:
    _, key = await world.account("ann")
    async with Client("pw_wrong", address(world), options=FAST) as client:
        with pytest.raises(Unauthorized, match="401"):
            await take(client.signals(), 1)
    async with Client(key, address(world), options=FAST) as client:
        with pytest.raises(Rejected, match="BTC-USD"):
            await take(client.signals("BTC-UDS"), 1)
        with pytest.raises(Rejected, match="start"):
            await take(client.signals(consumer="bot", start="middle"), 1)  # type: ignore[arg-type]
    for url in (address(world) + "/no", "http://127.0.0.1", "gopher://x"):
        async with Client(key, url, options=FAST) as client:
            with pytest.raises(NotPricewatch):
                await take(client.signals(), 1)


# -- servers that misbehave -------------------------------------------------------------------------------------------

WELCOME = '{"type":"welcome","account":"a","limits":{"heartbeat_seconds":0.1}}'
SNAPSHOT = '{"type":"snapshot","channel":"signals","epoch":1,"seq":0,"resumed":null,"newest":{"epoch":1,"seq":0}}'
Handler = Callable[[ServerConnection], Awaitable[None]]


def one(seq: int) -> str:
    return json.dumps(
        {"type": "signal", "channel": "signals", "epoch": 1, "seq": seq, "prev": seq - 1, "data": data(seq)}
    )


async def test_a_silent_server_is_given_up() -> None:
    connections = 0

    async def handle(socket: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        await socket.send(WELCOME)
        if connections < 3:
            await socket.wait_closed()
        await socket.recv()
        await socket.send(SNAPSHOT)
        await socket.send(one(1))
        await socket.wait_closed()

    async with server(handle) as url, Client("key", url, options=FAST) as client:
        assert [got.seq for got in await take(client.signals(), 1)] == [1]
    assert connections == 3


async def test_it_waits_as_long_as_the_server_asks() -> None:
    times: list[float] = []

    async def handle(socket: ServerConnection) -> None:
        times.append(asyncio.get_running_loop().time())
        await socket.send(WELCOME)
        if len(times) == 1:
            await socket.send('{"type":"going_away","reconnect_after":0.3}')
            await socket.close(1001)
            return
        await socket.send(SNAPSHOT)
        await socket.send(one(1))
        await socket.wait_closed()

    async with server(handle) as url, Client("key", url, options=FAST) as client:
        await take(client.signals(), 1)
    assert times[1] - times[0] >= 0.3


@pytest.mark.parametrize(("code", "error"), [(4001, Unauthorized), (4009, Refused), (1009, Refused)])
async def test_some_goodbyes_are_for_ever(code: int, error: type[Exception]) -> None:
    async def handle(socket: ServerConnection) -> None:
        await socket.close(code, "ended")

    async with server(handle) as url, Client("key", url, options=FAST) as client:
        with pytest.raises(error, match="for good"):
            await take(client.signals(), 1)


async def test_closing_ends_well_whatever_the_server_says() -> None:
    async def handle(socket: ServerConnection) -> None:
        await socket.send(WELCOME)
        await socket.recv()
        shared = json.loads(one(1)) | {"prev": None, "consumer": "bot", "attempt": 1, "lease": 3}
        await socket.send(json.dumps({**json.loads(SNAPSHOT), "consumer": "bot", "lease": 3}))
        await socket.send(json.dumps(shared))
        await socket.recv()  # the ack
        await socket.close(4001, "ended")

    async with server(handle) as url, Client("key", url, options=FAST) as client:
        stream = client.signals(consumer="bot")
        (signal,) = await take(stream, 1)
        await stream.ack(signal)
    assert not stream.health.connected


class Slow:
    """A server that hands signals to a consumer and notes what of them is extended; `lost` ones are another's."""

    def __init__(self, *seqs: int, lost: Sequence[int] = ()) -> None:
        self.extended: list[list[int]] = []
        self.more: asyncio.Queue[int] = asyncio.Queue()
        self._seqs = seqs
        self._lost = lost

    async def handle(self, socket: ServerConnection) -> None:
        await socket.send(WELCOME)
        await socket.recv()
        await socket.send(json.dumps({**json.loads(SNAPSHOT), "consumer": "bot", "lease": 3, "ack_wait": 0.3}))
        for seq in self._seqs:
            await self.deliver(socket, seq)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._send_more(socket))
            async for text in socket:
                request = json.loads(text)
                if request["method"] == "extend":
                    self.extended.append(request["params"]["seqs"])
                    lost = [seq for seq in self.extended[-1] if seq in self._lost]
                    answer = {"type": "settled", "req_id": request["req_id"], "ok": not lost, "lost": lost}
                    await socket.send(json.dumps(answer))
            task.cancel()

    async def _send_more(self, socket: ServerConnection) -> None:
        while True:
            await self.deliver(socket, await self.more.get(), attempt=2)

    async def deliver(self, socket: ServerConnection, seq: int, attempt: int = 1) -> None:
        frame = {**json.loads(one(seq)), "prev": None, "consumer": "bot", "attempt": attempt, "lease": 3}
        await socket.send(json.dumps(frame))


async def test_what_became_anothers_while_it_waited_is_not_handed_out() -> None:
    slow = Slow(1, 2, 3, lost=[2])
    async with server(slow.handle) as url, Client("key", url, options=FAST) as client:
        stream = client.signals(consumer="bot")
        (first,) = await take(stream, 1)
        await until(lambda: [1, 3] in slow.extended or [3, 1] in slow.extended)
        assert [first.seq, *(got.seq for got in await take(stream, 1))] == [1, 3]
        # Given to us after all, it is ours.
        slow.more.put_nowait(2)
        assert [(got.seq, got.attempt) for got in await take(stream, 1)] == [(2, 2)]


async def test_only_what_waits_is_kept_where_the_program_acknowledges() -> None:
    slow = Slow(1, 2)
    async with server(slow.handle) as url, Client("key", url, options=FAST) as client:
        await take(client.signals(consumer="bot", ack="manual"), 1)
        await until(lambda: len(slow.extended) >= 2)
    assert all(seqs == [2] for seqs in slow.extended)


async def test_an_extension_of_the_programs_own_is_not_cut_short() -> None:
    slow = Slow(1, 2)
    async with server(slow.handle) as url, Client("key", url, options=FAST) as client:
        stream = client.signals(consumer="bot")
        (first,) = await take(stream, 1)
        slow.extended.clear()
        await stream.extend(first, 100)
        await until(lambda: len(slow.extended) >= 3)
    assert [1] in slow.extended
    assert all(seqs in ([1], [2]) for seqs in slow.extended)


async def test_a_body_that_hangs_holds_nothing_for_ever() -> None:
    slow = Slow(1, 2)
    hasty = msgspec.structs.replace(FAST, longest_work=0.0)
    async with server(slow.handle) as url, Client("key", url, options=hasty) as client:
        stream = client.signals(consumer="bot")
        await take(stream, 1)
        ahead = stream._ahead
        assert ahead is not None
        await until(lambda: list(ahead.ready))
        await until(lambda: not list(ahead.ready))
        slow.more.put_nowait(2)
        assert [(got.seq, got.attempt) for got in await take(stream, 1)] == [(2, 2)]
    assert slow.extended == []


# -- without asyncio --------------------------------------------------------------------------------------------------


async def test_the_blocking_client(world: World) -> None:
    account, key = await world.account("ann")
    await world.emit(account, 3)

    def work() -> list[int]:
        seqs = []
        with BlockingClient(key, address(world), options=FAST) as client:
            stream = client.signals(consumer="bot", start="oldest")
            for signal in stream:
                seqs.append(signal.seq)
                if len(seqs) == 1:
                    stream.extend(signal, 50)
                if len(seqs) == 2:
                    stream.nack(signal, 50)
                if len(seqs) == 3:
                    stream.ack(signal)
                    break
            assert stream.health.connected
            assert stream.lost_leases == 0
            stream.close()
            assert list(stream) == []
        return seqs

    assert await asyncio.to_thread(work) == [1, 2, 3]
    assert (await world.store.consumers.listing(account.id))[0].in_flight == 1


async def test_the_example_runs(world: World) -> None:
    account, key = await world.account("ann")
    script = REPOSITORY / "docs" / "examples" / "bot.py"
    environment = {"PRICEWATCH_KEY": key, "PRICEWATCH_URL": address(world), "PYTHONPATH": str(REPOSITORY / "src")}
    bot = await asyncio.create_subprocess_exec(sys.executable, str(script), stdout=subprocess.PIPE, env=environment)
    assert bot.stdout is not None
    try:
        await until(lambda: any(list(link.session.sharing.members) for link in links(world)))
        await until(lambda: all(member.joined for link in links(world) for member in link.session.sharing.members))
        entry = (await world.emit(account))[0]
        async with asyncio.timeout(30):
            while str(entry.signal.id) not in (await bot.stdout.readline()).decode():
                assert bot.returncode is None
    finally:
        bot.terminate()
        await bot.wait()
    assert len(script.read_text().splitlines()) <= 22
