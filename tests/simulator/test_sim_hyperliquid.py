from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.simulator.adapter_support import Desk, check, enough, listened, pushed, served
from tests.simulator.sim_support import START
from tests.simulator.test_sim_frames import example, recorded, shape

from pricewatch.domain.market import Flag, Trade
from pricewatch.simulator.capture import load
from pricewatch.simulator.session import Foreign
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.venues.hyperliquid import Hyperliquid, tid

RECORDING = "data/hyperliquid/hyperliquid-btcusd-20250126T191403Z.jsonl.gz"


async def test_an_adapter_hears_and_reads_what_was_printed() -> None:
    found = await listened("hyperliquid", ("BTC-USDC", "PURR-USDC"), enough(60))
    check(found, lambda one: tid(one.id), history=False)
    assert [trade for trade in found.of(Trade) if trade.flags & Flag.HISTORY]
    keys = [trade.key for trade in found.live()]
    assert keys != sorted(keys)


def message(kind: str, coin: str = "BTC", method: str = "subscribe") -> dict[str, Any]:
    return {"method": method, "subscription": {"type": kind, "coin": coin}}


def test_words() -> None:
    desk = Desk(Hyperliquid, "BTC-USDC")
    assert desk.opening == []
    confirmed, snapshot = desk.say(message("trades"))
    assert confirmed == {"channel": "subscriptionResponse", "data": message("trades")}
    times = [row["time"] for row in snapshot["data"]]
    assert len(times) == 30
    assert times == sorted(times)
    assert [one["channel"] for one in desk.say(message("bbo"))] == ["subscriptionResponse", "bbo"]
    assert len(desk.say(message("l2Book"))) == 1
    quoted = '{"type":"trades","coin":"BTC"}'
    assert desk.say(message("trades")) == [{"channel": "error", "data": f"Already subscribed: {quoted}"}]
    gone = message("trades", method="unsubscribe")
    assert desk.say(gone) == [{"channel": "subscriptionResponse", "data": gone}]
    assert desk.say(gone) == [{"channel": "error", "data": f"Already unsubscribed: {quoted}"}]
    assert desk.say({"method": "ping"}) == [{"channel": "pong"}]
    assert list(desk.session.topics) == ["bbo:BTC", "l2Book:BTC"]


def test_silence_closes_a_connection() -> None:
    desk = Desk(Hyperliquid, "BTC-USDC")
    assert desk.venue.beat(desk.session, START + 59_000_000).close is None
    assert desk.venue.beat(desk.session, START + 60_000_000).close == (1000, "Inactive")
    assert desk.venue.open(desk.session, "/v2", {}, START).close is not None


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (message("trades", "NOBODY"), 'Invalid subscription {"type":"trades","coin":"NOBODY"}'),
        (message("word"), 'Invalid subscription {"type":"word","coin":"BTC"}'),
        ("{", "Error parsing JSON into valid websocket request: {"),
        (b"{", "Error parsing JSON into valid websocket request: {"),
        ({"method": "subscribe"}, 'Error parsing JSON into valid websocket request: {"method": "subscribe"}'),
    ],
)
def test_refusals(sent: Any, words: str) -> None:
    assert Desk(Hyperliquid, "BTC-USDC").say(sent) == [{"channel": "error", "data": words}]


def test_post_trouble() -> None:
    venue = Desk(Hyperliquid, "BTC-USDC").venue
    assert venue.rest("/info", {}, START).status == 405
    wanted = {"coin": "NOBODY", "interval": "1m", "startTime": 0, "endTime": 1}
    for body, status in (
        (b"{", 422),
        (b"[]", 422),
        (b'{"type":"word"}', 422),
        (b'{"type":"candleSnapshot","req":{"interval":"7m"}}', 422),
        (json.dumps({"type": "candleSnapshot", "req": wanted}).encode(), 500),
    ):
        assert venue.post("/info", {}, body, START).status == status
    assert venue.post("/exchange", {}, b'{"type":"meta"}', START).status == 422


@pytest.mark.shared
def test_frames_are_as_recorded(shared: Path) -> None:
    theirs = list(recorded(shared / RECORDING))
    ours = pushed(Hyperliquid, "BTC-USDC")
    mine = [one for one in ours if one["channel"] == "trades"]
    assert len(mine) > 20
    real = [dict(sorted(row.items())) for one in theirs if one["channel"] == "trades" for row in one["data"]]
    rows = [dict(sorted(row.items())) for one in mine for row in one["data"]]
    assert {shape(row) for row in rows} == {shape(row) for row in real}
    assert {len(row["hash"]) for row in rows} == {len(row["hash"]) for row in real}
    for name, channel in (("Trades", "trades"), ("BookTicker", "bbo")):
        answer, one = example(shared / f"data/frames/hyperliquid/{name}.txt")
        assert {shape(frame) for frame in ours if frame["channel"] == channel} == {shape(one)}
        (confirmed, *_) = Desk(Hyperliquid, "BTC-USDC").say(message(channel))
        assert sorted(map(str, shape(confirmed["data"]["subscription"]))) == sorted(
            map(str, shape(answer["data"]["subscription"]))
        )


@pytest.mark.shared
def test_candles_are_as_the_example(shared: Path) -> None:
    lines = (shared / "data/rest/hyperliquid/GetKlines.txt").read_text(encoding="utf-8").split("\n", 3)
    wanted = {"coin": "BTC", "interval": "1h", "startTime": 0, "endTime": START // 1_000}
    body = json.dumps({"type": "candleSnapshot", "req": wanted}).encode()
    rows = json.loads(msgspec.json.encode(Desk(Hyperliquid, "BTC-USDC").venue.post("/info", {}, body, START).body))
    assert len(rows) >= 2
    assert {shape(row) for row in rows} <= {shape({**one, "s": "BTC"}) for one in json.loads(lines[3])}


@pytest.mark.shared
def test_a_recording_is_served(shared: Path) -> None:
    (tape,) = load([shared / RECORDING], SimulatorSettings(speed="max"))
    assert len(list(tape.take(START, 10_000, heard=True))) == 55
    (ledger,) = tape.ledgers.values()
    assert (ledger.listing.symbol, ledger.printed) == ("BTC-USDC", 34)
    venue, desk = Hyperliquid(tape.ledgers, SimulatorSettings()), Desk(Hyperliquid, "BTC-USDC")
    _, snapshot = venue.receive(desk.session, json.dumps(message("trades")), START).frames
    assert json.loads(snapshot)["data"][-1]["tid"] == 222563506900999


def test_frames_of_a_recording() -> None:
    rows = [{"coin": "BTC", "side": "A", "px": "5", "sz": "1", "time": 5, "tid": n} for n in (9, 3)]
    frames = [json.dumps({"channel": "trades", "data": [row]}).encode() for row in rows]
    assert served(Hyperliquid, [*frames, b'{"channel":"trades","data":[]}', b'{"channel":"pong"}']) == {"BTC": 1}
    assert Hyperliquid.legs("@107") == ("@107", "")
    with pytest.raises(Foreign):
        Hyperliquid.read(b'{"channel":"allMids","data":{"mids":{}}}', {})
