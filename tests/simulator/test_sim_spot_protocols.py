"""What the simulated OKX, Bybit, Bitget and Crypto.com answer to good, wrong and malformed requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.simulator.sim_support import START
from tests.simulator.spot_support import SECOND, Client, bitget, bybit, cryptocom, house, okx


def test_okx_answers_each_argument_on_its_own() -> None:
    client = Client("okx")
    trades, tickers = {"channel": "trades", "instId": "BTC-USDT"}, {"channel": "tickers", "instId": "BTC-USDT"}
    first, last, bad, second, ticker = client.say(okx(trades, {"channel": "trades", "instId": "NO-PE"}, tickers))
    assert (first["event"], first["arg"], second["arg"]) == ("subscribe", trades, tickers)
    assert (bad["event"], bad["code"]) == ("error", "60018")
    assert "channel:trades,instId:NO-PE doesn't exist" in bad["msg"]
    assert (last["arg"], len(last["data"]), ticker["arg"]) == (trades, 1, tickers)
    assert client.say(okx(trades)) == [first], "the last trade is not repeated"
    assert list(client.session.topics) == ["trades:BTC-USDT", "tickers:BTC-USDT"]
    assert client.say(okx(trades, op="unsubscribe"))[0]["event"] == "unsubscribe"
    assert list(client.session.topics) == ["tickers:BTC-USDT"]


@pytest.mark.parametrize(
    "text", ["x", b"\xff", [], {"op": "fly"}, {"op": "subscribe"}, okx(), {"op": "subscribe", "args": [1]}]
)
def test_okx_refuses_what_it_does_not_understand(text: Any) -> None:
    (told,) = Client("okx").say(text)
    assert (told["event"], told["code"]) == ("error", "60012")


def test_okx_closes_after_thirty_seconds_of_silence_and_announces_upgrades() -> None:
    client = Client("okx")
    assert client.say("ping") == ["pong"]
    assert client.beat(29.9).close is None
    assert client.beat(30).close == (4004, "No data received in 30s")
    announced = client.venue.announce(START)
    assert announced is not None
    assert json.loads(announced)["code"] == "64008"


def test_okx_pages_by_id_or_time() -> None:
    server, tape = house("okx")
    path, query = "/api/v5/market/history-trades", {"instId": "BTC-USDT"}
    kept = [str(trade.id) for trade in tape.ledgers["okx:BTC-USDT"].newest(1_000)]
    page = server.rest(path, query | {"after": kept[-5], "limit": "3"}, START).body["data"]
    assert [row["tradeId"] for row in page] == kept[-6:-9:-1]
    page = server.rest(path, query | {"before": kept[-5]}, START).body["data"]
    assert [row["tradeId"] for row in page] == kept[:-5:-1]
    assert server.rest(path, query | {"type": "2", "before": "1"}, START).body["code"] == "50039"
    assert server.rest("/api/v5/public/instruments", {"instType": "SWAP"}, START).body["code"] == "51000"
    assert server.rest("/api/v5/market/candles", query | {"bar": "1H"}, START).body["code"] == "51000"
    assert server.rest("/api/v5/public/time", {}, START).body["data"] == [{"ts": str(START // 1000)}]
    newest = server.rest("/api/v5/market/candles", query, START).body["data"]
    done = server.rest("/api/v5/market/history-candles", query, START).body["data"]
    assert (newest[0][8], done[0]) == ("0", newest[1])


def test_bybit_fails_the_whole_of_a_request() -> None:
    client = Client("bybit")
    (told,) = client.say(bybit("publicTrade.BTCUSDT", "publicTrade.NOPE"))
    assert (told["success"], told["req_id"]) == (False, "7")
    assert told["ret_msg"] == "error:handler not found,topic:publicTrade.NOPE"
    assert client.say(bybit("tickers.BTCUSDT"))[0]["success"] is False
    assert not client.session.topics
    told, book = client.say(bybit("publicTrade.BTCUSDT", "orderbook.1.BTCUSDT"))
    assert (told["success"], book["topic"], book["type"]) == (True, "orderbook.1.BTCUSDT", "snapshot")
    assert list(client.session.topics) == ["publicTrade.BTCUSDT", "orderbook.1.BTCUSDT"]
    assert client.say(bybit("publicTrade.BTCUSDT", op="unsubscribe"))[0]["success"]
    assert list(client.session.topics) == ["orderbook.1.BTCUSDT"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "Request not valid"),
        ([], "Request not valid"),
        ({"op": "fly"}, "unknown operation fly"),
        ({"op": "subscribe"}, "args size >10"),
        (bybit(*["publicTrade.BTCUSDT"] * 11), "args size >10"),
    ],
)
def test_bybit_refuses(text: Any, words: str) -> None:
    (told,) = Client("bybit").say(text)
    assert (told["success"], told["ret_msg"]) == (False, words)


def test_bybit_pongs_and_closes_after_ten_minutes_of_silence() -> None:
    client = Client("bybit")
    (pong,) = client.say({"op": "ping"})
    assert (pong["success"], pong["ret_msg"], pong["op"]) == (True, "pong", "ping")
    assert client.beat(599).close is None
    assert client.beat(600).close is not None
    assert client.venue.rest("/v5/market/time", {}, START).body["result"]["timeSecond"] == str(START // SECOND)


def test_bitget_answers_each_argument_and_sends_the_newest_first() -> None:
    client = Client("bitget")
    told, trades, bad, other, ticker = client.say(
        bitget(("trade", "BTCUSDT"), ("trade", "NOPE"), ("ticker", "BTCUSDT"))
    )
    assert (told["event"], other["event"], trades["action"], ticker["action"]) == (
        *["subscribe"] * 2,
        *["snapshot"] * 2,
    )
    ids = [int(row["tradeId"]) for row in trades["data"]]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 50
    assert (bad["event"], bad["code"], bad["arg"]["instId"]) == ("error", 30001, "NOPE")
    assert client.say(bitget(("trade", "BTCUSDT"), op="unsubscribe"))[0]["event"] == "unsubscribe"
    assert list(client.session.topics) == ["ticker:BTCUSDT"]


@pytest.mark.parametrize(
    ("text", "code"),
    [("x", 30003), ({"op": "fly"}, 30003), ({"op": "subscribe"}, 30016), (bitget(*[("trade", "BTCUSDT")] * 90), 30016)],
)
def test_bitget_refuses(text: Any, code: int) -> None:
    (told,) = Client("bitget").say(text)
    assert (told["event"], told["code"]) == ("error", code)


def test_bitget_closes_without_a_ping_and_after_a_day() -> None:
    client = Client("bitget")
    client.session.busy = START + 119 * SECOND
    assert client.beat(119).close is None
    assert client.beat(120).close is not None
    assert client.say("ping") == ["pong"]
    client.session.pinged = START + 86_399 * SECOND
    assert client.beat(86_399).close is None
    assert client.beat(86_400).close is not None


def test_bitget_looks_back_seven_days() -> None:
    server, _ = house("bitget")
    path, query = "/api/v2/spot/market/fills-history", {"symbol": "BTCUSDT"}
    assert len(server.rest(path, query, START + 20 * SECOND).body["data"]) > 20
    span = {"startTime": str(START // 1000 - 8 * 86_400_000), "endTime": str(START // 1000)}
    assert server.rest(path, query | span, START).body["code"] == "40017"
    assert server.rest("/api/v2/spot/market/candles", query | {"granularity": "1h"}, START).body["code"] == "40017"
    assert server.rest("/api/v2/public/time", {}, START).body["data"] == {"serverTime": str(START // 1000)}


def test_cryptocom_answers_with_what_came_before() -> None:
    client = Client("cryptocom")
    trades, bad, odd, ticker = client.say(
        cryptocom("trade.BTC_USDT", "trade.NO_PE", "book.BTC_USDT.10", "ticker.BTC_USDT")
    )
    assert (trades["id"], trades["result"]["channel"], len(trades["result"]["data"])) == (5, "trade", 50)
    times = [row["t"] for row in trades["result"]["data"]]
    assert times == sorted(times, reverse=True)
    assert bad == {"id": 5, "method": "subscribe", "code": 40003, "channel": "trade.NO_PE", "message": "Unknown symbol"}
    assert odd["message"] == "Unrecognized channel"
    assert ticker["result"]["subscription"] == "ticker.BTC_USDT"
    assert client.say(cryptocom("trade.BTC_USDT", method="unsubscribe")) == [
        {"id": 5, "method": "unsubscribe", "code": 0}
    ]
    assert list(client.session.topics) == ["ticker.BTC_USDT"]


def test_cryptocom_has_room_for_four_hundred_channels() -> None:
    client = Client("cryptocom")
    client.session.topics |= dict.fromkeys(f"trade.X{n}" for n in range(400))
    (told,) = client.say(cryptocom("trade.BTC_USDT"))
    assert told["code"] == 40107


@pytest.mark.parametrize(
    ("text", "codes"),
    [("x", []), ([], []), ({"method": "fly"}, [40003]), ({"id": "x", "method": "subscribe"}, [40004])],
)
def test_cryptocom_refuses(text: Any, codes: list[int]) -> None:
    assert [told["code"] for told in Client("cryptocom").say(text)] == codes


def test_cryptocom_closes_where_its_heartbeat_stays_unanswered() -> None:
    client = Client("cryptocom")
    assert client.beat(29).frames == ()
    (heartbeat,) = client.beat(30).frames
    told = json.loads(heartbeat)
    assert (told["method"], told["code"]) == ("public/heartbeat", 0)
    assert client.say({"id": told["id"], "method": "public/respond-heartbeat"}) == []
    assert len(client.beat(60).frames) == len(client.beat(90).frames) == 1
    assert client.beat(120).close == (1000, "")


def test_cryptocom_rest_defaults() -> None:
    server, tape = house("cryptocom")
    query = {"instrument_name": "BTC_USDT"}
    kept = tape.ledgers["cryptocom:BTC-USDT"].newest(25)
    page = server.rest("/exchange/v1/public/get-trades", query, START + 20 * SECOND).body["result"]["data"]
    assert [row["d"] for row in page] == [str(trade.id) for trade in reversed(kept)]
    assert server.rest("/public/get-candlestick", query | {"timeframe": "1h"}, START).body["code"] == 40004
    assert len(server.rest("/public/get-candlestick", query, START).body["result"]["data"]) == 25
