from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.simulator.adapter_support import Desk, check, enough, listened, pushed
from tests.simulator.sim_support import START
from tests.simulator.test_sim_frames import Number, shape

from benchmarks import plain
from pricewatch.domain.market import Flag, Trade
from pricewatch.simulator.capture import load
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.venues.upbit import Upbit

RECORDING = "data/upbit/upbit-20210417T165103Z.jsonl.gz"
NOW = START + 20_000_000
DAY = 86_400


async def test_an_adapter_hears_and_reads_what_was_printed() -> None:
    found = await listened("upbit", ("BTC-KRW", "ETH-BTC"), enough(60))
    check(found, lambda one: one.at + one.id % 1_000)
    assert [trade for trade in found.of(Trade) if trade.flags & Flag.HISTORY]


def asked(*parts: dict[str, Any], style: str = "SIMPLE") -> list[dict[str, Any]]:
    return [{"ticket": "t"}, *parts, {"format": style}]


def test_a_request_replaces_the_one_before() -> None:
    desk = Desk(Upbit, "BTC-KRW", "ETH-KRW")
    assert desk.opening == []
    trade, book = desk.say(
        asked({"type": "trade", "codes": ["KRW-BTC", "KRW-X"]}, {"type": "orderbook", "codes": ["KRW-ETH.1"]})
    )
    assert (trade["ty"], trade["cd"], trade["st"]) == ("trade", "KRW-BTC", "SNAPSHOT")
    assert (book["ty"], book["cd"], len(book["obu"])) == ("orderbook", "KRW-ETH", 1)
    assert list(desk.session.topics) == ["trade:KRW-BTC:SIMPLE", "orderbook:KRW-ETH:SIMPLE"]
    (trade,) = desk.say([{"ticket": "t"}, {"type": "trade", "codes": ["KRW-ETH"]}])
    assert (trade["type"], trade["code"]) == ("trade", "KRW-ETH")
    assert list(desk.session.topics) == ["trade:KRW-ETH:DEFAULT"]
    assert desk.venue.open(desk.session, "/nowhere", {}, START).close is not None


def test_who_says_nothing_for_two_minutes_is_left() -> None:
    desk = Desk(Upbit, "BTC-KRW")
    assert desk.say("PING") == [{"status": "UP"}]
    assert desk.venue.beat(desk.session, START + 120_000_000).close is None
    assert desk.venue.beat(desk.session, START + 120_000_001).close is not None


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("{", "WRONG_FORMAT"),
        (b"\xff", "WRONG_FORMAT"),
        ({}, "WRONG_FORMAT"),
        ([1], "WRONG_FORMAT"),
        ([{"type": "trade", "codes": ["KRW-BTC"]}], "NO_TICKET"),
        (asked(), "NO_TYPE"),
        (asked({"type": "weather", "codes": ["KRW-BTC"]}), "NO_TYPE"),
        (asked({"type": "trade"}), "NO_CODES"),
        (asked({"type": "trade", "codes": []}), "INVALID_PARAM"),
        (asked({"type": "trade", "codes": ["KRW-BTC"]}, style="BRIEF"), "WRONG_FORMAT"),
    ],
)
def test_refusals(message: Any, name: str) -> None:
    desk = Desk(Upbit, "BTC-KRW")
    (refusal,) = desk.say(message)
    assert refusal["error"]["name"] == name
    assert not desk.session.topics


def test_rest() -> None:
    desk = Desk(Upbit, "BTC-KRW", rate=60.0)
    venue, printed = desk.venue, desk.ledgers["BTC-KRW"].newest(10_000)

    def asked_at(now: int, path: str, **query: Any) -> Any:
        reply = venue.rest(path, {key: str(value) for key, value in query.items()}, now)
        return json.loads(msgspec.json.encode(reply.body))

    def get(path: str, **query: Any) -> Any:
        return asked_at(NOW, path, **query)

    market = {"market": "KRW-BTC"}
    ids = [one.at + one.id % 1_000 for one in printed]
    assert len(ids) == len(set(ids)) > 1_000
    found = [row["sequential_id"] for row in get("/v1/trades/ticks", **market, count=500)]
    while page := get("/v1/trades/ticks", **market, count=500, cursor=found[-1]):
        found += [row["sequential_id"] for row in page]
    assert found == ids[::-1]
    tomorrow = NOW + DAY * 1_000_000
    assert asked_at(tomorrow, "/v1/trades/ticks", **market, count=500) == []
    assert len(asked_at(tomorrow, "/v1/trades/ticks", **market, count=500, days_ago=1)) == 500
    moment = get("/v1/trades/ticks", **market, count=500)[-1]["trade_time_utc"]
    older = get("/v1/trades/ticks", **market, count=9, to=moment)
    assert all(row["trade_time_utc"] < moment for row in older)
    assert len(older) == 9
    minutes = get("/v1/candles/minutes/1", **market, count=7)
    times = [row["candle_date_time_utc"] for row in minutes]
    assert times == sorted(times, reverse=True)
    for to in (times[2], f"{times[2]}Z"):
        assert get("/v1/candles/minutes/1", **market, count=4, to=to) == minutes[3:7]
    for path, query in (
        ("trades/ticks", {"count": 501}),
        ("trades/ticks", {"days_ago": 8}),
        ("trades/ticks", {"to": "noon"}),
        ("candles/minutes/1", {"count": 201}),
        ("candles/minutes/1", {"to": "noon"}),
    ):
        assert (
            venue.rest(f"/v1/{path}", {**market, **{key: str(value) for key, value in query.items()}}, NOW).status
            == 400
        )
    assert venue.rest("/v1/trades/ticks", {"market": "KRW-X"}, NOW).status == 404
    assert venue.rest("/v1/elsewhere", {}, NOW).status == 404
    assert venue.limited(3).headers == {"Retry-After": "3"}


def documented(file: Path) -> dict[str, Any]:
    """The pushed message of an example: nothing is acknowledged."""
    text = file.read_text(encoding="utf-8")
    push: dict[str, Any] = json.loads(text[text.index("\n=") + 2 :], parse_float=Number)
    return push


@pytest.mark.shared
def test_frames_are_as_recorded_and_documented(shared: Path) -> None:
    lines = [line for line in plain.read(shared / RECORDING) if line["dir"] == "in"]
    frames = [json.loads(plain.frame(line), parse_float=Number) for line in lines]
    ours = [one for one in pushed(Upbit, "ETH-BTC") if "ty" in one]
    for kind in ("trade", "orderbook"):
        theirs = {shape(one) for one in frames if one["ty"] == kind}
        mine = [one for one in ours if one["ty"] == kind]
        assert len(mine) > 10
        assert {shape(one) for one in mine} <= theirs
    current = [one for one in pushed(Upbit, "ETH-BTC", fields="current") if "type" in one]
    for name, kind in (("Trades", "trade"), ("OrderBook", "orderbook")):
        keys = set(documented(shared / f"data/frames/upbit/{name}.txt")) | {"stream_type"}
        assert {frozenset(one) for one in current if one["type"] == kind} == {frozenset(keys)}


@pytest.mark.shared
def test_a_recording_is_served(shared: Path) -> None:
    (tape,) = load([shared / RECORDING], SimulatorSettings(speed="max"))
    assert tape.name == "upbit"
    assert len(list(tape.take(START, 10_000, heard=True))) == 449
    assert sum(ledger.printed for ledger in tape.ledgers.values()) == 304
    assert tape.ledgers["upbit:LAMB-KRW"].listing.native == "KRW-LAMB"


def test_either_format_is_read() -> None:
    full = {"type": "trade", "code": "KRW-BTC", "trade_timestamp": 5, "trade_price": 2.0, "trade_volume": 3.0}
    heard = Upbit.read(json.dumps({**full, "ask_bid": "ASK", "sequential_id": 7}).encode(), {})
    assert heard is not None
    ((native, one),) = heard.prints
    assert (native, one.at, one.price, one.size, one.side, one.ref) == ("KRW-BTC", 5_000, 2.0, 3.0, -1, "7")
    assert [topic for topic, _ in heard.topics] == ["trade:KRW-BTC:DEFAULT"]
    assert Upbit.read(b'{"status":"UP"}', {}) is None


@pytest.mark.parametrize(
    "frame", [b"[]", b"\xff", b'{"event":"heartbeat"}', b'{"ty":"trade"}', b'{"type":"trade","code":1}']
)
def test_foreign_frames(frame: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Upbit.read(frame, {})
