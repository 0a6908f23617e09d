from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Candle, Quote, Side, Trade
from pricewatch.exchanges.base import (
    IGNORED,
    BadTrade,
    Notice,
    Subscribed,
    Subscription,
    SubscriptionFailed,
)

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
SEEN = 1_800_000_000_000_000
ROW = (
    '{"trade_seq":30289442,"trade_id":"48079269","timestamp":1590484156350,"tick_direction":2,"price":8954,'
    '"instrument_name":"BTC-PERPETUAL","direction":"buy","amount":10}'
)
BEST = (
    '{"timestamp":1626993723632,"instrument_name":"BTC-PERPETUAL","best_bid_price":0.0015,"best_bid_amount":4714.0,'
    '"best_ask_price":0.0025,"best_ask_amount":873.0,"last_price":null}'
)
TRADE = Trade(1, 1590484156350_000, 8954.0, 10.0, Side.BUY, 30289442, SEEN, 0, "48079269")


def pushed(channel: str, data: str) -> str:
    return f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}.100ms","data":{data}}}}}'


def trades(*rows: str) -> str:
    return pushed("trades.BTC-PERPETUAL", f"[{','.join(rows)}]")


def ticker(row: str) -> str:
    return pushed("ticker.BTC-PERPETUAL", row)


def test_a_trade_is_known_by_its_number_and_its_text(adapter: Adapter, read: Read) -> None:
    exchange = adapter("deribit", "BTC-PERPETUAL")
    assert read(exchange, trades(ROW)) == read(exchange, trades(ROW).replace('":"', '": "')) == [TRADE]
    assert read(exchange, trades(ROW).encode().replace(b"buy", b"sell"))[0].side == Side.SELL
    assert [item.key for item in read(exchange, trades(ROW, ROW.replace("30289442", "7")).encode())] == [7, 30289442]


def test_a_quote_has_both_sides(adapter: Adapter, read: Read) -> None:
    exchange = adapter("deribit", "BTC-PERPETUAL")
    quote = Quote(1, 1626993723632_000, 0.0015, 4714.0, 0.0025, 873.0, SEEN)
    assert read(exchange, ticker(BEST)) == read(exchange, ticker(BEST).replace('":"', '" : "')) == [quote]
    assert read(exchange, ticker(BEST.replace("0.0025", "0.0"))) == [IGNORED]
    assert read(exchange, ticker(BEST.replace("0.0015", "0.0")).encode()) == [IGNORED]


def test_a_broken_row_does_not_take_the_others_with_it(adapter: Adapter) -> None:
    exchange = adapter("deribit", "BTC-PERPETUAL")
    out: list[Any] = []
    rows = (ROW, ROW.replace("8954", '"x"'), ROW.replace("30289442", "7"), ROW.replace("PERP", "X"))
    with pytest.raises(BadTrade) as caught:
        exchange.receive(trades(*rows), SEEN, out)
    assert caught.value.count == 2
    assert [item.key for item in out] == [7, 30289442]


def test_an_unknown_market_among_known_ones(adapter: Adapter) -> None:
    exchange = adapter("deribit", "BTC-PERPETUAL")
    out: list[Any] = []
    with pytest.raises(BadTrade, match="unknown market"):
        exchange.receive(trades(ROW.replace("BTC", "X"), ROW), SEEN, out)
    assert out == [TRADE]
    with pytest.raises(BadData, match="unknown market"):
        exchange.receive(ticker(BEST.replace("BTC", "X")), SEEN, out)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (trades(ROW.replace("8954,", "1e999,")), BadTrade),
        (trades(ROW.replace("30289442", "9" * 30)), BadTrade),
        (trades(ROW.replace("30289442", "1" * 5000)), BadTrade),
        (trades(ROW.replace("48079269", "4" * 129)), BadTrade),
        (trades(ROW.replace("1590484156350", "-1")), BadTrade),
        (trades(ROW).replace('"data":[', '"data":5,"x":['), BadTrade),
        (ticker(BEST.replace("4714.0", "{}")), BadData),
        ("nothing", BadData),
        (b"\xff\xfe", BadData),
        ("\ud800", BadData),
        ('{"x":' + "[" * 100_000, BadData),
        ('{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.' + "[" * 100_000, BadTrade),
    ],
)
def test_unusable(adapter: Adapter, read: Read, text: str | bytes, error: type[BadData]) -> None:
    with pytest.raises(error):
        read(adapter("deribit", "BTC-PERPETUAL"), text)


def test_what_is_missing_among_the_accepted_channels_was_refused(adapter: Adapter, read: Read) -> None:
    exchange = adapter("deribit", "BTC-PERPETUAL", "BTC-USDC")
    (send,) = exchange.subscribe(exchange.expected())
    request = json.loads(send.frame)
    names = ["trades.BTC-PERPETUAL", "ticker.BTC-PERPETUAL", "trades.BTC_USDC", "ticker.BTC_USDC"]
    assert request["method"] == "public/subscribe"
    assert request["params"] == {"channels": [f"{name}.100ms" for name in names]}
    reply = {"jsonrpc": "2.0", "id": request["id"], "result": [f"{name}.100ms" for name in names[:3]]}
    reason = "not among the accepted channels"
    assert read(exchange, json.dumps(reply)) == [
        Subscribed("BTC-PERPETUAL", "trades"),
        Subscribed("BTC-PERPETUAL", "ticker"),
        Subscribed("BTC_USDC", "trades"),
        SubscriptionFailed("BTC_USDC", "ticker", reason),
    ]
    assert read(exchange, json.dumps(reply)) == [IGNORED]


def test_errors(adapter: Adapter, read: Read) -> None:
    exchange = adapter("deribit", "BTC-PERPETUAL", "BTC-USDC")
    exchange.subscribe(exchange.expected())
    error = {"code": 10028, "message": "too_many_requests"}
    assert read(exchange, json.dumps({"id": 1, "error": error})) == [
        SubscriptionFailed("", "", "10028 too_many_requests")
    ]
    exchange.subscribe([Subscription("BTC_USDC", "ticker")], alone=True)
    wrong = {"code": -32602, "message": "Invalid params", "data": {"param": "channels"}}
    assert read(exchange, json.dumps({"id": 2, "error": wrong})) == [
        SubscriptionFailed("BTC_USDC", "ticker", '-32602 Invalid params {"param": "channels"}')
    ]
    exchange.subscribe(exchange.expected())
    with pytest.raises(BadData):
        read(exchange, '{"id":3,"result":{"x":1}}')
    assert read(exchange, json.dumps({"id": 9, "error": error})) == [Notice("10028 too_many_requests")]
    assert read(exchange, json.dumps({"error": error})) == [Notice("10028 too_many_requests")]
    assert read(exchange, '{"method":"something new"}') == [IGNORED]


def test_unsubscribing(adapter: Adapter) -> None:
    exchange = adapter("deribit", "BTC-PERPETUAL")
    (send,) = exchange.unsubscribe(exchange.expected())
    assert json.loads(send.frame)["method"] == "public/unsubscribe"


def past(*numbers: int, more: bool = False) -> bytes:
    rows = [{**json.loads(ROW), "trade_seq": number} for number in numbers]
    return json.dumps({"jsonrpc": "2.0", "result": {"trades": rows, "has_more": more}}).encode()


def test_history_by_number(adapter: Adapter) -> None:
    exchange = adapter("deribit", "BTC-PERPETUAL")
    market = exchange.markets["BTC-PERPETUAL"]
    request = exchange.history_request(market, 5, 8, 0)
    base = "https://www.deribit.com/api/v2/public/get_last_trades_by_instrument?instrument_name=BTC-PERPETUAL"
    assert request.url == f"{base}&start_seq=5&count=1000&sorting=asc&end_seq=8"
    page = exchange.parse_history(request, past(6, 5, 9, more=True), 9)
    assert [trade.key for trade in page.trades] == [5, 6]
    assert page.trades[0].ref == "48079269"
    assert page.next.url == f"{base}&start_seq=7&count=1000&sorting=asc&end_seq=8"
    assert exchange.parse_history(page.next, past(7, 8, more=True), 9).next is None
    assert exchange.parse_history(page.next, past(7), 9).next is None
    assert exchange.parse_history(page.next, past(more=True), 9) == ([], None)


def test_open_ended_history(adapter: Adapter) -> None:
    exchange = adapter("deribit", "BTC-PERPETUAL")
    request = exchange.history_request(exchange.markets["BTC-PERPETUAL"], 5, None, 0)
    assert "end_seq" not in request.url
    assert "start_seq=7&" in exchange.parse_history(request, past(5, 6, more=True), 9).next.url
    with pytest.raises(BadTrade):
        exchange.parse_history(request, b"[]", 9)
    with pytest.raises(Unavailable, match="10028"):
        exchange.parse_history(request, b'{"error":{"code":10028,"message":"too_many_requests"}}', 9)
    with pytest.raises(Refused, match="10020"):
        exchange.parse_history(request, b'{"error":{"code":10020,"message":"invalid_or_unsupported_instrument"}}', 9)


def test_candles_are_columns(adapter: Adapter) -> None:
    exchange = adapter("deribit", "BTC-PERPETUAL")
    minute = 60_000_000
    first, second = exchange.candle_requests(exchange.markets["BTC-PERPETUAL"], 0, 5001 * minute)
    assert first.url.endswith("&resolution=1&start_timestamp=0&end_timestamp=299999999")
    assert second.start == 5000 * minute
    columns = {"ticks": [60_000, 0], "open": [2, 2], "high": [4, 4], "low": [1, 1], "close": [3, 3], "volume": [9, 9]}
    body = json.dumps({"result": {**columns, "cost": [1, 1], "status": "ok"}}).encode()
    assert exchange.parse_candles(first, body) == [Candle(1, at, 2.0, 4.0, 1.0, 3.0, 9.0) for at in (0, minute)]
    empty = b'{"result":{"ticks":[],"open":[],"high":[],"low":[],"close":[],"volume":[],"status":"no_data"}}'
    assert exchange.parse_candles(first, empty) == []
    with pytest.raises(BadData):
        exchange.parse_candles(first, json.dumps({"result": {**columns, "open": [2]}}).encode())
