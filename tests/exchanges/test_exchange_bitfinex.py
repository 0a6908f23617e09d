from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.exchanges.cases.bitfinex import CASE, NUMBERS, answer

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Candle, Flag, Quote, Side, Trade
from pricewatch.exchanges import bitfinex
from pricewatch.exchanges.base import (
    HEARTBEAT,
    IGNORED,
    BadTrade,
    Closing,
    Ignored,
    Instrument,
    Lost,
    Notice,
    Subscribed,
    Subscription,
    SubscriptionFailed,
)

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
SEEN = 1_800_000_000_000_000
EXECUTED = '[17470,"te",[401597395,1574694478808,0.005,7245.3]'
UPDATED = EXECUTED.replace("te", "tu")
TRADE = Trade(1, 1574694478808000, 7245.3, 0.005, Side.BUY, 401597395, SEEN)


@pytest.fixture
def exchange(adapter: Adapter, read: Read) -> Any:
    """Subscribed; frames are numbered."""
    found = adapter("bitfinex", "BTC-USD")
    read(found, answer([send.frame for send in found.subscribe(found.expected())]))
    return found


@pytest.mark.parametrize(
    ("symbol", "native"),
    [
        ("BTC-USD", "tBTCUSD"),
        ("BTC-USDT", "tBTCUST"),
        ("USDT-USD", "tUSTUSD"),
        ("ETH-USDC", "tETHUDC"),
        ("DASH-BTC", "tDSHBTC"),
        ("DUSK-USD", "tDUSK:USD"),
        ("BCH-USD", "tBCHN:USD"),
        ("DOGE-USDT", "tDOGE:UST"),
    ],
)
def test_native_names(adapter: Adapter, symbol: str, native: str) -> None:
    assert adapter("bitfinex").native(symbol) == native


def test_sequence_numbers_are_asked_for_first_and_once(adapter: Adapter) -> None:
    exchange = adapter("bitfinex", "BTC-USD")
    first, trades, _ = exchange.subscribe(exchange.expected())
    assert json.loads(first.frame) == {"event": "conf", "flags": 65536}
    assert json.loads(trades.frame) == {"event": "subscribe", "channel": "trades", "symbol": "tBTCUSD"}
    assert len(exchange.subscribe(exchange.expected(), alone=True)) == 2


def test_a_trade_once_though_it_is_sent_twice(exchange: Any, read: Read) -> None:
    assert read(exchange, [f"{EXECUTED},1]", f"{UPDATED},2]"]) == [TRADE, IGNORED]
    assert read(exchange, f"{UPDATED},3]") == [TRADE]


def test_a_broken_execution_is_made_good_by_its_update(exchange: Any, read: Read) -> None:
    with pytest.raises(BadTrade) as caught:
        read(exchange, f"{EXECUTED.replace('7245.3', 'null')},1]")
    assert caught.value.count == 1
    assert read(exchange, f"{UPDATED},2]") == [TRADE]


def test_executions_are_not_remembered_for_ever(exchange: Any, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitfinex, "_REMEMBERED", 1)
    other = EXECUTED.replace("401597395", "401597396")
    read(exchange, [f"{EXECUTED},1]", f"{other},2]"])
    assert read(exchange, f"{UPDATED},3]") == [TRADE]


def test_a_jump_of_the_sequence_is_a_loss_on_all_channels(exchange: Any, read: Read) -> None:
    assert read(exchange, '[17470,"hb",1]') == [HEARTBEAT]
    assert read(exchange, f"{EXECUTED},3]") == [Lost("sequence jumped from 1 to 3"), TRADE]
    assert read(exchange, '[17471,"hb",4]') == [HEARTBEAT]
    assert read(exchange, '[999,"hb",4]') == [Lost("sequence jumped from 4 to 4"), HEARTBEAT]
    assert read(exchange, f"{UPDATED}]") == [Lost("a frame without its sequence number"), IGNORED]
    assert read(exchange, f'[17470,"hb",{"9" * 300}]')[-1] == HEARTBEAT
    assert read(exchange, '[17470,"hb",8]')[-1] == HEARTBEAT
    assert read(exchange, '[17470,"hb",9]') == [HEARTBEAT]


def test_without_sequence_numbers_it_says_so_and_goes_on(adapter: Adapter, read: Read) -> None:
    exchange = adapter("bitfinex", "BTC-USD")
    conf, *rest = exchange.subscribe(exchange.expected())
    assert conf.frame == '{"event":"conf","flags":65536}'
    read(exchange, answer([send.frame for send in rest]))
    assert read(exchange, '{"event":"conf","status":"FAILED"}') == [Notice("conf FAILED: no sequence numbers")]
    assert read(exchange, [f"{EXECUTED}]", '[17470,"hb"]']) == [TRADE, HEARTBEAT]


def test_the_last_trades_oldest_first_as_history(exchange: Any, read: Read) -> None:
    frame, rows = CASE.trades[0]
    out = read(exchange, frame)
    assert [str(item.key) for item in out] == [row.ident for row in rows]
    assert {item.flags for item in out} == {Flag.HISTORY}


def test_a_broken_row_does_not_take_the_others_with_it(exchange: Any) -> None:
    out: list[Any] = []
    with pytest.raises(BadTrade) as caught:
        exchange.receive("[17470,[[2,1574694475039,0.1,5],[3],[1,1574694475039,-0.1,5]],1]", SEEN, out)
    assert caught.value.count == 1
    assert [(item.key, item.side) for item in out] == [(1, Side.SELL), (2, Side.BUY)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("[2.5,1,3,4,0]", [Quote(1, SEEN, 2.5, 1.0, 3.0, 4.0, SEEN)]),
        ("[2.5,null,3,null]", [Quote(1, SEEN, 2.5, 0.0, 3.0, 0.0, SEEN)]),
        ("[null,null,3,4]", [IGNORED]),
        ("[2.5,1,null,null]", [IGNORED]),
    ],
)
def test_best_prices(exchange: Any, read: Read, row: str, expected: list[Any]) -> None:
    assert read(exchange, f"[17471,{row},1]") == expected


def test_numbers_hold_as_long_as_the_subscription(exchange: Any, read: Read) -> None:
    again = '{"event":"subscribed","channel":"trades","chanId":5,"symbol":"tBTCUSD","pair":"BTCUSD"}'
    assert read(exchange, again) == [Subscribed("tBTCUSD", "trades")]
    assert read(exchange, [f"{EXECUTED},1]", f"{EXECUTED.replace('17470', '5')},2]"]) == [IGNORED, TRADE]
    exchange.drop(["tBTCUSD"])
    assert [type(item) for item in read(exchange, f"{EXECUTED.replace('17470', '5')},3]")] == [Ignored]
    sends = exchange.unsubscribe([Subscription("tBTCUSD", channel) for channel in exchange.channels])
    assert sorted(json.loads(send.frame)["chanId"] for send in sends) == [5, NUMBERS["ticker", "tBTCUSD"]]
    read(exchange, ['{"event":"unsubscribed","status":"OK","chanId":5}'] * 2)
    assert len(exchange.unsubscribe([Subscription("tBTCUSD", "trades")])) == 0


def test_refusals(adapter: Adapter, read: Read) -> None:
    exchange = adapter("bitfinex", "BTC-USD", "ETH-USD")
    exchange.subscribe(exchange.expected())
    named = '{"event":"error","channel":"trades","symbol":"tETHUSD","code":10300,"msg":"symbol: invalid"}'
    assert read(exchange, named) == [SubscriptionFailed("tETHUSD", "trades", "10300 symbol: invalid")]
    twice = '{"event":"error","channel":"ticker","symbol":"tETHUSD","chanId":7,"code":10301,"msg":"subscribe: dup"}'
    assert read(exchange, twice) == [Subscribed("tETHUSD", "ticker")]
    assert read(exchange, "[7,[1,1,2,1]]") == [Quote(2, SEEN, 1.0, 1.0, 2.0, 1.0, SEEN)]
    unnumbered = twice.replace('"chanId":7,', "")
    assert read(exchange, unnumbered) == [SubscriptionFailed("tETHUSD", "ticker", "10301 subscribe: dup")]
    limit = '{"event":"error","code":10305,"msg":"subscribe: limit"}'
    assert read(exchange, limit) == [Notice("10305 subscribe: limit")]
    foreign = '{"event":"error","code":10400,"msg":"unsubscribe: invalid"}'
    assert read(exchange, foreign) == [Notice("10400 unsubscribe: invalid")]
    assert read(exchange, '{"event":"subscribed","channel":"book","chanId":9,"symbol":"tETHUSD"}') == [IGNORED]


@pytest.mark.parametrize(
    ("frame", "output"),
    [
        ('{"event":"info","version":2,"platform":{"status":1}}', IGNORED),
        ('{"event":"info","version":2,"platform":{"status":0}}', Notice("maintenance")),
        ('{"event":"info","version":2}', IGNORED),
        ('{"event":"info","code":20060}', Notice("20060 maintenance")),
        ('{"event":"info","code":20051}', Closing("20051 reconnect")),
        ('{"event":"info","code":20061}', Closing("20061 maintenance is over, everything must be asked for again")),
        ('{"event":"pong","cid":1}', HEARTBEAT),
        ('{"event":"auth"}', IGNORED),
        ('[17470,"cs",5,1]', IGNORED),
        ('[17471,"te",[1,1,1,1],1]', IGNORED),
    ],
)
def test_words_about_the_connection(exchange: Any, read: Read, frame: str, output: Any) -> None:
    assert read(exchange, frame) == [output]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ("[17471,[1,2,[],4],1]", BadData),
        ('[17470,"te",{},1]', BadTrade),
        ('[17470,"te",[1,-5,1,1],1]', BadTrade),
        ('[17470,"te",[1,1,1e999,1],1]', BadData),
        ('{"event":"subscribed","channel":"trades","symbol":"tBTCUSD"}', BadData),
        ('{"event":5}', BadData),
        ("[" * 100_000, BadData),
        ("[17470," + "[" * 100_000, BadData),
        (b"\xff", BadData),
    ],
)
def test_unusable(exchange: Any, read: Read, frame: str | bytes, error: type[BadData]) -> None:
    with pytest.raises(error):
        read(exchange, frame)


def test_history_by_time(exchange: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitfinex, "_PAGE", 2)
    market = exchange.markets["tBTCUSD"]
    base = "https://api-pub.bitfinex.com/v2/trades/tBTCUSD/hist?limit=2&sort=1&start="
    request = exchange.history_request(market, 0, None, 1_500_000)
    assert request.url == f"{base}1500"
    request = exchange.history_request(market, 0, None, 1_500_000, 9_000_000)
    assert request.url == f"{base}1500&end=9000"
    trades, following = exchange.parse_history(request, b"[[8,1500,1,5],[9,2500,-2,6]]", 9)
    assert trades == [
        Trade(1, 1_500_000, 5.0, 1.0, Side.BUY, 8, 9),
        Trade(1, 2_500_000, 6.0, 2.0, Side.SELL, 9, 9),
    ]
    assert following.url == f"{base}2500&end=9000"
    trades, ended = exchange.parse_history(following, b"[[9,2500,-2,6],[10,2500,1,6]]", 9)
    assert [trade.key for trade in trades] == [9, 10]
    assert ended is None
    assert exchange.parse_history(request, b"[[11,9001,1,5]]", 9) == ([], None)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'["error",11010,"ratelimit: error"]', Unavailable),
        (b'["error",20060,"maintenance"]', Unavailable),
        (b'["error",10020,"limit: invalid"]', Refused),
        (b'["word",10020,"limit: invalid"]', BadTrade),
        (b"<html>", BadTrade),
    ],
)
def test_history_trouble(exchange: Any, body: bytes, error: type[Exception]) -> None:
    request = exchange.history_request(exchange.markets["tBTCUSD"], 0, None, 0)
    with pytest.raises(error):
        exchange.parse_history(request, body, 9)


def test_candles(exchange: Any) -> None:
    (request,) = exchange.candle_requests(exchange.markets["tBTCUSD"], 60_000_000, 180_000_000)
    assert request.url == (
        "https://api-pub.bitfinex.com/v2/candles/trade:1m:tBTCUSD/hist?limit=10000&sort=1&start=60000&end=179999"
    )
    rows = exchange.parse_candles(request, b"[[60000,1,2,4,0.5,10],[180000,1,2,4,0.5,10]]")
    assert rows == [Candle(1, 60_000_000, 1.0, 4.0, 0.5, 2.0, 10.0)]
    with pytest.raises(BadData):
        exchange.parse_candles(request, b"[[60000]]")


def test_instruments(exchange: Any) -> None:
    assert [request.url.rpartition("/")[2] for request in exchange.instrument_requests()] == [
        "pub:list:pair:exchange",
        "pub:map:currency:sym",
    ]
    assert exchange.parse_instruments(CASE.instruments) == [
        Instrument("tBTCUSD", "BTC-USD"),
        Instrument("tBTCUST", "BTC-USDT"),
        Instrument("tDUSK:UST", "DUSK-USDT"),
        Instrument("tDSHUSD", "DASH-USD"),
    ]
    with pytest.raises(BadData):
        exchange.parse_instruments([b"[]", b"{}"])


@pytest.mark.shared
def test_the_recorded_listing(exchange: Any, recorded_bodies: Callable[[str], list[bytes]]) -> None:
    pairs, _ = recorded_bodies("bitfinex/bitfinex-20210417T163903Z-instruments.jsonl.gz")
    found = exchange.parse_instruments([pairs, b"[[]]"])
    by_symbol = {one.symbol: one.native for one in found}
    assert len(by_symbol) == len(found) == 290
    assert by_symbol["BTC-USDT"] == "tBTCUST"
    assert by_symbol["IOTA-ETH"] == "tIOTETH"
    wrong = [one for one in found if exchange.native(one.symbol) != one.native]
    assert wrong == []
