from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.simulator.adapter_support import Desk, check, enough, listened, pushed
from tests.simulator.sim_support import START, seeded
from tests.simulator.test_sim_frames import Listener, recorded, recorded_http, shape

from pricewatch.domain.market import Flag, Trade
from pricewatch.simulator.capture import load
from pricewatch.simulator.depth import depth
from pricewatch.simulator.market import Book
from pricewatch.simulator.session import Foreign, Live
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.venues.gemini import Gemini

RECORDING = "data/gemini/gemini-20210417T164542Z.jsonl.gz"


@pytest.mark.parametrize("fields", ["recorded", "current"])
async def test_an_adapter_hears_and_reads_what_was_printed(fields: str) -> None:
    found = await listened("gemini", ("BTC-USD", "ETH-BTC"), enough(60), fields=fields)
    check(found, lambda one: one.id)
    assert [trade for trade in found.of(Trade) if trade.flags & Flag.HISTORY]
    ledger = found.ledgers["gemini:BTC-USD"]
    assert all(abs(one.bid / ledger.bid - 1) < 0.01 for one in found.of(type(found.out[1])) if one.market == 1)


def subscribe(*symbols: str, kind: str = "subscribe") -> dict[str, Any]:
    return {"type": kind, "subscriptions": [{"name": "l2", "symbols": list(symbols)}]}


def test_words() -> None:
    desk = Desk(Gemini, "BTC-USD", heartbeat=1.0)
    assert desk.opening == []
    assert desk.beat(60) == []
    (first,) = desk.say(subscribe("BTCUSD", "NOBODY"))
    sides = [row[0] for row in first["changes"]]
    assert (sides.count("buy"), sides.count("sell"), len(first["trades"])) == (10, 10, 50)
    assert desk.beat(4) == []
    assert desk.beat(5) == [{"type": "heartbeat", "timestamp": START // 1000 + 5000}]
    assert desk.say(subscribe("BTCUSD", kind="unsubscribe")) == []
    assert desk.session.topics == {}
    assert desk.venue.announce(START) is None
    assert desk.venue.open(desk.session, "/v1", {}, START).close is not None


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (subscribe("NOBODY"), "NoValidTradingPairs"),
        (subscribe("btcusd"), "NoValidTradingPairs"),
        ({"type": "subscribe", "subscriptions": [{"name": "word", "symbols": ["BTCUSD"]}]}, "NoValidTradingPairs"),
        ("{", "InvalidJson"),
        (b"\xff", "InvalidJson"),
        ([], "InvalidJson"),
        ({"type": "subscribe"}, "InvalidJson"),
    ],
)
def test_refusals(message: Any, reason: str) -> None:
    assert Desk(Gemini, "BTC-USD").say(message) == [{"reason": reason, "result": "error"}]


def test_rest() -> None:
    desk = Desk(Gemini, "BTC-USD")
    venue, ledger = desk.venue, desk.ledgers["BTC-USD"]
    newest = [trade.id for trade in reversed(ledger.newest(50))]
    assert [row["tid"] for row in venue.rest("/v1/trades/btcusd", {}, START).body] == newest
    following = venue.rest("/v1/trades/btcusd", {"since_tid": str(newest[10])}, START).body
    assert [row["tid"] for row in following] == newest[:10]
    stamp = ledger.newest(5)[0].at
    for text in (str(stamp // 1_000 - 1), str(stamp // 1_000_000 - 1)):
        rows = venue.rest("/v1/trades/btcusd", {"timestamp": text, "limit_trades": "900"}, START).body
        assert {row["tid"] for row in rows} >= set(newest[:5])
    assert venue.rest("/v1/trades/btcusd", {"timestamp": "x"}, START).status == 400
    assert venue.rest("/v1/trades/nobody", {}, START).status == 400
    assert venue.rest("/v1/word", {}, START).status == 404
    assert venue.limited(3).headers == {"Retry-After": "3"}


@pytest.mark.shared
def test_frames_are_as_recorded(shared: Path) -> None:
    theirs = list(recorded(shared / RECORDING))
    ours = pushed(Gemini, "BTC-USD")
    trades = {shape(one) for one in theirs if one["type"] == "trade"}
    mine = [one for one in ours if one["type"] == "trade"]
    assert len(mine) > 20
    assert {shape(one) for one in mine} == trades
    changes = {shape(one) for one in theirs if one["type"] == "l2_updates" and "trades" not in one}
    assert {shape(one) for one in ours if one["type"] == "l2_updates"} <= changes
    (first,) = Desk(Gemini, "BTC-USD").say(subscribe("BTCUSD"))
    real = [one for one in theirs if "trades" in one and not one["auction_events"]]
    assert shape(first) in {shape(one) for one in real}
    beat = next(one for one in theirs if one["type"] == "heartbeat")
    desk = Desk(Gemini, "BTC-USD")
    desk.say(subscribe("BTCUSD"))
    assert shape(desk.beat(60)[0]) == shape(beat)


@pytest.mark.shared
def test_the_symbols_are_as_recorded(shared: Path) -> None:
    real = next(recorded_http(shared / "data/gemini/gemini-20210417T164542Z-instruments.jsonl.gz"))
    ours = Desk(Gemini, "BTC-USD", "ETH-DAI").venue.rest("/v1/symbols", {}, START).body
    assert set(ours) <= set(real)


@pytest.mark.shared
def test_a_recording_is_served(shared: Path) -> None:
    (tape,) = load([shared / RECORDING], SimulatorSettings(speed="max"))
    assert len(list(tape.take(START, 10_000, heard=True))) == 986
    assert sum(ledger.printed for ledger in tape.ledgers.values()) == 51
    venue, desk = Gemini(tape.ledgers, SimulatorSettings()), Desk(Gemini, "BTC-USD")
    (frame,) = venue.receive(desk.session, json.dumps(subscribe("BTCUSD")), START).frames
    first = json.loads(frame)
    assert first["changes"] == []
    assert first["trades"]


def test_foreign_frames() -> None:
    assert Gemini.read(b'{"result":"error","reason":"NoValidTradingPairs"}', {}) is None
    current = (
        b'{"type":"trade","symbol":"BTCUSD","event_id":1,"timestamp":5,"price":"1","quantity":"2",'
        b'"side":"block","tid":9}'
    )
    heard = Gemini.read(current, {})
    assert heard is not None
    assert [(one.id, one.side) for _, one in heard.prints] == [(9, 0)]
    for frame in (b"{}", b'{"type":"word"}'):
        with pytest.raises(Foreign):
            Gemini.read(frame, {})


def test_a_book_ends_where_the_price_does() -> None:
    listing = Gemini.listed("BTC-USD")
    bids, asks = depth(listing, 2 * listing.tick, 1.0, 3 * listing.tick, 2.0, 5)
    assert bids == [(0.02, 1.0), (0.01, 3.0)]
    assert [price for price, _ in asks] == [0.03, 0.04, 0.05, 0.06, 0.07]


def test_nothing_is_told_where_no_level_changed() -> None:
    tape = seeded(markets={"gemini": ("BTC-USD",)})
    (ledger,) = tape.ledgers.values()
    venue, listener = Gemini(tape.ledgers, SimulatorSettings()), Listener()
    best = Book(START, ledger.bid, ledger.bid_size, ledger.ask, ledger.ask_size, 1)
    venue.publish(Live(ledger, best), listener)
    venue.publish(Live(ledger, best), listener)
    assert len(listener.frames) == 1
