"""Captures served again: verbatim, at any speed, with or without a client."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.simulator.sim_support import WallClock, connect, serving

from pricewatch.domain.errors import ConfigError, Invalid
from pricewatch.simulator.capture import load
from pricewatch.simulator.entry import replay
from pricewatch.simulator.programme import Event
from pricewatch.simulator.server import Addresses
from pricewatch.simulator.settings import SimulatorSettings

BITCOIN = "data/binance/binance-btcusdt-20240808T235413Z.jsonl.gz"
STREAMS = "/binance/stream?streams=btcusdt@trade/btcusdt@bookTicker/btcusdt@depth@100ms"


def written(file: Path, frames: list[tuple[float, str]]) -> Path:
    lines = [json.dumps({"t": at, "dir": "in", "conn": "ws.1", "raw": raw}) for at, raw in frames]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def trade(number: int, at: float) -> tuple[float, str]:
    data = {"e": "trade", "E": int(at * 1e3), "s": "BTCUSDT", "t": number, "p": "61837.63000000", "q": "0.02000000"}
    data |= {"T": int(at * 1e3), "m": True, "M": True}
    return at, json.dumps({"stream": "btcusdt@trade", "data": data}, separators=(",", ":"))


async def collected(file: Path, path: str, *requests: str) -> list[str]:
    """All a client hears of a replay at full speed, until it ends."""
    settings = SimulatorSettings(speed="max", exit_at_end=True)
    ready: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        group.create_task(replay([file], settings, clock=WallClock(), ready=ready.set_result))
        async with connect((await ready).ws + path) as socket:
            for request in requests:
                await socket.send(request)
            return [str(frame) async for frame in socket]


@pytest.mark.shared
async def test_a_recording_comes_back_frame_by_frame(shared: Path) -> None:
    with gzip.open(shared / BITCOIN, "rt") as lines:
        records = [json.loads(line) for line in lines]
    theirs = [record["raw"] for record in records if record["dir"] == "in"]
    ours = await collected(shared / BITCOIN, STREAMS)
    assert ours == theirs
    assert sum('"e":"trade"' in frame for frame in ours) == 9_757


@pytest.mark.shared
async def test_a_raw_trade_stream_and_rest_history_of_a_recording(shared: Path) -> None:
    settings = SimulatorSettings(speed="max")
    async with serving(settings, load([shared / BITCOIN], settings)) as running, aiohttp.ClientSession() as http:
        ids: list[int] = []
        async with connect(running.addresses.ws + "/binance/ws/btcusdt@trade") as socket:
            while len(ids) < 9_757:
                ids.append(json.loads(await socket.recv())["t"])
        found: list[int] = []
        cursor = 0
        while True:
            query = {"symbol": "BTCUSDT", "fromId": str(cursor), "limit": "1000"}
            async with http.get(f"{running.addresses.rest}/binance/api/v3/historicalTrades", params=query) as reply:
                page = await reply.json()
            if not page:
                break
            found += [row["id"] for row in page]
            cursor = found[-1] + 1
        status = await _status(http, running.addresses.rest)
    assert found == ids == list(range(ids[0], ids[0] + 9_757))
    assert status["trades"] == 9_757


@pytest.mark.shared
async def test_a_coinbase_recording_comes_back(shared: Path) -> None:
    file = next((shared / "data/coinbase").glob("*-a.jsonl.gz"))
    with gzip.open(file, "rt") as lines:
        raws = [record["raw"] for record in map(json.loads, lines) if record["dir"] == "in"]
    theirs = [raw for raw in raws if '"type":"subscriptions"' not in raw and '"product_id":"SKL-USD"' in raw]
    request = {"type": "subscribe", "product_ids": ["SKL-USD"], "channels": ["ticker", "matches", "level2"]}
    answer, *ours = await collected(file, "/coinbase", json.dumps(request))
    assert json.loads(answer)["type"] == "subscriptions"
    assert ours == theirs


@pytest.mark.shared
def test_a_kraken_v1_recording_is_refused(shared: Path) -> None:
    with pytest.raises(ConfigError, match="version 1"):
        load((shared / "data/kraken").glob("kraken-20210417T164852Z.jsonl.gz"), SimulatorSettings())


async def _status(http: aiohttp.ClientSession, rest: str) -> dict[str, Any]:
    async with http.get(f"{rest}/control/status") as reply:
        status: dict[str, Any] = await reply.json()
        return status


async def _passed(http: aiohttp.ClientSession, rest: str, trades: int) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (status := await _status(http, rest))["trades"] < trades:
            await asyncio.sleep(0.01)
    return status


async def test_pause_waits_for_the_next_client(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", [trade(number, 100 + number / 20) for number in range(1, 21)])
    settings = SimulatorSettings(mode="pause", speed=2.0)
    async with serving(settings, load([file], settings)) as running, aiohttp.ClientSession() as http:
        await asyncio.sleep(0.1)
        assert (await _status(http, running.addresses.rest))["frames"] == 0
        url = running.addresses.ws + "/binance/ws/btcusdt@trade"
        async with connect(url) as socket:
            first = [json.loads(await socket.recv())["t"] for _ in range(5)]
        seen = (await _status(http, running.addresses.rest))["trades"]
        await asyncio.sleep(0.2)
        assert (await _status(http, running.addresses.rest))["trades"] <= seen + 1
        async with connect(url) as socket:
            rest = [json.loads(await socket.recv())["t"] for _ in range(20 - seen - 1)]
    assert first == [1, 2, 3, 4, 5]
    assert rest[-1] >= 19
    assert rest == list(range(rest[0], rest[-1] + 1))


async def test_runon_loses_frames_to_the_socket_but_tells_them_by_rest(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", [trade(number, 100 + number / 20) for number in range(1, 21)])
    settings = SimulatorSettings(mode="runon", speed=4.0)
    async with serving(settings, load([file], settings)) as running, aiohttp.ClientSession() as http:
        status = await _passed(http, running.addresses.rest, 20)
        assert (status["done"], status["lost"], status["sent"]) == (True, 20, 0)
        query = {"symbol": "BTCUSDT", "fromId": "1"}
        async with http.get(f"{running.addresses.rest}/binance/api/v3/historicalTrades", params=query) as reply:
            assert [row["id"] for row in await reply.json()] == list(range(1, 21))


async def test_replay_says_what_it_does_and_ends_where_asked(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", [trade(number, 100.0) for number in range(1, 6)])
    settings = SimulatorSettings(mode="runon", speed="max", exit_at_end=True)
    ready: list[object] = []
    async with asyncio.timeout(60):
        await replay([file], settings, clock=WallClock(), ready=ready.append)
    assert len(ready) == 1


def test_a_kraken_v2_capture_can_be_served(tmp_path: Path) -> None:
    data = {"symbol": "BTC/USD", "side": "sell", "price": 6.5, "qty": 40.0, "ord_type": "market", "trade_id": 4}
    data["timestamp"] = "2023-09-25T07:49:37.708706Z"
    frames = [
        '{"channel":"status","type":"update","data":[]}',
        '{"channel":"heartbeat"}',
        '{"method":"subscribe","success":true}',
        json.dumps({"channel": "trade", "type": "update", "data": [data]}),
        json.dumps({"channel": "ticker", "type": "update", "data": [{"symbol": "BTC/USD"}]}),
    ]
    file = written(tmp_path / "k.jsonl", [(float(at), raw) for at, raw in enumerate(frames)])
    (tape,) = load([file], SimulatorSettings(speed="max"))
    items = list(tape.take(0, 10, heard=True))
    assert [item.venue for item in items if hasattr(item, "venue")] == ["kraken", "kraken"]
    assert tape.ledgers["kraken:BTC-USD"].last is not None
    assert tape.done
    with pytest.raises(Invalid, match="recorded"):
        tape.inject(Event(kind="jump", market="kraken:BTC-USD"), 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("not json", "line 1"),
        ('{"t":1,"dir":"in","b64":"AAAA"}', "binary"),
        ('{"t":1,"dir":"in","raw":"[1,2]"}', "version 1"),
        ('{"t":1,"dir":"in","raw":"{\\"event\\":\\"heartbeat\\"}"}', "version 1"),
        ('{"t":1,"dir":"in","raw":"{\\"topic\\":1}"}', "no frame of"),
        ('{"t":null,"dir":"config","raw":"{}"}', "there is no frame"),
    ],
)
def test_what_cannot_be_served_is_refused_with_words(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        load([file], SimulatorSettings())
    with pytest.raises(ConfigError, match="cannot be read"):
        load([tmp_path / "missing.jsonl.gz"], SimulatorSettings())
