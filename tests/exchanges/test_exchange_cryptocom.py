from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Candle, Flag, Quote, Side, Trade
from pricewatch.exchanges.base import (
    HEARTBEAT,
    IGNORED,
    BadTrade,
    Instrument,
    Notice,
    Send,
    Subscribed,
    SubscriptionFailed,
    text_key,
)

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
SEEN = 1_800_000_000_000_000
AT = 1_613_581_138_462_000
BEST = {"a": "9.5", "b": "9", "bs": "1", "k": "10", "ks": "2", "t": AT // 1000}


def row(ident: str, at: int = AT, **other: Any) -> dict[str, Any]:
    return {"d": ident, "t": at // 1000, "p": "2", "q": "3", "s": "SELL", "i": "BTC_USD", **other}


def frame(*rows: dict[str, Any], channel: str = "trade", number: int = -1, native: str = "BTC_USD") -> str:
    result = {"instrument_name": native, "subscription": f"{channel}.{native}", "channel": channel, "data": rows}
    return json.dumps({"id": number, "method": "subscribe", "code": 0, "result": result})


def test_what_answers_a_subscription_is_history(adapter: Adapter, read: Read) -> None:
    exchange = adapter("cryptocom", "BTC-USD")
    assert read(exchange, frame(row("2", AT + 1000), row("1"), number=4)) == [
        Subscribed("BTC_USD", "trade"),
        Trade(1, AT, 2.0, 3.0, Side.SELL, 1, SEEN, Flag.HISTORY),
        Trade(1, AT + 1000, 2.0, 3.0, Side.SELL, 2, SEEN, Flag.HISTORY),
    ]
    assert read(exchange, frame(BEST, channel="ticker", number=4)) == [
        Subscribed("BTC_USD", "ticker"),
        Quote(1, AT, 9.0, 1.0, 10.0, 2.0, SEEN),
    ]


def test_what_is_pushed_is_news(adapter: Adapter, read: Read) -> None:
    (trade,) = read(adapter("cryptocom", "BTC-USD"), frame(row("a-1")))
    assert (trade.key, trade.ref, trade.flags) == (text_key("a-1"), "a-1", Flag.NONE)


def test_a_broken_row_does_not_take_the_others_with_it(adapter: Adapter) -> None:
    exchange = adapter("cryptocom", "BTC-USD")
    out: list[Any] = []
    with pytest.raises(BadTrade, match="malformed") as caught:
        exchange.receive(frame(row("3"), row("2", s="sell"), row("1"), number=4), SEEN, out)
    assert caught.value.count == 1
    assert out[0] == Subscribed("BTC_USD", "trade")
    assert [(item.key, item.flags) for item in out[1:]] == [(1, Flag.HISTORY), (3, Flag.HISTORY)]


def test_a_market_nobody_asked_for(adapter: Adapter, read: Read) -> None:
    with pytest.raises(BadTrade, match="unknown market") as caught:
        read(adapter("cryptocom", "BTC-USD"), frame(row("1"), row("2"), native="X_Y"))
    assert caught.value.count == 2


def test_a_side_without_orders_is_no_quote(adapter: Adapter, read: Read) -> None:
    exchange = adapter("cryptocom", "BTC-USD")
    assert read(exchange, frame({**BEST, "b": None, "bs": None}, channel="ticker")) == [IGNORED]


def test_a_heartbeat_is_answered_with_its_own_id(adapter: Adapter, read: Read) -> None:
    assert read(adapter("cryptocom", "BTC-USD"), '{"id":77,"method":"public/heartbeat","code":0}') == [
        Send('{"id":77,"method":"public/respond-heartbeat"}'),
        HEARTBEAT,
    ]


def told(number: int, **other: Any) -> str:
    return json.dumps({"id": number, "method": "subscribe", "code": 0, **other})


def test_bare_answers(adapter: Adapter, read: Read) -> None:
    exchange = adapter("cryptocom", "BTC-USD", "ETH-USD")
    exchange.subscribe(exchange.expected())
    assert read(exchange, told(1, channel="trade.BTC_USD")) == [Subscribed("BTC_USD", "trade")]
    assert read(exchange, told(1)) == [Subscribed(*item) for item in exchange.expected()]
    assert read(exchange, told(9)) == []


def test_refusals(adapter: Adapter, read: Read) -> None:
    exchange = adapter("cryptocom", "BTC-USD", "ETH-USD")
    exchange.subscribe(exchange.expected())
    exchange.subscribe(exchange.expected()[:2], alone=True)
    bad = {"code": 40003, "message": "Unknown symbol"}
    reason = "40003 Unknown symbol"
    assert read(exchange, told(1, channel="trade.BTC_USD", **bad)) == [SubscriptionFailed("BTC_USD", "trade", reason)]
    assert read(exchange, told(1, **bad)) == [SubscriptionFailed("", "", reason)]
    assert read(exchange, told(2, **bad)) == [SubscriptionFailed("BTC_USD", c, reason) for c in ("trade", "ticker")]
    assert read(exchange, told(9, **bad)) == [SubscriptionFailed("", "", reason)]


def test_what_else_comes(adapter: Adapter, read: Read) -> None:
    exchange = adapter("cryptocom", "BTC-USD")
    assert read(exchange, '{"id":1,"method":"public/nope","code":40003,"message":"No such method"}') == [
        Notice("40003 No such method")
    ]
    assert read(exchange, '{"id":0,"method":"unsubscribe","code":40003,"message":"Unknown symbol"}') == [IGNORED]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (frame().replace("[]", "{}"), BadTrade),
        (frame().replace("[]", "[" * 100_000), BadData),
        (frame(row("9" * 400)), BadTrade),
        (frame(row("1", t=10**40)), BadTrade),
        (frame(channel="ticker").replace("[]", "7"), BadData),
        (frame({**BEST, "b": "x"}, channel="ticker"), BadData),
        (frame(BEST, channel="ticker", native="X_Y"), BadData),
        ("pong", BadData),
        (b"\xff", BadData),
    ],
)
def test_unusable(adapter: Adapter, read: Read, text: str | bytes, error: type[BadData]) -> None:
    with pytest.raises(error):
        read(adapter("cryptocom", "BTC-USD"), text)


def test_a_hundred_channels_a_message(adapter: Adapter) -> None:
    exchange = adapter("cryptocom", *(f"A{n}-USD" for n in range(51)))

    def lengths(sends: list[Send]) -> list[int]:
        return [len(json.loads(send.frame)["params"]["channels"]) for send in sends]

    assert lengths(exchange.subscribe(exchange.expected())) == [100, 2]
    assert lengths(exchange.subscribe(exchange.expected(), alone=True)) == [2] * 51
    assert lengths(exchange.unsubscribe(exchange.expected())) == [100, 2]


def past(*rows: dict[str, Any]) -> bytes:
    return json.dumps({"id": 1, "method": "public/get-trades", "code": 0, "result": {"data": rows}}).encode()


BASE = "https://api.crypto.com/exchange/v1/public/get-trades?instrument_name=BTC_USD&count=150"


def test_history(adapter: Adapter) -> None:
    exchange = adapter("cryptocom", "BTC-USD")
    request = exchange.history_request(exchange.markets["BTC_USD"], 0, None, AT, AT + 1000)
    assert request.url == f"{BASE}&start_ts={AT // 1000 - 1}&end_ts={AT // 1000 + 2}"
    rows = [row("3", AT + 2000), row("2", AT + 1000), row("1"), row("0", AT - 1000)]
    assert exchange.parse_history(request, past(*rows), 9) == (
        [Trade(1, AT, 2.0, 3.0, Side.SELL, 1, 9), Trade(1, AT + 1000, 2.0, 3.0, Side.SELL, 2, 9)],
        None,
    )
    assert exchange.parse_history(request, past(), 9) == ([], None)


def test_the_oldest_millisecond_of_a_full_page_comes_whole_on_the_next(adapter: Adapter) -> None:
    exchange = adapter("cryptocom", "BTC-USD")
    request = exchange.history_request(exchange.markets["BTC_USD"], 0, None, AT)
    rows = [row(str(ident), AT + (2000 if ident > 3 else 1000)) for ident in range(150, 0, -1)]
    page = exchange.parse_history(request, past(*rows), 9)
    assert [trade.key for trade in page.trades] == list(range(4, 151))
    assert page.next.url == f"{BASE}&start_ts={AT // 1000 - 1}&end_ts={AT // 1000 + 2}"
    assert len(exchange.parse_history(page.next, past(*rows[-3:]), 9).trades) == 3
    rows[-1] = row("1", AT - 1000)
    assert exchange.parse_history(request, past(*rows), 9).next is None


def test_history_up_to_now(adapter: Adapter) -> None:
    exchange = adapter("cryptocom", "BTC-USD")
    assert "end_ts" not in exchange.history_request(exchange.markets["BTC_USD"], 0, None, AT).url


def test_a_page_within_a_millisecond_is_refused(adapter: Adapter) -> None:
    exchange = adapter("cryptocom", "BTC-USD")
    request = exchange.history_request(exchange.markets["BTC_USD"], 0, None, AT - 5000, AT)
    with pytest.raises(Refused, match="hide older"):
        exchange.parse_history(request, past(*(row(str(ident)) for ident in range(150, 0, -1))), 9)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"id":1,"method":"public/get-trades","code":42901,"message":"Rate limit"}', Unavailable),
        (b'{"id":1,"method":"public/get-trades","code":40004,"message":"Invalid instrument_name"}', Refused),
        (b"<html>", BadData),
        (b'{"code":0,"result":{"data":[1]}}', BadData),
    ],
)
def test_rest_trouble(adapter: Adapter, body: bytes, error: type[Exception]) -> None:
    exchange = adapter("cryptocom", "BTC-USD")
    market = exchange.markets["BTC_USD"]
    with pytest.raises(error):
        exchange.parse_history(exchange.history_request(market, 0, None, 0), body, 9)
    with pytest.raises(error):
        exchange.parse_candles(exchange.candle_requests(market, 0, 60_000_000)[0], body)
    with pytest.raises(error):
        exchange.parse_instruments([body])


def test_candles(adapter: Adapter) -> None:
    exchange = adapter("cryptocom", "BTC-USD")
    first, second = exchange.candle_requests(exchange.markets["BTC_USD"], 60_000_000, 302 * 60_000_000)
    base = "https://api.crypto.com/exchange/v1/public/get-candlestick?instrument_name=BTC_USD&timeframe=1m&count=300"
    assert first.url == f"{base}&start_ts=60000&end_ts=18060000"
    assert second.url == f"{base}&start_ts=18060000&end_ts=18120000"
    rows = [{"o": "1", "h": "4", "l": "0.5", "c": "2", "v": "10", "t": at} for at in (18_060_000, 120_000, 60_000)]
    assert exchange.parse_candles(first, past(*rows)) == [
        Candle(1, 60_000_000, 1.0, 4.0, 0.5, 2.0, 10.0),
        Candle(1, 120_000_000, 1.0, 4.0, 0.5, 2.0, 10.0),
    ]


def test_the_listing_leaves_out_what_is_not_spot(adapter: Adapter) -> None:
    rows: list[dict[str, Any]] = [
        {"symbol": "BTC_USD", "inst_type": "CCY_PAIR", "base_ccy": "BTC", "quote_ccy": "USD", "tradable": True},
        {"symbol": "BTC_USDT", "inst_type": "CCY_PAIR", "base_ccy": "BTC", "quote_ccy": "USDT", "tradable": False},
        {"symbol": "BTCUSD-PERP", "inst_type": "PERPETUAL_SWAP", "base_ccy": "BTC", "quote_ccy": "USD"},
        {"symbol": "BTCUSD-INDEX", "inst_type": "INDEX"},
    ]
    exchange = adapter("cryptocom")
    assert [asked.url for asked in exchange.instrument_requests()] == [
        "https://api.crypto.com/exchange/v1/public/get-instruments"
    ]
    assert exchange.parse_instruments([past(*rows)]) == [
        Instrument("BTC_USD", "BTC-USD"),
        Instrument("BTC_USDT", "BTC-USDT", active=False),
    ]
