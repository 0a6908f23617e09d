from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.simulator.adapter_support import Desk, check, enough, listened, pushed
from tests.simulator.sim_support import START
from tests.simulator.test_sim_frames import example, recorded, shape

from pricewatch.exchanges.base import Closing
from pricewatch.exchanges.bitstamp import Bitstamp as Adapter
from pricewatch.simulator.capture import load
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.venues.bitstamp import Bitstamp

RECORDING = "data/bitstamp/bitstamp-20220105T004817Z.jsonl.gz"


async def test_an_adapter_hears_and_reads_what_was_printed() -> None:
    found = await listened("bitstamp", ("BTC-USD", "ETH-EUR"), enough(60))
    check(found, lambda one: one.id)


def wanted(channel: str, event: str = "bts:subscribe") -> dict[str, Any]:
    return {"event": event, "data": {"channel": channel}}


def test_words() -> None:
    desk = Desk(Bitstamp, "BTC-USD")
    assert desk.opening == []
    confirmed = {"event": "bts:subscription_succeeded", "channel": "live_trades_btcusd", "data": {}}
    assert desk.say(wanted("live_trades_btcusd")) == [confirmed]
    assert desk.say(wanted("live_trades_nobody"))[0]["event"] == "bts:subscription_succeeded"
    gone = desk.say(wanted("live_trades_btcusd", "bts:unsubscribe"))
    assert gone == [{"event": "bts:unsubscription_succeeded", "channel": "live_trades_btcusd", "data": {}}]
    assert list(desk.session.topics) == ["live_trades_nobody"]
    beat = {"event": "bts:heartbeat", "channel": "", "data": {"status": "success"}}
    assert desk.say({"event": "bts:heartbeat"}) == [beat]
    assert desk.beat(1000) == []
    out: list[Any] = []
    Adapter([]).receive(desk.venue.announce(START) or b"", START, out)
    assert out == [Closing("request_reconnect")]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("{", "Incorrect JSON format."),
        (b"\xff", "Incorrect JSON format."),
        ([], "Bad subscription string."),
        ({"event": "bts:ping"}, "Bad subscription string."),
        (wanted(""), "Invalid channel provided."),
        (wanted("live_trades_BTCUSD"), "Invalid channel provided."),
    ],
)
def test_refusals(message: Any, words: str) -> None:
    (refusal,) = Desk(Bitstamp, "BTC-USD").say(message)
    assert refusal == {"event": "bts:error", "channel": "", "data": {"code": None, "message": words}}


def test_what_closes_a_connection() -> None:
    desk = Desk(Bitstamp, "BTC-USD")
    assert desk.venue.receive(desk.session, "x" * 513, START).close == (1009, "read limited at 513 bytes")
    assert desk.venue.open(desk.session, "/v1", {}, START).close is not None


def test_rest_trouble() -> None:
    venue = Desk(Bitstamp, "BTC-USD").venue
    assert venue.rest("/api/v2/nothing", {}, START).status == 404
    assert venue.rest("/api/v2/transactions/xxxusd/", {}, START).status == 404
    assert venue.rest("/api/v2/transactions/btcusd/", {"time": "year"}, START).status == 400
    for query in ({"step": "7", "limit": "1"}, {"step": "60"}, {"step": "60", "limit": "1001"}):
        assert venue.rest("/api/v2/ohlc/btcusd/", query, START).status == 400
    assert len(venue.rest("/api/v2/ohlc/btcusd/", {"step": "60", "limit": "2"}, START).body["data"]["ohlc"]) == 2
    assert venue.limited(3).headers == {"Retry-After": "3"}


@pytest.mark.shared
def test_frames_are_as_recorded(shared: Path) -> None:
    theirs = list(recorded(shared / RECORDING))
    ours = pushed(Bitstamp, "BTC-USD")
    for event, channel in (("trade", "live_trades_btcusd"), ("data", "order_book_btcusd")):
        real = {shape(one) for one in theirs if one["event"] == event}
        mine = [one for one in ours if one["event"] == event]
        assert len(mine) > 10
        assert {shape(one) for one in mine} <= real
        assert {one["channel"] for one in mine} == {channel}
    for name, event in (("Trades", "trade"), ("OrderBook", "data")):
        _, one = example(shared / f"data/frames/bitstamp/{name}.txt")
        assert {shape(frame) for frame in ours if frame["event"] == event} == {shape(one)}


@pytest.mark.shared
def test_a_recording_is_served(shared: Path) -> None:
    (tape,) = load([shared / RECORDING], SimulatorSettings(speed="max"))
    assert tape.name == "bitstamp"
    assert len(list(tape.take(START, 10_000, heard=True))) == 727
    assert {key: ledger.printed for key, ledger in tape.ledgers.items() if ledger.printed} == {"bitstamp:ETH-USD": 10}


@pytest.mark.parametrize("frame", [b"{}", b"[]", b'{"event":"trade","channel":"x"}', b"\xff"])
def test_foreign_frames(frame: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Bitstamp.read(frame, {})
