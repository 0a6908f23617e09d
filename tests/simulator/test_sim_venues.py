"""What every simulated venue owes its clients when things go wrong, as a real adapter over a real socket sees it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import aiohttp
import pytest
from tests.simulator.sim_support import Running, connect, serving
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Market, Quote, Trade
from pricewatch.exchanges.base import Closing, Endpoints, Exchange, Output, Ready, Send, Subscribed
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.simulator.registry import VENUES
from pricewatch.simulator.session import Venue, named
from pricewatch.simulator.settings import FaultSettings, SimulatorSettings

BOTH = sorted(set(VENUES) & set(EXCHANGES))
_QUOTES = {"hyperliquid": "USDC"}
_CONFIRMED_BY_DATA = {"gemini", "upbit"}
"""Venues without an acknowledgement: the first frame of a market is one."""
_CONFIRMING_WITH_DATA = {"cryptocom"}
"""Venues whose acknowledgement carries the last trades and best prices."""
_ANNOUNCING = sorted(name for name in BOTH if VENUES[name].announce is not Venue.announce)


class Client:
    """One connection of an adapter."""

    def __init__(self, exchange: Exchange, socket: ClientConnection, running: Running) -> None:
        self.exchange = exchange
        self.out: list[Output] = []
        self._socket = socket
        self._running = running

    async def say(self, sends: list[Send]) -> None:
        for send in sends:
            await self._socket.send(send.frame)

    async def hear(self) -> list[Output]:
        """What the next frame means; requests in it are answered."""
        fresh: list[Output] = []
        try:
            self.exchange.receive(await self._socket.recv(decode=False), self._running.server.now(), fresh)
        except BadData as error:
            raise AssertionError(f"{error}") from error
        self.out += fresh
        await self.say([one for one in fresh if isinstance(one, Send)])
        return fresh

    async def hear_for_ever(self) -> NoReturn:
        while True:
            await self.hear()

    def ticks(self, market: int) -> list[Trade | Quote]:
        return [one for one in self.out if isinstance(one, (Trade, Quote)) and one.market == market]


def symbols(venue: str) -> tuple[str, str]:
    quote = _QUOTES.get(venue, "USDT")
    return f"BTC-{quote}", f"ETH-{quote}"


@asynccontextmanager
async def connected(venue: str, **faults: Any) -> AsyncIterator[tuple[Running, Client]]:
    """An adapter that has just asked for two markets of a lively venue."""
    settings = SimulatorSettings(
        markets={venue: symbols(venue)},
        history_minutes=2,
        programme=False,
        rate=100.0,
        quote_rate=50.0,
        heartbeat=0.1,
        faults=FaultSettings(**faults),
    )
    kind = EXCHANGES[venue]
    markets = [Market(n, venue, one, kind.native(one), kind.step) for n, one in enumerate(symbols(venue), 1)]
    async with asyncio.timeout(50), serving(settings) as running:
        base = running.addresses
        exchange = kind(markets, Endpoints(f"{base.ws}/{venue}", f"{base.rest}/{venue}"))
        request = exchange.prepare()
        if request is not None:
            async with aiohttp.ClientSession() as http, http.post(request.url, data=request.body) as reply:
                exchange.prepared(await reply.read())
        async with connect(exchange.url()) as socket:
            client = Client(exchange, socket, running)
            while exchange.greeting and not any(isinstance(one, Ready) for one in client.out):
                await client.hear()
            await client.say(exchange.subscribe(exchange.expected()))
            yield running, client


@pytest.mark.parametrize("venue", BOTH)
async def test_a_mute_market_is_confirmed_and_silent_until_it_speaks_again(venue: str) -> None:
    async with connected(venue, mute=(f"{venue}:{symbols(venue)[0]}",)) as (running, client):
        while len(client.ticks(2)) < 20:
            await client.hear()
        before = len(client.ticks(1))
        assert before == 0 or venue in _CONFIRMING_WITH_DATA
        while len(client.ticks(2)) < 60:
            await client.hear()
        assert len(client.ticks(1)) == before
        if venue not in _CONFIRMED_BY_DATA:
            confirmed = {(one.native, one.channel) for one in client.out if isinstance(one, Subscribed)}
            assert confirmed >= set(client.exchange.expected())
        running.server.change(venue, {"mute": ()})
        while not any(isinstance(one, Trade) for one in client.ticks(1)[before:]):
            await client.hear()


@pytest.mark.parametrize("venue", BOTH)
async def test_what_is_not_acknowledged_is_not_served(venue: str) -> None:
    async with connected(venue, half_ack=1.0) as (running, client):
        async with aiohttp.ClientSession() as http:
            trades = 0
            while trades < 1_000:
                async with http.get(running.addresses.rest + "/control/status") as reply:
                    trades = json.loads(await reply.read())["trades"]
                await asyncio.sleep(0.02)
        (link,) = running.server.houses[venue].crowd.links
        natives = [VENUES[venue].listed(symbol).native for symbol in symbols(venue)]
        assert not [topic for topic in link.session.topics if named(topic.encode(), natives)]
        running.server.change(venue, {"half_ack": 0})
        await client.say(client.exchange.subscribe(client.exchange.expected()))
        while not (client.ticks(1) and client.ticks(2)):
            await client.hear()


@pytest.mark.parametrize("venue", BOTH)
async def test_lost_and_doubled_trade_frames_reach_no_adapter_as_nonsense(venue: str) -> None:
    async with connected(venue, gap=0.2, duplicate=0.2, reorder=0.2) as (_, client):
        while len(client.ticks(1)) < 100:
            await client.hear()


@pytest.mark.parametrize("venue", _ANNOUNCING)
async def test_a_notice_is_understood_and_the_connection_then_closed(venue: str) -> None:
    async with connected(venue, notice_lead=0.1) as (running, client):
        while not client.ticks(1):
            await client.hear()
        assert running.server.befall(venue, "notice") == 1
        with pytest.raises(ConnectionClosed):
            await client.hear_for_ever()
        assert any(isinstance(one, Closing) for one in client.out)
