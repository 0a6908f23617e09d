from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Candle, Flag, Quote, Side, Trade
from pricewatch.exchanges.base import HEARTBEAT, BadTrade, Ignored, Notice, Subscribed, SubscriptionFailed

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
SEEN = 1_800_000_000_000_000
ROW = (
    '{"symbol":"ETH/USDT","side":"sell","price":0.5117,"qty":40.0,"ord_type":"market","trade_id":4665906,'
    '"timestamp":"2023-09-25T07:49:37.708706Z"}'
)
BEST = '{"symbol":"ETH/USDT","bid":0.10025,"bid_qty":740.0,"ask":0.10035,"ask_qty":740.0,"last":0.10035}'
AT = 1695628177_708706


def trade(*rows: str, kind: str = "update") -> str:
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(rows)}]}}'


def ticker(row: str) -> str:
    return f'{{"channel":"ticker","type":"update","data":[{row}]}}'


def test_several_trades_a_frame(adapter: Adapter, read: Read) -> None:
    exchange = adapter("kraken", "ETH-USDT")
    first = Trade(1, AT, 0.5117, 40.0, Side.SELL, 4665906, SEEN)
    second = ROW.replace("4665906", "4665907").replace("sell", "buy")
    out = read(exchange, trade(ROW, second))
    assert out[0] == first
    assert (out[1].key, out[1].side) == (4665907, Side.BUY)
    assert read(exchange, trade(ROW, kind="snapshot"))[0].flags == Flag.HISTORY


def test_a_broken_row_does_not_take_the_others_with_it(adapter: Adapter) -> None:
    exchange = adapter("kraken", "ETH-USDT")
    out: list[Any] = []
    with pytest.raises(BadTrade) as caught:
        exchange.receive(trade(ROW, "{}", ROW.replace("4665906", "7")), SEEN, out)
    assert caught.value.count == 1
    assert [item.key for item in out] == [4665906, 7]


def test_an_unknown_market_among_known_ones(adapter: Adapter) -> None:
    exchange = adapter("kraken", "ETH-USDT")
    out: list[Any] = []
    with pytest.raises(BadTrade, match="unknown market"):
        exchange.receive(trade(ROW.replace("ETH", "X"), ROW), SEEN, out)
    assert len(out) == 1


def test_best_prices(adapter: Adapter, read: Read) -> None:
    exchange = adapter("kraken", "ETH-USDT")
    assert read(exchange, ticker(BEST)) == [Quote(1, SEEN, 0.10025, 740.0, 0.10035, 740.0, SEEN)]
    dated = BEST.replace("{", '{"timestamp":"2023-09-25T07:49:37.708706Z",')
    assert read(exchange, ticker(dated))[0].at == AT


def test_what_else_comes(adapter: Adapter, read: Read) -> None:
    exchange = adapter("kraken", "ETH-USDT")
    assert read(exchange, '{"channel":"heartbeat"}') == [HEARTBEAT]
    assert read(exchange, '{"channel":"status","data":[{"system":"online"}]}') == [Notice("system online")]
    pong, book = '{"method":"pong","req_id":1}', '{"channel":"book","data":[{"x":1}]}'
    assert [type(item) for item in read(exchange, [pong, book])] == [Ignored, Ignored]


def test_subscribing(adapter: Adapter, read: Read) -> None:
    exchange = adapter("kraken", "ETH-USDT", "DOGE-USD")
    trades, best = exchange.subscribe(exchange.expected())
    assert json.loads(trades.frame)["params"] == {
        "channel": "trade",
        "symbol": ["ETH/USDT", "DOGE/USD"],
        "snapshot": False,
    }
    assert json.loads(best.frame)["params"]["event_trigger"] == "bbo"
    assert len(exchange.subscribe(exchange.expected(), alone=True)) == 4
    answer = '{"method":"subscribe","result":{"channel":"trade","symbol":"ETH/USDT"},"success":true,"req_id":1}'
    assert read(exchange, answer) == [Subscribed("ETH/USDT", "trade")]


@pytest.mark.parametrize("extra", ['"symbol":"DOGE/USD",', ""])
def test_a_refused_symbol(adapter: Adapter, read: Read, extra: str) -> None:
    exchange = adapter("kraken", "ETH-USDT", "DOGE-USD")
    reason = "Currency pair not supported DOGE/USD"
    answer = f'{{"method":"subscribe",{extra}"success":false,"error":"{reason}"}}'
    assert read(exchange, answer) == [SubscriptionFailed("DOGE/USD", c, reason) for c in exchange.channels]


def test_a_refusal_of_nobody(adapter: Adapter, read: Read) -> None:
    answer = '{"method":"subscribe","success":false,"error":"Malformed request"}'
    assert read(adapter("kraken", "ETH-USDT"), answer) == [SubscriptionFailed("", "", "Malformed request")]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ('{"channel":"trade","data":{}}', BadTrade),
        ('{"channel":"trade"}', BadTrade),
        (trade(ROW.replace("0.5117", "1e999")), BadTrade),
        (ticker(BEST.replace("ETH/USDT", "X/Y")), BadData),
        (ticker(BEST.replace("0.10025", "[]")), BadData),
        ("x", BadData),
        ("[" * 100_000, BadData),
        ('{"channel":"trade","data":' + "[" * 100_000, BadData),
        (b"\x00", BadData),
    ],
)
def test_unusable(adapter: Adapter, read: Read, frame: str | bytes, error: type[BadData]) -> None:
    with pytest.raises(error):
        read(adapter("kraken", "ETH-USDT"), frame)


def past(*ids: int, last: str = '"1688671969993150842"') -> bytes:
    rows = ",".join(f'["30243.4","0.5",{1688669597.8277369 + n},"b","m","",{n}]' for n in ids)
    return f'{{"error":[],"result":{{"XXBTZUSD":[{rows}],"last":{last}}}}}'.encode()


def test_history_by_time(adapter: Adapter) -> None:
    exchange = adapter("kraken", "BTC-USD")
    market = exchange.markets["BTC/USD"]
    request = exchange.history_request(market, 5, 8, 2_000_000)
    assert request.url == "https://api.kraken.com/0/public/Trades?pair=XBTUSD&since=1999999000&count=1000"
    page = exchange.parse_history(request, past(4, 5, 9), 9)
    assert page == ([Trade(1, 1688669602_827737, 30243.4, 0.5, Side.BUY, 5, 9)], None)


def test_long_history(adapter: Adapter) -> None:
    exchange = adapter("kraken", "BTC-USD")
    request = exchange.history_request(exchange.markets["BTC/USD"], 1, None, 0)
    following = exchange.parse_history(request, past(*range(1, 1001)), 9).next
    assert "since=1688671969993150842" in following.url
    assert exchange.parse_history(following, past(*range(1, 1001)), 9).next is None
    assert exchange.parse_history(request, past(1), 9).next is None


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error":["EAPI:Rate limit exceeded"]}', Unavailable),
        (b'{"error":["EQuery:Unknown asset pair"]}', Refused),
        (b"<html>", BadTrade),
        (b'{"error":[],"result":{"X":[["1","1","nan","b","m","",1]]}}', BadTrade),
        (past(1, last='"x"'), BadTrade),
    ],
)
def test_history_trouble(adapter: Adapter, body: bytes, error: type[Exception]) -> None:
    exchange = adapter("kraken", "BTC-USD")
    request = exchange.history_request(exchange.markets["BTC/USD"], 1, None, 0)
    with pytest.raises(error):
        exchange.parse_history(request, body, 9)


def test_candles(adapter: Adapter) -> None:
    exchange = adapter("kraken", "BTC-USD")
    (request,) = exchange.candle_requests(exchange.markets["BTC/USD"], 60_000_000, 180_000_000)
    assert request.url == "https://api.kraken.com/0/public/OHLC?pair=XBTUSD&interval=1&since=0"
    row = '[{at},"1","4","0.5","2","1.5","10",7]'
    rows = ",".join(row.replace("{at}", str(at)) for at in (0, 60, 180))
    body = f'{{"error":[],"result":{{"XXBTZUSD":[{rows}]}}}}'.encode()
    assert exchange.parse_candles(request, body) == [Candle(1, 60_000_000, 1.0, 4.0, 0.5, 2.0, 10.0, 7)]
    with pytest.raises(BadData):
        exchange.parse_candles(request, b'{"error":[],"result":{"X":[[]]}}')
