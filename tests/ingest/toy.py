"""An adapter for a made-up venue that has every oddity at once, each switched on by a test, and its server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar

from aiohttp import WSMsgType, web

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Market, Trade
from pricewatch.exchanges.base import (
    IGNORED,
    READY,
    CandleRequest,
    Closing,
    Endpoints,
    Exchange,
    HistoryPage,
    HistoryRequest,
    Lost,
    Output,
    Request,
    Send,
    Subscribed,
    Subscription,
    SubscriptionFailed,
)

NOW = 1_800_000_000_000_000


class Toy(Exchange):
    """One JSON object a frame; the class attributes are set by tests on subclasses."""

    id = "toy"
    endpoints = Endpoints(socket="ws://unused", rest="http://unused")
    channels = ("trade",)
    markets_per_connection = 3
    send_interval = 0.0
    open_interval = 0.0
    history_interval = 0.0
    has_history: ClassVar[bool] = True
    token: ClassVar[bool] = False

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        super().__init__(markets, endpoints)
        self._token = ""

    @staticmethod
    def native(symbol: str) -> str:
        return symbol

    def prepare(self) -> Request | None:
        return Request(f"{self.where.rest}/token", '{"want":"token"}') if self.token else None

    def prepared(self, body: bytes) -> None:
        if not body:
            raise BadData("malformed", "no token")
        self._token = body.decode()

    def url(self) -> str:
        return f"{self.where.socket}?token={self._token}"

    def probe(self, now: int) -> str | None:
        return json.dumps({"op": "probe", "at": now}) if self.keepalive.every is not None else None

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:
        names = sorted({native for native, _ in wanted})
        lists = [[name] for name in names] if alone else [names]
        return [Send(json.dumps({"op": "subscribe", "names": some})) for some in lists]

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        return [Send(json.dumps({"op": "unsubscribe", "names": sorted({native for native, _ in gone})}))]

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        message = json.loads(frame)
        match message["type"]:
            case "hello":
                out.append(READY)
            case "subscribed":
                out.extend(Subscribed(name, "trade") for name in message["names"])
            case "refused":
                out.append(SubscriptionFailed(message["name"], "trade", "unknown"))
            case "ping":
                out.append(Send(json.dumps({"op": "pong", "n": message["n"]})))
            case "lost":
                out.append(Lost("counter jumped", tuple(message["names"])))
            case "closing":
                out.append(Closing("maintenance"))
            case "trade" if message["name"] in self.markets:
                out.append(row(self.markets[message["name"]], message, received))
            case _:
                out.append(IGNORED)

    def history_request(
        self, market: Market, first: int, last: int | None, since: int, until: int | None = None
    ) -> HistoryRequest | None:
        if not self.has_history:
            return None
        url = f"{self.where.rest}/trades"
        body = json.dumps({"name": market.native, "since": since, "until": until})
        return HistoryRequest(market, url, first, last, since, until, body)

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        rows = [row(request.market, message, received) for message in json.loads(body)]
        return HistoryPage([one for one in rows if request.since <= one.at <= (request.until or 2**62)], None)

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        return [CandleRequest(market, f"{self.where.rest}/candles?name={market.native}", start, end)]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        return [
            Candle(request.market.id, at, 1.0, 2.0, 1.0, 2.0, 5.0)
            for at in json.loads(body)
            if request.start <= at < request.end
        ]


def row(market: Market, message: dict[str, Any], received: int) -> Trade:
    price = float(message.get("price", 100))
    return Trade(market.id, message["at"], price, 1.0, 1, message["key"], received)


def odd(**attributes: Any) -> type[Toy]:
    """A variant of the venue."""
    return type("Odd", (Toy,), attributes)


class ToyVenue:
    """The server side: everything it hears is kept, everything it says is up to the test."""

    def __init__(self) -> None:
        self.sockets: list[web.WebSocketResponse] = []
        self.heard: list[list[dict[str, Any]]] = []
        """By connection, in the order of their opening."""
        self.opened: list[float] = []
        """Loop times of the handshakes, refused ones too."""
        self.tape: list[dict[str, Any]] = []
        self.candles: list[int] = []
        self.asked: list[tuple[str, Any]] = []
        self.token = "secret-token"
        self.refuse: list[tuple[int, dict[str, str]]] = []
        self.rest_refuse: list[tuple[int, dict[str, str]]] = []
        self.mute: set[str] = set()
        self.unknown: set[str] = set()
        self.hold: asyncio.Event | None = None
        """REST answers wait for it."""
        self.greet: Callable[[web.WebSocketResponse], Any] | None = None

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/ws", self._socket)
        app.router.add_post("/token", self._rest(lambda: self.token))
        app.router.add_post("/trades", self._rest(lambda: self.tape))
        app.router.add_get("/candles", self._rest(lambda: self.candles))
        return app

    @property
    def ops(self) -> list[dict[str, Any]]:
        """What the newest connection said."""
        return self.heard[-1] if self.heard else []

    def said(self, op: str) -> list[dict[str, Any]]:
        return [message for heard in self.heard for message in heard if message["op"] == op]

    def _rest(self, answer: Callable[[], Any]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            self.asked.append((request.path, await request.json() if request.can_read_body else None))
            if self.hold is not None:
                await self.hold.wait()
            if self.rest_refuse:
                status, headers = self.rest_refuse.pop(0)
                return web.Response(status=status, headers=headers)
            found = answer()
            return web.Response(text=found) if isinstance(found, str) else web.json_response(found)

        return handle

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        self.opened.append(asyncio.get_running_loop().time())
        if self.refuse:
            status, headers = self.refuse.pop(0)
            return web.Response(status=status, headers=headers)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        heard: list[dict[str, Any]] = [{"op": "open", "token": request.query.get("token")}]
        self.heard.append(heard)
        self.sockets.append(socket)
        try:
            if self.greet is not None:
                await self.greet(socket)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    heard.append(json.loads(message.data))
                    await self._answer(socket, heard[-1])
        finally:
            self.sockets.remove(socket)
        return socket

    async def _answer(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        if message["op"] != "subscribe":
            return
        names = [name for name in message["names"] if name not in self.mute | self.unknown]
        await socket.send_json({"type": "subscribed", "names": names})
        for name in self.unknown & set(message["names"]):
            await socket.send_json({"type": "refused", "name": name})

    def trade(self, key: int, name: str = "BTC-USD", at: int | None = None, **more: Any) -> dict[str, Any]:
        """Print one, on the tape only."""
        printed = {"type": "trade", "name": name, "key": key, "at": NOW + key if at is None else at, **more}
        self.tape.append(printed)
        return printed

    async def send(self, *messages: dict[str, Any]) -> None:
        for socket in list(self.sockets):
            for message in messages:
                await socket.send_json(message)

    def drop(self) -> None:
        """Cut every connection without a close frame."""
        for socket in list(self.sockets):
            transport = socket._req.transport if socket._req else None
            if transport is not None:
                transport.abort()
