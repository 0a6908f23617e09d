"""`/ws/v1`: one WebSocket from the handshake to the close code."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import Mapping

import structlog
from aiohttp import WSMsgType, web

from pricewatch import __version__
from pricewatch.domain.account import Scope
from pricewatch.domain.errors import Unavailable
from pricewatch.gateway.auth import Door, Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.feed.codes import CLOSES, Close
from pricewatch.gateway.feed.framing import WINDOW, Message, framed
from pricewatch.gateway.feed.hub import Hub, encode_signal
from pricewatch.gateway.feed.link import Link
from pricewatch.gateway.feed.outlet import Outlet
from pricewatch.gateway.feed.seats import Desk
from pricewatch.gateway.feed.session import Session
from pricewatch.gateway.problems import Denied
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ports.clock import Clock
from pricewatch.ports.consumers import Consumers
from pricewatch.ports.journal import FeedHead, FeedLog
from pricewatch.wire.feed import Limits

log = structlog.get_logger(__name__)

SUBPROTOCOL = "pricewatch.v1"
_FAR_TOO_BIG = 16
"""Frames up to so many limits are refused with an error; larger ones end the connection while they arrive."""


class _Ended(Exception):  # noqa: N818 - ends a task group, no error
    """The outlet ended: stop everything of this connection."""


class Sockets:
    """Serves feed connections until they end."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        clock: Clock,
        door: Door,
        hub: Hub,
        board: Board,
        feed: FeedLog,
        consumers: Consumers,
        desks: Mapping[str, Desk],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._door = door
        self._hub = hub
        self._board = board
        self._log = feed
        self._consumers = consumers
        self._desks = desks
        self._limits = Limits(
            frame_bytes=settings.frame_limit,
            requests_per_second=settings.request_rate,
            request_burst=settings.request_burst,
            symbols=settings.max_symbols,
            queue_messages=settings.queue_messages,
            queue_bytes=settings.queue_bytes,
            heartbeat_seconds=settings.heartbeat_interval,
            ticker_seconds=settings.ticker_interval,
            in_flight=settings.in_flight,
        )

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """The whole life of one connection."""
        identity = await self._door.admit(request)
        response = web.WebSocketResponse(
            heartbeat=self._settings.ping_interval,
            timeout=self._settings.close_timeout,
            compress=self._settings.deflate,
            max_msg_size=self._settings.frame_limit * _FAR_TOO_BIG,
            writer_limit=1,
            protocols=(SUBPROTOCOL,),
        )
        if not response.can_prepare(request).ok:
            raise Denied(426, "not_a_websocket", "this path speaks WebSocket only", headers={"Upgrade": "websocket"})
        await response.prepare(request)
        transport = request.transport
        if transport is None:
            return response
        _shorten_buffer(transport, self._settings.send_buffer)
        outlet = Outlet(
            response,
            transport,
            messages=self._settings.queue_messages,
            size=self._settings.queue_bytes,
            stall_timeout=self._settings.stall_timeout,
            # Negotiated deflate allows frames as they are; those of clients with a small window stay so.
            deflates=response.compress >= WINDOW,
        )
        if self._is_full(identity.account.id):
            outlet.end(Close.TOO_MANY_SESSIONS)
        else:
            await self._converse(response, outlet, identity)
        await self._close(response, transport, outlet.code)
        return response

    async def _converse(self, response: web.WebSocketResponse, outlet: Outlet, identity: Identity) -> None:
        now = asyncio.get_running_loop().time()
        session = Session(
            identity.account.id,
            board=self._board,
            limits=self._limits,
            strikes=self._settings.strikes,
            document=encode_signal,
            now=now,
            may_write=identity.may(Scope.WRITE),
        )
        try:
            async with asyncio.TaskGroup() as group:
                link = Link(
                    session,
                    outlet,
                    identity,
                    board=self._hub,
                    log=self._log,
                    consumers=self._consumers,
                    desks=self._desks,
                    clock=self._clock,
                    settings=self._settings,
                    group=group,
                )
                self._hub.join(link)
                try:
                    group.create_task(outlet.run(), name="feed.write")
                    head = await self._head(identity.account.id)
                    outlet.send(Message(framed(session.welcome(__version__, self._clock.now(), head))))
                    link.is_welcome = True
                    group.create_task(self._listen(response, link), name="feed.listen")
                    await outlet.ended.wait()
                    # What a client acknowledged before it went is acknowledged.
                    await link.consuming.drained(self._settings.close_timeout)
                    raise _Ended
                finally:
                    self._hub.leave(link)
                    for desk in self._desks.values():
                        desk.select(link, frozenset())
        except* _Ended:
            pass
        except* Exception:
            if await self._door.standing([identity]):
                log.exception("feed.failed", session=str(session.id))
                outlet.end(Close.INTERNAL)
            else:  # erased meanwhile, and with it what the feed is read from
                outlet.end(Close.KEY_REVOKED)

    async def _listen(self, response: web.WebSocketResponse, link: Link) -> None:
        loop = asyncio.get_running_loop()
        async for message in response:
            if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY} or link.outlet.ended.is_set():
                break
            link.perform(link.session.receive(message.data, loop.time(), self._clock.now()))
        link.outlet.end(Close.NORMAL)

    async def _head(self, account: uuid.UUID) -> FeedHead | None:
        """Where the feed stands; None when the log does not say so in time."""
        try:
            async with asyncio.timeout(self._settings.welcome_timeout):
                head = await self._log.head(account)
        except (Unavailable, TimeoutError):
            return self._hub.heads.get(account)
        return self._hub.remember_head(account, head)

    def _is_full(self, account: uuid.UUID) -> bool:
        mine, most = self._hub.sessions_of(account), self._settings.max_account_sessions
        return mine >= most or len(self._hub.links) >= self._settings.max_sessions

    async def _close(self, response: web.WebSocketResponse, transport: asyncio.Transport, code: Close) -> None:
        try:
            async with asyncio.timeout(self._settings.close_timeout * 2):
                await response.close(code=code, message=CLOSES[code].text.encode()[:120])
        except TimeoutError:
            transport.abort()


def _shorten_buffer(transport: asyncio.Transport, size: int) -> None:
    """Default kernel buffers would hide a client's lag for seconds."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
