from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.simulator.adapter_support import Desk, check, enough, listened
from tests.simulator.sim_support import START
from tests.simulator.test_sim_frames import Number, example, shape

from benchmarks import plain
from pricewatch.domain.market import Flag, Trade
from pricewatch.exchanges.base import Lost, Send
from pricewatch.simulator.capture import load
from pricewatch.simulator.session import Live
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import SeededTape
from pricewatch.simulator.venues.htx import Htx

RECORDING = "data/htx/htx-20210417T164750Z-a.jsonl.gz"
NOW = START + 20_000_000
TRADES, BEST = "market.ethusdt.trade.detail", "market.ethusdt.bbo"


async def test_an_adapter_hears_and_reads_what_was_printed() -> None:
    found = await listened("htx", ("BTC-USDT", "ETH-BTC"), enough(60))
    check(found, lambda one: one.id)
    assert [trade for trade in found.of(Trade) if trade.flags & Flag.HISTORY]


async def test_pings_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pricewatch.simulator.venues.htx._PING", 50_000)
    found = await listened("htx", ("BTC-USDT",), lambda found: len(found.of(Send)) > 5, rest=False, ping=0.2)
    assert not found.of(Lost)


def unpacked(frames: Any) -> list[Any]:
    return [json.loads(gzip.decompress(frame)) for frame in frames]


class Counter(Desk):
    """A desk that reads compressed frames."""

    def say(self, message: Any) -> list[Any]:
        text = message if isinstance(message, str | bytes) else json.dumps(message)
        return unpacked(self.venue.receive(self.session, text, START).frames)

    def beat(self, seconds: float) -> list[Any]:
        answer = self.venue.beat(self.session, START + int(seconds * 1_000_000))
        return [*unpacked(answer.frames), *([answer.close] if answer.close else [])]


def test_words() -> None:
    desk = Counter(Htx, "ETH-USDT")
    answer, last = desk.say({"sub": TRADES, "id": "a"})
    assert (answer["id"], answer["status"], answer["subbed"]) == ("a", "ok", TRADES)
    assert last["tick"]["data"][0]["tradeId"] == desk.ledgers["ETH-USDT"].newest(1)[0].id
    answer, best = desk.say({"sub": BEST})
    assert "id" not in answer
    assert best["tick"]["symbol"] == "ethusdt"
    (answer,) = desk.say({"unsub": TRADES, "id": 7})
    assert (answer["id"], answer["unsubbed"]) == (7, TRADES)
    assert list(desk.session.topics) == [BEST]
    assert desk.say({"ping": 5}) == [{"pong": 5}]
    assert desk.venue.open(desk.session, "/nowhere", {}, START).close is not None


def test_who_does_not_answer_pings_is_left() -> None:
    desk = Counter(Htx, "ETH-USDT")
    assert desk.beat(4) == []
    assert desk.beat(5) == [{"ping": START // 1_000 + 5_000}]
    assert desk.say({"pong": START // 1_000 + 5_000}) == []
    assert [len(desk.beat(at)) for at in (10, 15)] == [1, 1]
    assert desk.beat(20) == [(1002, "ping check expired")]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("{", "invalid request"),
        (b"\xff", "invalid request"),
        ([], "invalid request"),
        ({"sub": 1}, "invalid request"),
        ({"sub": "market.ethusdt.depth"}, "invalid topic market.ethusdt.depth"),
        ({"sub": "ethusdt"}, "invalid topic ethusdt"),
        ({"sub": "market.nosuch.bbo"}, "invalid symbol nosuch"),
    ],
)
def test_refusals(message: Any, words: str) -> None:
    (refusal,) = Counter(Htx, "ETH-USDT").say(message)
    assert (refusal["status"], refusal["err-code"], refusal["err-msg"]) == ("error", "bad-request", words)


def test_rest() -> None:
    venue = Desk(Htx, "ETH-USDT", rate=60.0).venue

    def get(path: str, **query: Any) -> Any:
        body = venue.rest(path, {key: str(value) for key, value in query.items()}, NOW).body
        return json.loads(msgspec.json.encode(body))

    market = {"symbol": "ethusdt"}
    prints = get("/market/history/trade", **market, size=2000)["data"]
    ids = [row["trade-id"] for one in prints for row in one["data"]]
    assert ids == list(range(ids[0], ids[0] - len(ids), -1))
    assert len(ids) > 1_000
    assert len({one["ts"] for one in prints}) == len(prints)
    assert len(str(prints[0]["data"][0]["id"])) == 26
    minutes = get("/market/history/kline", **market, period="1min", size=7)["data"]
    assert [row["id"] for row in minutes] == [minutes[0]["id"] - 60 * n for n in range(7)]
    some = get("/market/history/candles", **market, period="1min", **{"from": minutes[3]["id"], "to": minutes[1]["id"]})
    assert some["data"] == minutes[1:4]
    for path, query in (
        ("trade", {"size": 2001}),
        ("trade", {"size": "x"}),
        ("kline", {"period": "1day"}),
        ("kline", {"period": "1min", "size": 2001}),
    ):
        assert get(f"/market/history/{path}", **market, **query)["err-code"] == "invalid-parameter"
    assert get("/market/history/trade", symbol="nosuch")["err-msg"] == "invalid symbol"
    assert venue.rest("/elsewhere", {}, NOW).status == 404
    assert venue.limited(3).headers == {"Retry-After": "3"}


class Packed:
    """An audience of everything that reads compressed frames, numbers as they are written."""

    def __init__(self) -> None:
        self.frames: list[Any] = []

    def hears(self, topic: str) -> bool:
        return topic.startswith("market.")

    def send(self, topic: str, frame: bytes, *, trade: bool = False) -> None:
        self.frames.append(json.loads(gzip.decompress(frame), parse_float=Number))
        assert self.frames[-1]["ch"] == topic
        assert trade is topic.endswith("trade.detail")


@pytest.mark.shared
def test_frames_are_as_recorded_and_documented(shared: Path) -> None:
    settings = SimulatorSettings(programme=False, history_minutes=0, markets={"htx": ("ETH-USDT",)})
    tape = SeededTape(settings, start=START)
    venue, audience = Htx(tape.ledgers, settings), Packed()
    for item in tape.take(NOW, 100_000, heard=True):
        assert isinstance(item, Live)
        venue.publish(item, audience)
    lines = [line for line in plain.read(shared / RECORDING) if line["dir"] == "in"]
    frames = [json.loads(gzip.decompress(plain.frame(line)), parse_float=Number) for line in lines]  # type: ignore[arg-type]
    theirs = {shape(one) for one in frames if one.get("ch", "").endswith(".trade.detail")}
    ours = [one for one in audience.frames if one["ch"] == TRADES]
    assert len(ours) > 10
    assert {shape(one) for one in ours} == theirs
    assert any(len(one["tick"]["data"]) > 1 for one in ours)
    for one in ours:
        keys = [row["tradeId"] for row in one["tick"]["data"]]
        assert keys == sorted(keys, reverse=True)
    answer, best = example(shared / "data/frames/htx/BookTicker.txt")
    assert {shape(one) for one in audience.frames if one["ch"] == BEST} == {shape(best)}
    said = Counter(Htx, "ETH-USDT").say({"sub": BEST, "id": "1"})
    assert list(said[0]) == list(answer)
    acknowledged = next(one for one in frames if "subbed" in one)
    assert list(said[0]) == list(acknowledged)


@pytest.mark.shared
def test_a_recording_is_served(shared: Path) -> None:
    (tape,) = load([shared / RECORDING], SimulatorSettings(speed="max"))
    assert tape.name == "htx"
    assert len(list(tape.take(START, 10_000, heard=True))) == 184
    assert sum(ledger.printed for ledger in tape.ledgers.values()) == 53
    assert tape.ledgers["htx:OMG-BTC"].listing.native == "omgbtc"


@pytest.mark.parametrize(
    "frame",
    [b"{}", b"\x1f\x8b", gzip.compress(b"[", mtime=0), gzip.compress(b'{"ch":"market.x.trade.detail"}', mtime=0)],
)
def test_foreign_frames(frame: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Htx.read(frame, {})


def test_control_frames_are_left_to_the_server() -> None:
    for text in (b'{"ping":5}', b'{"pong":5}', b'{"status":"ok","subbed":"market.ethusdt.bbo"}'):
        assert Htx.read(gzip.compress(text), {}) is None
    with pytest.raises(ValueError, match="it has no topic"):
        Htx.read(gzip.compress(b"{}"), {})
