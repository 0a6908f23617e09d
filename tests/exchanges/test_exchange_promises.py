"""What every registered venue promises, whatever is sent to it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Market, Quote, Trade
from pricewatch.exchanges.base import Exchange, Output
from pricewatch.exchanges.registry import EXCHANGES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
VALUES = JSON | st.sampled_from(["NaN", "inf", "1e400", "-1", "0", "\0", 10**30, "9" * 400, "2021-13-01T00:00:00Z"])
TEMPLATES: dict[str, list[dict[str, Any]]] = {
    "binance": [
        {"stream": "btcusd@trade", "data": {"s": "BTCUSD", "t": 1, "p": "1", "q": "1", "T": 1, "m": True}},
        {"stream": "btcusd@bookTicker", "data": {"s": "BTCUSD", "b": "1", "B": "1", "a": "1", "A": "1"}},
        {"result": None, "id": 1},
    ],
    "coinbase": [
        {
            "type": "match",
            "trade_id": 1,
            "side": "buy",
            "size": "1",
            "price": "1",
            "product_id": "BTC-USD",
            "time": "2021-04-17T16:43:37.089723Z",
        },
        {"type": "ticker", "product_id": "BTC-USD", "best_bid": "1", "best_ask": "1", "time": "2021-04-17T16:43:37Z"},
        {"type": "error", "message": "x", "reason": "y"},
        {"type": "heartbeat", "product_id": "BTC-USD", "last_trade_id": 1},
        {"type": "subscriptions", "channels": []},
    ],
    "kraken": [
        {
            "channel": "trade",
            "data": [
                {
                    "symbol": "BTC/USD",
                    "side": "buy",
                    "price": 1,
                    "qty": 1,
                    "trade_id": 1,
                    "timestamp": "2021-04-17T16:43:37Z",
                }
            ],
        },
        {"channel": "ticker", "data": [{"symbol": "BTC/USD", "bid": 1, "bid_qty": 1, "ask": 1, "ask_qty": 1}]},
        {"method": "subscribe", "success": False, "error": "x", "symbol": "y"},
    ],
}


def listen(venue: str) -> Exchange:
    kind = EXCHANGES[venue]
    return kind([Market(1, venue, "BTC-USD", kind.native("BTC-USD"), kind.step)])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        found += places(inner, (*path, key))
    return found


def receive(venue: str, frame: str | bytes) -> list[Output]:
    out: list[Output] = []
    with suppress(BadData):
        listen(venue).receive(frame, 1, out)
    return out


@pytest.mark.parametrize("venue", EXCHANGES)
@given(frame=st.binary(max_size=200) | st.text(max_size=200))
def test_no_noise_gets_past_bad_data(venue: str, frame: bytes | str) -> None:
    assert not [item for item in receive(venue, frame) if isinstance(item, (Trade, Quote))]


@pytest.mark.parametrize("venue", EXCHANGES)
@given(data=st.data())
def test_no_wrong_value_gets_past_bad_data(venue: str, data: st.DataObject) -> None:
    template = json.loads(json.dumps(data.draw(st.sampled_from(TEMPLATES[venue]))))
    path = data.draw(st.sampled_from(places(template)))
    inner = template
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = data.draw(VALUES)
    separators = data.draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    for item in receive(venue, json.dumps(template, separators=separators)):
        if isinstance(item, Trade):
            assert item.market == 1
            assert isinstance(item.price, float)
            assert isinstance(item.key, int)


@pytest.mark.parametrize("venue", EXCHANGES)
@given(body=st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_reply_gets_past_bad_data(venue: str, body: bytes) -> None:
    exchange = listen(venue)
    (market,) = exchange.markets.values()
    with suppress(BadData):
        exchange.parse_history(exchange.history_request(market, 1, 5, 10), body, 1)
    with suppress(BadData):
        exchange.parse_candles(exchange.candle_requests(market, 0, 60_000_000)[0], body)


@pytest.mark.parametrize("venue", EXCHANGES)
def test_every_market_is_asked_for_alone_too(venue: str) -> None:
    exchange = listen(venue)
    assert exchange.expected()
    assert exchange.subscribe(exchange.expected())
    assert exchange.subscribe(exchange.expected(), alone=True)
    assert exchange.url().startswith("wss://")
    assert exchange.markets_per_connection > 0
