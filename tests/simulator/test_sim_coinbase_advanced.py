"""Coinbase Advanced Trade: what it answers, and its frames field for field as the documented ones."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.simulator.sim_support import START, connect, seeded, serving
from tests.simulator.test_sim_frames import Listener, example, load, shape

from pricewatch.simulator.capture import load as loaded
from pricewatch.simulator.session import Answer, Foreign, Live, Session
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import SeededTape
from pricewatch.simulator.venues.coinbase_advanced import CoinbaseAdvanced

SECOND = 1_000_000
MARKETS: dict[str, Any] = {"markets": {"coinbase_advanced": ("BTC-USD", "ETH-USDC")}}


class Client:
    def __init__(self) -> None:
        self.venue = CoinbaseAdvanced(seeded(**MARKETS).ledgers, SimulatorSettings())
        self.session = Session(opened=START)

    def say(self, request: Any) -> list[Any]:
        text = request if isinstance(request, str | bytes) else json.dumps(request)
        return self.numbered(self.venue.receive(self.session, text, START))

    def numbered(self, answer: Answer) -> list[Any]:
        return [load(self.venue.stamp(self.session, frame).decode()) for frame in answer.frames]

    def subscribe(self, channel: str, *products: str, kind: str = "subscribe") -> list[Any]:
        return self.say({"type": kind, "product_ids": list(products), "channel": channel})

    def get(self, path: str, **query: str) -> Any:
        reply = self.venue.rest(f"/api/v3/brokerage{path}", query, START + 30 * SECOND)
        assert reply.status == 200
        return reply.body


def published() -> list[Any]:
    settings = SimulatorSettings(history_minutes=30, **MARKETS)
    tape = SeededTape(settings, start=START)
    venue, listener = CoinbaseAdvanced(tape.ledgers, settings), Listener()
    for item in tape.take(START + 20 * SECOND, 100_000, heard=True):
        assert isinstance(item, Live)
        venue.publish(item, listener)
    session = Session(opened=START)
    return [load(venue.stamp(session, frame.encode()).decode()) for frame in listener.frames]


@pytest.mark.shared
@pytest.mark.parametrize(("name", "channel"), [("Trades", "market_trades"), ("Ticker", "ticker")])
def test_frames_are_as_the_examples(shared: Path, name: str, channel: str) -> None:
    answer, pushed = example(shared / f"data/frames/coinbase_advanced/{name}.txt")
    ours = [frame for frame in published() if frame["channel"] == channel]
    assert len(ours) > 20
    assert {shape(frame) for frame in ours} == {shape(pushed)}
    client = Client()
    acknowledged = client.subscribe(channel, "BTC-USD")[0]
    assert [*acknowledged] == [*answer]
    assert acknowledged["events"] == [{"subscriptions": {channel: ["BTC-USD"]}}]


@pytest.mark.shared
def test_heartbeats_are_as_the_example(shared: Path) -> None:
    _, pushed = example(shared / "data/frames/coinbase_advanced/Heartbeat.txt")
    client = Client()
    assert client.venue.beat(client.session, START + 4 * SECOND) == Answer()
    assert client.venue.beat(client.session, START + 5 * SECOND).close is not None
    client.say({"type": "subscribe", "channel": "heartbeats"})
    (beat,) = client.numbered(client.venue.beat(client.session, START + SECOND))
    assert shape(beat) == shape(pushed)
    assert beat["sequence_num"] == 1
    assert client.venue.beat(client.session, START + SECOND) == Answer()


def test_every_message_of_a_connection_has_a_number() -> None:
    client = Client()
    frames = client.subscribe("ticker", "BTC-USD") + client.subscribe("market_trades", "BTC-USD", "ETH-USDC")
    assert [frame["sequence_num"] for frame in frames] == list(range(len(frames)))
    assert [frame["channel"] for frame in frames] == [
        "subscriptions",
        "ticker",
        "subscriptions",
        *["market_trades"] * 2,
    ]
    trades = frames[-1]["events"][0]
    assert trades["type"] == "snapshot"
    ids = [int(row["trade_id"]) for row in trades["trades"]]
    assert ids == sorted(ids, reverse=True)
    assert {row["product_id"] for row in trades["trades"]} == {"ETH-USD"}
    (gone,) = client.subscribe("ticker", "BTC-USD", kind="unsubscribe")
    assert gone["events"] == [{"subscriptions": {"market_trades": ["BTC-USD", "ETH-USD"]}}]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ("{", "malformed"),
        ([], "type must be"),
        ({"type": "hello"}, "type must be"),
        ({"type": "subscribe", "channel": "level9", "product_ids": ["BTC-USD"]}, "failure to subscribe"),
        ({"type": "subscribe", "channel": "ticker"}, "failure to subscribe"),
        ({"type": "subscribe", "channel": "ticker", "product_ids": ["BTC-USD", 5]}, "failure to subscribe"),
        ({"type": "subscribe", "channel": "ticker", "product_ids": ["BTC-USD", "X-USD"]}, "failure to subscribe"),
    ],
)
def test_wrong_requests(request_: Any, words: str) -> None:
    (answer,) = Client().say(request_)
    assert answer["type"] == "error"
    assert words in answer["message"]


def test_only_the_root_is_served() -> None:
    client = Client()
    assert client.venue.open(client.session, "/", {}, START) == Answer()
    assert client.venue.open(client.session, "/other", {}, START).close is not None


def test_rest() -> None:
    client = Client()
    (btc, eth) = client.get("/market/products", product_type="SPOT")["products"]
    assert (btc["product_id"], btc["alias"], eth["product_id"], eth["alias"]) == ("BTC-USD", "", "ETH-USDC", "ETH-USD")
    assert client.get("/market/products/BTC-USD") == btc
    newest = client.get("/market/products/BTC-USD/ticker", limit="5")["trades"]
    ids = [int(row["trade_id"]) for row in newest]
    assert ids == list(range(ids[0], ids[0] - 5, -1))
    assert set(newest[0]) == {
        "trade_id", "product_id", "price", "size", "time", "side", "bid", "ask", "exchange"
    }  # fmt: skip
    second = START // SECOND + 10
    older = client.get("/market/products/BTC-USD/ticker", limit="1000", start=str(second - 5), end=str(second))
    assert 0 < len(older["trades"]) < 1_000
    rows = client.get(
        "/market/products/BTC-USD/candles",
        granularity="ONE_MINUTE",
        start=str(second - 600),
        end=str(second),
    )["candles"]
    assert [int(row["start"]) for row in rows] == sorted((int(row["start"]) for row in rows), reverse=True)
    assert set(rows[0]) == {"start", "low", "high", "open", "close", "volume"}
    assert client.get("/time")["epochSeconds"] == str(START // SECOND + 30)


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/market/products/X-USD", {}, 404),
        ("/market/products/X-USD/ticker", {"limit": "5"}, 404),
        ("/elsewhere", {}, 404),
        ("/market/products/BTC-USD/ticker", {}, 400),
        ("/market/products/BTC-USD/ticker", {"limit": "x"}, 400),
        ("/market/products/BTC-USD/candles", {"granularity": "ONE_YEAR", "start": "1", "end": "2"}, 400),
        ("/market/products/BTC-USD/candles", {"granularity": "ONE_MINUTE", "start": "0", "end": "60000"}, 400),
    ],
)
def test_rest_refuses(path: str, query: dict[str, str], status: int) -> None:
    assert Client().venue.rest(f"/api/v3/brokerage{path}", query, START).status == status
    assert Client().venue.limited(3).headers == {"Retry-After": "3"}


async def test_each_connection_is_numbered_on_its_own() -> None:
    options = SimulatorSettings(rate=200.0, history_minutes=2, programme=False, **MARKETS)
    request = json.dumps({"type": "subscribe", "product_ids": ["BTC-USD"], "channel": "market_trades"})
    async with serving(options) as running:
        address = f"{running.addresses.ws}/coinbase_advanced"
        async with connect(address) as first, connect(address) as second, asyncio.timeout(60):
            for socket in (first, second):
                await socket.send(request)
                for number in range(10):
                    assert json.loads(await socket.recv())["sequence_num"] == number


@pytest.mark.shared
async def test_a_recording_comes_back_with_numbers_of_this_connection(shared: Path, tmp_path: Path) -> None:
    names = ("Trades", "Ticker", "Klines", "Heartbeat")
    pushed = [example(shared / f"data/frames/coinbase_advanced/{name}.txt")[1] for name in names]
    records = [
        {"t": 1.0 + number, "dir": "in", "conn": "ws.1", "raw": json.dumps(one)} for number, one in enumerate(pushed)
    ]
    file = tmp_path / "coinbase_advanced-x.jsonl"
    file.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    settings = SimulatorSettings(speed="max")
    (tape,) = loaded([file], settings)
    request = {"type": "subscribe", "product_ids": ["ETH-USDT"], "channel": "market_trades"}
    async with (
        serving(settings, [tape]) as running,
        connect(f"{running.addresses.ws}/coinbase_advanced") as socket,
        asyncio.timeout(60),
    ):
        await socket.send(json.dumps(request))
        answer, trades = [load(str(await socket.recv())) for _ in range(2)]
        ledger = running.server._ledgers["coinbase_advanced:ETH-USDT"]
    assert (answer["sequence_num"], trades["sequence_num"]) == (0, 1)
    assert trades["events"] == pushed[0]["events"]
    assert [(one.id, one.side) for one in ledger.newest(5)] == [(22381690, -1), (22381691, -1)]


def test_what_was_never_a_frame_of_it() -> None:
    assert CoinbaseAdvanced.read(b'{"type":"error","message":"failure to subscribe"}', {}) is None
    for frame in (b'{"type":"match","product_id":"BTC-USD"}', b'{"channel":"trade","data":[]}'):
        with pytest.raises(Foreign):
            CoinbaseAdvanced.read(frame, {})
    level = b'{"channel":"l2_data","sequence_num":5,"events":[{"type":"update","product_id":"BTC-USD","updates":[]}]}'
    heard = CoinbaseAdvanced.read(level, {})
    assert heard is not None
    assert heard.topics == (("l2_data:BTC-USD", level.replace(b":5,", b":\0,")),)
