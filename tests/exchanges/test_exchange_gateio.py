from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.exchanges.cases.gateio import CASE

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Trade
from pricewatch.exchanges.base import HEARTBEAT, BadTrade, Ignored, Lost, Notice, Subscribed, SubscriptionFailed

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
SEEN = 1_800_000_000_000_000
TRADE = json.loads(CASE.trades[0][0])
BOOK = str(CASE.quotes[0][0])


def trade(number: int, span: str = "", **fields: Any) -> str:
    row = {**TRADE["result"], "id": number, "id_market": number, "range": span or f"{number}-{number}", **fields}
    return json.dumps({**TRADE, "result": row})


def several(*rows: dict[str, Any]) -> str:
    return json.dumps({**TRADE, "result": list(rows)})


def lost(out: list[Any]) -> list[Lost]:
    return [item for item in out if isinstance(item, Lost)]


def test_a_jump_of_the_markets_own_count(adapter: Adapter, read: Read) -> None:
    exchange = adapter("gateio", "GT-USDT")
    assert lost(read(exchange, [trade(10), trade(11), trade(12, "12-14"), trade(15)])) == []
    out = read(exchange, trade(18))
    assert out[0] == Lost("GT_USDT went from 15 to 18", ("GT_USDT",))
    assert isinstance(out[1], Trade)
    assert lost(read(exchange, [trade(17), trade(19)])) == []


@pytest.mark.parametrize("span", ["x-y", "9-", "-9", "9" * 400 + "-1", "\u0663-\u0664"])
def test_a_strange_range_counts_for_nothing(adapter: Adapter, read: Read, span: str) -> None:
    exchange = adapter("gateio", "GT-USDT")
    assert lost(read(exchange, [trade(10, span), trade(11, span)])) == []


def test_a_frame_without_the_count(adapter: Adapter, read: Read) -> None:
    exchange = adapter("gateio", "GT-USDT")
    assert lost(read(exchange, [trade(1, id_market=None), trade(9, id_market=None)])) == []


def test_a_market_that_went_and_came_is_counted_anew(adapter: Adapter, read: Read) -> None:
    exchange = adapter("gateio", "GT-USDT")
    markets = list(exchange.markets.values())
    read(exchange, trade(10))
    exchange.drop(["GT_USDT"])
    exchange.add(markets)
    assert lost(read(exchange, trade(90))) == []


def test_several_trades_a_frame(adapter: Adapter) -> None:
    exchange = adapter("gateio", "GT-USDT")
    row = TRADE["result"]
    out: list[Any] = []
    exchange.receive(
        several({**row, "id": 8, "id_market": 8, "range": ""}, {**row, "id": 7, "id_market": 7}), SEEN, out
    )
    assert [one.key for one in out if isinstance(one, Trade)] == [7, 8]
    out.clear()
    with pytest.raises(BadTrade, match="malformed") as caught:
        exchange.receive(several({**row, "id": 9}, {}, {**row, "currency_pair": "X_Y"}), SEEN, out)
    assert caught.value.count == 2
    with pytest.raises(BadTrade, match="unknown market"):
        exchange.receive(several({**row, "currency_pair": "X_Y"}), SEEN, out)
    assert [one.key for one in out if isinstance(one, Trade)] == [9]


def test_requests_and_their_answers(adapter: Adapter, read: Read) -> None:
    exchange = adapter("gateio", "GT-USDT", "ETH-USDT")
    trades, book = exchange.subscribe(exchange.expected())
    assert json.loads(trades.frame) == {
        "id": 1,
        "channel": "spot.trades",
        "event": "subscribe",
        "payload": ["GT_USDT", "ETH_USDT"],
    }
    reason = "2 unknown currency pair: ETH_USDT"
    refusal = {"id": 1, "channel": "spot.trades", "event": "subscribe"}
    refusal["error"] = {"code": 2, "message": "unknown currency pair: ETH_USDT"}
    assert read(exchange, json.dumps(refusal)) == [SubscriptionFailed("ETH_USDT", "spot.trades", reason)]
    answer = {**json.loads(book.frame), "result": {"status": "success"}}
    assert {item.native for item in read(exchange, json.dumps(answer))} == {"GT_USDT", "ETH_USDT"}
    assert read(exchange, '{"channel":"spot.trades","event":"subscribe","result":{"status":"success"}}') == []


def test_refusals_that_name_nobody(adapter: Adapter, read: Read) -> None:
    exchange = adapter("gateio", "GT-USDT", "ETH-USDT")
    exchange.subscribe(exchange.expected())
    exchange.subscribe(exchange.expected(), alone=True)
    refusal = '{"id":%d,"channel":"spot.trades","event":"subscribe","error":{"code":1,"message":"busy"}}'
    assert read(exchange, refusal % 1) == [SubscriptionFailed("", "", "1 busy")]
    assert read(exchange, refusal % 3) == [SubscriptionFailed("GT_USDT", "spot.trades", "1 busy")]
    assert read(exchange, refusal % 99) == [Notice("1 busy")]


def test_the_end_of_a_subscription(adapter: Adapter, read: Read) -> None:
    exchange = adapter("gateio", "GT-USDT")
    sends = exchange.unsubscribe(exchange.expected())
    assert [json.loads(send.frame)["event"] for send in sends] == ["unsubscribe"] * 2
    answer = {**json.loads(sends[0].frame), "result": {"status": "success"}}
    assert not [item for item in read(exchange, json.dumps(answer)) if isinstance(item, Subscribed)]


def test_pongs_and_an_empty_side(adapter: Adapter, read: Read) -> None:
    exchange = adapter("gateio", "ETH-USDT")
    assert read(exchange, '{"time":1,"channel":"spot.pong","event":"","result":null}') == [HEARTBEAT]
    assert isinstance(read(exchange, BOOK.replace('"19179.38"', '""'))[0], Ignored)


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (trade(1, currency_pair="X_Y"), BadTrade),
        (trade(1, price="1e999"), BadTrade),
        (trade(1, create_time_ms="nan"), BadTrade),
        (trade(1, create_time_ms="1e300"), BadTrade),
        (trade(-1), BadTrade),
        (trade(2**63), BadTrade),
        ('{"channel":"spot.trades","event":"update","result":' + "[" * 100_000, BadTrade),
        (BOOK.replace("ETH_USDT", "X_Y"), BadData),
        (BOOK.replace('"19179.38"', "{}"), BadData),
        ("x", BadData),
        ("[" * 100_000, BadData),
        ("\ud800", BadData),
        (b"\x00", BadData),
    ],
)
def test_unusable(adapter: Adapter, read: Read, frame: str | bytes, error: type[BadData]) -> None:
    with pytest.raises(BadData) as caught:
        read(adapter("gateio", "GT-USDT", "ETH-USDT"), frame)
    assert type(caught.value) is error


def past(first: int, last: int) -> bytes:
    row = {"side": "buy", "amount": "1", "price": "2"}
    numbers = range(last, first - 1, -1)
    return json.dumps([{**row, "id": str(n), "create_time_ms": f"{1548000000000 + n}.5"} for n in numbers]).encode()


def test_history_by_pages(adapter: Adapter) -> None:
    exchange = adapter("gateio", "GT-USDT")
    market = exchange.markets["GT_USDT"]
    base = "https://api.gateio.ws/api/v4/spot/trades?currency_pair=GT_USDT&limit=1000&from="
    assert exchange.history_request(market, 1, None, -5).url == f"{base}0&page=1"
    request = exchange.history_request(market, 1, None, 1548000000_005_500, 1548000001_000_500)
    assert request.url == f"{base}1548000000&to=1548000002&page=1"
    page = exchange.parse_history(request, past(3, 1002), 9)
    assert [one.key for one in page.trades] == list(range(5, 1001))
    assert page.trades[0] == Trade(1, 1548000000_005_500, 2.0, 1.0, 1, 5, 9)
    assert page.next.url == f"{base}1548000000&to=1548000002&page=2"
    assert exchange.parse_history(page.next, past(1, 2), 9) == ([], None)


def test_history_has_an_end(adapter: Adapter) -> None:
    exchange = adapter("gateio", "GT-USDT")
    request = exchange.history_request(exchange.markets["GT_USDT"], 1, None, 0)
    for _ in range(100):
        request = exchange.parse_history(request, past(1, 1000), 9).next
    assert request.url.endswith("&page=101")
    assert exchange.parse_history(request, past(1, 1000), 9).next is None
    with pytest.raises(BadTrade):
        exchange.parse_history(request, b'{"label":"INVALID_CURRENCY_PAIR"}', 9)


def test_other_rest_answers(adapter: Adapter) -> None:
    exchange = adapter("gateio", "GT-USDT")
    states = {one.symbol: one.active for one in exchange.parse_instruments(CASE.instruments)}
    assert states == {"ETH-USDT": True, "GT-USDT": True, "IHT-ETH": False}
    first, second = exchange.candle_requests(exchange.markets["GT_USDT"], 0, 1001 * 60_000_000)
    assert first.url.endswith("/spot/candlesticks?currency_pair=GT_USDT&interval=1m&from=0&to=59999")
    assert second.url.endswith("&from=60000&to=60059")
    with pytest.raises(BadData):
        exchange.parse_candles(first, b"[[1]]")
    with pytest.raises(BadData):
        exchange.parse_instruments([b"{}"])
