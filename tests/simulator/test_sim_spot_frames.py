"""Frames of the simulated OKX, Bybit, Bitget and Crypto.com against recorded and documented ones, and read back."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.simulator.sim_support import START, connect, serving
from tests.simulator.spot_support import (
    NAMES,
    SECOND,
    Client,
    Everybody,
    answer,
    bitget,
    bybit,
    cryptocom,
    house,
    okx,
    outline,
    printed,
    settings,
)

from pricewatch.domain.market import Market, Quote, Trade
from pricewatch.exchanges.base import Output, Subscribed
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.simulator.capture import load
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.registry import VENUES
from pricewatch.simulator.session import Live
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import SeededTape


def example(file: Path) -> tuple[Any, Any]:
    """The acknowledgement and the pushed message of an example conversation."""
    text = file.read_text(encoding="utf-8").replace('"|1|"', '"1"').replace("|1|", "1")
    answered = next(line[2:] for line in text.splitlines() if line.startswith("< "))
    return json.loads(answered), json.loads(text[text.index("\n=") + 2 :])


def published(venue: str, **changes: Any) -> Iterator[Any]:
    chosen = settings(venue, **changes)
    tape = SeededTape(chosen, start=START)
    server, heard = VENUES[venue](tape.ledgers, chosen), Everybody()
    for item in tape.take(START + 5 * SECOND, 100_000, heard=True):
        assert isinstance(item, Live)
        server.publish(item, heard)
    return map(json.loads, heard.frames)


@pytest.mark.shared
def test_okx_frames_are_as_recorded(shared: Path) -> None:
    with gzip.open(shared / "data/okx/okx-20220513T162705Z.jsonl.gz", "rt") as file:
        theirs = [json.loads(line["raw"]) for line in map(json.loads, file) if line["dir"] == "in"]
    ours = list(published("okx"))
    for channel in ("trades", "tickers"):
        real = [one for one in theirs if "data" in one and one["arg"]["channel"] == channel]
        mine = [one for one in ours if one["arg"]["channel"] == channel]
        assert len(mine) > 20
        assert {str(outline(one)) for one in mine} == {str(outline(one)) for one in real}
    answered = next(one for one in theirs if one.get("event") == "subscribe")
    assert outline(Client("okx").say(okx({"channel": "trades", "instId": "BTC-USDT"}))[0]) == outline(answered)


@pytest.mark.shared
def test_okx_listing_is_as_recorded(shared: Path) -> None:
    with gzip.open(shared / "data/okx/okx-20220513T162705Z-instruments.jsonl.gz", "rt") as file:
        replies = [line for line in map(json.loads, file) if line.get("url", "").endswith("instType=SPOT")]
    theirs = json.loads(replies[0]["raw"])
    mine = json.loads(answer(house("okx")[0], "/api/v5/public/instruments?instType=SPOT", START))
    assert outline(mine) == outline(theirs)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("venue", "file", "mark"),
    [
        ("okx", "Trades", '"trades"'),
        ("bybit", "Trades", "publicTrade."),
        ("bitget", "Trades", '"trade"'),
        ("bitget", "Ticker", '"ticker"'),
        ("cryptocom", "Trades", '"trade"'),
        ("cryptocom", "Ticker", '"ticker"'),
    ],
)
def test_pushed_frames_are_as_the_examples(shared: Path, venue: str, file: str, mark: str) -> None:
    _, pushed = example(shared / f"data/frames/{venue}/{file}.txt")
    fields = "current" if venue == "okx" else "recorded"
    mine = next(one for one in published(venue, fields=fields) if mark in json.dumps(one))
    row = mine["data"][0] if venue == "okx" else {}
    for added in ("source", "seqId"):  # newer than the example
        row.pop(added, None)
    assert outline(mine) == outline(pushed)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("venue", "request_"),
    [
        ("okx", okx({"channel": "trades", "instId": "BTC-USDT"})),
        ("bybit", bybit("publicTrade.BTCUSDT")),
        ("bitget", bitget(("trade", "BTCUSDT"))),
    ],
)
def test_answers_are_as_the_examples(shared: Path, venue: str, request_: Any) -> None:
    answered, _ = example(shared / f"data/frames/{venue}/Trades.txt")
    told = Client(venue).say(request_)[0]
    if venue == "okx":
        del answered["connId"]  # not in the recorded frames
    assert outline(told) == outline(answered)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("venue", "file", "url"),
    [
        ("okx", "GetKlines", "/api/v5/market/candles?instId=BTC-USDT"),
        ("bybit", "GetKlines", "/v5/market/kline?category=spot&symbol=BTCUSDT&interval=1"),
        ("bitget", "GetKlines", "/api/v2/spot/market/candles?symbol=BTCUSDT&granularity=1min"),
    ],
)
def test_candles_are_as_the_examples(shared: Path, venue: str, file: str, url: str) -> None:
    lines = (shared / f"data/rest/{venue}/{file}.txt").read_text(encoding="utf-8").split("\n", 3)
    theirs, mine = json.loads(lines[3]), json.loads(answer(house(venue)[0], url, START))
    assert sorted(map(str, outline(mine))) == sorted(map(str, outline(theirs)))
    assert lines[1] == urlsplit(url).path


@pytest.mark.parametrize("venue", NAMES)
def test_a_venue_knows_its_own_frames(venue: str) -> None:
    chosen = settings(venue)
    tape = SeededTape(chosen, start=START)
    server, heard, trades = VENUES[venue](tape.ledgers, chosen), Everybody(), 0
    for item in tape.take(START + 5 * SECOND, 100_000, heard=True):
        assert isinstance(item, Live)
        heard.frames.clear()
        server.publish(item, heard)
        told = [server.read(frame, {}) for frame in heard.frames]
        prints = [one for hearing in told if hearing is not None for _, one in hearing.prints]
        if isinstance(item.event, Sweep):
            trades += 1
            assert printed(prints) == printed(item.event.prints)
        for hearing in told:
            assert hearing is not None
            assert hearing.natives == (item.ledger.listing.native,)
            assert next(frame for _, frame in hearing.topics) in heard.frames
    assert trades > 10
    assert server.legs(server.native("BTC", "USDT")) == ("BTC", "USDT")


@pytest.mark.parametrize("venue", NAMES)
@pytest.mark.parametrize(
    "frame",
    [b"{}", b"[]", b'{"stream":"btcusdt@trade","data":{}}', b'{"channel":"heartbeat"}', b'{"event":"heartbeat"}', b"x"],
)
def test_a_venue_knows_what_is_foreign(venue: str, frame: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        VENUES[venue].read(frame, {})


@pytest.mark.parametrize(
    ("venue", "frames"),
    [
        (
            "okx",
            [b"pong", b'{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"}}', b'{"event":"error"}'],
        ),
        ("bybit", [b'{"success":true,"ret_msg":"pong","op":"ping"}']),
        ("bitget", [b"pong", b'{"event":"subscribe","arg":{"instType":"SPOT","channel":"trade","instId":"BTCUSDT"}}']),
        ("cryptocom", [b'{"id":7,"method":"public/heartbeat","code":0}', b'{"id":1,"method":"subscribe","code":0}']),
    ],
)
def test_a_venue_makes_control_frames_itself(venue: str, frames: list[bytes]) -> None:
    assert [VENUES[venue].read(frame, {}) for frame in frames] == [None] * len(frames)


def test_snapshots_are_no_news() -> None:
    snapshot = Client("bitget")
    frames = snapshot.venue.receive(snapshot.session, json.dumps(bitget(("trade", "BTCUSDT"))), START).frames
    heard = snapshot.venue.read(frames[1], {})
    assert heard is not None
    assert (heard.natives, heard.prints) == (("BTCUSDT",), ())
    answered = Client("cryptocom")
    frames = answered.venue.receive(answered.session, json.dumps(cryptocom("trade.BTC_USDT")), START).frames
    assert answered.venue.read(frames[0], {}) is None


def test_ids_that_are_no_numbers_are_kept_as_names() -> None:
    row = {"T": START // 1000, "s": "BTCUSDT", "S": "Buy", "v": "1", "p": "2", "i": "20f43950-d8dd"}
    frame = json.dumps({"topic": "publicTrade.BTCUSDT", "data": [row]}).encode()
    heard = VENUES["bybit"].read(frame, {})
    assert heard is not None
    ((_, trade),) = heard.prints
    assert (trade.id, trade.ref) == (0, "20f43950-d8dd")


@pytest.mark.shared
async def test_a_recording_of_okx_is_served_as_it_was(shared: Path) -> None:
    file = shared / "data/okx/okx-20220513T162705Z.jsonl.gz"
    chosen = SimulatorSettings(speed="max")
    natives = ("BTC-USDT", "BTC-USD-220527", "UNI-USD-SWAP")
    markets = [Market(n, "okx", f"M{n}-USD", native, 1000) for n, native in enumerate(natives, 1)]
    exchange = EXCHANGES["okx"](markets)
    out: list[Output] = []
    async with (
        serving(chosen, load([file], chosen)) as running,
        asyncio.timeout(50),
        connect(f"{running.addresses.ws}/okx") as socket,
    ):
        (send,) = exchange.subscribe(exchange.expected())
        await socket.send(send.frame)
        while len(out) < 74 + 28 + 6:
            exchange.receive(await socket.recv(), START, out)
    assert sum(isinstance(one, Trade) for one in out) == 74
    assert sum(isinstance(one, Quote) for one in out) == 28
    assert sum(isinstance(one, Subscribed) for one in out) == 6
