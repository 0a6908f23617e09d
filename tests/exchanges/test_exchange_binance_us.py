from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pricewatch.exchanges.base import BadTrade

Adapter = Callable[..., Any]


def test_only_the_newest_trades_can_be_had_without_a_key(adapter: Adapter) -> None:
    exchange = adapter("binance_us", "BTC-USD")
    request = exchange.history_request(exchange.markets["BTCUSD"], 5, None, 0)
    assert request.url == "https://api.binance.us/api/v3/trades?symbol=BTCUSD&limit=1000"
    row = '{"id":%d,"price":"1.50","qty":"2.0","time":1000,"isBuyerMaker":true}'
    page = exchange.parse_history(request, f"[{','.join(row % n for n in range(1, 1001))}]".encode(), 9)
    assert [trade.key for trade in page.trades] == list(range(5, 1001))
    assert page.next is None
    with pytest.raises(BadTrade):
        exchange.parse_history(request, b'{"code":-1121,"msg":"Invalid symbol."}', 9)


def test_its_own_address(adapter: Adapter) -> None:
    assert adapter("binance_us", "BTC-USD").url() == "wss://stream.binance.us:9443/stream"
