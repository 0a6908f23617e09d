"""The aiohttp client as a Connector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp

from pricewatch.domain.errors import Unavailable
from pricewatch.ingest.transport.options import Options
from pricewatch.ingest.transport.refusal import refusal, shown
from pricewatch.ports.connection import Connection

_TEXT, _BINARY = aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY


class AiohttpConnector:
    """Opens connections with aiohttp."""

    def __init__(self, options: Options) -> None:
        self._options = options

    @asynccontextmanager
    async def connect(self, url: str) -> AsyncGenerator[Connection]:
        """As the port says."""
        options = self._options
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(timeout=timeout, headers={"User-Agent": options.user_agent}) as session:
            socket = await self._open(session, url)
            try:
                yield _Connection(socket)
            finally:
                await socket.close()

    async def _open(self, session: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse[bool]:
        options = self._options
        try:
            async with asyncio.timeout(options.open_timeout):
                return await session.ws_connect(
                    url,
                    timeout=aiohttp.ClientWSTimeout(ws_close=options.close_timeout),
                    heartbeat=2 * options.ping_interval or None,
                    compress=15 if options.compression else 0,
                    max_msg_size=options.max_frame,
                    decode_text=False,
                )
        except aiohttp.WSServerHandshakeError as error:
            raise refusal(error.status, error.headers or {}, url) from error
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise Unavailable(f"{shown(url)}: {str(error) or type(error).__name__}") from error


class _Connection:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._socket = socket

    async def receive(self) -> bytes | str:
        message = await self._socket.receive()
        kind = message.type
        if kind is _TEXT or kind is _BINARY:  # not a set: the hash of such an enum is a call of its own
            return message.data  # type: ignore[no-any-return]  # bytes: text is not decoded
        raise Unavailable(f"closed: {self._socket.close_code} {self._socket.exception() or ''}".strip())

    async def send(self, frame: str | bytes) -> None:
        try:
            if isinstance(frame, str):
                await self._socket.send_str(frame)
            else:
                await self._socket.send_bytes(frame)
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(str(error)) from error
