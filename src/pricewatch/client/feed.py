"""Follow a feed: connects, subscribes, reconnects and resumes where it stopped."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from pricewatch.domain.errors import Refused

_NEVER = frozenset({400, 401, 403, 404})
_NEVER_AGAIN = frozenset({1009, 4001, 4009})
"""Close codes after which the same client must not come back: too big a frame, key revoked, abuse."""


class Feed:
    """Messages of `/ws/v1` as dictionaries; signals resume by `(epoch, seq)` after a lost connection."""

    def __init__(
        self, url: str, key: str, *, symbols: Sequence[str] = ("*",), channels: Sequence[str] = ("ticker", "signals")
    ) -> None:
        self._url = url
        self._key = key
        self._symbols = list(symbols)
        self._channels = list(channels)
        self._cursor: dict[str, int] | None = None
        self.pause_first = 0.25
        self.pause_cap = 15.0
        self.forgive_after = 5.0

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Every frame, for ever; `{"type": "lost", ...}` marks the time without a connection.

        The pause between tries grows until a connection has lived for `forgive_after` seconds.

        Raises `Refused` when the server will never take us (wrong key, wrong address, a key that was revoked).
        """
        loop = asyncio.get_running_loop()
        pause = self.pause_first
        while True:
            begun = loop.time()
            try:
                async with connect(
                    self._url,
                    additional_headers={"Authorization": f"Bearer {self._key}"},
                    proxy=None,
                    max_size=8 * 2**20,
                ) as socket:
                    await self._subscribe(socket)
                    async for frame in socket:
                        message = _object(frame)
                        self._remember(message)
                        yield message
                reason = _farewell(socket.close_code, socket.close_reason)
            except ConnectionClosed as error:
                reason = _farewell(*(error.rcvd.code, error.rcvd.reason) if error.rcvd else (None, str(error)))
            except InvalidStatus as error:
                status = error.response.status_code
                if status in _NEVER:
                    raise Refused(f"{self._url} answered {status}: check the address and the key") from error
                reason = f"HTTP {status}"
            except (OSError, TimeoutError, WebSocketException) as error:
                reason = str(error) or type(error).__name__
            if loop.time() - begun >= self.forgive_after:
                pause = self.pause_first
            wait = random.uniform(0, pause)
            yield {"type": "lost", "reason": reason, "retry_in": wait}
            await asyncio.sleep(wait)
            pause = min(pause * 2, self.pause_cap)

    async def _subscribe(self, socket: ClientConnection) -> None:
        for number, channel in enumerate(self._channels, 1):
            params: dict[str, Any] = {"channel": channel, "symbols": self._symbols}
            if channel == "signals" and self._cursor is not None:
                params["after"] = self._cursor
            await socket.send(json.dumps({"method": "subscribe", "params": params, "req_id": number}))

    def _remember(self, message: dict[str, Any]) -> None:
        epoch, seq = message.get("epoch"), message.get("seq")
        if isinstance(epoch, int) and isinstance(seq, int):
            self._cursor = {"epoch": epoch, "seq": seq}


def _object(frame: str | bytes) -> dict[str, Any]:
    """A frame's JSON object; raises `Refused` for anything else: that is no pricewatch."""
    try:
        message = json.loads(frame)
    except ValueError as error:
        raise Refused(f"the server does not speak the feed's protocol: {error}") from error
    if not isinstance(message, dict):
        raise Refused("the server does not speak the feed's protocol")
    return message


def _farewell(code: int | None, words: str | None) -> str:
    """Why the connection ended; raises `Refused` when it must not be opened again."""
    reason = f"closed: {code or ''} {words or ''}".strip()
    if code in _NEVER_AGAIN:
        raise Refused(f"the server ended this for good ({reason})")
    return reason
