"""Sockets, control and trouble on purpose, over real connections."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket as sockets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.simulator.sim_support import WallClock, connect, serving, until_closed
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK

from pricewatch.domain.errors import Unavailable
from pricewatch.simulator.entry import simulate
from pricewatch.simulator.faults import Faults, Trouble
from pricewatch.simulator.settings import FaultSettings, SimulatorSettings
from pricewatch.simulator.wire import framed

QUICK: dict[str, Any] = {"history_minutes": 2, "programme": False, "rate": 200.0, "quote_rate": 50.0}
SOURCE = Path(__file__).resolve().parents[2] / "src"
TRADES = "/binance/ws/btcusdt@trade"


def settings(**changes: Any) -> SimulatorSettings:
    return SimulatorSettings(**{**QUICK, **changes})


async def ids(socket: ClientConnection, count: int) -> list[int]:
    return [json.loads(await socket.recv())["t"] for _ in range(count)]


async def post(url: str, body: Any = None) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as http, http.post(url, json=body) as reply:
        return reply.status, await reply.json()


async def test_all_venues_answer_on_one_port() -> None:
    async with serving(settings()) as running:
        ws = running.addresses.ws
        async with (
            connect(ws + "/coinbase") as coinbase,
            connect(ws + "/kraken") as kraken,
            connect(ws + TRADES) as raw,
        ):
            request = {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches"]}
            await coinbase.send(json.dumps(request))
            assert [json.loads(await coinbase.recv())["type"] for _ in range(3)] == [
                "subscriptions",
                "last_match",
                "match",
            ]
            assert json.loads(await kraken.recv())["channel"] == "status"
            found = await ids(raw, 20)
            assert found == list(range(found[0], found[0] + 20))
            status = running.server.status()
            assert status["clients"] == {"coinbase": 1, "kraken": 1, "binance": 1}
            assert {sample.name for sample in running.server.samples()} >= {"simulator_sent", "simulator_trades"}
            assert running.server.trouble() is None
        with pytest.raises(ConnectionClosedError):
            async with connect(ws + "/nasdaq") as nobody:
                await nobody.recv()
    assert running.server.trouble() == "not listening"


async def test_coinbase_closes_who_does_not_subscribe_and_beats_for_who_does() -> None:
    quick = settings(subscribe_deadline=0.2, heartbeat=0.1)
    async with serving(quick) as running:
        async with connect(running.addresses.ws + "/coinbase") as silent:
            with pytest.raises(ConnectionClosed):
                await silent.recv()
        async with connect(running.addresses.ws + "/coinbase") as socket:
            await socket.send('{"type":"subscribe","product_ids":["BTC-USD"],"channels":["heartbeat"]}')
            kinds = [json.loads(await socket.recv())["type"] for _ in range(4)]
    assert kinds == ["subscriptions", "heartbeat", "heartbeat", "heartbeat"]


async def test_binance_pings_and_ends_old_connections() -> None:
    async with serving(settings(ping=0.05, session=0.5)) as running, connect(running.addresses.ws + TRADES) as socket:
        with pytest.raises(ConnectionClosedOK):
            await until_closed(socket)


async def test_control_disconnects_with_and_without_a_close_frame() -> None:
    async with serving(settings()) as running:
        control = running.addresses.rest + "/control/disconnect"
        for clean, error in (("1", ConnectionClosedOK), ("0", ConnectionClosedError)):
            async with connect(running.addresses.ws + "/binance/stream?streams=btcusdt@trade") as socket:
                assert await post(f"{control}?venue=binance&clean={clean}&notice=1") == (200, {"disconnected": 1})
                with pytest.raises(error) as ended:
                    await until_closed(socket)
                told = [frame for frame in ended.value.__notes__ if '"e":"serverShutdown"' in frame]
                assert told or clean == "0"
        assert (await post(f"{control}?venue=nasdaq"))[0] == 404
        assert await post(control) == (200, {"disconnected": 0})


async def test_control_injects_events() -> None:
    async with serving(settings()) as running:
        url = running.addresses.rest + "/control/event"
        async with connect(running.addresses.ws + TRADES) as socket:
            assert (await post(url, {"kind": "jump", "market": "binance:BTC-USDT", "percent": 20}))[0] == 202
            async with asyncio.timeout(30):
                while float(json.loads(await socket.recv())["p"]) < 64_900 * 1.15:
                    pass
        assert (await post(url, {"kind": "jump", "market": "nasdaq:X-Y"}))[0] == 409
        assert (await post(url, {"kind": "miracle", "market": "binance:BTC-USDT"}))[0] == 422


async def test_gaps_are_missing_on_the_socket_but_not_in_the_history() -> None:
    async with (
        serving(settings(faults=FaultSettings(gap=0.3))) as running,
        connect(running.addresses.ws + TRADES) as socket,
    ):
        found = await ids(socket, 60)
        missing = set(range(found[0], found[-1] + 1)) - set(found)
        assert missing
        query = {"symbol": "BTCUSDT", "fromId": str(found[0]), "limit": "1000"}
        async with aiohttp.ClientSession() as http:
            url = running.addresses.rest + "/binance/api/v3/historicalTrades"
            async with http.get(url, params=query) as reply:
                told = {row["id"] for row in await reply.json()}
        assert missing <= told


async def test_duplicates_reorders_and_rate_limits() -> None:
    faults = FaultSettings(duplicate=0.3, reorder=0.2, rest_limit=1.0, retry_after=3)
    async with serving(settings(faults=faults)) as running, connect(running.addresses.ws + TRADES) as socket:
        found = await ids(socket, 100)
        assert len(set(found)) < len(found)
        assert found != sorted(found)
        async with aiohttp.ClientSession() as http:
            async with http.get(running.addresses.rest + "/binance/api/v3/time") as reply:
                assert (reply.status, reply.headers["Retry-After"]) == (429, "3")
            async with http.get(running.addresses.rest + "/coinbase/time") as reply:
                assert (reply.status, reply.headers["Retry-After"]) == (429, "3")
            async with http.get(running.addresses.rest + "/kraken/0/public/Time") as reply:
                assert (await reply.json())["error"] == ["EAPI:Rate limit exceeded"]
            async with http.get(running.addresses.rest + "/nasdaq/x") as reply:
                assert reply.status == 404


@pytest.mark.parametrize("fault", ["drop", "close", "refuse"])
async def test_sockets_die(fault: str) -> None:
    async with (
        serving(settings(faults=FaultSettings.model_validate({fault: 1.0}))) as running,
        connect(running.addresses.ws + TRADES) as socket,
    ):
        expected = ConnectionClosedError if fault == "drop" else ConnectionClosedOK
        with pytest.raises(expected):
            await until_closed(socket)


async def test_a_stalled_socket_says_nothing_then_everything() -> None:
    async with (
        serving(settings(faults=FaultSettings(stall=1.0, stall_span=0.3))) as running,
        connect(running.addresses.ws + TRADES) as socket,
    ):
        found = await ids(socket, 100)
    assert found == list(range(found[0], found[0] + 100))


def test_faults_are_off_and_repeatable() -> None:
    calm = Faults(Trouble(FaultSettings(), {}), salt="x")
    assert not calm.framing
    assert list(calm.frames(b"a")) == [b"a"]
    assert calm.accident(10.0) is None
    wild = FaultSettings(gap=0.2, duplicate=0.2, reorder=0.2)
    one, other = (Faults(Trouble(wild, {}), salt="x") for _ in range(2))
    frames = [bytes([number]) for number in range(100)]
    assert [list(one.frames(frame)) for frame in frames] == [list(other.frames(frame)) for frame in frames]


@asynccontextmanager
async def deaf(port: int, path: str) -> AsyncIterator[None]:
    """A client that shakes hands and never reads again."""
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", port))
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    await loop.sock_sendall(raw, (head + key).encode())
    assert b"101" in await loop.sock_recv(raw, 32)
    try:
        yield
    finally:
        raw.close()


async def test_a_client_that_does_not_read_is_cut_and_others_do_not_notice() -> None:
    busy = settings(rate=6_000.0, slow_bytes=1_048_576, lead=0.0, markets={"binance": ("BTC-USDT",)})
    async with serving(busy) as running:
        port = int(running.addresses.ws.rpartition(":")[2])
        async with deaf(port, TRADES), connect(running.addresses.ws + TRADES) as healthy:
            async with asyncio.timeout(60):
                found: list[int] = []
                while running.server.status()["cut"] == 0:
                    found += await ids(healthy, 500)
            found += await ids(healthy, 50)
            assert found == list(range(found[0], found[0] + len(found)))
            async with asyncio.timeout(60):
                while running.server.status()["clients"]["binance"] != 1:  # it has been cut, but not left yet
                    await asyncio.sleep(0.01)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
async def test_frames_of_every_size_arrive_whole(size: int) -> None:
    async with serving(settings()) as running, connect(running.addresses.ws + "/binance/ws") as socket:
        await socket.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        await socket.recv()
        (link,) = running.server.houses["binance"].crowd.links
        link.put(framed(b"x" * size))
        link.flush(1)
        assert await socket.recv() == "x" * size


async def test_a_taken_port_is_unavailable() -> None:
    async with serving(settings()) as running:
        port = int(running.addresses.ws.rpartition(":")[2])
        with pytest.raises(Unavailable, match="cannot listen"):
            await simulate(settings(ws_port=port), clock=WallClock())


async def child(*arguments: str, stdin: int | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pricewatch.simulator",
        *arguments,
        env={"PYTHONPATH": str(SOURCE), "PATH": os.defpath},
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT", "stdin"])
async def test_the_child_process_tells_its_addresses_and_ends_cleanly(end: str) -> None:
    process = await child("--json", json.dumps({"history_minutes": 2}), stdin=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    addresses = json.loads(await process.stdout.readline())
    async with connect(addresses["ws"] + "/kraken") as socket:
        assert json.loads(await socket.recv())["channel"] == "status"
        if end == "stdin":
            process.stdin.close()
        else:
            process.send_signal(getattr(signal, end))
        with pytest.raises(ConnectionClosed):
            await until_closed(socket)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")


async def test_the_child_process_refuses_wrong_settings_and_files(tmp_path: Path) -> None:
    for arguments, word in (
        (("--json", '{"colour": 1}'), b"colour"),
        (("--json", '{"speed": "max"}'), b"replays"),
        ((str(tmp_path / "missing.jsonl"),), b"cannot be read"),
    ):
        process = await child(*arguments)
        _, errors = await process.communicate()
        assert process.returncode == 2
        assert word in errors


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
async def test_the_child_process_dies_with_its_parent() -> None:
    command = "[sys.executable, '-m', 'pricewatch.simulator']"
    script = f"import subprocess, sys; subprocess.run({command}, stdin=subprocess.DEVNULL)"
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        env={"PYTHONPATH": str(SOURCE), "PATH": os.defpath},
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    addresses = json.loads(await parent.stdout.readline())
    async with connect(addresses["ws"] + "/kraken") as socket:
        parent.kill()
        with pytest.raises(ConnectionClosedOK):
            await until_closed(socket)
    await parent.communicate()  # the pipe ends when the last process that holds it does
