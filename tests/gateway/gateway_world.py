"""A gateway over memory keepers, and a bot."""

from __future__ import annotations

import asyncio
import socket as sockets
import struct
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from pricewatch.accounts.tokens import mint
from pricewatch.domain.account import EVERY_SCOPE, Account, Role, Scope
from pricewatch.domain.features import BandNow, Calibration, Features
from pricewatch.domain.market import Candle, Market, Quote, Trade
from pricewatch.domain.model import Forecast, ForecastRow
from pricewatch.domain.signal import Direction, FeedEntry, Signal, signal_id
from pricewatch.gateway.app import Gateway
from pricewatch.gateway.keepers import Keepers
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ports.journal import Change, Claim
from pricewatch.ports.models import AlarmCount
from pricewatch.ports.ticks import Listing, Mark, Sequenced
from pricewatch.rules.document import parse
from pricewatch.telemetry.metrics import Sample
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.journal import MemoryStore
from pricewatch.testing.markets import MemoryMarketBook
from pricewatch.testing.models import MemoryModelStore
from pricewatch.testing.preview import MemoryPreviewDesk
from pricewatch.testing.registry import MemoryArtefacts, MemoryRegistry
from pricewatch.testing.ticks import MemoryGapLedger
from pricewatch.training.promote import Desk

BTC = Market(1, "coinbase", "BTC-USD", "BTC-USD")
ETH = Market(2, "coinbase", "ETH-USD", "ETH-USD")
KRAKEN = Market(3, "kraken", "BTC-USD", "XBT/USD")
MARKETS = [BTC, ETH, KRAKEN]
QUICK = GatewaySettings(
    port=0,
    heartbeat_interval=0.2,
    ticker_interval=0.02,
    candle_interval=0.02,
    features_interval=0.02,
    revocation_interval=0.1,
    key_ttl=0.0,
    retry_pause=0.05,
    catalog_interval=0.1,
    close_timeout=0.5,
    password_memory=64,
    password_rounds=1,
    reconnect_spread=0.1,
)


def closed_minute(at: int, *, market: str = "coinbase:BTC-USD") -> Features:
    """What the models made of the minute that began at `at`."""
    band = BandNow(0.95, 3_600_000_000, at + 60_000_000, "95.5", "100", "105", 0.952, 500, "bank+bands@2.2")
    return Features(
        market=market,
        at=at,
        end=at + 60_000_000,
        close="100",
        move=0.001,
        move_short=0.002,
        move_long=-0.003,
        range=0.004,
        volume=5.0,
        usual_volume=4.0,
        volatility=0.0025,
        score=1.5,
        rarity=float("-inf"),
        parts={"move": 1.5, "trend": float("-inf")},
        alarms_per_week=None,
        drifts=1,
        model="bank+bands@2.2",
        bands=[band],
        calibration=[Calibration(21.0, 20.0, 2, 1_008)],
    )


class Shelf:
    """Keeps what the gateway reads of `Catalog`, `History` and `ModelStore`."""

    def __init__(self) -> None:
        self.listed = list(MARKETS)
        self.last_trades: dict[int, Sequenced] = {}
        self.bars: list[Candle] = []
        self.printed: list[Sequenced] = []
        self.forecasts: dict[int, Forecast] = {}
        self.scores: dict[tuple[int, int], float] = {}
        self.judged = MemoryModelStore()

    async def register(self, listings: Sequence[Listing]) -> list[Market]:
        raise NotImplementedError

    async def markets(self) -> list[Market]:
        return list(self.listed)

    async def marks(self, markets: Sequence[int]) -> Mapping[int, Mark]:
        raise NotImplementedError

    async def last(self, upto: int) -> Mapping[int, Sequenced]:
        return {market: one for market, one in self.last_trades.items() if one.seen <= upto}

    async def candles(self, market: int, start: int, end: int, *, span: int, limit: int = 10_000) -> list[Candle]:
        return [one for one in self.bars if one.market == market and start <= one.at < end][:limit]

    async def trades(self, market: int, start: int, end: int, *, limit: int = 100_000) -> list[Sequenced]:
        return [one for one in self.printed if one.trade.market == market and start <= one.trade.at < end][:limit]

    async def forecast(self, market: int) -> Forecast | None:
        return self.forecasts.get(market)

    async def forecast_row(self, version: uuid.UUID, at: int) -> ForecastRow | None:
        rows = [row for one in self.forecasts.values() if one.version == version for row in one.rows]
        return next((row for row in rows if row.at == at), None)

    async def bar_score(self, market: int, at: int) -> float | None:
        return self.scores.get((market, at))

    async def features(self, market: int) -> Features | None:
        return await self.judged.features(market)

    async def count_alarms(
        self, markets: Sequence[int], weekly: float, start: int, end: int
    ) -> Mapping[int, AlarmCount]:
        return await self.judged.count_alarms(markets, weekly, start, end)


async def until(condition: Callable[[], object]) -> None:
    """For what has no event to wait for: the other side of a socket."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


class Engine:
    """Another part."""

    name = "evaluation"

    def __init__(self) -> None:
        self.problem: str | None = None

    def status(self) -> Mapping[str, Any]:
        return {"cursor": 5}

    def trouble(self) -> str | None:
        return self.problem

    def samples(self) -> Iterable[Sample]:
        return [Sample("ticks", 12, labels=(("venue", "coinbase"),)), Sample("lag_seconds", 0.5, "gauge")]


class World:
    """A running gateway over memory, and ways to make things happen in it."""

    def __init__(self, settings: GatewaySettings = QUICK) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock)
        self.shelf = Shelf()
        self.registry = MemoryRegistry()
        self.artefacts = MemoryArtefacts()
        self.desk = Desk(self.registry, self.artefacts, self.clock)
        self.gaps = MemoryGapLedger()
        self.choices = MemoryMarketBook()
        self.market_changes = 0
        self.engine = Engine()
        self.previews = MemoryPreviewDesk(self.clock)
        self.changes = 0
        self.settings = settings
        self.claim: Claim | None = None
        self.gateway = self.new_gateway()

    def rules_changed(self) -> None:
        self.changes += 1

    def markets_changed(self) -> None:
        self.market_changes += 1

    def new_gateway(self) -> Gateway:
        shelf: Any = self.shelf
        keepers = Keepers(
            accounts=self.store.accounts,
            records=self.store.records,
            rules=self.store.rules,
            changes=self,
            feed=self.store.journal,
            history=shelf,
            catalog=shelf,
            outbox=self.store.outbox,
            webhooks=self.store.webhooks,
            models=shelf,
            registry=self.registry,
            desk=self.desk,
            gaps=self.gaps,
            choices=self.choices,
            market_changes=self,
            system=self.store.journal,
            consumers=self.store.consumers,
            previews=self.previews,
        )
        return Gateway(self.settings, keepers, clock=self.clock, parse_rule=parse, parts=[self.engine])

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.gateway.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.gateway.run())
            await until(lambda: task.done() or self.gateway.trouble() is None)
            try:
                yield self
            finally:
                task.cancel()

    async def account(self, name: str, role: Role = Role.USER) -> tuple[Account, str]:
        account = await self.store.accounts.create(name, f"{name}@example.org", role)
        return account, await self.key(account)

    async def key(self, account: Account, expires: int | None = None, scopes: frozenset[Scope] = EVERY_SCOPE) -> str:
        minted = mint(account.id, now=self.clock.now(), expires=expires, scopes=scopes)
        await self.store.accounts.add_key(minted.key)
        return minted.text

    async def emit(
        self, account: Account, count: int = 1, market: Market = BTC, *, tell: bool = True
    ) -> list[FeedEntry]:
        if self.claim is None:
            self.claim = await self.store.journal.claim(0, "test")
        signals = [make_signal(account.id, market, at=self.clock.now()) for _ in range(count)]
        entries = await self.store.journal.commit(self.claim, Change(cursor=0, signals=signals))
        if tell:
            self.gateway.committed(entries)
        return entries

    def trade(self, price: float, market: Market = BTC, **changes: Any) -> Trade:
        now = self.clock.now()
        fields = {"market": market.id, "at": now, "price": price, "size": 0.5, "side": 1, "key": 7, "received": now}
        trade = Trade(**{**fields, **changes})
        self.gateway.trade(trade, now)
        return trade

    def quote(self, bid: float, ask: float, market: Market = BTC) -> None:
        now = self.clock.now()
        self.gateway.quote(Quote(market.id, now, bid, 1.0, ask, 2.0, now), now)


def make_signal(account: uuid.UUID, market: Market = BTC, *, at: int = 1_700_000_000_000_000) -> Signal:
    rule = uuid.uuid4()
    return Signal(
        id=signal_id(rule, 1, market.key, "trade:7", Direction.FIRED),
        account_id=account,
        rule_id=rule,
        rule_version=1,
        title="BTC above 70,000",
        kind="above",
        severity="warning",
        direction=Direction.FIRED,
        scope=market.key,
        market=market.id,
        venue=market.venue,
        symbol=market.symbol,
        cause="trade:7",
        at=at,
        seen=at + 900,
        received=at,
        price=70_012.4,
        since=at,
        evidence={"v": 1, "level": "70000", "prior": "69990.1"},
        channels=("email",),
    )


class Client:
    """A bot: says things, waits for frames."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.seen: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(30):
            frame: dict[str, Any] = await self.socket.receive_json()
        self.seen.append(frame)
        return frame

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        while True:
            frame = await self.next()
            if frame["type"] == kind and all(frame.get(name) == value for name, value in fields.items()):
                return frame

    async def many(self, kind: str, count: int) -> list[dict[str, Any]]:
        return [await self.until(kind) for _ in range(count)]

    async def subscribe(self, channel: str, *symbols: str, **params: Any) -> dict[str, Any]:
        await self.say("subscribe", channel=channel, symbols=list(symbols), **params)
        return await self.until("snapshot", channel=channel)

    async def say(self, method: str, **params: Any) -> None:
        await self.socket.send_json({"method": method, "params": params, "req_id": 1})

    async def close_code(self) -> int | None:
        async with asyncio.timeout(30):
            while not self.socket.closed:
                await self.socket.receive()
        return self.socket.close_code


async def deaf(world: World, key: str, body: str) -> sockets.socket:
    """A client that says one thing and does not read."""
    loop = asyncio.get_running_loop()
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 2_048)
    raw.setblocking(False)
    await loop.sock_connect(raw, ("127.0.0.1", world.gateway.port))
    request = (
        "GET /ws/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-API-Key: {key}\r\n\r\n"
    )
    await loop.sock_sendall(raw, request.encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await loop.sock_recv(raw, 1)
    await loop.sock_sendall(raw, b"\x81\xfe" + struct.pack(">H", len(body)) + b"\0\0\0\0" + body.encode())
    return raw
