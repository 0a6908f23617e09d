"""A real adapter against a simulated venue: over a real socket, and over real REST."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from tests.simulator.sim_support import START, WallClock, connect, seeded, serving
from tests.simulator.test_sim_frames import Listener, load

from pricewatch.domain.market import Candle, Flag, Market, Quote, Trade
from pricewatch.exchanges.base import (
    Closing,
    Endpoints,
    Exchange,
    HistoryRequest,
    Instrument,
    Lost,
    Output,
    Send,
    Subscribed,
)
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.simulator.ledger import Ledger, Print
from pricewatch.simulator.session import Live, Session, Venue
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import SeededTape

QUICK: dict[str, Any] = {"history_minutes": 5, "programme": False, "rate": 120.0, "quote_rate": 60.0}


@dataclass
class Found:
    """What an adapter made of a venue's frames, and what the venue printed."""

    exchange: Exchange
    ledgers: dict[str, Ledger]
    out: list[Output] = field(default_factory=list)
    pages: list[list[Trade]] = field(default_factory=list)
    candles: list[Candle] = field(default_factory=list)
    instruments: list[Instrument] = field(default_factory=list)

    def of(self, kind: type[Any]) -> list[Any]:
        return [item for item in self.out if isinstance(item, kind)]

    def live(self) -> list[Trade]:
        return [trade for trade in self.of(Trade) if not trade.flags & Flag.HISTORY]

    def printed(self, market: int) -> list[Print]:
        (symbol,) = (one.symbol for one in self.exchange.markets.values() if one.id == market)
        return self.ledgers[f"{self.exchange.id}:{symbol}"].newest(10**6)


def adapter(venue: str, symbols: tuple[str, ...], where: Endpoints) -> Exchange:
    kind = EXCHANGES[venue]
    markets = [Market(n, venue, one, kind.native(one), kind.step) for n, one in enumerate(symbols, 1)]
    return kind(markets, where)


async def listened(
    venue: str, symbols: tuple[str, ...], enough: Callable[[Found], bool], *, rest: bool = True, **settings: Any
) -> Found:
    """Subscribe to everything, listen until there is enough, then ask REST for what was printed meanwhile."""
    configured = SimulatorSettings(**{**QUICK, "markets": {venue: symbols}, **settings})
    tape = SeededTape(configured, start=WallClock().now())
    async with serving(configured, [tape]) as running:
        where = Endpoints(f"{running.addresses.ws}/{venue}", f"{running.addresses.rest}/{venue}")
        exchange = adapter(venue, symbols, where)
        found = Found(exchange, tape.ledgers)
        async with asyncio.timeout(30), connect(exchange.url()) as socket:
            for send in exchange.subscribe(exchange.expected()):
                await socket.send(send.frame)
            while not enough(found):
                frame = await socket.recv()
                count = len(found.out)
                exchange.receive(frame, running.server.now(), found.out)
                for output in found.out[count:]:
                    if isinstance(output, Send):
                        await socket.send(output.frame)
        if rest:
            await _asked(exchange, found, running.server.now())
    return found


async def _asked(exchange: Exchange, found: Found, now: int) -> None:
    market = next(iter(exchange.markets.values()))
    async with aiohttp.ClientSession() as http:

        async def fetch(url: str, body: str | None) -> bytes:
            headers = {"Content-Type": "application/json"}
            method = "GET" if body is None else "POST"
            async with http.request(method, url, data=body, headers=headers) as reply:
                assert reply.status == 200, await reply.text()
                return await reply.read()

        bodies = [await fetch(one.url, one.body) for one in exchange.instrument_requests()]
        found.instruments = exchange.parse_instruments(bodies)
        for wanted in exchange.candle_requests(market, now - now % 60_000_000 - 240_000_000, now):
            found.candles += exchange.parse_candles(wanted, await fetch(wanted.url, wanted.body))
        request: HistoryRequest | None = exchange.history_request(market, 0, None, now - 60_000_000)
        while request is not None:
            trades, following = exchange.parse_history(request, await fetch(request.url, request.body), now)
            found.pages.append(trades)
            request = following


def enough(trades: int) -> Callable[[Found], bool]:
    return lambda found: len(found.live()) >= trades and bool(found.of(Quote))


def check(found: Found, ident: Callable[[Print], int], *, history: bool = True) -> None:
    """What was printed arrived, whole and in order; REST tells the same."""
    confirmed = {(item.native, item.channel) for item in found.of(Subscribed)}
    assert confirmed >= set(found.exchange.expected())
    assert not found.of(Lost)
    assert not found.of(Closing)
    for market in found.exchange.markets.values():
        printed = {ident(one): one for one in found.printed(market.id)}
        order = list(printed)
        heard = [trade for trade in found.of(Trade) if trade.market == market.id]
        live = [order.index(trade.key) for trade in heard if not trade.flags & Flag.HISTORY]
        assert live == list(range(live[0], live[0] + len(live)))
        for trade in heard:
            _same(trade, printed[trade.key])
        if market.id == 1 and history:
            told = {trade.key: trade for page in found.pages for trade in page}
            assert {trade.key for trade in heard if not trade.flags} <= set(told)
    for quote in found.of(Quote):
        assert 0 < quote.bid < quote.ask
        assert quote.bid_size > 0 < quote.ask_size
    listed = sorted(one.symbol for one in found.instruments)
    assert listed == sorted(one.symbol for one in found.exchange.markets.values())
    assert [found.exchange.native(one.symbol) for one in found.instruments] == [one.native for one in found.instruments]
    assert len(found.candles) >= 4
    bars = {bar.at: bar for bar in found.ledgers[f"{found.exchange.id}:{_first(found).symbol}"].minutes}
    for candle in found.candles[:-2]:
        bar = bars[candle.at]
        assert (candle.open, candle.high, candle.low, candle.close) == (bar.open, bar.high, bar.low, bar.close)


def _first(found: Found) -> Market:
    return next(iter(found.exchange.markets.values()))


def _same(trade: Trade, one: Print) -> None:
    assert (trade.at, trade.price, trade.size, trade.side) == (one.at, one.price, one.size, one.side)


class Desk:
    """One client of a venue of a seeded market, without a socket."""

    def __init__(self, kind: type[Venue], *symbols: str, **settings: Any) -> None:
        tape = seeded(markets={kind.id: symbols}, **settings)
        self.ledgers = {ledger.listing.symbol: ledger for ledger in tape.ledgers.values()}
        self.venue = kind(tape.ledgers, SimulatorSettings(**settings))
        self.session = Session(opened=START)
        self.opening = [json.loads(one) for one in self.venue.open(self.session, "", {}, START).frames]

    def say(self, message: Any) -> list[Any]:
        text = message if isinstance(message, str | bytes) else json.dumps(message)
        return [json.loads(one) for one in self.venue.receive(self.session, text, START).frames]

    def beat(self, seconds: float) -> list[Any]:
        answer = self.venue.beat(self.session, START + int(seconds * 1_000_000))
        return [json.loads(one) for one in answer.frames]


def pushed(kind: type[Venue], symbol: str, seconds: int = 20, **settings: Any) -> list[Any]:
    """What a client of everything gets in a time, numbers as they are written (see `shape`)."""
    configured = SimulatorSettings(
        **{"programme": False, "history_minutes": 0, **settings, "markets": {kind.id: (symbol,)}}
    )
    tape = SeededTape(configured, start=START)
    venue, listener = kind(tape.ledgers, configured), Listener()
    for item in tape.take(START + seconds * 1_000_000, 100_000, heard=True):
        assert isinstance(item, Live)
        venue.publish(item, listener)
    return [load(frame) for frame in listener.frames]


def served(kind: type[Venue], frames: Iterable[bytes]) -> Counter[str]:
    """Trades by native name that a venue reads in the frames of one recorded connection."""
    memory: dict[str, Any] = {}
    found: Counter[str] = Counter()
    for frame in frames:
        heard = kind.read(frame, memory)
        found.update(native for native, _ in (heard.prints if heard else ()))
    return found
