from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Candle, Market, Quote, Tick, Trade
from pricewatch.domain.time import rfc3339
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.ingest.worker import Ingest
from pricewatch.ports.ticks import Closed, Gap, Mark

NOW = 1_800_000_000_000_000


class StillClock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.instant = NOW

    def now(self) -> int:
        self.instant += 1
        return self.instant


class Collected:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.quotes: list[Quote] = []
        self.sight: list[tuple[int, bool]] = []

    def blind(self, market: int) -> None:
        self.sight.append((market, False))

    def sighted(self, market: int) -> None:
        self.sight.append((market, True))

    def offer(self, tick: Tick) -> None:
        if isinstance(tick, Trade):
            self.trades.append(tick)
        else:
            self.quotes.append(tick)

    @property
    def keys(self) -> list[int]:
        return [trade.key for trade in self.trades]


class MemoryGaps:
    """A gap ledger in memory; `away` makes it unavailable."""

    def __init__(self) -> None:
        self.declared: dict[int, Gap] = {}
        self.closed: list[int] = []
        self.how: dict[int, Closed] = {}
        self.away = False
        self.asked = 0

    def _reach(self) -> None:
        self.asked += 1
        if self.away:
            raise Unavailable("no database")

    async def declare(self, gap: Gap, *, opened_seen: int) -> int:
        self._reach()
        assert opened_seen >= NOW
        number = len(self.declared) + 1
        self.declared[number] = gap
        return number

    async def close(self, gap_id: int, *, closed_seen: int, how: Closed = Closed.FILLED) -> None:
        self._reach()
        assert closed_seen >= NOW
        self.closed.append(gap_id)
        self.how[gap_id] = how

    async def open_gaps(self) -> list[tuple[int, Gap]]:
        self._reach()
        return [(number, gap) for number, gap in self.declared.items() if number not in self.closed]

    async def patched_gaps(self) -> list[Gap]:
        self._reach()
        return [self.declared[number] for number, how in self.how.items() if how is Closed.CANDLES]


class MemoryCandles:
    def __init__(self) -> None:
        self.candles: list[Candle] = []

    async def import_candles(self, candles: Sequence[Candle]) -> int:
        self.candles += candles
        return len(candles)


class LocalVenue:
    """A venue on loopback speaking the protocol of Coinbase Exchange, with faults."""

    known = frozenset({"BTC-USD", "ETH-USD"})

    def __init__(self) -> None:
        self.tape: dict[str, dict[int, dict[str, Any]]] = {}
        self.sockets: list[web.WebSocketResponse] = []
        self.opened = 0
        self.subscribed: list[dict[str, Any]] = []
        self.rest_status = 200
        self.rest_headers: dict[str, str] = {}
        self.rest_asked: list[str] = []
        self.refuse: list[tuple[int, dict[str, str]]] = []
        """Answers to the next handshakes instead of an upgrade."""
        self.close_at_once = False
        self.mute = False
        self.candle_rows: list[list[float]] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/ws", self._socket)
        app.router.add_get("/products/{product}/trades", self._trades)
        app.router.add_get("/products/{product}/candles", self._candles)
        return app

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        self.opened += 1
        if self.refuse:
            status, headers = self.refuse.pop(0)
            return web.Response(status=status, headers=headers)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self.close_at_once:
            await socket.close()
            return socket
        self.sockets.append(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._asked(socket, json.loads(message.data))
        finally:
            self.sockets.remove(socket)
        return socket

    async def _asked(self, socket: web.WebSocketResponse, request: dict[str, Any]) -> None:
        self.subscribed.append(request)
        if self.mute:
            return
        strange = [product for product in request["product_ids"] if product not in self.known]
        if strange:
            reason = f"{strange[0]} is not a valid product"
            await socket.send_str(json.dumps({"type": "error", "message": "Failed to subscribe", "reason": reason}))
            return
        channels = [{"name": name, "product_ids": request["product_ids"]} for name in request["channels"]]
        await socket.send_str(json.dumps({"type": "subscriptions", "channels": channels}))

    async def _trades(self, request: web.Request) -> web.Response:
        self.rest_asked.append(str(request.rel_url))
        if self.rest_status != 200:
            return web.Response(status=self.rest_status, headers=self.rest_headers)
        after = int(request.query.get("after", 2**62))
        limit = int(request.query["limit"])
        tape = self.tape.get(request.match_info["product"], {})
        rows = [tape[key] for key in sorted(tape, reverse=True) if key < after]
        return web.json_response(rows[:limit])

    async def _candles(self, request: web.Request) -> web.Response:
        if self.rest_status != 200:
            return web.Response(status=self.rest_status)
        return web.json_response(self.candle_rows)

    async def trade(self, key: int, product: str = "BTC-USD", *, send: bool = True, **change: Any) -> None:
        """Print a trade; `send=False`: it never reaches the sockets."""
        row = {
            "trade_id": key,
            "side": "sell",
            "size": "1.5",
            "price": str(100 + key),
            "time": rfc3339(NOW - 10_000_000 + key % 5000 * 1000),
        }
        self.tape.setdefault(product, {})[key] = row
        if send:
            await self.send({"type": "match", "product_id": product, **row, **change})

    async def send(self, message: dict[str, Any] | str) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        for socket in list(self.sockets):
            await socket.send_str(text)

    def drop(self) -> None:
        """Cut every connection without a close frame."""
        for socket in list(self.sockets):
            transport = socket._req.transport if socket._req else None
            if transport is not None:
                transport.abort()


class House:
    """A venue, an ingest listening to it, and what came out."""

    def __init__(self, venue: LocalVenue, server: TestServer, markets: Sequence[Market]) -> None:
        self.venue = venue
        self.server = server
        self.markets = markets
        self.sink = Collected()
        self.gaps = MemoryGaps()
        self.candles = MemoryCandles()
        self.clock = StillClock()
        self.ingest: Ingest | None = None

    def make(
        self,
        *,
        marks: dict[int, Mark] | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        tap: Any = None,
        common: dict[str, Any] | None = None,
        clock: Any = None,
        system: Any = None,
        signals: Any = None,
        **settings: Any,
    ) -> Ingest:
        base = f"{self.server.host}:{self.server.port}"
        quick: dict[str, Any] = {
            "symbols": tuple(market.symbol for market in self.markets),
            "socket_url": f"ws://{base}/ws",
            "rest_url": f"http://{base}",
            "open_interval": 0.0,
            "send_interval": 0.0,
            "history_interval": 0.0,
            "backoff_base": 0.01,
            "backoff_cap": 0.02,
            "gap_hold": 1.0,
            "refill_backoff": 0.02,
            "refill_backoff_cap": 0.05,
            "reconcile_after": 60.0,
            "subscribe_timeout": 0.3,
            "rotate_overlap": 0.02,
        }
        venue = VenueSettings(**(quick | settings))
        self.ingest = Ingest(
            IngestSettings(venues={"coinbase": venue}, **{"backfill_candles": 0, **(common or {})}),
            self.markets,
            sink=self.sink,
            clock=clock or self.clock,
            system=system,
            signals=signals,
            marks=marks or {},
            gaps=self.gaps,
            candles=self.candles,
            pause=pause,
            tap=tap,
            luck=lambda: 1.0,
        )
        return self.ingest

    @asynccontextmanager
    async def listening(self, **settings: Any) -> AsyncIterator[Ingest]:
        """Ingest running and subscribed; afterwards every trade is accounted for."""
        ingest = self.make(**settings)
        async with running(ingest):
            await until(lambda: bool(self.venue.subscribed) and self.settled())
            yield ingest
        self.balance()

    def settled(self) -> bool:
        assert self.ingest is not None
        runners = [runner for live in self.ingest.venues for runner in live.runners]
        return bool(runners) and all(
            runner.sessions and not any(session.pending for session in runner.sessions) for runner in runners
        )

    def counters(self) -> Any:
        assert self.ingest is not None
        return self.ingest.venues[0].venue.counters

    def balance(self) -> None:
        counters = self.counters()
        assert counters.received == counters.offered + counters.duplicates + sum(counters.rejected.values())
        assert counters.offered == len(self.sink.trades)
        assert len(set(self.sink.keys)) == len(self.sink.keys) or len(self.markets) > 1


@asynccontextmanager
async def running(ingest: Ingest) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ingest.run())
        try:
            yield
        finally:
            task.cancel()


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


Wait = Callable[..., Awaitable[None]]


@pytest.fixture
def wait() -> Wait:
    return until


@pytest.fixture
def during() -> Callable[[Ingest], AbstractAsyncContextManager[None]]:
    return running


@pytest.fixture
async def house() -> AsyncIterator[House]:
    venue = LocalVenue()
    server = TestServer(venue.app())
    await server.start_server()
    yield House(venue, server, [Market(1, "coinbase", "BTC-USD", "BTC-USD")])
    await server.close()
