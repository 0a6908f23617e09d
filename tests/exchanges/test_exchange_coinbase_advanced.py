from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Flag, Quote, Side, Trade
from pricewatch.exchanges.base import (
    HEARTBEAT,
    IGNORED,
    BadTrade,
    Lost,
    Notice,
    Subscribed,
    Subscription,
    SubscriptionFailed,
)

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
SEEN = 1_800_000_000_000_000
AT = 1728026011_088388
ROW = (
    '{"product_id":"BTC-USD","trade_id":"22381691","price":"2375.56","size":"0.5",'
    '"time":"2024-10-04T07:13:31.088388Z","side":"BUY"}'
)
BEST = (
    '{"type":"ticker","product_id":"BTC-USD","price":"21932.98","best_bid":"21931.98","best_bid_quantity":"8000.21",'
    '"best_ask":"21933.98","best_ask_quantity":"8038.07"}'
)
EMPTY = '{"type":"ticker","product_id":"BTC-USD","price":"","best_bid":"","best_bid_quantity":"","best_ask":""}'


def frame(channel: str, number: int, *events: str) -> str:
    stamp = '"timestamp":"2023-02-09T20:30:37.167359596Z"'
    return f'{{"channel":"{channel}","client_id":"",{stamp},"sequence_num":{number},"events":[{",".join(events)}]}}'


def trades(*rows: str, number: int = 1, kind: str = "update") -> str:
    return frame("market_trades", number, f'{{"type":"{kind}","trades":[{",".join(rows)}]}}')


def ticker(*rows: str, number: int = 1) -> str:
    return frame("ticker", number, f'{{"type":"update","tickers":[{",".join(rows)}]}}')


def example(shared: Path, name: str) -> str:
    text = (shared / f"data/frames/coinbase_advanced/{name}.txt").read_text(encoding="utf-8")
    return text[text.index("\n=") + 2 :]


@pytest.mark.shared
def test_the_documented_examples(shared: Path, adapter: Adapter, read: Read) -> None:
    exchange = adapter("coinbase_advanced", "ETH-USDT")
    out = read(exchange, example(shared, "Trades"))
    assert [item.key for item in out if isinstance(item, Trade)] == [22381690, 22381691]
    assert read(exchange, example(shared, "Ticker")) == [
        Quote(1, 1675974637167360, 21931.98, 8000.21, 21933.98, 8038.07770938, SEEN)
    ]
    assert read(exchange, example(shared, "BatchTicker")) == read(exchange, example(shared, "Klines")) == [IGNORED]
    assert read(adapter("coinbase_advanced", "ETH-USDT"), example(shared, "Heartbeat")) == [HEARTBEAT]


def test_the_side_is_the_makers(adapter: Adapter, read: Read) -> None:
    exchange = adapter("coinbase_advanced", "BTC-USD")
    assert read(exchange, trades(ROW)) == [Trade(1, AT, 2375.56, 0.5, Side.SELL, 22381691, SEEN)]
    assert read(exchange, trades(ROW.replace("BUY", "SELL")))[0].side == Side.BUY
    assert read(exchange, trades(ROW, kind="snapshot"))[0].flags == Flag.HISTORY


def test_a_jump_of_the_counter_is_a_loss_whatever_the_channel(adapter: Adapter, read: Read) -> None:
    exchange = adapter("coinbase_advanced", "BTC-USD")
    assert read(exchange, frame("heartbeats", 7)) == [HEARTBEAT]
    assert len(read(exchange, trades(ROW, number=8))) == 1
    lost, trade = read(exchange, trades(ROW, number=11))
    assert lost == Lost("messages 9 to 10 never came")
    assert isinstance(trade, Trade)
    assert read(exchange, frame("candles", 12)) == [IGNORED]
    assert read(exchange, frame("heartbeats", 12)) == [HEARTBEAT]
    assert read(exchange, frame("status", 14)) == [Lost("messages 13 to 13 never came"), IGNORED]


def test_broken_frames_are_counted_too(adapter: Adapter, read: Read) -> None:
    exchange = adapter("coinbase_advanced", "BTC-USD")
    read(exchange, frame("heartbeats", 1))
    for broken in (trades("{}", number=2), ticker("{}", number=3), frame("subscriptions", 4, "[]")):
        with pytest.raises(BadData):
            read(exchange, broken)
    assert read(exchange, frame("heartbeats", 5)) == [HEARTBEAT]


def test_a_broken_row_does_not_take_the_others_with_it(adapter: Adapter) -> None:
    exchange = adapter("coinbase_advanced", "BTC-USD")
    out: list[Any] = []
    rows = (ROW, ROW.replace("22381691", "nine"), ROW.replace("22381691", "7"), ROW.replace("BTC", "X"))
    with pytest.raises(BadTrade) as caught:
        exchange.receive(trades(*rows), SEEN, out)
    assert caught.value.count == 2
    assert [item.key for item in out] == [7, 22381691]


def test_an_unknown_market_among_known_ones(adapter: Adapter) -> None:
    exchange = adapter("coinbase_advanced", "BTC-USD")
    out: list[Any] = []
    with pytest.raises(BadTrade, match="unknown market") as caught:
        exchange.receive(trades(ROW.replace("BTC", "X"), ROW), SEEN, out)
    assert (caught.value.count, len(out)) == (1, 1)
    with pytest.raises(BadData, match="unknown market"):
        exchange.receive(ticker(BEST.replace("BTC", "X"), BEST), SEEN, out)
    assert len(out) == 2


def test_a_product_without_prices_is_no_fault(adapter: Adapter, read: Read) -> None:
    exchange = adapter("coinbase_advanced", "BTC-USD")
    out = read(exchange, ticker(EMPTY, BEST))
    assert out[0] == IGNORED
    assert isinstance(out[1], Quote)


def test_a_usdc_market_hears_the_usd_product(adapter: Adapter, read: Read) -> None:
    exchange = adapter("coinbase_advanced", "BTC-USD", "BTC-USDC", "ETH-USDC")
    assert [item.market for item in read(exchange, trades(ROW))] == [1, 2]
    assert [item.market for item in read(exchange, trades(ROW.replace("BTC-USD", "ETH-USD")))] == [3]
    assert [item.market for item in read(exchange, ticker(BEST.replace("BTC-USD", "ETH-USDC")))] == [3]
    answer = frame("subscriptions", 1, '{"subscriptions":{"ticker":["BTC-USD","ETH-USD"],"heartbeats":["heartbeats"]}}')
    assert read(exchange, answer) == [
        Subscribed("BTC-USD", "ticker"),
        Subscribed("BTC-USDC", "ticker"),
        Subscribed("ETH-USDC", "ticker"),
        Subscribed("heartbeats", "heartbeats"),
    ]


def test_subscribing_begins_with_heartbeats(adapter: Adapter) -> None:
    exchange = adapter("coinbase_advanced", "BTC-USD", "ETH-USD")
    sends = [json.loads(send.frame) for send in exchange.subscribe(exchange.expected())]
    assert sends == [
        {"type": "subscribe", "channel": "heartbeats"},
        {"type": "subscribe", "product_ids": ["BTC-USD", "ETH-USD"], "channel": "market_trades"},
        {"type": "subscribe", "product_ids": ["BTC-USD", "ETH-USD"], "channel": "ticker"},
    ]
    assert len(exchange.subscribe(exchange.expected(), alone=True)) == 4
    (gone,) = exchange.unsubscribe([Subscription("BTC-USD", "ticker")])
    assert json.loads(gone.frame) == {"type": "unsubscribe", "product_ids": ["BTC-USD"], "channel": "ticker"}


def test_errors(adapter: Adapter, read: Read) -> None:
    exchange = adapter("coinbase_advanced", "BTC-USD", "ETH-USD")

    def error(text: str) -> list[Any]:
        return read(exchange, json.dumps({"type": "error", "message": text}))

    assert error("failure to subscribe") == [SubscriptionFailed("", "", "failure to subscribe")]
    named = "product 'BTC-USD' not found"
    assert error(named) == [SubscriptionFailed("BTC-USD", channel, named) for channel in exchange.channels]
    assert error("rate limit exceeded") == [Notice("rate limit exceeded")]
    assert read(exchange, '{"type":"something new"}') == [IGNORED]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (trades(ROW.replace('"2375.56"', '"1e999"')), BadTrade),
        (trades(ROW.replace('"22381691"', '"' + "9" * 30 + '"')), BadTrade),
        (trades(ROW.replace('"22381691"', "1" * 5000)), BadTrade),
        (trades(ROW.replace("31.088388Z", "31.088388")), BadTrade),
        (trades(ROW).replace('"events":[', '"events":5,"x":['), BadTrade),
        (ticker(BEST.replace('"8000.21"', "[]")), BadData),
        (ticker(BEST).replace("2023-02-09", "2023-02-31"), BadData),
        (ticker(EMPTY).replace('"tickers":[', '"tickers":[5,'), BadData),
        (frame("heartbeats", 1).replace(":1,", ":-1,"), BadData),
        ("nothing", BadData),
        (b"\xff\xfe", BadData),
        ('{"channel":"market_trades","x":' + "[" * 100_000, BadData),
        ("\ud800", BadData),
    ],
)
def test_unusable(adapter: Adapter, read: Read, text: str | bytes, error: type[BadData]) -> None:
    with pytest.raises(error):
        read(adapter("coinbase_advanced", "BTC-USD"), text)


def past(*rows: tuple[int, str]) -> bytes:
    found = [
        {"trade_id": str(n), "product_id": "BTC-USD", "price": "3", "size": "0.5", "side": "SELL", "time": time}
        for n, time in rows
    ]
    return json.dumps({"trades": found, "best_bid": "1", "best_ask": "2"}).encode()


def test_history_goes_back_in_time(adapter: Adapter) -> None:
    exchange = adapter("coinbase_advanced", "BTC-USD")
    request = exchange.history_request(exchange.markets["BTC-USD"], 5, 8, 1_000_900_000, 1_010_100_000)
    base = "https://api.coinbase.com/api/v3/brokerage/market/products/BTC-USD/ticker?limit=1000"
    assert request.url == f"{base}&start=1000&end=1011"
    page = exchange.parse_history(request, past((9, "1970-01-01T00:16:50Z"), (8, "1970-01-01T00:16:45.5Z")), 9)
    assert page.trades == [Trade(1, 1_005_500_000, 3.0, 0.5, Side.BUY, 8, 9)]
    assert page.next.url == f"{base}&start=1000&end=1006"
    assert exchange.parse_history(page.next, past((5, "1970-01-01T00:16:41Z")), 9).next is None
    assert exchange.parse_history(page.next, past((8, "1970-01-01T00:16:45.5Z")), 9).next is None
    assert exchange.parse_history(page.next, past(), 9) == ([], None)


def test_open_ended_history(adapter: Adapter) -> None:
    exchange = adapter("coinbase_advanced", "BTC-USD")
    request = exchange.history_request(exchange.markets["BTC-USD"], 5, None, 1_000_000_000)
    assert request.url.endswith("/ticker?limit=1000")
    page = exchange.parse_history(request, past((9, "1970-01-01T00:16:39Z"), (8, "1970-01-01T00:16:39Z")), 9)
    assert [trade.key for trade in page.trades] == [8, 9]
    assert page.next.url.endswith("&start=999&end=1000")
    with pytest.raises(BadTrade):
        exchange.parse_history(request, b'{"error":"NOT_FOUND"}', 9)


def test_candles(adapter: Adapter) -> None:
    exchange = adapter("coinbase_advanced", "BTC-USD")
    minute = 60_000_000
    first, second = exchange.candle_requests(exchange.markets["BTC-USD"], 0, 300 * minute)
    assert first.url.endswith("/BTC-USD/candles?granularity=ONE_MINUTE&start=0&end=17939")
    assert second.start == 299 * minute
    row = '{"start":"%d","low":"1","high":"4","open":"2","close":"3","volume":"10.5"}'
    body = f'{{"candles":[{row % 60},{row % 0}]}}'.encode()
    assert exchange.parse_candles(first, body) == [Candle(1, at, 2.0, 4.0, 1.0, 3.0, 10.5) for at in (0, minute)]
    with pytest.raises(BadData):
        exchange.parse_candles(first, b"[]")
