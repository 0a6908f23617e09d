from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.exchanges.cases.htx import CASE, LAST, NEWEST_FIRST, PUSH, packed

from benchmarks import plain
from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Flag, Market, Quote, Trade
from pricewatch.exchanges.base import (
    HEARTBEAT,
    BadTrade,
    Ignored,
    Notice,
    Send,
    Subscribed,
    SubscriptionFailed,
)
from pricewatch.exchanges.htx import Htx

Read = Callable[..., list[Any]]
Adapter = Callable[..., Any]
SEEN = 1_800_000_000_000_000
TRADES = "market.trioeth.trade.detail"


def confirmed(topic: str, ts: int = 1618678070657) -> bytes:
    return packed(json.dumps({"id": topic, "status": "ok", "subbed": topic, "ts": ts}, separators=(",", ":")))


def test_only_the_frame_after_the_confirmation_is_history(adapter: Adapter, read: Read) -> None:
    exchange = adapter("htx", "TRIO-ETH")
    assert read(exchange, confirmed(TRADES)) == [Subscribed("trioeth", "trade.detail")]
    assert [one.flags for one in read(exchange, [packed(LAST), packed(LAST)])] == [Flag.HISTORY, Flag.NONE]


def test_a_trade_after_the_confirmation_is_news(adapter: Adapter, read: Read) -> None:
    exchange = adapter("htx", "TRIO-ETH")
    read(exchange, confirmed(TRADES))
    assert [one.flags for one in read(exchange, packed(NEWEST_FIRST))] == [Flag.NONE] * 2


def test_what_went_is_forgotten(adapter: Adapter, read: Read) -> None:
    exchange = adapter("htx", "TRIO-ETH")
    markets = list(exchange.markets.values())
    read(exchange, confirmed(TRADES))
    exchange.drop(["trioeth"])
    assert isinstance(read(exchange, packed(LAST))[0], Ignored)
    exchange.add(markets)
    assert [one.flags for one in read(exchange, packed(LAST))] == [Flag.NONE]


def test_a_broken_row_does_not_take_the_others_with_it(adapter: Adapter) -> None:
    exchange = adapter("htx", "TRIO-ETH")
    out: list[Any] = []
    with pytest.raises(BadTrade, match="1 rows") as caught:
        exchange.receive(packed(NEWEST_FIRST.replace('"amount":3', '"amount":"3"')), SEEN, out)
    assert caught.value.count == 1
    assert [one.key for one in out] == [100045088886]


def test_wherever_the_name_stands(adapter: Adapter, read: Read) -> None:
    exchange = adapter("htx", "TRIO-ETH", "ETH-USDT")
    for frame in (LAST, PUSH):
        usual = read(exchange, packed(frame))
        assert read(exchange, packed(json.dumps(json.loads(frame), indent=1))) == usual
        turned = dict(reversed(json.loads(frame).items()))
        assert read(exchange, packed(json.dumps(turned, separators=(",", ":")))) == usual
        assert read(exchange, frame) == usual


def test_words_of_the_venue(adapter: Adapter, read: Read) -> None:
    exchange = adapter("htx", "TRIO-ETH")
    assert read(exchange, packed('{"ping":1618678073643}')) == [Send('{"pong":1618678073643}')]
    assert read(exchange, packed('{"pong":1618678073643}')) == [HEARTBEAT]
    refusal = '{"status":"error","ts":1,"id":%s,"err-code":"bad-request","err-msg":"invalid symbol"}'
    reason = "bad-request: invalid symbol"
    assert read(exchange, packed(refusal % f'"{TRADES}"')) == [SubscriptionFailed("trioeth", "trade.detail", reason)]
    assert read(exchange, packed(refusal % 7)) == [Notice(reason)]


def test_an_empty_side_is_no_quote(adapter: Adapter, read: Read) -> None:
    exchange = adapter("htx", "ETH-USDT")
    assert isinstance(read(exchange, packed(PUSH.replace("52665.02", "null")))[0], Ignored)


def test_a_book_that_ends_like_trades_is_a_book(adapter: Adapter, read: Read) -> None:
    exchange = adapter("htx", "ETH-USDT")
    (quote,) = read(exchange, packed(PUSH[:-2] + ',"more":[1]}}'))
    assert isinstance(quote, Quote)
    assert quote == read(exchange, packed(PUSH))[0]


def test_a_message_a_topic(adapter: Adapter) -> None:
    exchange = adapter("htx", "ETH-USDT")
    trades, best = exchange.subscribe(exchange.expected())
    assert json.loads(trades.frame) == {"sub": "market.ethusdt.trade.detail", "id": "market.ethusdt.trade.detail"}
    assert json.loads(best.frame)["sub"] == "market.ethusdt.bbo"
    assert json.loads(exchange.unsubscribe(exchange.expected())[1].frame)["unsub"] == "market.ethusdt.bbo"


@pytest.mark.parametrize("padding", [0, 6_000])
def test_a_number_that_no_venue_prints_is_refused_before_it_is_read(adapter: Adapter, read: Read, padding: int) -> None:
    """Compressed below any length worth a look, and compressed badly."""
    number = "1" * 5_000
    noise = random.Random(1).randbytes(padding).hex()
    body = f'{{"ch":"market.ethusdt.trade.detail","pad":"{noise}","tick":{{"data":[{{"price":{number}}}]}}}}'
    with pytest.raises(BadTrade, match="digits in a row"):
        read(adapter("htx", "ETH-USDT"), gzip.compress(body.encode(), 9))


def test_a_bomb_is_not_inflated(adapter: Adapter, read: Read) -> None:
    with pytest.raises(BadData, match="beyond 1048576 bytes"):
        read(adapter("htx", "ETH-USDT"), gzip.compress(b" " * 200_000_000, 9))


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (packed(LAST)[:-9], BadData),
        (packed(LAST)[:40], BadData),
        (packed(LAST)[:10] + b"\xff" * 2_000, BadData),
        (b"\x1f\x8b", BadData),
        (b"\x1f\x8b" + b"\xff" * 40, BadData),
        (packed(LAST)[:-8] + b"\0" * 8, BadData),
        (packed("[" * 100_000), BadData),
        (packed(f'{{"ch":"{TRADES}","tick":' + "[" * 100_000), BadTrade),
        (packed(LAST.replace("9.2E-7", "9.2E-7777777")), None),
        (packed(LAST.replace("9.2E-7", "9.2E777")), BadTrade),
        (packed(LAST.replace("100045088885", str(2**63))), BadTrade),
        (packed(LAST.replace('"tick"', '"tack"')), BadTrade),
        (packed(PUSH.replace("52665.02", "[]")), BadData),
        (packed('{"ping":' + "9" * 400 + "}"), BadData),
        (b"", BadData),
        ("\ud800", BadData),
        ('{"ch":"market.\ud800.bbo"}', BadData),
    ],
)
def test_unusable(adapter: Adapter, read: Read, frame: str | bytes, error: type[BadData] | None) -> None:
    exchange = adapter("htx", "TRIO-ETH", "ETH-USDT")
    if error is None:
        assert read(exchange, frame)[0].price == 0.0
        return
    with pytest.raises(BadData) as caught:
        read(exchange, frame)
    assert type(caught.value) is error


@pytest.mark.shared
def test_recorded_ids_count_by_one(shared: Path) -> None:
    lines = list(plain.read(shared / "data" / "htx/htx-20210417T164750Z-a.jsonl.gz"))
    natives = sorted(plain.htx(lines).natives)
    exchange = Htx([Market(n, "htx", f"M{n}-USD", native) for n, native in enumerate(natives, 1)])
    found: list[Any] = []
    for line in lines:
        if line["dir"] == "in":
            exchange.receive(plain.frame(line), SEEN, found)
    trades = [one for one in found if isinstance(one, Trade)]
    assert sum(bool(one.flags & Flag.HISTORY) for one in trades) == 11
    steps = []
    for number in range(1, len(natives) + 1):
        keys = [one.key for one in trades if one.market == number]
        steps += [after - before for before, after in pairwise(keys)]
    assert steps == [1] * 43


def test_history_by_id(adapter: Adapter) -> None:
    exchange = adapter("htx", "TRIO-ETH")
    market = exchange.markets["trioeth"]
    request = exchange.history_request(market, 100, 101, 0)
    assert request.url == "https://api.huobi.pro/market/history/trade?symbol=trioeth&size=2000"
    body = CASE.history or b""
    page = exchange.parse_history(request, body, 9)
    assert page.trades[0] == Trade(1, 1544390311353000, 94.7, 1.0, 1, 100, 9)
    assert ([one.key for one in page.trades], page.next) == ([100, 101], None)
    rest = exchange.parse_history(exchange.history_request(market, 102, None, 0), body, 9)
    assert [one.key for one in rest.trades] == [102]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"status":"error","err-code":"invalid-parameter","err-msg":"invalid symbol"}', Refused),
        (b'{"status":"error","err-code":"too-many-requests","err-msg":"slow down"}', Unavailable),
        (b'{"status":"error","err-code":"system-busy"}', Unavailable),
        (b"<html>", BadTrade),
        (b'{"status":"ok","data":[{"data":[{}]}]}', BadTrade),
        (b'{"status":"ok"}', BadTrade),
    ],
)
def test_history_trouble(adapter: Adapter, body: bytes, error: type[Exception]) -> None:
    exchange = adapter("htx", "TRIO-ETH")
    with pytest.raises(error):
        exchange.parse_history(exchange.history_request(exchange.markets["trioeth"], 1, None, 0), body, 9)


def test_other_rest_answers(adapter: Adapter) -> None:
    exchange = adapter("htx", "TRIO-ETH")
    states = {one.symbol: one.active for one in exchange.parse_instruments(CASE.instruments)}
    assert states == {"ETH-USDT": True, "TRIO-ETH": True, "YEE-BTC": False}
    first, second = exchange.candle_requests(exchange.markets["trioeth"], 0, 1001 * 60_000_000)
    assert first.url.endswith("/market/history/candles?symbol=trioeth&period=1min&size=1000&from=0&to=59999")
    assert second.url.endswith("&from=60000&to=60059")
    with pytest.raises(BadData):
        exchange.parse_candles(first, b'{"status":"ok","data":[{}]}')
