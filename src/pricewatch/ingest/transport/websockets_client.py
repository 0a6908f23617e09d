"""The `websockets` library as a Connector."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.ingest.transport.options import Options
from pricewatch.ingest.transport.refusal import refusal, shown
from pricewatch.ports.connection import Connection

_QUEUE = 256
"""Frames the library may read ahead before it stops reading the socket."""


class WebsocketsConnector:
    """Opens connections with the `websockets` library."""

    def __init__(self, options: Options) -> None:
        self._options = options

    @asynccontextmanager
    async def connect(self, url: str) -> AsyncGenerator[Connection]:
        """As the port says."""
        socket = await self._open(url)
        try:
            yield _Connection(socket)
        finally:
            await socket.close()

    async def _open(self, url: str) -> ClientConnection:
        options = self._options
        try:
            return await connect(
                url,
                open_timeout=options.open_timeout,
                close_timeout=options.close_timeout,
                ping_interval=options.ping_interval or None,
                ping_timeout=options.ping_interval or None,
                compression="deflate" if options.compression else None,
                max_size=options.max_frame,
                max_queue=_QUEUE,
                proxy=None,
                user_agent_header=options.user_agent,
            )
        except InvalidStatus as error:
            raise refusal(error.response.status_code, error.response.headers, url) from error
        except (OSError, TimeoutError, EOFError, ValueError, WebSocketException) as error:
            raise Unavailable(f"{shown(url)}: {str(error) or type(error).__name__}") from error


class _Connection:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def receive(self) -> bytes | str:
        try:
            return await self._socket.recv(decode=False)
        except ConnectionClosed as error:
            raise Unavailable(str(error)) from error
        except WebSocketException as error:
            raise Refused(str(error)) from error

    async def send(self, frame: str | bytes) -> None:
        try:
            await self._socket.send(frame)
        except ConnectionClosed as error:
            raise Unavailable(str(error)) from error
