from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.exchanges.cases.gemini import CASE, snapshot

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Flag, Quote, Side, Trade
from pricewatch.exchanges import gemini
from pricewatch.exchanges.base import (
    HEARTBEAT,
    IGNORED,
    BadTrade,
    Instrument,
    Notice,
    Subscribed,
    Subscription,
    SubscriptionFailed,
)

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
SEEN = 1_800_000_000_000_000
TRADE = str(CASE.trades[1][0])
FIRST = json.dumps(snapshot("BTCUSD"))
BEST = Quote(1, SEEN, 9122.04, 0.00121425, 9122.07, 0.98942292, SEEN)


def row(key: int, at: int = 5, **other: Any) -> dict[str, Any]:
    trade = {"type": "trade", "symbol": "BTCUSD", "event_id": key, "timestamp": at, "price": "1", "quantity": "2"}
    return {**trade, "side": "buy", **other}


def updates(*changes: list[Any], trades: list[Any] | None = None) -> str:
    frame = {"type": "l2_updates", "symbol": "BTCUSD", "changes": changes}
    return json.dumps(frame if trades is None else {**frame, "trades": trades})


def test_the_first_frame_confirms_and_tells_the_best_prices(adapter: Adapter, read: Read) -> None:
    exchange = adapter("gemini", "BTC-USD")
    assert read(exchange, FIRST) == [Subscribed("BTCUSD", "l2"), BEST]
    assert read(exchange, updates(["sell", "9999", "1"])) == [IGNORED]
    (quote,) = read(exchange, updates(["sell", "9122.07", "0"], ["buy", "9122.05", "3"]))
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == (9122.05, 3.0, 9999.0, 1.0)


def test_a_later_whole_book_replaces_the_one_before(adapter: Adapter, read: Read) -> None:
    exchange = adapter("gemini", "BTC-USD")
    read(exchange, FIRST)
    again = updates(["buy", "1", "5"], ["sell", "2", "6"], trades=[])
    assert read(exchange, again) == [Subscribed("BTCUSD", "l2"), Quote(1, SEEN, 1.0, 5.0, 2.0, 6.0, SEEN)]
    assert read(exchange, updates(["sell", "2", "0"])) == [IGNORED]


def test_the_last_trades_oldest_first_as_history(adapter: Adapter, read: Read) -> None:
    exchange = adapter("gemini", "BTC-USD")
    out = read(exchange, updates(trades=[row(3, 7), row(9, 6, side="sell"), row(8, 6, side="block")]))
    trades = [item for item in out if isinstance(item, Trade)]
    assert [(trade.key, trade.side, trade.flags) for trade in trades] == [
        (8, Side.UNKNOWN, Flag.HISTORY),
        (9, Side.SELL, Flag.HISTORY),
        (3, Side.BUY, Flag.HISTORY),
    ]


@pytest.mark.parametrize(
    ("ids", "key"),
    [({"tid": 7, "event_id": 5}, 7), ({"event_id": 5, "eventid": 6}, 5), ({"event_id": None, "eventid": 6}, 6)],
)
def test_identity(adapter: Adapter, read: Read, ids: dict[str, int | None], key: int) -> None:
    (trade,) = read(adapter("gemini", "BTC-USD"), json.dumps(row(0) | ids))
    assert trade == Trade(1, 5000, 1.0, 2.0, Side.BUY, key, SEEN)


def test_broken_rows_do_not_take_the_others_with_them(adapter: Adapter) -> None:
    exchange = adapter("gemini", "BTC-USD")
    out: list[Any] = []
    with pytest.raises(BadTrade) as caught:
        exchange.receive(
            updates(["buy", "1", "1"], ["sell", "2", "1"], ["x"], trades=[row(1), {}, row(2, event_id=None), row(3)]),
            SEEN,
            out,
        )
    assert caught.value.count == 2
    assert out[:2] == [Subscribed("BTCUSD", "l2"), Quote(1, SEEN, 1.0, 1.0, 2.0, 1.0, SEEN)]
    assert [item.key for item in out[2:]] == [1, 3]


def test_a_broken_change_is_counted_and_the_others_kept(adapter: Adapter, read: Read) -> None:
    exchange = adapter("gemini", "BTC-USD")
    read(exchange, FIRST)
    out: list[Any] = []
    with pytest.raises(BadData, match="2 changes") as caught:
        exchange.receive(updates(["buy", "nan", "1"], ["buy", "9122.05", "1"], ["sell", "1", "inf"]), SEEN, out)
    assert not isinstance(caught.value, BadTrade)
    assert [(item.bid, item.ask) for item in out] == [(9122.05, 9122.07)]


def test_no_quote_of_a_crossed_book(adapter: Adapter, read: Read) -> None:
    exchange = adapter("gemini", "BTC-USD")
    read(exchange, FIRST)
    with pytest.raises(BadData, match="crossed"):
        read(exchange, updates(["buy", "9122.07", "1"]))
    (quote,) = read(exchange, updates(["sell", "9122.07", "0"]))
    assert (quote.bid, quote.ask) == (9122.07, 1000000.0)


def test_a_dropped_market_starts_anew(adapter: Adapter, read: Read) -> None:
    exchange = adapter("gemini", "BTC-USD")
    (market,) = exchange.markets.values()
    read(exchange, FIRST)
    exchange.drop(["BTCUSD"])
    with pytest.raises(BadData, match="unknown market"):
        read(exchange, updates(["buy", "1", "1"]))
    with pytest.raises(BadTrade, match="unknown market"):
        read(exchange, TRADE)
    exchange.add([market])
    assert read(exchange, FIRST) == [Subscribed("BTCUSD", "l2"), BEST]


def test_subscribing(adapter: Adapter) -> None:
    exchange = adapter("gemini", "BTC-USD", "ETH-USD")
    (send,) = exchange.subscribe(exchange.expected())
    wanted = [{"name": "l2", "symbols": ["BTCUSD", "ETHUSD"]}]
    assert json.loads(send.frame) == {"type": "subscribe", "subscriptions": wanted}
    assert len(exchange.subscribe(exchange.expected(), alone=True)) == 2
    (gone,) = exchange.unsubscribe([Subscription("ETHUSD", "l2")])
    assert json.loads(gone.frame) == {
        "type": "unsubscribe",
        "subscriptions": [{"name": "l2", "symbols": ["ETHUSD"]}],
    }


def test_refusals_name_nobody(adapter: Adapter, read: Read) -> None:
    exchange = adapter("gemini", "BTC-USD", "ETH-USD")
    exchange.subscribe(exchange.expected())
    refusal = '{"reason":"NoValidTradingPairs","result":"error"}'
    assert read(exchange, refusal) == [Notice("NoValidTradingPairs")]
    assert read(exchange, FIRST)[:2] == [
        Subscribed("BTCUSD", "l2"),
        SubscriptionFailed("ETHUSD", "l2", "NoValidTradingPairs"),
    ]
    assert read(exchange, '{"result":"error"}') == [Notice("refused")]


def test_what_else_comes(adapter: Adapter, read: Read) -> None:
    exchange = adapter("gemini", "BTC-USD")
    assert read(exchange, '{"type":"heartbeat","timestamp":1618677952928}') == [HEARTBEAT]
    assert read(exchange, ['{"type":"subscription_ack"}', "{}"]) == [IGNORED, IGNORED]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (TRADE.replace('"9004.21000000"', "[]"), BadTrade),
        (json.dumps(row(0, event_id=None)), BadTrade),
        ('{"type":"l2_updates","symbol":"BTCUSD","changes":{}}', BadData),
        ('{"type":"l2_updates","symbol":"BTCUSD","changes":[],"trades":5}', BadData),
        ('{"type":"l2_updates","symbol":"XRPUSD","changes":[]}', BadData),
        ('{"type":5}', BadData),
        ("[" * 100_000, BadData),
        ('{"type":"l2_updates","changes":' + "[" * 100_000, BadData),
        (b"\xff", BadData),
    ],
)
def test_unusable(adapter: Adapter, read: Read, frame: str | bytes, error: type[BadData]) -> None:
    with pytest.raises(error):
        read(adapter("gemini", "BTC-USD"), frame)


def past(*rows: tuple[int, int], extra: str = "") -> bytes:
    one = '{{"timestamp":1,"timestampms":{},"tid":{},"price":"5","amount":"1","exchange":"gemini","type":"sell"{}}}'
    return f"[{','.join(one.format(at, key, extra) for at, key in rows)}]".encode()


def test_history_goes_forward(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemini, "_PAGE", 2)
    exchange = adapter("gemini", "BTC-USD")
    market = exchange.markets["BTCUSD"]
    base = "https://api.gemini.com/v1/trades/btcusd?timestamp="
    request = exchange.history_request(market, 0, None, 1_500_000, 9_000_000)
    assert request.url == f"{base}1499&limit_trades=2"
    trades, following = exchange.parse_history(request, past((2500, 9), (1500, 8)), 9)
    assert trades[0] == Trade(1, 1_500_000, 5.0, 1.0, Side.SELL, 8, 9)
    assert [trade.key for trade in trades] == [8, 9]
    assert following.url == f"{base}2499&limit_trades=2"
    assert exchange.parse_history(following, past((2500, 10), (2500, 9)), 9).next is None
    assert exchange.parse_history(following, past((9001, 11), (2500, 9)), 9).next is None
    assert exchange.parse_history(following, past((2500, 9)), 9).next is None
    assert exchange.parse_history(following, b"[]", 9) == ([], None)
    assert exchange.parse_history(following, past((2500, 9), extra=',"broken":true'), 9).trades == []
    assert exchange.parse_history(exchange.history_request(market, 0, None, 0), past((1, 1)), 9).trades
    with pytest.raises(BadTrade):
        exchange.parse_history(request, b'{"result":"error"}', 9)


def test_candles(adapter: Adapter) -> None:
    exchange = adapter("gemini", "BTC-USD")
    (request,) = exchange.candle_requests(exchange.markets["BTCUSD"], 1559755800_000000, 1559755860_000000)
    assert request.url == "https://api.gemini.com/v2/candles/btcusd/1m"
    assert exchange.parse_candles(request, CASE.candles) == [
        Candle(1, 1559755800_000000, 7781.0, 7790.0, 7780.0, 7781.6, 1.5)
    ]
    with pytest.raises(BadData):
        exchange.parse_candles(request, b'{"result":"error"}')


def test_instruments(adapter: Adapter) -> None:
    exchange = adapter("gemini")
    assert [request.url for request in exchange.instrument_requests()] == ["https://api.gemini.com/v1/symbols"]
    assert exchange.parse_instruments(CASE.instruments) == [
        Instrument("BTCUSD", "BTC-USD"),
        Instrument("BALUSD", "BAL-USD"),
        Instrument("ETHBTC", "ETH-BTC"),
        Instrument("ETHUSD", "ETH-USD"),
        Instrument("BTCGUSD", "BTC-GUSD"),
        Instrument("PAXGUSD", "PAXG-USD"),
        Instrument("GUSDUSD", "GUSD-USD"),
    ]
    assert exchange.parse_instruments([b'["usd","b~dusd"]']) == []
    with pytest.raises(BadData):
        exchange.parse_instruments([b"{}"])


@pytest.mark.shared
def test_the_recorded_listing(adapter: Adapter, recorded_bodies: Callable[[str], list[bytes]]) -> None:
    bodies = recorded_bodies("gemini/gemini-20210417T164542Z-instruments.jsonl.gz")
    exchange = adapter("gemini")
    found = exchange.parse_instruments(bodies)
    assert [one.native.lower() for one in found] == json.loads(bodies[0])
    assert {one.symbol for one in found} >= {"BTC-USD", "LTC-BCH", "PAXG-USD", "1INCH-USD", "DAI-USD", "ETH-DAI"}
    assert [one for one in found if exchange.native(one.symbol) != one.native] == []
