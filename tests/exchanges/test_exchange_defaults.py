"""What an adapter need not say: the least that a venue can be."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

import pytest

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Market
from pricewatch.exchanges.base import (
    CandleRequest,
    Endpoints,
    Exchange,
    HistoryRequest,
    Keepalive,
    Output,
    Send,
    Subscription,
    text_key,
)

MARKET = Market(1, "least", "BTC-USD", "BTC-USD")


class Least(Exchange):
    id = "least"
    endpoints = Endpoints(socket="wss://least", rest="https://least")
    channels = ("trade",)
    keepalive: ClassVar[Keepalive] = Keepalive(probe="ping")

    @staticmethod
    def native(symbol: str) -> str:
        return symbol

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:
        return []

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        return []

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        raise BadData("malformed")

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        return []

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        return []


def test_it_lists_nothing_prepares_nothing_and_has_no_history() -> None:
    exchange = Least([MARKET])
    assert exchange.instrument_requests() == []
    assert exchange.prepare() is None
    assert exchange.history_request(MARKET, 1, 2, 0) is None
    with pytest.raises(BadData, match="least lists no instruments, and 1 answers came"):
        exchange.parse_instruments([b""])
    with pytest.raises(BadData, match="least asks for nothing before it connects, and 2 bytes came"):
        exchange.prepared(b"{}")
    with pytest.raises(BadData, match="least has no trade history"):
        exchange.parse_history(HistoryRequest(MARKET, "https://least/x", 1, 2), b"", 9)


def test_it_connects_to_its_address_and_probes_with_its_word() -> None:
    exchange = Least([MARKET], Endpoints(socket="ws://here", rest="http://here"))
    assert exchange.url() == "ws://here"
    assert exchange.probe(5) == "ping"
    assert exchange.expected() == [Subscription("BTC-USD", "trade")]


def test_the_key_of_a_text() -> None:
    keys = {text_key(ref) for ref in ("a", "b", "\ud800", "")}
    assert len(keys) == 4
    assert all(0 <= key < 2**63 for key in keys)
    assert text_key("a") == text_key("a")
