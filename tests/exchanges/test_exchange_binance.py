from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Market, Quote, Side, Trade, decimal_text
from pricewatch.exchanges.base import (
    BadTrade,
    Closing,
    Ignored,
    Notice,
    Subscribed,
    Subscription,
    SubscriptionFailed,
)

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
RECORDINGS = [
    ("binance/binance-btcusdt-20240808T235413Z.jsonl.gz", "BTC-USDT", 9757),
    ("binance/binance-ethusdt-20240808T235414Z.jsonl.gz", "ETH-USDT", 6106),
]
TRADE = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,'
    '"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)
BOOK = (
    '{"stream":"btcusdt@bookTicker","data":{"u":5,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000",'
    '"a":"61837.64000000","A":"1.54698000"}}'
)


@pytest.mark.shared
@pytest.mark.parametrize(("name", "symbol", "trades"), RECORDINGS)
def test_every_recorded_trade(
    recorded: Callable[[str], list[str]], adapter: Adapter, read: Read, name: str, symbol: str, trades: int
) -> None:
    frames = recorded(name)
    out = read(adapter("binance", symbol), [frame.encode() for frame in frames])
    found = [item for item in out if isinstance(item, Trade)]
    assert len(found) == trades
    assert len(out) == len(frames)
    assert {trade.key for trade in found} == set(range(found[0].key, found[0].key + trades))
    wire = [json.loads(frame)["data"] for frame in frames if "@trade" in frame[:40]]
    for trade, row in zip(found, wire, strict=True):
        assert decimal_text(trade.price) == format(Decimal(row["p"]).normalize(), "f")
        assert decimal_text(trade.size) == format(Decimal(row["q"]).normalize(), "f")
        assert (trade.key, trade.at) == (row["t"], row["T"] * 1000)


@pytest.mark.shared
def test_streams_nobody_asked_for_are_ignored(
    recorded: Callable[[str], list[str]], adapter: Adapter, read: Read
) -> None:
    frames = recorded("binance/binance-20210417T163612Z.jsonl.gz")
    assert {type(item) for item in read(adapter("binance", "BUSD-TRY"), frames)} == {Ignored, Quote}


def test_a_trade(adapter: Adapter, read: Read) -> None:
    exchange = adapter("binance", "BTC-USDT")
    trade = Trade(1, 1723161255342_000, 61837.63, 0.02, Side.SELL, 3735683259, 1_800_000_000_000_000)
    assert read(exchange, TRADE) == [trade]
    assert read(exchange, TRADE.encode().replace(b"true", b"false"))[0].side == Side.BUY
    assert read(exchange, TRADE.replace(":", ": ")) == [trade]


def test_a_quote_is_dated_by_its_arrival(adapter: Adapter, read: Read) -> None:
    exchange = adapter("binance", "BTC-USDT")
    seen = 1_800_000_000_000_000
    quote = Quote(1, seen, 61837.63, 3.78826, 61837.64, 1.54698, seen)
    assert read(exchange, BOOK) == read(exchange, BOOK.replace(":", " : ")) == [quote]


def test_frames_that_end_otherwise(adapter: Adapter, read: Read) -> None:
    exchange = adapter("binance", "BTC-USDT")
    assert read(exchange, TRADE.replace('"M":true', '"M":"x"').encode()) == read(exchange, TRADE.encode())
    assert read(exchange, BOOK.replace("}}", ',"T":5}}').encode()) == read(exchange, BOOK.encode())


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (TRADE.replace("BTCUSDT", "ETHUSDT"), BadTrade),
        (TRADE.replace('"61837.63000000"', '"1e999"'), BadTrade),
        (TRADE.replace('"61837.63000000"', "[[]]"), BadTrade),
        (TRADE.replace("3735683259", "1" * 5000), BadTrade),
        (TRADE.replace('"61837.63000000"', "NaN"), BadTrade),
        (BOOK.replace('"3.78826000"', "NaN"), BadData),
        (BOOK.replace('"BTCUSDT"', '"X"'), BadData),
        (BOOK.replace('"3.78826000"', "{}"), BadData),
        ("\ud800", BadData),
        ("[" * 100_000, BadData),
        ("", BadData),
        ('{"stream":"', BadData),
        ('{"x":' + "[" * 100_000, BadData),
    ],
)
def test_unusable(adapter: Adapter, read: Read, frame: str, error: type[BadData]) -> None:
    with pytest.raises(error):
        read(adapter("binance", "BTC-USDT"), frame)


def test_foreign_and_closing_streams(adapter: Adapter, read: Read) -> None:
    exchange = adapter("binance", "BTC-USDT")
    assert isinstance(read(exchange, '{"stream":"btcusdt@depth","data":{}}')[0], Ignored)
    assert isinstance(read(exchange, '{ "stream":"btcusdt@depth","data":{}}')[0], Ignored)
    shutdown = '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}'
    assert read(exchange, shutdown) == [Closing("serverShutdown")]


def test_subscriptions_are_answered_by_number(adapter: Adapter, read: Read) -> None:
    exchange = adapter("binance", "BTC-USDT", "ETH-USDT")
    (send,) = exchange.subscribe(exchange.expected())
    assert json.loads(send.frame) == {
        "method": "SUBSCRIBE",
        "params": ["btcusdt@trade", "btcusdt@bookTicker", "ethusdt@trade", "ethusdt@bookTicker"],
        "id": 1,
    }
    assert read(exchange, '{"result":null,"id":1}') == [Subscribed(*item) for item in exchange.expected()]
    assert [type(item) for item in read(exchange, '{"result":null,"id":1}')] == [Ignored]
    assert exchange.url() == "wss://stream.binance.com:9443/stream"


def test_refusals(adapter: Adapter, read: Read) -> None:
    exchange = adapter("binance", "BTC-USDT", "ETH-USDT")
    exchange.subscribe(exchange.expected())
    assert read(exchange, '{"code":2,"msg":"Invalid request","id":1}') == [
        SubscriptionFailed("", "", "2 Invalid request")
    ]
    sends = exchange.subscribe([Subscription("ETHUSDT", "trade")], alone=True)
    assert len(sends) == 1
    assert read(exchange, '{"error":{"code":2,"msg":"no"},"id":2}') == [SubscriptionFailed("ETHUSDT", "trade", "2 no")]
    assert read(exchange, '{"error":{"code":3,"msg":"slow down"}}') == [Notice("3 slow down")]


def past(*ids: int) -> bytes:
    rows = [{"id": n, "price": "1.50", "qty": "2.0", "time": 1000 + n, "isBuyerMaker": n % 2 == 0} for n in ids]
    return json.dumps(rows).encode()


def test_history_by_id(adapter: Adapter) -> None:
    exchange = adapter("binance", "BTC-USDT")
    market: Market = exchange.markets["BTCUSDT"]
    request = exchange.history_request(market, 5, 7, 0)
    assert request.url == "https://api.binance.com/api/v3/historicalTrades?symbol=BTCUSDT&fromId=5&limit=3"
    page = exchange.parse_history(request, past(7, 5, 6, 8), 9)
    assert page.next is None
    assert [trade.key for trade in page.trades] == [5, 6, 7]
    assert page.trades[0] == Trade(1, 1_005_000, 1.5, 2.0, Side.BUY, 5, 9)
    rest = exchange.parse_history(request, past(5), 9).next
    assert rest.url.endswith("fromId=6&limit=2")
    assert exchange.parse_history(rest, past(), 9).next is None


def test_open_ended_history(adapter: Adapter) -> None:
    exchange = adapter("binance", "BTC-USDT")
    request = exchange.history_request(exchange.markets["BTCUSDT"], 1, None, 0)
    following = exchange.parse_history(request, past(*range(1, 1001)), 9).next
    assert "fromId=1001" in following.url
    assert exchange.parse_history(following, past(1001), 9).next is None
    with pytest.raises(BadTrade):
        exchange.parse_history(request, b'{"code":-1}', 9)


def test_candles(adapter: Adapter) -> None:
    exchange = adapter("binance", "BTC-USDT")
    minute = 60_000_000
    first, second = exchange.candle_requests(exchange.markets["BTCUSDT"], 0, 1500 * minute)
    assert "startTime=0&endTime=59999999" in first.url
    assert (second.start, second.end) == (1000 * minute, 1500 * minute)
    row = '[0,"1","4","0.5","2","10",59999,"20",7,"5","6","0"]'
    old = row.replace("[0", "[-60000", 1)
    assert exchange.parse_candles(first, f"[{row},{old}]".encode()) == [Candle(1, 0, 1.0, 4.0, 0.5, 2.0, 10.0, 7)]
    with pytest.raises(BadData):
        exchange.parse_candles(first, b"[[0]]")
