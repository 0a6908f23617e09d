from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Candle, Flag, Quote, Side, Trade
from pricewatch.exchanges.base import HEARTBEAT, IGNORED, BadTrade, Instrument, SubscriptionFailed, text_key
from pricewatch.exchanges.listing import absent

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
SEEN = 1_800_000_000_000_000
AT = 1_695_709_835_822_000
BEST = {"bidPr": "9", "bidSz": "1", "askPr": "10", "askSz": "2", "ts": str(AT // 1000)}


def row(ident: str, at: int = AT, **other: str) -> dict[str, str]:
    return {"ts": str(at // 1000), "price": "2", "size": "3", "side": "sell", "tradeId": ident, **other}


def frame(*rows: dict[str, str], channel: str = "trade", action: str = "update", native: str = "BTCUSDT") -> str:
    arg = {"instType": "SPOT", "channel": channel, "instId": native}
    return json.dumps({"action": action, "arg": arg, "data": rows, "ts": 1}, separators=(",", ":"))


def test_the_newest_come_first(adapter: Adapter, read: Read) -> None:
    rows = [row("5", AT + 1000), row("4"), row("3"), row("2", AT - 1000)]
    out = read(adapter("bitget", "BTC-USDT"), frame(*rows, action="snapshot"))
    assert [item.key for item in out] == [2, 3, 4, 5]
    assert {item.flags for item in out} == {Flag.HISTORY}
    assert out[1] == Trade(1, AT, 2.0, 3.0, Side.SELL, 3, SEEN, Flag.HISTORY)


def test_an_id_that_is_no_number(adapter: Adapter, read: Read) -> None:
    (trade,) = read(adapter("bitget", "BTC-USDT"), frame(row("a-1")))
    assert (trade.key, trade.ref, trade.flags) == (text_key("a-1"), "a-1", Flag.NONE)


def test_a_broken_row_does_not_take_the_others_with_it(adapter: Adapter) -> None:
    exchange = adapter("bitget", "BTC-USDT")
    out: list[Any] = []
    with pytest.raises(BadTrade, match="malformed") as caught:
        exchange.receive(frame(row("3"), row("2", side="none"), row("1"), action="snapshot"), SEEN, out)
    assert caught.value.count == 1
    assert [(item.key, item.flags) for item in out] == [(1, Flag.HISTORY), (3, Flag.HISTORY)]


def test_a_market_nobody_asked_for(adapter: Adapter, read: Read) -> None:
    with pytest.raises(BadTrade, match="unknown market") as caught:
        read(adapter("bitget", "BTC-USDT"), frame(row("1"), row("2"), native="XY"))
    assert caught.value.count == 2


def test_frames_in_another_order(adapter: Adapter, read: Read) -> None:
    def turned(text: str) -> str:
        return json.dumps(dict(reversed(json.loads(text).items())))

    exchange = adapter("bitget", "BTC-USDT")
    assert read(exchange, turned(frame(row("1"))))[0].key == 1
    assert read(exchange, turned(frame(BEST, channel="ticker"))) == [Quote(1, AT, 9.0, 1.0, 10.0, 2.0, SEEN)]


def test_a_side_without_orders_is_no_quote(adapter: Adapter, read: Read) -> None:
    assert read(adapter("bitget", "BTC-USDT"), frame({**BEST, "bidPr": ""}, channel="ticker")) == [IGNORED]


def test_what_the_venue_says(adapter: Adapter, read: Read) -> None:
    exchange = adapter("bitget", "BTC-USDT")
    assert read(exchange, "pong") == [HEARTBEAT]
    told = '{"event":"error","code":30016,"msg":"Param error","op":"subscribe"}'
    assert read(exchange, told) == [SubscriptionFailed("", "", "30016 Param error")]
    assert read(exchange, '{"event":"login","code":0}') == [IGNORED]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (frame(channel="trade").replace("[]", "{}"), BadTrade),
        (frame(channel="trade").replace("[]", "[" * 100_000), BadData),
        (frame(row("9" * 400)), BadTrade),
        (frame(row("1", 10**40)), BadTrade),
        (frame(channel="ticker").replace("[]", "7"), BadData),
        (frame({**BEST, "bidPr": "x"}, channel="ticker"), BadData),
        (frame(BEST, channel="ticker", native="XY"), BadData),
        ("ping", BadData),
        (b"\xff", BadData),
    ],
)
def test_unusable(adapter: Adapter, read: Read, text: str | bytes, error: type[BadData]) -> None:
    with pytest.raises(error):
        read(adapter("bitget", "BTC-USDT"), text)


def test_messages_stay_below_the_limit(adapter: Adapter) -> None:
    exchange = adapter("bitget", *(f"ALONGNAMEDTOKENOFABOUT30LETTERS{n:02}-USDT" for n in range(24)))
    sends = exchange.subscribe(exchange.expected())
    assert [len(json.loads(send.frame)["args"]) for send in sends] == [24, 24]
    assert all(len(send.frame) <= 4096 for send in sends)
    assert len(exchange.subscribe(exchange.expected(), alone=True)) == 24


def past(*rows: dict[str, str]) -> bytes:
    return json.dumps({"code": "00000", "msg": "success", "data": rows}).encode()


BASE = "https://api.bitget.com/api/v2/spot/market/fills-history?symbol=BTCUSDT&limit=1000"


def test_history(adapter: Adapter) -> None:
    exchange = adapter("bitget", "BTC-USDT")
    request = exchange.history_request(exchange.markets["BTCUSDT"], 0, None, AT, AT + 1000)
    assert request.url == f"{BASE}&startTime={AT // 1000}&endTime={AT // 1000 + 2}"
    rows = [row("5", AT + 2000), row("4", AT + 1000), row("3"), row("2"), row("1", AT - 1000)]
    page = exchange.parse_history(request, past(*rows), 9)
    assert [trade.key for trade in page.trades] == [2, 3, 4]
    assert page.trades[0] == Trade(1, AT, 2.0, 3.0, Side.SELL, 2, 9)
    assert page.next is None


def test_long_history(adapter: Adapter) -> None:
    exchange = adapter("bitget", "BTC-USDT")
    request = exchange.history_request(exchange.markets["BTCUSDT"], 0, None, AT)
    rows = [row(str(ident)) for ident in range(3000, 2000, -1)]
    following = exchange.parse_history(request, past(*rows), 9).next
    assert following.url == f"{BASE}&startTime={AT // 1000}&idLessThan=2001"
    rows = [row(f"{ident}&x") for ident in range(2000, 1000, -1)]
    following = exchange.parse_history(following, past(*rows), 9).next
    assert following.url == f"{BASE}&startTime={AT // 1000}&idLessThan=1001%26x"
    rows[-1] = row("1", AT - 1000)
    assert exchange.parse_history(following, past(*rows), 9).next is None


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"code":"429","msg":"Too many requests","data":null}', Unavailable),
        (b'{"code":"40034","msg":"Parameter does not exist","data":null}', Refused),
        (b"<html>", BadData),
        (b'{"code":"00000","data":[1]}', BadData),
    ],
)
def test_rest_trouble(adapter: Adapter, body: bytes, error: type[Exception]) -> None:
    exchange = adapter("bitget", "BTC-USDT")
    market = exchange.markets["BTCUSDT"]
    with pytest.raises(error):
        exchange.parse_history(exchange.history_request(market, 0, None, 0), body, 9)
    with pytest.raises(error):
        exchange.parse_candles(exchange.candle_requests(market, 0, 60_000_000)[0], body)
    with pytest.raises(error):
        exchange.parse_instruments([body])


def test_candles(adapter: Adapter) -> None:
    exchange = adapter("bitget", "BTC-USDT")
    first, second = exchange.candle_requests(exchange.markets["BTCUSDT"], 60_000_000, 1002 * 60_000_000)
    base = "https://api.bitget.com/api/v2/spot/market/candles?symbol=BTCUSDT&granularity=1min&limit=1000"
    assert first.url == f"{base}&startTime=60000&endTime=60059999"
    assert second.url == f"{base}&startTime=60060000&endTime=60119999"
    rows = [[str(at), "1", "4", "0.5", "2", "10", "20", "20"] for at in (60_000, 60_060_000)]
    assert exchange.parse_candles(first, json.dumps({"code": "00000", "data": rows}).encode()) == [
        Candle(1, 60_000_000, 1.0, 4.0, 0.5, 2.0, 10.0)
    ]


def test_the_listing(adapter: Adapter) -> None:
    rows = [
        {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "online"},
        {"symbol": "NEWUSDT", "baseCoin": "NEW", "quoteCoin": "USDT", "status": "gray"},
        {"symbol": "OLDUSDT", "baseCoin": "OLD", "quoteCoin": "USDT", "status": "halt"},
    ]
    exchange = adapter("bitget")
    assert [asked.url for asked in exchange.instrument_requests()] == [
        "https://api.bitget.com/api/v2/spot/public/symbols"
    ]
    body = json.dumps({"code": "00000", "data": rows}).encode()
    assert exchange.parse_instruments([body]) == [
        Instrument("BTCUSDT", "BTC-USDT"),
        Instrument("NEWUSDT", "NEW-USDT"),
        Instrument("OLDUSDT", "OLD-USDT", active=False),
    ]


def test_a_pair_that_is_listed_twice_is_the_one_that_trades(adapter: Adapter) -> None:
    rows = [
        {"symbol": "LUNAUSDT_1", "baseCoin": "LUNA", "quoteCoin": "USDT", "status": "offline"},
        {"symbol": "LUNAUSDT", "baseCoin": "LUNA", "quoteCoin": "USDT", "status": "online"},
        {"symbol": "LUNAUSDT_2", "baseCoin": "LUNA", "quoteCoin": "USDT", "status": "halt"},
    ]
    body = json.dumps({"code": "00000", "data": rows}).encode()
    assert adapter("bitget").parse_instruments([body]) == [Instrument("LUNAUSDT", "LUNA-USDT")]


def test_a_symbol_the_listing_does_not_have_is_answered_with_its_like() -> None:
    known = [Instrument("BTCUSDT", "BTC-USDT"), Instrument("BTCUSDC", "BTC-USDC", active=False)]
    assert absent("bitget", "BTC-USDX", known) == "bitget has no 'BTC-USDX'; did you mean 'BTC-USDT'?"
    assert "markets bitget" in absent("bitget", "NO-PE", known)
