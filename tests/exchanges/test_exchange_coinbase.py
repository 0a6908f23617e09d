from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Flag, Quote, Side, Trade, decimal_text
from pricewatch.exchanges.base import BadTrade, Heartbeat, Ignored, Notice, Subscribed, SubscriptionFailed

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
MATCH = (
    '{"type":"match","trade_id":280232,"side":"sell","size":"985","price":"0.00001305","product_id":"SKL-BTC",'
    '"sequence":177100030,"time":"2021-04-17T16:43:37.089723Z"}'
)
TICKER = (
    '{"type":"ticker","product_id":"SKL-BTC","price":"0.00001305","best_bid":"0.00001303","best_ask":"0.00001305",'
    '"side":"buy","time":"2021-04-17T16:43:37.089723Z","trade_id":280232,"last_size":"985"}'
)
AT = 1618677817_089723
SEEN = 1_800_000_000_000_000


@pytest.mark.shared
def test_every_recorded_match(recorded: Callable[[str], list[str]], adapter: Adapter, read: Read) -> None:
    frames = recorded("coinbase/coinbase-20210417T164337Z-a.jsonl.gz")
    rows = [json.loads(frame) for frame in frames]
    products = sorted({row["product_id"] for row in rows if "product_id" in row})
    out = read(adapter("coinbase", *products), frames)
    wire = [row for row in rows if row["type"] in {"match", "last_match"}]
    trades = [item for item in out if isinstance(item, Trade)]
    assert len(trades) == len(wire) == 41
    assert sum(bool(trade.flags & Flag.HISTORY) for trade in trades) == 10
    tickers = {row["trade_id"]: row["side"] for row in rows if row["type"] == "ticker"}
    for trade, row in zip(trades, wire, strict=True):
        assert decimal_text(trade.price) == format(Decimal(row["price"]).normalize(), "f")
        assert tickers.get(row["trade_id"], Side(trade.side).name.lower()) == Side(trade.side).name.lower()
    assert sum(isinstance(item, Quote) for item in out) == sum(row["type"] == "ticker" for row in rows)


def test_a_match_names_the_maker(adapter: Adapter, read: Read) -> None:
    exchange = adapter("coinbase", "SKL-BTC")
    trade = Trade(1, AT, 0.00001305, 985.0, Side.BUY, 280232, SEEN)
    assert read(exchange, MATCH) == [trade]
    assert read(exchange, MATCH.replace('"sell"', '"buy"'))[0].side == Side.SELL
    assert read(exchange, MATCH.replace('"match"', '"last_match"'))[0].flags == Flag.HISTORY


def test_a_ticker_is_a_quote(adapter: Adapter, read: Read) -> None:
    exchange = adapter("coinbase", "SKL-BTC")
    assert read(exchange, TICKER) == [Quote(1, AT, 0.00001303, 0.0, 0.00001305, 0.0, SEEN)]


def test_heartbeats(adapter: Adapter, read: Read) -> None:
    exchange = adapter("coinbase", "SKL-BTC")
    beat = '{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"SKL-BTC","time":"2014-11-07T08:19:28Z"}'
    assert read(exchange, [beat, beat.replace("SKL", "XXX")]) == [Heartbeat(1, 20), Heartbeat(None, 20)]


def test_subscribing(adapter: Adapter, read: Read) -> None:
    exchange = adapter("coinbase", "SKL-BTC", "BTC-USD")
    (send,) = exchange.subscribe(exchange.expected())
    assert json.loads(send.frame) == {
        "type": "subscribe",
        "product_ids": ["SKL-BTC", "BTC-USD"],
        "channels": ["heartbeat", "matches", "ticker"],
    }
    assert len(exchange.subscribe(exchange.expected(), alone=True)) == 2
    answer = '{"type":"subscriptions","channels":[{"name":"ticker","product_ids":["BTC-USD"]},{"name":"x"}]}'
    assert read(exchange, answer) == [Subscribed("BTC-USD", "ticker")]


def test_refusals(adapter: Adapter, read: Read) -> None:
    exchange = adapter("coinbase", "SKL-BTC", "BTC-USD")
    error = '{"type":"error","message":"Failed to subscribe","reason":"SKL-BTC is not a valid product"}'
    reason = "Failed to subscribe: SKL-BTC is not a valid product"
    assert read(exchange, error) == [SubscriptionFailed("SKL-BTC", c, reason) for c in exchange.channels]
    assert read(exchange, error.replace("SKL-BTC", "It")) == [
        SubscriptionFailed("", "", "Failed to subscribe: It is not a valid product")
    ]
    assert read(exchange, '{"type":"error","message":"ErrSlowConsume"}') == [Notice("ErrSlowConsume")]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (MATCH.replace("SKL-BTC", "X-Y"), BadTrade),
        (MATCH.replace('"985"', '"1e999"'), BadTrade),
        (MATCH.replace("37.089723Z", "37.089723"), BadTrade),
        (MATCH.replace('"sell"', '"hold"'), BadTrade),
        (TICKER.replace("SKL-BTC", "X-Y"), BadData),
        (TICKER.replace('"0.00001303"', '""'), BadData),
        ("nothing", BadData),
        (b"\xff\xfe", BadData),
        ('{"type":1}', BadData),
        ('{"type":"match","x":' + "[" * 100_000, BadData),
        ("\ud800", BadData),
    ],
)
def test_unusable(adapter: Adapter, read: Read, frame: str | bytes, error: type[BadData]) -> None:
    with pytest.raises(error):
        read(adapter("coinbase", "SKL-BTC"), frame)


def test_unknown_types_are_ignored(adapter: Adapter, read: Read) -> None:
    assert isinstance(read(adapter("coinbase", "SKL-BTC"), '{"type":"l2update","changes":[]}')[0], Ignored)


def past(*ids: int) -> bytes:
    rows = [
        {"trade_id": n, "side": "buy", "size": "0.5", "price": "3", "time": "2021-04-17T16:43:37.089723Z"} for n in ids
    ]
    return json.dumps(rows).encode()


def test_history_goes_back_in_time(adapter: Adapter) -> None:
    exchange = adapter("coinbase", "BTC-USD")
    market = exchange.markets["BTC-USD"]
    request = exchange.history_request(market, 5, 8, 0)
    assert request.url == "https://api.exchange.coinbase.com/products/BTC-USD/trades?after=9&limit=4"
    page = exchange.parse_history(request, past(8, 7), 9)
    assert [trade.key for trade in page.trades] == [7, 8]
    assert page.trades[0] == Trade(1, AT, 3.0, 0.5, Side.SELL, 7, 9)
    assert page.next.url.endswith("after=7&limit=2")
    assert exchange.parse_history(page.next, past(6, 5, 4), 9).next is None
    assert exchange.parse_history(request, past(), 9).next is None
    assert exchange.parse_history(request, past(20), 9) == ([], None)


def test_open_ended_history(adapter: Adapter) -> None:
    exchange = adapter("coinbase", "BTC-USD")
    request = exchange.history_request(exchange.markets["BTC-USD"], 5, None, 0)
    assert request.url.endswith("/trades?limit=1000")
    page = exchange.parse_history(request, past(9, 8, 7), 9)
    assert page.next.last == 6
    assert len(page.trades) == 3
    with pytest.raises(BadTrade):
        exchange.parse_history(request, b"{}", 9)


def test_candles_have_low_first_and_open_third(adapter: Adapter) -> None:
    exchange = adapter("coinbase", "BTC-USD")
    minute = 60_000_000
    first, second = exchange.candle_requests(exchange.markets["BTC-USD"], 0, 301 * minute)
    assert first.url.endswith("granularity=60&start=1970-01-01T00:00:00Z&end=1970-01-01T04:59:59Z")
    assert second.start == 300 * minute
    rows = b"[[60,1,4,2,3,10.5],[0,1,4,2,3,10.5]]"
    assert exchange.parse_candles(first, rows) == [Candle(1, at, 2.0, 4.0, 1.0, 3.0, 10.5) for at in (0, minute)]
    with pytest.raises(BadData):
        exchange.parse_candles(first, b'{"message":"no"}')
