from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Candle, Quote, Side, Trade
from pricewatch.exchanges.base import (
    HEARTBEAT,
    IGNORED,
    BadTrade,
    Instrument,
    Notice,
    Subscribed,
    SubscriptionFailed,
    text_key,
)

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
SEEN = 1_800_000_000_000_000
AT = 1_672_304_486_865_000


def row(ident: str, at: int = AT, **other: Any) -> dict[str, Any]:
    made = {"T": at // 1000, "s": "BTCUSDT", "S": "Buy", "v": "0.001", "p": "16578.50", "i": ident, "BT": False}
    return {**made, **other}


def trades(*rows: dict[str, Any], separators: tuple[str, str] = (",", ":")) -> str:
    frame = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": AT // 1000 + 3, "data": rows}
    return json.dumps(frame, separators=separators)


def book(separators: tuple[str, str] = (",", ":"), **other: Any) -> str:
    data = {"s": "BTCUSDT", "b": [["9", "1"]], "a": [["10", "2"]], "u": 1, "seq": 2, **other}
    frame = {"topic": "orderbook.1.BTCUSDT", "ts": AT // 1000, "type": "snapshot", "data": data}
    return json.dumps(frame, separators=separators)


def told(number: str, message: str, *, success: bool = False) -> str:
    return json.dumps({"success": success, "ret_msg": message, "conn_id": "x", "req_id": number, "op": "subscribe"})


@pytest.mark.parametrize(
    ("ident", "key", "ref"),
    [
        ("2290000000067341920", 2290000000067341920, None),
        (str(2**63), text_key(str(2**63)), str(2**63)),
        ("007", text_key("007"), "007"),
        ("²", text_key("²"), "²"),
        ("20f43950-d8dd", text_key("20f43950-d8dd"), "20f43950-d8dd"),
    ],
)
def test_identity(adapter: Adapter, read: Read, ident: str, key: int, ref: str | None) -> None:
    (trade,) = read(adapter("bybit", "BTC-USDT"), trades(row(ident)))
    assert (trade.key, trade.ref) == (key, ref)


def test_a_broken_row_does_not_take_the_others_with_it(adapter: Adapter) -> None:
    exchange = adapter("bybit", "BTC-USDT")
    out: list[Any] = []
    with pytest.raises(BadTrade, match="malformed") as caught:
        exchange.receive(trades(row("1"), row("2", S="None"), row("3", i=""), row("4")), SEEN, out)
    assert caught.value.count == 2
    assert [item.key for item in out] == [1, 4]


def test_an_unknown_market_among_known_ones(adapter: Adapter) -> None:
    exchange = adapter("bybit", "BTC-USDT")
    out: list[Any] = []
    with pytest.raises(BadTrade, match="unknown market"):
        exchange.receive(trades(row("1", s="XY"), row("2")), SEEN, out)
    assert [item.key for item in out] == [2]


def test_frames_in_another_spelling(adapter: Adapter, read: Read) -> None:
    exchange = adapter("bybit", "BTC-USDT")
    assert read(exchange, trades(row("1"), separators=(", ", ": ")))[0].key == 1
    assert read(exchange, book((", ", ": "))) == [Quote(1, AT, 9.0, 1.0, 10.0, 2.0, SEEN)]


@pytest.mark.parametrize("frame", [book(a=[]), book(b=[]), book().replace("snapshot", "delta")])
def test_half_a_book_is_no_quote(adapter: Adapter, read: Read, frame: str) -> None:
    assert read(adapter("bybit", "BTC-USDT"), frame) == [IGNORED]


def test_the_engine_dates_a_quote_where_it_can(adapter: Adapter, read: Read) -> None:
    frame = book().replace('"ts"', f'"cts":{AT // 1000 - 2},"ts"')
    assert read(adapter("bybit", "BTC-USDT"), frame)[0].at == AT - 2000


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ('{"topic":"publicTrade.BTCUSDT","data":{}}', BadTrade),
        ('{"topic":"publicTrade.BTCUSDT","data":' + "[" * 100_000, BadData),
        (trades(row("1", T=10**30)), BadTrade),
        (book(b=[["x", "1"]]), BadData),
        (book(s="XY"), BadData),
        ("pong", BadData),
        (b"\xff", BadData),
    ],
)
def test_unusable(adapter: Adapter, read: Read, frame: str | bytes, error: type[BadData]) -> None:
    with pytest.raises(error):
        read(adapter("bybit", "BTC-USDT"), frame)


def test_ten_topics_a_message(adapter: Adapter) -> None:
    exchange = adapter("bybit", *(f"A{n}-USDT" for n in range(6)))
    expected = exchange.expected()
    assert [len(json.loads(send.frame)["args"]) for send in exchange.subscribe(expected)] == [10, 2]
    assert [len(json.loads(send.frame)["args"]) for send in exchange.subscribe(expected, alone=True)] == [2] * 6
    assert [len(json.loads(send.frame)["args"]) for send in exchange.unsubscribe(expected)] == [10, 2]


def test_a_refusal_names_one_topic_of_its_message(adapter: Adapter, read: Read) -> None:
    exchange = adapter("bybit", "BTC-USDT", "XY-USDT")
    exchange.subscribe(exchange.expected())
    reason = "error:handler not found,topic:orderbook.1.XYUSDT"
    assert read(exchange, told("1", reason)) == [SubscriptionFailed("XYUSDT", "orderbook.1", reason)]


def test_other_answers(adapter: Adapter, read: Read) -> None:
    exchange = adapter("bybit", "BTC-USDT", "ETH-USDT")
    exchange.subscribe(exchange.expected())
    assert read(exchange, told("1", "args size >10")) == [SubscriptionFailed("", "", "args size >10")]
    exchange.subscribe(exchange.expected()[:1])
    assert read(exchange, told("2", "no")) == [SubscriptionFailed("BTCUSDT", "publicTrade", "no")]
    exchange.subscribe(exchange.expected()[:1])
    assert read(exchange, told("3", "", success=True)) == [Subscribed("BTCUSDT", "publicTrade")]
    assert read(exchange, told("3", "", success=True)) == [IGNORED]
    assert read(exchange, told("3", "slow down")) == [Notice("slow down")]
    assert read(exchange, '{"success":true,"ret_msg":"pong","op":"ping"}') == [HEARTBEAT]


def past(*rows: tuple[int, int]) -> bytes:
    made = [
        {"execId": str(ident), "price": "2", "size": "3", "side": "Sell", "time": str(at // 1000)} for ident, at in rows
    ]
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "list": made}}).encode()


def test_history_of_the_newest_trades(adapter: Adapter) -> None:
    exchange = adapter("bybit", "BTC-USDT")
    request = exchange.history_request(exchange.markets["BTCUSDT"], 0, None, AT, AT + 1000)
    assert request.url == "https://api.bybit.com/v5/market/recent-trade?category=spot&symbol=BTCUSDT&limit=60"
    rows = [(9, AT + 2000), (8, AT + 1000), (7, AT), (6, AT), (5, AT - 1000)]
    page = exchange.parse_history(request, past(*rows), 9)
    assert [trade.key for trade in page.trades] == [6, 7, 8]
    assert page.trades[0] == Trade(1, AT, 2.0, 3.0, Side.SELL, 6, 9)
    assert page.next is None


def test_history_that_does_not_reach_back_brings_what_it_has(adapter: Adapter) -> None:
    exchange = adapter("bybit", "BTC-USDT")
    request = exchange.history_request(exchange.markets["BTCUSDT"], 0, None, AT - 5000)
    page = exchange.parse_history(request, past(*((ident, AT) for ident in range(60, 0, -1))), 9)
    assert [trade.key for trade in page.trades] == list(range(1, 61))
    assert page.next is None


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"retCode":10006,"retMsg":"Too many visits!","result":{}}', Unavailable),
        (b'{"retCode":10001,"retMsg":"Not supported symbols","result":{}}', Refused),
        (b"<html>", BadData),
        (b'{"retCode":0,"result":[]}', BadData),
    ],
)
def test_rest_trouble(adapter: Adapter, body: bytes, error: type[Exception]) -> None:
    exchange = adapter("bybit", "BTC-USDT")
    market = exchange.markets["BTCUSDT"]
    with pytest.raises(error):
        exchange.parse_history(exchange.history_request(market, 0, None, 0), body, 9)
    with pytest.raises(error):
        exchange.parse_candles(exchange.candle_requests(market, 0, 60_000_000)[0], body)
    with pytest.raises(error):
        exchange.parse_instruments([body])


def test_candles(adapter: Adapter) -> None:
    exchange = adapter("bybit", "BTC-USDT")
    first, second = exchange.candle_requests(exchange.markets["BTCUSDT"], 60_000_000, 1002 * 60_000_000)
    base = "https://api.bybit.com/v5/market/kline?category=spot&symbol=BTCUSDT&interval=1&limit=1000"
    assert first.url == f"{base}&start=60000&end=60059999"
    assert second.url == f"{base}&start=60060000&end=60119999"
    rows = [[str(at), "1", "4", "0.5", "2", "10", "20"] for at in (60_060_000, 60_000)]
    body = json.dumps({"retCode": 0, "result": {"list": rows}}).encode()
    assert exchange.parse_candles(first, body) == [Candle(1, 60_000_000, 1.0, 4.0, 0.5, 2.0, 10.0)]


def test_the_listing(adapter: Adapter) -> None:
    rows = [
        {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "Trading"},
        {"symbol": "BTCUSDC", "baseCoin": "BTC", "quoteCoin": "USDC", "status": "Closed"},
        {"symbol": "AB", "baseCoin": "A", "quoteCoin": "", "status": "Trading"},
    ]
    exchange = adapter("bybit")
    assert [asked.url for asked in exchange.instrument_requests()] == [
        "https://api.bybit.com/v5/market/instruments-info?category=spot"
    ]
    body = json.dumps({"retCode": 0, "result": {"category": "spot", "list": rows}}).encode()
    assert exchange.parse_instruments([body]) == [
        Instrument("BTCUSDC", "BTC-USDC", active=False),
        Instrument("BTCUSDT", "BTC-USDT"),
    ]
