from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.exchanges.cases.hyperliquid import CASE

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Flag, Quote, Side, Trade
from pricewatch.exchanges.base import (
    HEARTBEAT,
    IGNORED,
    BadTrade,
    HistoryRequest,
    Instrument,
    Notice,
    Subscribed,
    Subscription,
    SubscriptionFailed,
)

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
SEEN = 1_800_000_000_000_000
SEEN_MS = SEEN // 1000


def row(key: int, at: int = 5, **other: Any) -> dict[str, Any]:
    return {"coin": "BTC", "side": "B", "px": "105056.0", "sz": "0.5", "time": at, "tid": key, **other}


def trades(*rows: dict[str, Any]) -> str:
    return json.dumps({"channel": "trades", "data": rows})


def confirmation(coin: str = "BTC", kind: str = "trades") -> str:
    subscription = {"type": kind, "coin": coin}
    data = {"method": "subscribe", "subscription": subscription}
    return json.dumps({"channel": "subscriptionResponse", "data": data})


@pytest.mark.parametrize(
    ("symbol", "native"),
    [("BTC-USDC", "BTC"), ("PURR-USDC", "PURR/USDC"), ("KPEPE-USDC", "kPEPE"), ("KAVA-USDC", "KAVA")],
)
def test_native_names(adapter: Adapter, symbol: str, native: str) -> None:
    assert adapter("hyperliquid").native(symbol) == native


def test_only_trades_from_before_the_subscription_are_history(adapter: Adapter, read: Read) -> None:
    exchange = adapter("hyperliquid", "BTC-USDC")
    assert read(exchange, confirmation()) == [Subscribed("BTC", "trades")]
    first = read(exchange, trades(row(1, SEEN_MS), row(2, SEEN_MS + 1)))
    assert [(item.key, item.flags) for item in first] == [(1, Flag.HISTORY), (2, 0)]
    read(exchange, confirmation())
    later = read(exchange, trades(row(3, SEEN_MS - 10)))
    assert later == [Trade(1, SEEN - 10_000, 105056.0, 0.5, Side.BUY, 3, SEEN)]


def test_a_market_taken_up_again_begins_with_history_again(adapter: Adapter, read: Read) -> None:
    exchange = adapter("hyperliquid", "BTC-USDC")
    (market,) = exchange.markets.values()
    assert read(exchange, trades(row(1)))[0].flags == Flag.HISTORY
    assert read(exchange, trades(row(2)))[0].flags == 0
    exchange.drop(["BTC"])
    with pytest.raises(BadTrade, match="unknown market"):
        read(exchange, trades(row(3)))
    exchange.add([market])
    assert read(exchange, trades(row(4)))[0].flags == Flag.HISTORY


def test_oldest_first(adapter: Adapter, read: Read) -> None:
    exchange = adapter("hyperliquid", "BTC-USDC")
    newest_first = read(exchange, trades(row(4, 9), row(3, 8), row(2, 8), row(1, 7)))
    assert [item.key for item in newest_first] == [1, 2, 3, 4]
    as_sent = read(exchange, trades(row(9, 7), row(8, 8), row(7, 8)))
    assert [item.key for item in as_sent] == [9, 8, 7]
    assert read(exchange, trades()) == []


def test_a_broken_row_does_not_take_the_others_with_it(adapter: Adapter) -> None:
    exchange = adapter("hyperliquid", "BTC-USDC")
    out: list[Any] = []
    with pytest.raises(BadTrade) as caught:
        exchange.receive(trades(row(1), {}, row(2, coin="X"), row(3)), SEEN, out)
    assert caught.value.count == 2
    assert [item.key for item in out] == [1, 3]


def test_best_prices(adapter: Adapter, read: Read) -> None:
    exchange = adapter("hyperliquid", "BTC-USDC")
    level = '{"px":"2.5","sz":"1","n":1}'
    frame = '{{"channel":"bbo","data":{{"coin":"BTC","time":7,"bbo":[{},{}]}}}}'
    assert read(exchange, frame.format(level, level.replace("2.5", "3"))) == [Quote(1, 7000, 2.5, 1.0, 3.0, 1.0, SEEN)]
    assert read(exchange, [frame.format("null", level), frame.format(level, "null")]) == [IGNORED, IGNORED]
    with pytest.raises(BadData, match="unknown market"):
        read(exchange, frame.format(level, level).replace("BTC", "X"))


def test_subscribing(adapter: Adapter, read: Read) -> None:
    exchange = adapter("hyperliquid", "BTC-USDC")
    first, _ = exchange.subscribe(exchange.expected())
    assert first.frame == '{"method":"subscribe","subscription":{"type":"trades","coin":"BTC"}}'
    (gone,) = exchange.unsubscribe([Subscription("BTC", "bbo")])
    assert gone.frame == '{"method":"unsubscribe","subscription":{"type":"bbo","coin":"BTC"}}'
    assert read(exchange, [confirmation("X"), confirmation(kind="l2Book")]) == [IGNORED, IGNORED]
    assert read(exchange, confirmation(kind="bbo")) == [Subscribed("BTC", "bbo")]
    assert exchange.probe(SEEN) == '{"method":"ping"}'


TOPIC = '{"type":"bbo","coin":"BTC"}'
REQUEST = '{"method":"subscribe","subscription":{"type":"bbo","coin":"BTC"}}'


@pytest.mark.parametrize(
    ("reason", "output"),
    [
        (f"Already subscribed: {TOPIC}", Subscribed("BTC", "bbo")),
        (f"Invalid subscription {TOPIC}", SubscriptionFailed("BTC", "bbo", f"Invalid subscription {TOPIC}")),
        (
            f"Error parsing JSON into valid websocket request: {REQUEST}",
            SubscriptionFailed("BTC", "bbo", f"Error parsing JSON into valid websocket request: {REQUEST}"),
        ),
        ("Invalid subscription {}", Notice("Invalid subscription {}")),
        (
            f"Invalid subscription {TOPIC.replace('BTC', 'X')}",
            Notice(f"Invalid subscription {TOPIC}".replace("BTC", "X")),
        ),
        ("Too many subscriptions", Notice("Too many subscriptions")),
        (["x"], Notice("refused")),
    ],
)
def test_refusals(adapter: Adapter, read: Read, reason: Any, output: Any) -> None:
    exchange = adapter("hyperliquid", "BTC-USDC")
    exchange.subscribe(exchange.expected())
    assert read(exchange, json.dumps({"channel": "error", "data": reason})) == [output]


def test_what_else_comes(adapter: Adapter, read: Read) -> None:
    exchange = adapter("hyperliquid", "BTC-USDC")
    assert read(exchange, '{"channel":"pong"}') == [HEARTBEAT]
    assert read(exchange, '{"channel":"l2Book","data":{"coin":"BTC"}}') == [IGNORED]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ('{"channel":"trades","data":{}}', BadTrade),
        ('{"channel":"trades"}', BadTrade),
        (trades(row(1, side="C")), BadTrade),
        (trades(row(1, at=10**16)), BadTrade),
        ('{"channel":"bbo","data":{"coin":"BTC","time":7,"bbo":[]}}', BadData),
        ('{"channel":5}', BadData),
        ('{"channel":"error","data":"\\ud800{"}', BadData),
        ("[" * 100_000, BadData),
        ('{"channel":"trades","data":' + "[" * 100_000, BadData),
        ("\ud800", BadData),
        (b"\xff", BadData),
    ],
)
def test_unusable(adapter: Adapter, read: Read, frame: str | bytes, error: type[BadData]) -> None:
    with pytest.raises(error):
        read(adapter("hyperliquid", "BTC-USDC"), frame)


def test_candles_are_posted_for(adapter: Adapter) -> None:
    exchange = adapter("hyperliquid", "BTC-USDC")
    start = 1737331200_000000
    first, second = exchange.candle_requests(exchange.markets["BTC"], start, start + 501 * 60_000_000)
    assert first.url == second.url == "https://api.hyperliquid.xyz/info"
    assert json.loads(second.body) == {
        "type": "candleSnapshot",
        "req": {"coin": "BTC", "interval": "1m", "startTime": 1737361200000, "endTime": 1737361259999},
    }
    assert exchange.parse_candles(first, CASE.candles) == [
        Candle(1, start, 20.184, 22.755, 19.3, 20.547, 10651612.71, 278401)
    ]
    with pytest.raises(BadData):
        exchange.parse_candles(first, b"null")


def test_no_history(adapter: Adapter) -> None:
    exchange = adapter("hyperliquid", "BTC-USDC")
    market = exchange.markets["BTC"]
    assert exchange.history_request(market, 0, None, 0) is None
    with pytest.raises(BadData, match="no trade history"):
        exchange.parse_history(HistoryRequest(market, "", 0, None), b"[]", 0)


def test_instruments(adapter: Adapter) -> None:
    exchange = adapter("hyperliquid")
    assert [request.body for request in exchange.instrument_requests()] == ['{"type":"meta"}', '{"type":"spotMeta"}']
    assert exchange.parse_instruments(CASE.instruments) == [
        Instrument("BTC", "BTC-USDC"),
        Instrument("kPEPE", "KPEPE-USDC"),
        Instrument("MATIC", "MATIC-USDC", active=False),
        Instrument("PURR/USDC", "PURR-USDC"),
        Instrument("@142", "UBTC-USDC"),
    ]
    with pytest.raises(BadData):
        exchange.parse_instruments([b"{}", b"{}"])
