from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Candle, Flag, Quote, Side, Trade
from pricewatch.exchanges.base import HEARTBEAT, IGNORED, BadTrade, Instrument, Lost, Notice, SubscriptionFailed

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
SEEN = 1_800_000_000_000_000
AT = 1_652_459_226_050_000
CONFIRMED = '{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"},"connId":"a4d3ae55"}'


def row(ident: int, count: int = 1, size: str = "1", at: int = AT, **other: str) -> dict[str, str]:
    made = {"instId": "BTC-USDT", "tradeId": str(ident), "px": "30236", "sz": size, "side": "buy"}
    return {**made, "ts": str(at // 1000), "count": str(count), **other}


def frame(*rows: dict[str, str], channel: str = "trades") -> str:
    return json.dumps({"arg": {"channel": channel, "instId": "BTC-USDT"}, "data": rows}, separators=(",", ":"))


BEST = {"instId": "BTC-USDT", "bidPx": "9", "bidSz": "1", "askPx": "10", "askSz": "2", "ts": str(AT // 1000)}


def test_the_last_trade_at_the_confirmation_is_history(adapter: Adapter) -> None:
    exchange = adapter("okx", "BTC-USDT")
    out: list[Any] = []
    exchange.receive(CONFIRMED, SEEN, out)
    exchange.receive(frame(row(7)), SEEN + 1000, out)
    exchange.receive(frame(row(8)), SEEN + 2000, out)
    assert [item.flags for item in out if isinstance(item, Trade)] == [Flag.HISTORY, Flag.NONE]


def test_the_first_trade_long_after_the_confirmation_is_news(adapter: Adapter) -> None:
    exchange = adapter("okx", "BTC-USDT")
    out: list[Any] = []
    exchange.receive(CONFIRMED, SEEN, out)
    exchange.receive(frame(row(7)), SEEN + 1_000_001, out)
    assert out[-1].flags == Flag.NONE


def test_an_entry_for_several_trades_is_no_hole(adapter: Adapter, read: Read) -> None:
    out = read(
        adapter("okx", "BTC-USDT"), [frame(row(120)), frame(row(123, count=3)), frame(row(122)), frame(row(124))]
    )
    assert [item.key for item in out] == [120, 123, 122, 124]
    out = read(adapter("okx", "BTC-USDT"), [frame(row(7), row(6)), frame(row(7)), frame(row(8))])
    assert [item.key for item in out] == [7, 6, 7, 8]


def test_a_longer_jump_is_lost(adapter: Adapter, read: Read) -> None:
    out = read(adapter("okx", "BTC-USDT"), [frame(row(120)), frame(row(126, count=3))])
    assert out[1] == Lost("trade ids 121..123 did not come", ("BTC-USDT",))
    assert out[2].key == 126


def test_a_broken_row_does_not_take_the_others_with_it(adapter: Adapter) -> None:
    exchange = adapter("okx", "BTC-USDT")
    out: list[Any] = []
    with pytest.raises(BadTrade, match="malformed") as caught:
        exchange.receive(frame(row(1), row(2, px="x"), row(3, count=2)), SEEN, out)
    assert caught.value.count == 1
    assert [item.key for item in out] == [1, 3]


def test_an_unknown_market_among_known_ones(adapter: Adapter) -> None:
    exchange = adapter("okx", "BTC-USDT")
    out: list[Any] = []
    with pytest.raises(BadTrade, match="unknown market"):
        exchange.receive(frame(row(1, instId="X-Y"), row(2)), SEEN, out)
    assert [item.key for item in out] == [2]


def test_frames_in_another_order_or_spelling(adapter: Adapter, read: Read) -> None:
    turned = json.dumps({"data": [row(5)], "arg": {"instId": "BTC-USDT", "channel": "trades"}})
    assert read(adapter("okx", "BTC-USDT"), turned)[0].key == 5
    turned = json.dumps({"data": [BEST], "arg": {"instId": "BTC-USDT", "channel": "tickers"}})
    assert read(adapter("okx", "BTC-USDT"), turned) == [Quote(1, AT, 9.0, 1.0, 10.0, 2.0, SEEN)]
    assert read(adapter("okx", "BTC-USDT"), '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[]}') == []


def test_a_side_without_orders_is_no_quote(adapter: Adapter, read: Read) -> None:
    assert read(adapter("okx", "BTC-USDT"), frame({**BEST, "askPx": "", "askSz": ""}, channel="tickers")) == [IGNORED]


def test_what_the_venue_says(adapter: Adapter, read: Read) -> None:
    exchange = adapter("okx", "BTC-USDT")
    assert read(exchange, "pong") == [HEARTBEAT]
    assert read(exchange, '{"event":"notice","code":"1","msg":"hello"}') == [Notice("1 hello")]
    told = '{"event":"error","code":"60012","msg":"Invalid request: {}","connId":"a4d3ae55"}'
    assert read(exchange, told) == [SubscriptionFailed("", "", "60012 Invalid request: {}")]
    foreign = '{"event":"error","code":"60018","msg":"Wrong URL or channel:trades,instId:X-Y doesn\'t exist"}'
    assert read(exchange, foreign)[0].native == ""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":{}}', BadTrade),
        ('{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":' + "[" * 100_000, BadData),
        (frame(row(1, tradeId="9" * 400)), BadTrade),
        (frame(row(1, ts="1" + "0" * 30)), BadTrade),
        ('{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":7}', BadData),
        (frame({**BEST, "bidPx": "x"}, channel="tickers"), BadData),
        (frame({**BEST, "instId": "X-Y"}, channel="tickers"), BadData),
        ("ping", BadData),
        (b"\xff", BadData),
    ],
)
def test_unusable(adapter: Adapter, read: Read, text: str | bytes, error: type[BadData]) -> None:
    with pytest.raises(error):
        read(adapter("okx", "BTC-USDT"), text)


def test_a_message_a_market_where_asked(adapter: Adapter) -> None:
    exchange = adapter("okx", *(f"A{n}-USDT" for n in range(101)))
    assert [len(json.loads(send.frame)["args"]) for send in exchange.subscribe(exchange.expected())] == [200, 2]
    alone = exchange.subscribe(exchange.expected()[:4], alone=True)
    assert [{arg["instId"] for arg in json.loads(send.frame)["args"]} for send in alone] == [{"A0-USDT"}, {"A1-USDT"}]
    assert all(len(send.frame) < 64 * 1024 for send in exchange.subscribe(exchange.expected()))


def past(*rows: dict[str, str]) -> bytes:
    return json.dumps({"code": "0", "msg": "", "data": rows}).encode()


BASE = "https://www.okx.com/api/v5/market/history-trades?instId=BTC-USDT&limit=100"


def test_history_is_put_together_as_the_socket_does_it(adapter: Adapter) -> None:
    exchange = adapter("okx", "BTC-USDT")
    market = exchange.markets["BTC-USDT"]
    request = exchange.history_request(market, 0, None, AT - 5_000, AT + 5_000)
    assert request.url == f"{BASE}&type=2&after={AT // 1000 + 6}"
    late, early = AT + 6_000, AT - 6_000
    rows = [
        row(9, at=late),
        row(8, size="1e-05"),
        row(7, size="0.2"),
        row(6, size="0.1"),
        row(5, side="sell"),
        row(4, source="1"),
        row(3, at=early),
    ]
    page = exchange.parse_history(request, past(*rows), 9)
    assert page.next is None
    assert page.trades == [
        Trade(1, AT, 30236.0, 1.0, Side.BUY, 4, 9),
        Trade(1, AT, 30236.0, 1.0, Side.SELL, 5, 9),
        Trade(1, AT, 30236.0, 0.30001, Side.BUY, 8, 9),
    ]


def test_an_order_cut_by_the_end_of_a_page_comes_whole_on_the_next(adapter: Adapter) -> None:
    exchange = adapter("okx", "BTC-USDT")
    request = exchange.history_request(exchange.markets["BTC-USDT"], 0, None, AT - 5_000)
    assert request.url == BASE
    rows = [row(ident, at=AT if ident > 3 else AT - 1000) for ident in range(100, 0, -1)]
    page = exchange.parse_history(request, past(*rows), 9)
    assert [(trade.key, trade.size) for trade in page.trades] == [(100, 97.0)]
    assert page.next.url == f"{BASE}&type=1&after=4"
    assert (page.next.since, page.next.until) == (AT - 5_000, None)


def test_an_order_longer_than_a_page(adapter: Adapter) -> None:
    exchange = adapter("okx", "BTC-USDT")
    request = exchange.history_request(exchange.markets["BTC-USDT"], 0, None, AT - 5_000)
    page = exchange.parse_history(request, past(*(row(ident) for ident in range(200, 100, -1))), 9)
    assert [(trade.key, trade.size) for trade in page.trades] == [(200, 100.0)]
    assert page.next.url == f"{BASE}&type=1&after=101"


def test_history_ends_where_it_reaches_the_wanted(adapter: Adapter) -> None:
    exchange = adapter("okx", "BTC-USDT")
    request = exchange.history_request(exchange.markets["BTC-USDT"], 0, None, AT)
    rows = [row(ident, at=AT - 1000 if ident == 1 else AT) for ident in range(100, 0, -1)]
    assert exchange.parse_history(request, past(*rows), 9).next is None
    assert exchange.parse_history(request, past(), 9) == ([], None)


def test_a_size_without_end_stays_one(adapter: Adapter) -> None:
    exchange = adapter("okx", "BTC-USDT")
    request = exchange.history_request(exchange.markets["BTC-USDT"], 0, None, 0)
    page = exchange.parse_history(request, past(row(2, size="-inf"), row(1, size="inf")), 9)
    assert page.trades[0].size == float("-inf")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"code":"50011","msg":"Too Many Requests","data":[]}', Unavailable),
        (b'{"code":"51001","msg":"Instrument ID does not exist","data":[]}', Refused),
        (b"<html>", BadData),
        (b'{"code":"0","data":[1]}', BadData),
    ],
)
def test_rest_trouble(adapter: Adapter, body: bytes, error: type[Exception]) -> None:
    exchange = adapter("okx", "BTC-USDT")
    market = exchange.markets["BTC-USDT"]
    with pytest.raises(error):
        exchange.parse_history(exchange.history_request(market, 0, None, 0), body, 9)
    with pytest.raises(error):
        exchange.parse_candles(exchange.candle_requests(market, 0, 60_000_000)[0], body)
    with pytest.raises(error):
        exchange.parse_instruments([body])


def test_candles(adapter: Adapter) -> None:
    exchange = adapter("okx", "BTC-USDT")
    first, second = exchange.candle_requests(exchange.markets["BTC-USDT"], 60_000_000, 102 * 60_000_000)
    base = "https://www.okx.com/api/v5/market/history-candles?instId=BTC-USDT&bar=1m&limit=100"
    assert first.url == f"{base}&after=6060000&before=59999"
    assert second.url == f"{base}&after=6120000&before=6059999"
    rows = [[str(at), "1", "4", "0.5", "2", "10", "20", "20", "1"] for at in (6_060_000, 120_000, 60_000)]
    body = json.dumps({"code": "0", "data": rows}).encode()
    assert exchange.parse_candles(first, body) == [
        Candle(1, 60_000_000, 1.0, 4.0, 0.5, 2.0, 10.0),
        Candle(1, 120_000_000, 1.0, 4.0, 0.5, 2.0, 10.0),
    ]


def test_the_listing(adapter: Adapter) -> None:
    listing = [
        {"instId": "BTC-USDT", "baseCcy": "BTC", "quoteCcy": "USDT", "state": "live"},
        {"instId": "XDG-USDT", "baseCcy": "XDG", "quoteCcy": "USDT", "state": "suspend"},
        {"instId": "A-B-USDT", "baseCcy": "A-B", "quoteCcy": "USDT", "state": "live"},
    ]
    body = json.dumps({"code": "0", "data": listing}).encode()
    assert adapter("okx").parse_instruments([body]) == [
        Instrument("BTC-USDT", "BTC-USDT"),
        Instrument("XDG-USDT", "DOGE-USDT", active=False),
    ]


@pytest.mark.shared
def test_the_recorded_listing(adapter: Adapter, shared: Path) -> None:
    with gzip.open(shared / "data/okx/okx-20220513T162705Z-instruments.jsonl.gz", "rt") as file:
        replies = [json.loads(line) for line in file]
    exchange = adapter("okx")
    (asked,) = exchange.instrument_requests()
    body, *_ = [reply["raw"].encode() for reply in replies if reply.get("url") == asked.url]
    found = exchange.parse_instruments([body])
    assert len(found) == len(json.loads(body)["data"])
    assert all(exchange.native(one.symbol) == one.native for one in found)
    assert {"BTC-USDT", "BTC-USDC", "DOGE-USDT"} <= {one.symbol for one in found if one.active}
