"""A venue's past by pages, through real adapters from the simulated venues' REST services."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Candle, Market, Trade
from pricewatch.domain.time import MINUTE, SECOND
from pricewatch.exchanges.base import Endpoints, Exchange
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.ingest.past import Past
from pricewatch.ingest.settings import VenueSettings
from pricewatch.simulator.registry import VENUES
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import SeededTape

START = 1_795_000_000_000_000
NOW = START + 120 * SECOND
SYMBOL = "BTC-USD"


class Clock:
    def now(self) -> int:
        return NOW


class Service:
    """A venue's REST service without a socket; fails as often as told."""

    def __init__(self, venue: str, first_id: int) -> None:
        settings = SimulatorSettings(
            markets={venue: (SYMBOL,)}, programme=False, history_minutes=30, rate=40.0, first_id=first_id, lead=0.0
        )
        tape = SeededTape(settings, start=START)
        for _ in tape.take(NOW, 1_000_000, heard=True):
            pass
        (self.ledger,) = tape.ledgers.values()
        self.house = VENUES[venue](tape.ledgers, settings)
        self.failures = 0
        self.asked = 0

    async def ask(self, url: str, body: str | None = None) -> bytes:
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise Unavailable("away")
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        if body is None:
            reply = self.house.rest(parts.path, query, NOW)
        else:
            reply = self.house.post(parts.path, query, body.encode(), NOW)
        assert reply.status == 200, (url, reply.body)
        return msgspec.json.encode(reply.body)


async def nothing(seconds: float) -> None:
    del seconds


def build(venue: str, first_id: int = 1, **settings: Any) -> tuple[Service, Past, Market, Exchange]:
    kind = EXCHANGES[venue]
    market = Market(1, venue, SYMBOL, kind.native(SYMBOL), kind.step)
    service = Service(venue, first_id)
    adapter = kind([market], Endpoints(socket="ws://x", rest="http://x"))
    past = Past(adapter, service, VenueSettings(**settings), clock=Clock(), pause=nothing)
    return service, past, market, adapter


async def trades(past: Past, market: Market, start: int, end: int) -> list[Trade]:
    found: dict[int, Trade] = {}
    async for reached, page in past.trades(market, start, end):
        assert start <= max(trade.at for trade in page) == reached < end
        found.update((trade.key, trade) for trade in page)
    return sorted(found.values(), key=lambda trade: trade.key)


@pytest.mark.parametrize("first_id", [1, 1_795_000_000_000])
@pytest.mark.parametrize("venue", ["binance", "coinbase", "kraken"])
async def test_trades_of_a_span_are_found_whole(venue: str, first_id: int) -> None:
    service, past, market, _ = build(venue, first_id)
    assert past.tells_trades(market)
    start, end = START + 20 * SECOND, START + 100 * SECOND
    kept = [trade for trade in service.ledger.newest(1_000_000) if start <= trade.at < end]
    found = await trades(past, market, start, end)
    assert len(kept) > 2_000
    assert [(trade.key, trade.at, trade.price) for trade in found] == [(one.id, one.at, one.price) for one in kept]
    assert await trades(past, market, NOW + SECOND, NOW + 2 * SECOND) == []
    assert await trades(past, market, START - 20 * SECOND, START - SECOND) == []


@pytest.mark.parametrize("venue", sorted(set(VENUES) & set(EXCHANGES)))
async def test_candles_of_a_span(venue: str) -> None:
    _, past, market, _ = build(venue)
    begin = START // MINUTE * MINUTE - 20 * MINUTE
    found: list[Candle] = []
    async for reached, page in past.candles(market, begin, begin + 10 * MINUTE):
        assert reached == begin + 10 * MINUTE
        found += page
    assert [candle.at for candle in found] == [begin + minute * MINUTE for minute in range(10)]


async def test_a_market_that_never_traded_has_no_past() -> None:
    service, past, market, adapter = build("binance")

    async def empty(url: str, body: str | None = None) -> bytes:
        del url, body
        return b"[]"

    service.ask = empty  # type: ignore[method-assign]
    assert await trades(past, market, START, NOW) == []
    adapter.history_request = lambda *_: None  # type: ignore[method-assign]
    assert await trades(past, market, START, NOW) == []


async def test_failures_are_asked_again_for_so_long() -> None:
    service, past, market, _ = build("coinbase", refill_backoff=1.0, refill_backoff_cap=2.0, refill_deadline=5.0)
    begin = START // MINUTE * MINUTE - 5 * MINUTE
    service.failures = 3
    assert [page async for _, page in past.candles(market, begin, begin + MINUTE)]
    assert service.asked == 4
    service.failures = 99
    with pytest.raises(Unavailable, match="candles: away"):
        assert [page async for _, page in past.candles(market, begin, begin + MINUTE)]
