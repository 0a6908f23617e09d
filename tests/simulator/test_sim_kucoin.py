from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.simulator.adapter_support import QUICK, Desk, Found, adapter, check, enough, pushed
from tests.simulator.sim_support import START, WallClock, connect, serving
from tests.simulator.test_sim_frames import example, load, recorded, shape

from pricewatch.exchanges.base import Endpoints, Exchange, Ready
from pricewatch.simulator import capture
from pricewatch.simulator.session import Answer, Session
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import SeededTape
from pricewatch.simulator.venues.kucoin import KuCoin

RECORDING = "data/kucoin/kucoin-20210425T191846Z.jsonl.gz"
NOW = START + 20_000_000
SYMBOLS = ("BTC-USDT", "ETH-BTC")


async def fetched(http: aiohttp.ClientSession, url: str, body: str | None = None) -> bytes:
    async with http.request("GET" if body is None else "POST", url, data=body) as reply:
        assert reply.status == 200
        return await reply.read()


async def rest(exchange: Exchange, found: Found, http: aiohttp.ClientSession, now: int) -> None:
    market = exchange.markets["BTC-USDT"]
    (listing,) = exchange.instrument_requests()
    found.instruments = exchange.parse_instruments([await fetched(http, listing.url)])
    for wanted in exchange.candle_requests(market, now - now % 60_000_000 - 240_000_000, now):
        found.candles += exchange.parse_candles(wanted, await fetched(http, wanted.url))
    request = exchange.history_request(market, 0, None, 0)
    assert request is not None
    found.pages.append(exchange.parse_history(request, await fetched(http, request.url), now).trades)


async def test_an_adapter_fetches_a_token_and_hears_and_reads_what_was_printed() -> None:
    settings = SimulatorSettings(**{**QUICK, "rate": 20.0, "markets": {"kucoin": SYMBOLS}})
    tape = SeededTape(settings, start=WallClock().now())
    async with serving(settings, [tape]) as running, aiohttp.ClientSession() as http, asyncio.timeout(30):
        where = Endpoints(f"{running.addresses.ws}/kucoin", f"{running.addresses.rest}/kucoin")
        exchange = adapter("kucoin", SYMBOLS, where)
        request = exchange.prepare()
        assert request is not None
        exchange.prepared(await fetched(http, request.url, request.body))
        found = Found(exchange, tape.ledgers)
        async with connect(exchange.url()) as socket:
            exchange.receive(await socket.recv(), running.server.now(), found.out)
            assert found.out == [Ready()]
            for send in exchange.subscribe(exchange.expected()):
                await socket.send(send.frame)
            await socket.send(exchange.probe(0) or "")
            while not enough(40)(found):
                exchange.receive(await socket.recv(), running.server.now(), found.out)
        await rest(exchange, found, http, running.server.now())
    check(found, lambda one: one.id, history=False)
    assert len(found.pages[0]) == 100
    printed = {one.id: one for one in found.printed(1)}
    for trade in found.pages[0]:
        one = printed[trade.key]
        assert (trade.at, trade.price, trade.size, trade.side) == (one.at, one.price, one.size, one.side)


def given(venue: KuCoin) -> str:
    reply = venue.post("/api/v1/bullet-public", {}, b"{}", START)
    token: str = reply.body["data"]["token"]
    return token


def test_nobody_enters_without_a_token() -> None:
    desk = Desk(KuCoin, "BTC-USDT")
    assert [one["code"] for one in desk.opening] == [401]
    venue = desk.venue
    assert isinstance(venue, KuCoin)
    assert venue.open(Session(opened=START), "", {"token": "made up"}, START).close is not None
    first = given(venue)
    answer = venue.open(Session(opened=START), "/endpoint", {"token": first, "connectId": "me"}, START)
    assert answer == Answer((b'{"id":"me","type":"welcome"}',))
    for _ in range(1_000):
        given(venue)
    assert venue.open(Session(opened=START), "", {"token": first}, START).close is not None
    assert venue.post("/api/v1/orders", {}, b"{}", START).status == 405


def wanted(topic: str, kind: str = "subscribe", **more: Any) -> dict[str, Any]:
    return {"id": "3", "type": kind, "topic": topic, "response": True, **more}


def test_words() -> None:
    desk = Desk(KuCoin, "BTC-USDT", "ETH-USDT")
    assert desk.say(wanted("/market/match:BTC-USDT,ETH-USDT")) == [{"id": "3", "type": "ack"}]
    assert list(desk.session.topics) == ["/market/match:BTC-USDT", "/market/match:ETH-USDT"]
    assert desk.say(wanted("/market/match:BTC-USDT", "unsubscribe", response=False)) == []
    assert list(desk.session.topics) == ["/market/match:ETH-USDT"]
    (pong,) = desk.say({"id": "p", "type": "ping"})
    assert (pong["id"], pong["type"]) == ("p", "pong")


def test_who_does_not_ping_is_left() -> None:
    desk = Desk(KuCoin, "BTC-USDT")
    assert desk.venue.beat(desk.session, START + 28_000_000).close is None
    assert desk.venue.beat(desk.session, START + 28_000_001).close is not None
    desk.venue.receive(desk.session, '{"id":"p","type":"ping"}', START + 20_000_000)
    assert desk.venue.beat(desk.session, START + 48_000_000).close is None


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", 415),
        (b"\xff", 415),
        ([], 415),
        ({"type": "dance"}, 415),
        (wanted("/market/match:BTC-USDT,X-Y"), 404),
        (wanted("/market/level2:BTC-USDT"), 404),
        (wanted("/market/match"), 404),
        (wanted("/market/match:" + ",".join(["BTC-USDT"] * 101)), 509),
    ],
)
def test_refusals(message: Any, code: int) -> None:
    desk = Desk(KuCoin, "BTC-USDT")
    assert [one["code"] for one in desk.say(message)] == [code]
    assert not desk.session.topics


def test_a_connection_holds_three_hundred_topics() -> None:
    desk = Desk(KuCoin, *(f"C{n}-USDT" for n in range(151)))
    natives = [f"C{n}-USDT" for n in range(151)]
    for kind in ("match", "ticker"):
        for start in (0, 100):
            desk.say(wanted(f"/market/{kind}:" + ",".join(natives[start : min(start + 100, 150)])))
    assert len(desk.session.topics) == 300
    (refusal,) = desk.say(wanted("/market/match:C150-USDT"))
    assert refusal["data"] == "exceed max subscription count limitation of 300 per session"


def test_rest() -> None:
    venue = Desk(KuCoin, "BTC-USDT", rate=60.0).venue

    def get(path: str, **query: Any) -> Any:
        return venue.rest(path, {key: str(value) for key, value in query.items()}, NOW).body

    market = {"symbol": "BTC-USDT"}
    rows = get("/api/v1/market/histories", **market)["data"]
    assert [int(row["sequence"]) for row in rows] == list(
        range(int(rows[0]["sequence"]), int(rows[0]["sequence"]) + 100)
    )
    minutes = get("/api/v1/market/candles", **market, type="1min")["data"]
    assert [row[0] for row in minutes] == sorted((row[0] for row in minutes), reverse=True)
    some = get("/api/v1/market/candles", **market, type="1min", startAt=minutes[4][0], endAt=minutes[1][0])["data"]
    assert some == minutes[2:5]
    assert get("/api/v1/market/candles", **market, type="1year")["code"] == "400100"
    assert get("/api/v1/market/candles", **market, type="1min", startAt="x")["code"] == "400100"
    assert get("/api/v1/market/histories", symbol="X-Y")["code"] == "900001"
    assert get("/api/v1/symbols") == get("/api/v2/symbols")
    assert venue.rest("/elsewhere", {}, NOW).status == 404
    assert venue.limited(3).headers["Retry-After"] == "3"


def sorted_shape(frame: dict[str, Any]) -> Any:
    """The shape of a frame whose order of keys changed since."""
    return shape(load(json.dumps(frame, sort_keys=True)))


@pytest.mark.shared
def test_frames_are_as_recorded_and_documented(shared: Path) -> None:
    theirs = [one for one in recorded(shared / RECORDING) if one.get("subject") in {"trade.l3match", "trade.ticker"}]
    ours = pushed(KuCoin, "BTC-USDT")
    for subject, name in (("trade.l3match", "Trades"), ("trade.ticker", "Ticker")):
        mine = [one for one in ours if one["subject"] == subject]
        assert len(mine) > 10
        real = [one for one in theirs if one["subject"] == subject]
        assert {frozenset(one["data"]) for one in mine} == {frozenset(one["data"]) for one in real}
        answer, push = example(shared / f"data/frames/kucoin/{name}.txt")
        assert {tuple(one) for one in mine} == {tuple(push)}
        assert {tuple(one["data"]) for one in mine} == {tuple(push["data"])}
        assert answer == {"id": "1", "type": "ack"}
    tickers = {sorted_shape(one) for one in ours if one["subject"] == "trade.ticker"}
    assert tickers == {sorted_shape(one) for one in theirs if one["subject"] == "trade.ticker"}


@pytest.mark.shared
def test_a_recording_is_served(shared: Path) -> None:
    (tape,) = capture.load([shared / RECORDING], SimulatorSettings(speed="max"))
    assert tape.name == "kucoin"
    assert len(list(tape.take(START, 10_000, heard=True))) == 3853 + 830 + 18 + 6
    printed = {key: ledger.printed for key, ledger in tape.ledgers.items() if ledger.printed}
    assert printed == {"kucoin:DAPPT-BTC": 12, "kucoin:BCHSV-USDT": 5, "kucoin:FET-BTC": 1}


@pytest.mark.parametrize("topic", ["", "/market/match", "/market/match:A-B,C-D"])
def test_foreign_frames(topic: str) -> None:
    with pytest.raises(ValueError, match="its topic names no symbol"):
        KuCoin.read(json.dumps({"type": "message", "topic": topic, "data": {}}).encode(), {})
    for frame in (b"\xff", b'{"type":"subscriptions"}'):
        with pytest.raises(ValueError, match=r".+"):
            KuCoin.read(frame, {})
    assert KuCoin.read(b'{"id":"1","type":"welcome"}', {}) is None
