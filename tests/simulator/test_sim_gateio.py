from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.simulator.adapter_support import Desk, check, enough, listened, pushed
from tests.simulator.sim_support import START
from tests.simulator.test_sim_frames import example, recorded, shape

from pricewatch.domain.market import Trade
from pricewatch.exchanges.base import Lost
from pricewatch.simulator.capture import load
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.venues.gateio import GateIo

RECORDING = "data/gateio/gateio-20210422T121212Z-a.jsonl.gz"
NOW = START + 20_000_000


@pytest.mark.parametrize("fields", ["recorded", "current"])
async def test_an_adapter_hears_and_reads_what_was_printed(fields: str) -> None:
    check(await listened("gateio", ("BTC-USDT", "ETH-BTC"), enough(60), fields=fields), lambda one: one.id)


async def test_what_a_socket_leaves_out_is_noticed_and_told_by_rest() -> None:
    found = await listened(
        "gateio", ("BTC-USDT",), lambda found: len(found.of(Lost)) > 3, fields="current", faults={"gap": 0.3}
    )
    told = [trade.key for page in found.pages for trade in page]
    heard = [trade.key for trade in found.of(Trade)]
    assert set(heard) < set(told)
    assert {item.natives for item in found.of(Lost)} == {("BTC_USDT",)}


def wanted(channel: str, *pairs: str, event: str = "subscribe") -> dict[str, Any]:
    return {"id": 3, "channel": channel, "event": event, "payload": list(pairs)}


def test_words() -> None:
    desk = Desk(GateIo, "BTC-USDT", "ETH-USDT")
    assert desk.opening == []
    (answer,) = desk.say(wanted("spot.trades", "BTC_USDT", "ETH_USDT"))
    assert (answer["id"], answer["result"]) == (3, {"status": "success"})
    assert list(desk.session.topics) == ["spot.trades:BTC_USDT", "spot.trades:ETH_USDT"]
    (answer,) = desk.say(wanted("spot.trades", "BTC_USDT", event="unsubscribe"))
    assert answer["event"] == "unsubscribe"
    assert list(desk.session.topics) == ["spot.trades:ETH_USDT"]
    assert [one["channel"] for one in desk.say('{"channel":"spot.ping"}')] == ["spot.pong"]
    assert desk.venue.open(desk.session, "/nowhere", {}, START).close is not None


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("{", "invalid request"),
        (b"\xff", "invalid request"),
        ([], "invalid request"),
        ({"channel": 1}, "invalid request"),
        (wanted("spot.trades", event="dance"), "unknown event: dance"),
        (wanted("spot.nothing", "BTC_USDT"), "unknown channel: spot.nothing"),
        (wanted("spot.trades"), "invalid payload"),
        (wanted("spot.trades", "BTC_USDT", "X_Y"), "unknown currency pair: X_Y"),
    ],
)
def test_refusals(message: Any, words: str) -> None:
    desk = Desk(GateIo, "BTC-USDT")
    (refusal,) = desk.say(message)
    assert (refusal["error"]["message"], refusal["result"]) == (words, {"status": "fail"})
    assert not desk.session.topics


def test_rest() -> None:
    venue = Desk(GateIo, "BTC-USDT", rate=60.0).venue

    def get(path: str, **query: Any) -> Any:
        return venue.rest(f"/api/v4/spot/{path}", {key: str(value) for key, value in query.items()}, NOW)

    pair = {"currency_pair": "BTC_USDT"}
    everything = [row["id"] for page in (1, 2, 3) for row in get("trades", **pair, limit=500, page=page).body]
    assert len(everything) > 1_000
    assert everything == sorted(everything, reverse=True)
    assert len(get("trades", **pair).body) == 100
    second = START // 1_000_000 + 3
    some = get("trades", **pair, **{"from": second, "to": second + 1, "limit": 1000}).body
    assert {row["create_time"] for row in some} <= {str(second), str(second + 1)}
    assert list(some[0])[-1] == "sequence_id"
    minutes = get("candlesticks", **pair, interval="1m", limit=7).body
    assert [len(row) for row in minutes] == [8] * 7
    assert [row[0] for row in minutes] == sorted(row[0] for row in minutes)
    span = {"from": minutes[2][0], "to": minutes[4][0]}
    assert get("candlesticks", **pair, interval="1m", **span).body == minutes[2:5]
    assert [row["id"] for row in get("currency_pairs").body] == ["BTC_USDT"]
    for path, query in (
        ("trades", {"limit": 1001}),
        ("trades", {"page": 0}),
        ("trades", {"limit": 1000, "page": 102}),
        ("trades", {"from": "x"}),
        ("candlesticks", {"interval": "1h"}),
        ("candlesticks", {"interval": "1m", "limit": 5, "from": 1}),
        ("candlesticks", {"interval": "1m", "from": 1}),
    ):
        assert get(path, **pair, **query).body["label"] == "INVALID_PARAM_VALUE"
    assert get("trades", currency_pair="X_Y").body["label"] == "INVALID_CURRENCY_PAIR"
    assert get("elsewhere").status == 404
    assert venue.limited(3).headers == {"Retry-After": "3"}


@pytest.mark.shared
def test_frames_are_as_recorded_and_documented(shared: Path) -> None:
    theirs = [
        one for one in recorded(shared / RECORDING) if one["channel"] == "spot.trades" and one["event"] == "update"
    ]
    ours = [one for one in pushed(GateIo, "BTC-USDT") if one["channel"] == "spot.trades"]
    assert len(ours) > 10
    assert {shape(one) for one in ours} == {shape(one) for one in theirs}
    folder = shared / "data/frames/gateio"
    current = pushed(GateIo, "BTC-USDT", fields="current")
    for name, channel in (("Trade", "spot.trades"), ("BookTicker", "spot.book_ticker")):
        answer, push = example(folder / f"SubscribeTo{name}Updates.txt")
        mine = {shape(one) for one in current if one["channel"] == channel}
        if channel == "spot.trades":
            push["result"] = {"id": 1, "id_market": 1, **push["result"]}  # the example is older than the page
        assert mine == {shape(push)}
        (said,) = Desk(GateIo, "ETH-USDT").say(
            {"id": -999, "channel": channel, "event": "subscribe", "payload": ["ETH_USDT"]}
        )
        assert list(said) == list(answer)


@pytest.mark.shared
def test_a_recording_is_served(shared: Path) -> None:
    (tape,) = load([shared / RECORDING], SimulatorSettings(speed="max"))
    assert tape.name == "gateio"
    assert len(list(tape.take(START, 10_000, heard=True))) == 102
    printed = {key: ledger.printed for key, ledger in tape.ledgers.items() if ledger.printed}
    assert printed == {"gateio:DIS-USDT": 1, "gateio:NEO-BTC": 2}


@pytest.mark.parametrize("result", [{}, [], {"currency_pair": 1}])
def test_foreign_frames(result: Any) -> None:
    frame = {"channel": "spot.trades", "event": "update", "result": result}
    with pytest.raises(ValueError, match=r".+"):
        GateIo.read(json.dumps(frame).encode(), {})


def test_control_frames_are_left_to_the_server_and_other_channels_are_foreign() -> None:
    assert GateIo.read(b'{"time":1,"channel":"spot.pong","event":"","result":null}', {}) is None
    for frame in (b'{"channel":"ticker","event":"update"}', b'{"event":"heartbeat"}'):
        with pytest.raises(ValueError, match=r".+"):
            GateIo.read(frame, {})
