from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.exchanges.cases.bitstamp import CASE

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Quote, Side, Trade
from pricewatch.exchanges.base import (
    HEARTBEAT,
    BadTrade,
    Closing,
    Ignored,
    Instrument,
    Notice,
    Subscribed,
    Subscription,
    SubscriptionFailed,
)

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
SEEN = 1_800_000_000_000_000
TRADE = str(CASE.trades[0][0])
BOOK = str(CASE.quotes[0][0])


def book(bids: str, asks: str) -> str:
    data = f'{{"timestamp":"1772723362","microtimestamp":"1772723362377013","bids":{bids},"asks":{asks}}}'
    return f'{{"data":{data},"channel":"order_book_ethusd","event":"data"}}'


def test_a_trade_and_a_book(adapter: Adapter, read: Read) -> None:
    exchange = adapter("bitstamp", "ETH-USD")
    assert read(exchange, [TRADE, BOOK]) == [
        Trade(1, 1772723751946000, 2090.22, 0.241, Side.BUY, 542327128, SEEN),
        Quote(1, 1772723362377013, 2087.28, 0.5, 2087.29, 6.330796, SEEN),
    ]


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ('[["2.0","0.00000000"],["1.9","3"]]', '[["2.1","0.000"],["2.2","4"]]'),
        ('[ ["1.9", "3"] ]', '[ ["2.2", "4"] ]'),
        (f'[["1.9000{"0" * 60}","3"]]', '[["2.2","4"]]'),
    ],
)
def test_levels_without_a_size_and_unusual_text(adapter: Adapter, read: Read, bids: str, asks: str) -> None:
    out = read(adapter("bitstamp", "ETH-USD"), book(bids, asks))
    assert out == [Quote(1, 1772723362377013, 1.9, 3.0, 2.2, 4.0, SEEN)]


@pytest.mark.parametrize(
    ("bids", "asks"),
    [("[]", '[["2","1"]]'), ('[["2","1"]]', "[]"), ('[["2","0"]]', '[["3","1"]]'), ('[["3","1"]]', '[["3","1"]]')],
)
def test_no_quote_of_an_empty_side_or_a_crossed_book(adapter: Adapter, read: Read, bids: str, asks: str) -> None:
    assert [type(item) for item in read(adapter("bitstamp", "ETH-USD"), book(bids, asks))] == [Ignored]


def test_any_order_of_the_envelope(adapter: Adapter, read: Read) -> None:
    exchange = adapter("bitstamp", "BTC-EUR")
    (trade,) = read(exchange, CASE.trades[1][0])
    assert (trade.key, trade.side) == (216000484, Side.SELL)


def test_every_channel_has_its_message(adapter: Adapter) -> None:
    exchange = adapter("bitstamp", "ETH-USD", "BTC-EUR")
    sends = [send.frame for send in exchange.subscribe(exchange.expected())]
    assert len(sends) == 4
    assert sends[0] == '{"event":"bts:subscribe","data":{"channel":"live_trades_ethusd"}}'
    (gone,) = exchange.unsubscribe([Subscription("btceur", "order_book")])
    assert gone.frame == '{"event":"bts:unsubscribe","data":{"channel":"order_book_btceur"}}'


def test_a_dropped_market_is_not_read_any_more(adapter: Adapter, read: Read) -> None:
    exchange = adapter("bitstamp", "ETH-USD")
    exchange.drop(["ethusd"])
    with pytest.raises(BadTrade, match="unknown market"):
        read(exchange, TRADE)
    assert [type(item) for item in read(exchange, BOOK)] == [Ignored]


def test_words_about_the_connection(adapter: Adapter, read: Read) -> None:
    exchange = adapter("bitstamp", "ETH-USD")
    assert read(exchange, '{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}') == [HEARTBEAT]
    assert read(exchange, CASE.closing[0]) == [Closing("request_reconnect")]
    foreign = '{"event":"bts:subscription_succeeded","channel":"diff_order_book_ethusd","data":{}}'
    assert [type(item) for item in read(exchange, foreign)] == [Ignored]
    wrong = '{"event":"order_created","channel":"live_trades_ethusd","data":{}}'
    assert [type(item) for item in read(exchange, wrong)] == [Ignored]


NAMELESS = '{"event":"bts:error","channel":"","data":{"code":4009,"message":"Invalid channel provided."}}'


def test_a_nameless_refusal_is_of_what_stays_open(adapter: Adapter, read: Read) -> None:
    exchange = adapter("bitstamp", "ETH-USD")
    exchange.subscribe(exchange.expected())
    reason = "4009 Invalid channel provided."
    assert read(exchange, NAMELESS) == [Notice(reason)]
    good = '{"event":"bts:subscription_succeeded","channel":"order_book_ethusd","data":{}}'
    assert read(exchange, good) == [
        Subscribed("ethusd", "order_book"),
        SubscriptionFailed("ethusd", "live_trades", reason),
    ]
    assert read(exchange, NAMELESS) == [Notice(reason)]


def test_asking_again_counts_refusals_anew(adapter: Adapter, read: Read) -> None:
    exchange = adapter("bitstamp", "ETH-USD")
    exchange.subscribe(exchange.expected())
    assert len(read(exchange, NAMELESS)) == 1
    exchange.subscribe(exchange.expected(), alone=True)
    assert len(read(exchange, NAMELESS)) == 1
    exchange.unsubscribe([Subscription("ethusd", "live_trades")])
    refused = read(exchange, NAMELESS)
    assert [item.channel for item in refused if isinstance(item, SubscriptionFailed)] == ["order_book"]


def test_a_refusal_by_name(adapter: Adapter, read: Read) -> None:
    exchange = adapter("bitstamp", "ETH-USD")
    exchange.subscribe(exchange.expected())
    named = '{"event":"bts:error","channel":"live_trades_ethusd","data":""}'
    assert read(exchange, named) == [SubscriptionFailed("ethusd", "live_trades", "refused")]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (TRADE.replace('"2090.22"', '"x"'), BadTrade),
        (TRADE.replace('"type":0', '"type":2'), BadTrade),
        (TRADE.replace('"2090.22"', "NaN"), BadTrade),
        (BOOK.replace('"0.500000"', "[]"), BadData),
        (book("{}", "[]"), BadData),
        (book('[["1","1"],["x"]', '[["2","1"]]'), BadData),
        ('{"event":"trade","channel":"live_trades_xrpusd","data":{}}', BadTrade),
        ("[" * 100_000, BadData),
        ("\ud800", BadData),
        (b"\xff", BadData),
    ],
)
def test_unusable(adapter: Adapter, read: Read, frame: str | bytes, error: type[BadData]) -> None:
    with pytest.raises(error):
        read(adapter("bitstamp", "ETH-USD"), frame)


def past(*rows: tuple[int, int]) -> bytes:
    row = '{{"date":"{}","tid":"{}","amount":"0.5","type":"1","price":"2090.22"}}'
    return f"[{','.join(row.format(*one) for one in rows)}]".encode()


def test_history_reaches_back_step_by_step(adapter: Adapter) -> None:
    exchange = adapter("bitstamp", "ETH-USD")
    market = exchange.markets["ethusd"]
    request = exchange.history_request(market, 0, None, 1_500_000, 4_000_000)
    assert request.url == "https://www.bitstamp.net/api/v2/transactions/ethusd/?time=minute"
    trades, following = exchange.parse_history(request, past((5, 50), (4, 40), (1, 9), (1, 10)), 9)
    assert [trade.key for trade in trades] == [9, 10, 40]
    assert trades[0] == Trade(1, 1_000_000, 2090.22, 0.5, Side.SELL, 9, 9)
    assert following.url.endswith("time=hour")
    assert following.since == 1_500_000
    assert exchange.parse_history(following, past((4, 40), (0, 8)), 9).next is None
    day = exchange.parse_history(following, past(), 9).next
    assert day.url.endswith("time=day")
    assert exchange.parse_history(day, past(), 9) == ([], None)
    with pytest.raises(BadTrade):
        exchange.parse_history(request, b'{"error":"no"}', 9)


def test_candles(adapter: Adapter) -> None:
    exchange = adapter("bitstamp", "ETH-USD")
    start = 1772723700_000000
    first, second = exchange.candle_requests(exchange.markets["ethusd"], start, start + 1001 * 60_000_000)
    base = "https://www.bitstamp.net/api/v2/ohlc/ethusd/?step=60&limit=1000"
    assert first.url == f"{base}&start=1772723700&end=1772783699"
    assert second.url == f"{base}&start=1772783700&end=1772783759"
    assert exchange.parse_candles(first, CASE.candles) == [Candle(1, start, 2090.1, 2091.0, 2089.5, 2090.22, 12.5)]
    assert exchange.parse_candles(second, CASE.candles) == []
    with pytest.raises(BadData):
        exchange.parse_candles(first, b'{"code":"invalid"}')


def test_instruments(adapter: Adapter) -> None:
    exchange = adapter("bitstamp")
    assert [request.url for request in exchange.instrument_requests()] == [
        "https://www.bitstamp.net/api/v2/trading-pairs-info/"
    ]
    assert exchange.parse_instruments(CASE.instruments) == [
        Instrument("ethusd", "ETH-USD"),
        Instrument("btceur", "BTC-EUR"),
        Instrument("lunausd", "LUNA-USD", active=False),
    ]
    with pytest.raises(BadData):
        exchange.parse_instruments([b"{}"])
