"""A WebSocket connection as ingest sees it, so that the client library can be swapped."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Connection(Protocol):
    """An open connection. Every method raises `Unavailable` once it is gone."""

    async def receive(self) -> bytes | str:
        """The next frame."""
        ...

    async def send(self, frame: str | bytes) -> None:
        """Send one frame."""
        ...


class Connector(Protocol):
    """Opens connections."""

    def connect(self, url: str) -> AbstractAsyncContextManager[Connection]:
        """Entering raises `Unavailable` (try again) or `Refused` (with a `retry_after` where the venue said one)."""
        ...
