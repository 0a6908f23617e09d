from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.exchanges.cases.kucoin import CASE

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Market, Quote
from pricewatch.exchanges.base import (
    HEARTBEAT,
    READY,
    BadTrade,
    Endpoints,
    Ignored,
    Notice,
    Subscribed,
    SubscriptionFailed,
)
from pricewatch.exchanges.kucoin import KuCoin

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
SEEN = 1_800_000_000_000_000
TRADE = str(CASE.trades[1][0])
TICKER = str(CASE.quotes[0][0])
BULLET = json.loads(CASE.prepared or b"")


def bullet(**data: Any) -> bytes:
    return json.dumps({**BULLET, "data": {**BULLET["data"], **data}}).encode()


def test_a_token_opens_the_door(adapter: Adapter) -> None:
    exchange = adapter("kucoin", "BTC-USDT")
    request = exchange.prepare()
    assert (request.url, request.body) == ("https://api.kucoin.com/api/v1/bullet-public", "{}")
    exchange.prepared(bullet(token="a+b/c=="))
    assert exchange.url() == "wss://ws-api-spot.kucoin.com/?token=a%2Bb%2Fc%3D%3D"


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b'{"code":"200000"}',
        b'{"code":"200000","data":{}}',
        bullet(token=""),
        bullet(token="t" * 129),
        bullet(token="\ud800"),
        bullet(instanceServers=[]),
        bullet(instanceServers=[{}]),
        bullet(instanceServers=[{"endpoint": "ws://ws-api-spot.kucoin.com/"}]),
        bullet(instanceServers=[{"endpoint": "wss:///endpoint"}]),
        bullet(instanceServers=[{"endpoint": "wss://[kucoin"}]),
        bullet(instanceServers=[{"endpoint": "wss://kucoin.com/\n"}]),
        bullet(instanceServers=[{"endpoint": "wss://ku\u0441oin.com/"}]),
    ],
)
def test_a_door_that_does_not_open(adapter: Adapter, body: bytes) -> None:
    exchange = adapter("kucoin", "BTC-USDT")
    with pytest.raises(BadData):
        exchange.prepared(body)
    assert exchange.url() == KuCoin.endpoints.socket


def test_without_tls_only_where_rest_has_none() -> None:
    exchange = KuCoin([], Endpoints("ws://127.0.0.1:1", "http://127.0.0.1:1"))
    exchange.prepared(bullet(instanceServers=[{"endpoint": "ws://127.0.0.1:2/kucoin"}], token="t"))
    assert exchange.url() == "ws://127.0.0.1:2/kucoin?token=t"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"code":"429000","msg":"too many requests"}', Unavailable),
        (b'{"code":"503000","msg":"service unavailable"}', Unavailable),
        (b'{"code":"400100","msg":"symbol not exists"}', Refused),
    ],
)
def test_refusals_by_rest(adapter: Adapter, body: bytes, error: type[Exception]) -> None:
    exchange = adapter("kucoin", "BTC-USDT")
    market = exchange.markets["BTC-USDT"]
    request = exchange.history_request(market, 1, None, 0)
    (candles,) = exchange.candle_requests(market, 0, 60_000_000)
    with pytest.raises(error, match="kucoin: "):
        exchange.prepared(body)
    with pytest.raises(error, match="kucoin: "):
        exchange.parse_instruments([body])
    with pytest.raises(error, match="kucoin: "):
        exchange.parse_history(request, body, 9)
    with pytest.raises(error, match="kucoin: "):
        exchange.parse_candles(candles, body)


def test_the_sequence_is_the_key(adapter: Adapter, read: Read) -> None:
    exchange = adapter("kucoin", "BTC-USDT")
    (trade,) = read(exchange, TRADE)
    assert (trade.key, trade.ref) == (11067996711960577, None)
    (other,) = read(exchange, TRADE.replace('"tradeId":"11067996711960577"', '"tradeId":"5c24c5da03aa673885cd67aa"'))
    assert (other.key, other.ref) == (11067996711960577, "5c24c5da03aa673885cd67aa")


def test_a_book_without_orders_or_time(adapter: Adapter, read: Read) -> None:
    exchange = adapter("kucoin", "BTC-USDT")
    assert isinstance(read(exchange, TICKER.replace('"0.049"', "null"))[0], Ignored)
    undated = TICKER.replace(',"time":1704873323416', "")
    assert read(exchange, undated) == [Quote(1, SEEN, 0.049, 0.036, 0.08, 0.18, SEEN)]


def test_words_of_the_venue(adapter: Adapter, read: Read) -> None:
    exchange = adapter("kucoin", "BTC-USDT", "ETH-USDT")
    assert read(exchange, '{"id":"x","type":"welcome"}') == [READY]
    assert read(exchange, '{"id":"ping","type":"pong"}') == [HEARTBEAT]
    assert read(exchange, '{"id":"7","type":"ack"}') == []
    match, ticker = exchange.subscribe(exchange.expected())
    assert json.loads(match.frame)["topic"] == "/market/match:BTC-USDT,ETH-USDT"
    refusal = '{"id":"1","type":"error","code":404,"data":"topic /market/match:BTC-USDT,ETH-USDT is not found"}'
    assert read(exchange, refusal)[0].native == ""
    assert read(exchange, json.dumps({"id": json.loads(ticker.frame)["id"], "type": "ack"})) == [
        Subscribed("BTC-USDT", "ticker"),
        Subscribed("ETH-USDT", "ticker"),
    ]
    (said,) = read(exchange, '{"id":"9","type":"error","code":509,"data":"exceed max permits per second"}')
    assert said == Notice('509 "exceed max permits per second"')


def test_a_hundred_symbols_a_message() -> None:
    exchange = KuCoin([Market(n, "kucoin", f"C{n}-USDT", f"C{n}-USDT") for n in range(1, 151)])
    topics = [json.loads(send.frame)["topic"] for send in exchange.subscribe(exchange.expected())]
    assert [topic.count(",") + 1 for topic in topics] == [100, 50, 100, 50]
    gone = exchange.unsubscribe(exchange.expected()[:2])
    assert [json.loads(send.frame)["type"] for send in gone] == ["unsubscribe"] * 2
    assert read_all(exchange, gone) == []


def read_all(exchange: KuCoin, sends: list[Any]) -> list[Any]:
    out: list[Any] = []
    for send in sends:
        exchange.receive(json.dumps({"id": json.loads(send.frame)["id"], "type": "ack"}), SEEN, out)
    return out


def test_an_unknown_symbol_alone(adapter: Adapter, read: Read) -> None:
    exchange = adapter("kucoin", "BTC-USDT")
    first, _ = exchange.subscribe(exchange.expected(), alone=True)
    number = json.loads(first.frame)["id"]
    reason = '404 "topic is not found"'
    refusal = f'{{"id":"{number}","type":"error","code":404,"data":"topic is not found"}}'
    assert read(exchange, refusal) == [SubscriptionFailed("BTC-USDT", "match", reason)]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (TRADE.replace('"BTC-USDT"', '"X-Y"'), BadTrade),
        (TRADE.replace('"67523"', '"1e999"'), BadTrade),
        (TRADE.replace('"sequence":"11067996711960577"', f'"sequence":"{2**63}"'), BadTrade),
        (TICKER.replace("ticker:BTC", "ticker:X"), BadData),
        (TICKER.replace("ticker:BTC", "ticker:X").replace('"0.049"', '""'), BadData),
        (TICKER.replace('"0.049"', "[]"), BadData),
        ("x", BadData),
        ("[" * 100_000, BadData),
        ('{"type":"error","code":' + "9" * 400 + "}", BadData),
        ("\ud800", BadData),
        (b"\x00", BadData),
    ],
)
def test_unusable(adapter: Adapter, read: Read, frame: str | bytes, error: type[BadData]) -> None:
    with pytest.raises(BadData) as caught:
        read(adapter("kucoin", "BTC-USDT"), frame)
    assert type(caught.value) is error


def test_renamed_coins_are_listed_by_their_new_name(adapter: Adapter) -> None:
    found = adapter("kucoin").parse_instruments(CASE.instruments)
    assert ("BCHSV-BTC", "BSV-BTC", False) in {(one.native, one.symbol, one.active) for one in found}


def test_of_two_with_one_name_the_trading_one_is_listed(adapter: Adapter) -> None:
    row = '{"symbol":"%s","name":"BSV-BTC","enableTrading":%s}'
    rows = [row % ("OLD-BTC", "false"), row % ("BCHSV-BTC", "true"), row % ("BSV-BTC", "true")]
    body = f'{{"code":"200000","data":[{",".join(rows)}]}}'.encode()
    assert [one.native for one in adapter("kucoin").parse_instruments([body])] == ["BCHSV-BTC"]


def test_history_within_its_time(adapter: Adapter) -> None:
    exchange = adapter("kucoin", "BTC-USDT")
    market = exchange.markets["BTC-USDT"]
    request = exchange.history_request(market, 1, None, 1729177117878000)
    assert request.url == "https://api.kucoin.com/api/v1/market/histories?symbol=BTC-USDT"
    body = CASE.history or b""
    assert [trade.key for trade in exchange.parse_history(request, body, 9).trades] == [10976028003549188]
    request = exchange.history_request(market, 1, None, 0, 1729177117877000)
    page = exchange.parse_history(request, body, 9)
    assert ([trade.key for trade in page.trades], page.next) == ([10976028003549185], None)
    with pytest.raises(BadTrade):
        exchange.parse_history(request, b'{"code":"200000","data":[{}]}', 9)


def test_pages_of_candles(adapter: Adapter) -> None:
    exchange = adapter("kucoin", "BTC-USDT")
    first, second = exchange.candle_requests(exchange.markets["BTC-USDT"], 0, 1501 * 60_000_000)
    assert first.url.endswith("/api/v1/market/candles?symbol=BTC-USDT&type=1min&startAt=0&endAt=90000")
    assert second.url.endswith("&startAt=90000&endAt=90060")
