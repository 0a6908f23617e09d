"""Every frame of the feed as it comes, across reconnects: for what is shown rather than acted upon."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from pricewatch.client.connection import Connection, Gone
from pricewatch.client.errors import NotPricewatch
from pricewatch.client.options import Backoff, Options

_SILENCE = 15.0
_RESUMED = frozenset({"signals", "system"})


class Feed:
    """Messages of `/ws/v1` as dictionaries; signals resume by `(epoch, seq)` after a lost connection."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        symbols: Sequence[str] = ("*",),
        channels: Sequence[str] = ("ticker", "signals"),
        options: Options | None = None,
    ) -> None:
        self._url = url
        self._key = key
        self._symbols = list(symbols)
        self._channels = list(channels)
        self._places: dict[str, dict[str, int]] = {}
        self._options = options or Options()
        self._silence = _SILENCE
        self._asked_wait: float | None = None

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Every frame, for ever; `{"type": "lost", ...}` marks the time without a connection.

        Raises `Refused` when the server will never take us (wrong key, wrong address, a key that was revoked).
        """
        backoff = Backoff(self._options)
        while True:
            connection = None
            try:
                connection = await Connection.open(self._url, self._key, self._options)
                await self._subscribe(connection)
                while True:
                    message = _object(await connection.receive(self._silence))
                    self._remember(message)
                    yield message
            except Gone as gone:
                wait = max(backoff.after(connection.lived() if connection else 0.0), gone.retry_after or 0.0)
                wait, self._asked_wait = self._asked_wait if self._asked_wait is not None else wait, None
                yield {"type": "lost", "reason": gone.reason, "retry_in": wait}
                await asyncio.sleep(wait)
            finally:
                if connection is not None:
                    await connection.close()

    async def _subscribe(self, connection: Connection) -> None:
        for number, channel in enumerate(self._channels, 1):
            params: dict[str, Any] = {"channel": channel, "symbols": self._symbols}
            if channel in self._places:
                params["after"] = self._places[channel]
            try:
                await connection.send("subscribe", params, number)
            except Gone:
                return  # reading says so as well, after what the server had to say

    def _remember(self, message: dict[str, Any]) -> None:
        epoch, seq, channel = message.get("epoch"), message.get("seq"), message.get("channel")
        if isinstance(epoch, int) and isinstance(seq, int) and channel in _RESUMED:
            self._places[channel] = {"epoch": epoch, "seq": seq}
        elif message.get("type") == "going_away":
            self._asked_wait = float(message.get("reconnect_after", 0.0))
        elif message.get("type") == "welcome" and isinstance(message.get("limits"), dict):
            beat = message["limits"].get("heartbeat_seconds", _SILENCE / self._options.silence)
            self._silence = max(1.0, beat * self._options.silence)


def _object(frame: str | bytes) -> dict[str, Any]:
    """A frame's JSON object; raises `NotPricewatch` for anything else."""
    try:
        message = json.loads(frame)
    except ValueError as error:
        raise NotPricewatch(f"the server does not speak the feed's protocol: {error}") from error
    if not isinstance(message, dict):
        raise NotPricewatch("the server does not speak the feed's protocol")
    return message
