"""One connection to the feed, with every way it can end named by what to do about it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

from pricewatch.client.errors import NotPricewatch, Unauthorized
from pricewatch.client.options import Options
from pricewatch.domain.errors import Refused

_STATUS = {400: NotPricewatch, 404: NotPricewatch, 405: NotPricewatch, 426: NotPricewatch}
_STATUS_KEY = frozenset({401, 403})
_KEY_REVOKED = 4001
_NEVER_AGAIN = frozenset({1009, 4009})
"""Close codes after which the same client must not come back: too big a frame, abuse."""


class Gone(Exception):  # noqa: N818 - named by what it is
    """The connection is no more; another may be tried, not before `retry_after` seconds where the server said so."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Connection:
    """Every method raises `Gone`, or `Refused` when there is no use in coming back."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._opened = asyncio.get_running_loop().time()

    @classmethod
    async def open(cls, url: str, key: str, options: Options) -> Connection:
        """Connect with the key in a header."""
        try:
            socket = await connect(
                url,
                additional_headers={"Authorization": f"Bearer {key}"},
                proxy=None,
                compression="deflate" if options.deflate else None,
                max_size=8 * 2**20,
                open_timeout=options.open_timeout,
                close_timeout=options.close_timeout,
            )
        except InvalidStatus as error:
            raise _refusal(url, error) from error
        except InvalidURI as error:
            raise NotPricewatch(f"{url!r} is no address; write for example ws://127.0.0.1:8080/ws/v1") from error
        except (OSError, TimeoutError, InvalidHandshake, WebSocketException) as error:
            raise Gone(str(error) or type(error).__name__) from error
        return cls(socket)

    def lived(self) -> float:
        """Seconds since it opened."""
        return asyncio.get_running_loop().time() - self._opened

    async def receive(self, within: float) -> str | bytes:
        """The next frame; a server that says nothing for `within` seconds is gone."""
        try:
            async with asyncio.timeout(within):
                return await self._socket.recv()
        except TimeoutError as error:
            raise Gone(f"not a word for {within:g} s") from error
        except ConnectionClosed as error:
            raise _farewell(error) from error

    async def send(self, method: str, params: Mapping[str, Any], req_id: int) -> None:
        """One request."""
        try:
            await self._socket.send(json.dumps({"method": method, "params": params, "req_id": req_id}))
        except ConnectionClosed as error:
            raise _farewell(error) from error

    async def close(self) -> None:
        """Say goodbye; who does not answer in time is cut."""
        await self._socket.close()


def _refusal(url: str, error: InvalidStatus) -> Exception:
    status = error.response.status_code
    if status in _STATUS_KEY:
        return Unauthorized(f"{url} answered {status}: the key is unknown, expired or revoked, or may not do this")
    if status in _STATUS:
        return NotPricewatch(f"{url} answered {status}: check the address")
    wait = error.response.headers.get("Retry-After", "")
    return Gone(f"HTTP {status}", float(wait) if wait.isdecimal() else None)


def _farewell(error: ConnectionClosed) -> Exception:
    """Why it ended, and whether it may be opened again."""
    if error.rcvd is None:
        return Gone(str(error))
    code, words = error.rcvd.code, f"closed: {error.rcvd.code} {error.rcvd.reason}".strip()
    if code == _KEY_REVOKED:
        return Unauthorized(f"the server ended this for good ({words})")
    if code in _NEVER_AGAIN:
        return Refused(f"the server ended this for good ({words})")
    return Gone(words)
