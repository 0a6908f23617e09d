from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.exchanges.cases.upbit import LAST, LIVE, TOP

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Flag, Quote, Trade
from pricewatch.exchanges.base import HEARTBEAT, BadTrade, Ignored, Notice, Subscribed, SubscriptionFailed

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
SEEN = 1_800_000_000_000_000
DAY = 86_400_000


def asked(sends: list[Any]) -> list[dict[str, Any]]:
    (send,) = sends
    parts: list[dict[str, Any]] = json.loads(send.frame)
    assert parts[0].keys() == {"ticket"}
    assert parts[-1] == {"format": "SIMPLE"}
    return parts[1:-1]


def test_every_request_holds_all_that_is_subscribed(adapter: Adapter) -> None:
    exchange = adapter("upbit", "LAMB-KRW", "ETH-BTC")
    lamb, eth = [[one for one in exchange.expected() if one.native == native] for native in exchange.markets]
    assert asked(exchange.subscribe(lamb)) == [
        {"type": "trade", "codes": ["KRW-LAMB"]},
        {"type": "orderbook", "codes": ["KRW-LAMB.1"]},
    ]
    assert asked(exchange.subscribe(eth, alone=True)) == [
        {"type": "trade", "codes": ["KRW-LAMB", "BTC-ETH"]},
        {"type": "orderbook", "codes": ["KRW-LAMB.1", "BTC-ETH.1"]},
    ]
    assert asked(exchange.unsubscribe([*lamb, eth[1]])) == [{"type": "trade", "codes": ["BTC-ETH"]}]
    assert exchange.unsubscribe(eth) == []


def test_first_frames_confirm(adapter: Adapter, read: Read) -> None:
    exchange = adapter("upbit", "LAMB-KRW", "ETH-BTC")
    exchange.subscribe(exchange.expected())
    out = read(exchange, [LAST, LAST])
    assert out[0] == Subscribed("BTC-ETH", "trade")
    assert [one.flags for one in out[1:]] == [Flag.HISTORY] * 2
    quote = Quote(1, 1618678262640000, 126.0, 688682.44561413, 127.0, 280460.37885666, SEEN)
    assert read(exchange, TOP) == [Subscribed("KRW-LAMB", "trade"), Subscribed("KRW-LAMB", "orderbook"), quote]
    assert [one.flags for one in read(exchange, LIVE)] == [Flag.NONE]


def test_errors_and_signs_of_life(adapter: Adapter, read: Read) -> None:
    exchange = adapter("upbit", "LAMB-KRW")
    error = b'{"error":{"name":"NO_CODES","message":"The codes field does not exist."}}'
    reason = "NO_CODES: The codes field does not exist."
    assert read(exchange, error) == [Notice(reason)]
    exchange.subscribe(exchange.expected())
    assert read(exchange, error) == [SubscriptionFailed("", "", reason)]
    assert read(exchange, b'{"status":"UP"}') == [HEARTBEAT]


def test_a_book_without_orders(adapter: Adapter, read: Read) -> None:
    book = {**json.loads(TOP), "obu": []}
    assert isinstance(read(adapter("upbit", "LAMB-KRW"), json.dumps(book))[0], Ignored)


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (LAST, BadTrade),
        (LIVE.replace("127.0", "1e999"), BadTrade),
        (LIVE.replace("1618678262000003", str(2**63)), BadTrade),
        (LIVE.replace('"BID"', '"BOTH"'), BadTrade),
        (TOP.replace("KRW-LAMB", "KRW-X"), BadData),
        (TOP.replace("126.0", "[]"), BadData),
        ("x", BadData),
        ("[" * 100_000, BadData),
        ('{"error":{"name":' + "[" * 100_000, BadData),
        ("\ud800", BadData),
        (b"\x00", BadData),
    ],
)
def test_unusable(adapter: Adapter, read: Read, frame: str | bytes, error: type[BadData]) -> None:
    with pytest.raises(BadData) as caught:
        read(adapter("upbit", "LAMB-KRW"), frame)
    assert type(caught.value) is error


def past(*moments: int) -> bytes:
    row = {"market": "KRW-LAMB", "trade_price": 126.0, "trade_volume": 2.0, "ask_bid": "ASK"}
    return json.dumps([{**row, "timestamp": at, "sequential_id": at * 1000} for at in moments]).encode()


def test_history_goes_back_by_pages_and_days(adapter: Adapter) -> None:
    exchange = adapter("upbit", "LAMB-KRW")
    market = exchange.markets["KRW-LAMB"]
    now = 20_000 * DAY
    request = exchange.history_request(market, 1, None, (now - DAY) * 1000, (now - 3) * 1000)
    base = "https://api.upbit.com/v1/trades/ticks?market=KRW-LAMB&count=500"
    assert request.url == base
    page = exchange.parse_history(request, past(*range(now, now - 500, -1)), 9)
    assert [page.trades[0].at, page.trades[-1].at] == [(now - 499) * 1000, (now - 3) * 1000]
    assert page.trades[-1] == Trade(1, (now - 3) * 1000, 126.0, 2.0, -1, (now - 3) * 1000, 9)
    assert page.next.url == f"{base}&cursor={(now - 499) * 1000}"
    page = exchange.parse_history(page.next, past(now - 500), 9)
    assert page.next.url == f"{base}&days_ago=1"
    page = exchange.parse_history(page.next, past(*range(now - 600, now - 1100, -1)), 9)
    assert page.next.url == f"{base}&days_ago=1&cursor={(now - 1099) * 1000}"
    page = exchange.parse_history(page.next, past(now - 1200, now - DAY - 1), 9)
    assert ([one.at for one in page.trades], page.next) == ([(now - 1200) * 1000], None)


def test_history_has_an_end(adapter: Adapter) -> None:
    exchange = adapter("upbit", "LAMB-KRW")
    request = exchange.history_request(exchange.markets["KRW-LAMB"], 1, None, 0)
    for _ in range(7):
        request = exchange.parse_history(request, b"[]", 9).next
    assert request.url.endswith("&days_ago=7")
    assert exchange.parse_history(request, b"[]", 9).next is None
    with pytest.raises(BadTrade):
        exchange.parse_history(request, b"[{}]", 9)


def test_other_rest_answers(adapter: Adapter) -> None:
    exchange = adapter("upbit", "LAMB-KRW")
    listed = exchange.parse_instruments([b'[{"market":"KRW-BTC"},{"market":"BTC"},{"market":"USDT-ETH"}]'])
    assert [(one.native, one.symbol) for one in listed] == [("KRW-BTC", "BTC-KRW"), ("USDT-ETH", "ETH-USDT")]
    first, second = exchange.candle_requests(exchange.markets["KRW-LAMB"], 0, 200 * 60_000_000)
    assert first.url.endswith("/v1/candles/minutes/1?market=KRW-LAMB&count=200&to=1970-01-01T03:19:00Z")
    assert second.url.endswith("&to=1970-01-01T03:20:00Z")
    names = ("opening_price", "high_price", "low_price", "trade_price", "candle_acc_trade_volume")
    row = {"candle_date_time_utc": "1970-01-01T00:01:00", **dict(zip(names, (1, 4, 0.5, 2, 10), strict=True))}
    body = json.dumps([{**row, "candle_date_time_utc": "1970-01-01T04:00:00"}, row]).encode()
    assert exchange.parse_candles(first, body) == [Candle(1, 60_000_000, 1.0, 4.0, 0.5, 2.0, 10.0)]
    with pytest.raises(BadData):
        exchange.parse_candles(first, body.replace(b"00:01:00", b"00:01:00Z"))
    with pytest.raises(BadData):
        exchange.parse_instruments([b"{}"])
