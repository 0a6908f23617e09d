from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.simulator.adapter_support import Desk, check, enough, listened, pushed, served
from tests.simulator.sim_support import START
from tests.simulator.test_sim_frames import recorded, shape

from pricewatch.exchanges.base import Closing, Lost
from pricewatch.exchanges.bitfinex import Bitfinex as Adapter
from pricewatch.simulator.capture import load
from pricewatch.simulator.session import Foreign
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.venues.bitfinex import Bitfinex

RECORDING = "data/bitfinex/bitfinex-20210417T163903Z.jsonl.gz"


async def test_an_adapter_hears_and_reads_what_was_printed() -> None:
    found = await listened("bitfinex", ("BTC-USD", "DUSK-USDT"), enough(60))
    check(found, lambda one: one.id)
    assert [one.native for one in found.instruments] == ["tBTCUSD", "tDUSK:UST"]


async def test_frames_kept_off_the_socket_are_missed_by_their_number() -> None:
    found = await listened(
        "bitfinex",
        ("BTC-USD",),
        lambda found: len(found.of(Lost)) >= 3 and len(found.live()) >= 60,
        rest=False,
        faults={"gap": 0.1},
    )
    assert {item.natives for item in found.of(Lost)} == {()}


def subscribe(channel: str, symbol: str = "tBTCUSD") -> dict[str, Any]:
    return {"event": "subscribe", "channel": channel, "symbol": symbol}


def test_words() -> None:
    desk = Desk(Bitfinex, "BTC-USD", heartbeat=1.0)
    (info,) = desk.opening
    assert (info["event"], info["version"], info["platform"]) == ("info", 2, {"status": 1})
    assert desk.say({"event": "conf", "flags": 65536}) == [{"event": "conf", "status": "OK", "flags": 65536}]
    confirmed, snapshot = desk.say(subscribe("trades"))
    number = confirmed["chanId"]
    assert confirmed == {
        "event": "subscribed",
        "channel": "trades",
        "chanId": number,
        "symbol": "tBTCUSD",
        "pair": "BTCUSD",
    }
    ids = [row[0] for row in snapshot[1]]
    assert (snapshot[0], len(ids), ids) == (number, 30, sorted(ids, reverse=True))
    twice = desk.say(subscribe("trades"))
    assert [(one["event"], one["code"], one["chanId"]) for one in twice] == [("error", 10301, number)]
    assert len(desk.say(subscribe("ticker"))[1][1]) == 10
    assert len(desk.say(subscribe("book"))) == 1
    assert desk.beat(14) == []
    assert [frame[1:] for frame in desk.beat(15)] == [["hb"]] * 3
    gone = {"event": "unsubscribe", "chanId": number}
    assert desk.say(gone) == [{"event": "unsubscribed", "status": "OK", "chanId": number}]
    assert desk.say(gone)[0]["code"] == 10400
    assert desk.say({"event": "ping", "cid": 7}) == [{"event": "pong", "ts": START // 1000, "cid": 7}]
    out: list[Any] = []
    Adapter([]).receive(desk.venue.announce(START) or b"", START, out)
    assert [type(item) for item in out] == [Closing]


def test_every_array_is_numbered_where_asked_for() -> None:
    desk = Desk(Bitfinex, "BTC-USD")
    stamp = desk.venue.stamp
    assert stamp(desk.session, b'[1,"hb"]') == b'[1,"hb"]'
    desk.say({"event": "conf", "flags": 65536})
    stamped = [stamp(desk.session, frame) for frame in (b'[1,"hb"]', b'{"event":"pong"}', b"[2,[1,2]]")]
    assert stamped == [b'[1,"hb",1]', b'{"event":"pong"}', b"[2,[1,2],2]"]


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (subscribe("trades", "tNOBODY"), 10300, "symbol: invalid"),
        ({"event": "subscribe", "channel": "ticker", "symbol": 5}, 10300, "symbol: invalid"),
        (subscribe("word"), 10300, "channel: unknown"),
        ({"event": "word"}, 10000, "event: invalid (word)"),
        ([], 10000, "event: invalid (None)"),
    ],
)
def test_refusals(message: Any, code: int, words: str) -> None:
    (refusal,) = Desk(Bitfinex, "BTC-USD").say(message)
    assert (refusal["event"], refusal["code"], refusal["msg"]) == ("error", code, words)
    echoed = message if isinstance(message, dict) and code == 10300 else {}
    assert {key: refusal[key] for key in echoed if key != "event"} == {
        key: value for key, value in echoed.items() if key != "event"
    }


def test_twenty_five_channels_are_the_limit() -> None:
    desk = Desk(Bitfinex, "BTC-USD")
    desk.session.topics |= {f"trades:{number}": None for number in range(25)}
    assert desk.say(subscribe("trades"))[0]["code"] == 10305


def test_what_is_no_json_is_not_answered() -> None:
    desk = Desk(Bitfinex, "BTC-USD")
    assert desk.say("{") == []
    assert desk.venue.open(desk.session, "/ws/1", {}, START).close is not None


def test_rest() -> None:
    desk = Desk(Bitfinex, "BTC-USD")
    venue, ledger = desk.venue, desk.ledgers["BTC-USD"]
    newest = venue.rest("/v2/trades/tBTCUSD/hist", {"limit": "3"}, START).body
    assert [row[0] for row in newest] == [trade.id for trade in reversed(ledger.newest(3))]
    assert len(venue.rest("/v2/trades/tBTCUSD/hist", {}, START).body) == min(125, ledger.printed)
    candles = venue.rest("/v2/candles/trade:1m:tBTCUSD/hist", {"limit": "2"}, START).body
    assert candles[0][0] > candles[1][0]
    assert venue.rest("/v2/trades/tNOBODY/hist", {}, START).body == []
    assert venue.rest("/v2/word", {}, START).status == 404
    for query in ({"limit": "10001"}, {"start": "x"}):
        assert venue.rest("/v2/trades/tBTCUSD/hist", query, START).status == 500
    assert venue.limited(3).status == 429


@pytest.mark.shared
def test_frames_are_as_recorded(shared: Path) -> None:
    theirs: list[Any] = list(recorded(shared / RECORDING))
    for event in ("info", "conf", "subscribed"):
        real = next(one for one in theirs if isinstance(one, dict) and one["event"] == event)
        desk = Desk(Bitfinex, "BTC-USD")
        mine: list[Any] = [*desk.opening, *desk.say({"event": "conf", "flags": 65536}), *desk.say(subscribe("ticker"))]
        (one,) = (one for one in mine if isinstance(one, dict) and one["event"] == event)
        assert shape(one) == shape(real)
    ours = pushed(Bitfinex, "BTC-USD")
    arrays = [one for one in theirs if isinstance(one, list) and isinstance(one[1], list)]
    tickers = [one[1] for one in arrays if len(one[1]) == 10 and not isinstance(one[1][0], list)]
    assert {len(one[1]) for one in ours if isinstance(one[1], list)} == {len(one) for one in tickers} == {10}
    rows = [row for one in arrays if isinstance(one[1][0], list) for row in one[1]]
    executed = [one[2] for one in ours if one[1] == "te"]
    assert len(executed) > 20
    assert {len(row) for row in executed} == {len(row) for row in rows if len(row) == 4} == {4}
    assert [one[2] for one in ours if one[1] == "tu"] == executed


@pytest.mark.shared
def test_a_recording_is_served_under_its_own_numbers(shared: Path) -> None:
    (tape,) = load([shared / RECORDING], SimulatorSettings(speed="max"))
    frames = list(tape.take(START, 10_000, heard=True))
    assert len(frames) == 1628
    ledger = tape.ledgers["bitfinex:BFT-USD"]
    venue = Bitfinex(tape.ledgers, SimulatorSettings())
    desk = Desk(Bitfinex, "BTC-USD")
    answers = venue.receive(desk.session, json.dumps(subscribe("ticker", "tBFTUSD")), START).frames
    assert json.loads(answers[0])["chanId"] == 232949 == int(ledger.marks["ticker"])
    first = next(item for item in frames if item.topics[0][0] == "ticker:tBFTUSD")  # type: ignore[union-attr]
    assert json.loads(first.topics[0][1])[0] == 232949  # type: ignore[union-attr]
    assert first.topics[0][1].endswith(b"0.068961]]")  # type: ignore[union-attr]


def test_executions_are_prints() -> None:
    frames = [
        b'{"event":"subscribed","channel":"trades","chanId":5,"symbol":"tBTCUSD","pair":"BTCUSD"}',
        b"[5,[[1,1574694475039,0.1,5]]]",
        b'[5,"te",[2,1574694475039,-0.1,5]]',
        b'[5,"tu",[2,1574694475039,-0.1,5]]',
    ]
    assert served(Bitfinex, frames) == {"tBTCUSD": 1}
    for foreign in (b"[6,[1]]", b'{"event":"heartbeat"}'):
        with pytest.raises(Foreign):
            Bitfinex.read(foreign, {})
