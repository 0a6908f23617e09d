"""The same streams for programs without asyncio: an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from pricewatch.client.client import DEFAULT_URL, Client
from pricewatch.client.cursors import Cursors
from pricewatch.client.health import Health
from pricewatch.client.options import Options
from pricewatch.client.signal import Signal
from pricewatch.client.signals import Signals

T = TypeVar("T")


class BlockingSignals:
    """Iterate over it as over `Signals`."""

    def __init__(self, stream: Signals, client: BlockingClient) -> None:
        self._stream = stream
        self._client = client

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Signal:
        """Blocks until there is one."""
        try:
            return self._client.run(self._stream.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def ack(self, signal: Signal) -> None:
        """As `Signals.ack`."""
        self._client.run(self._stream.ack(signal))

    def nack(self, signal: Signal, delay: float = 0.0) -> None:
        """As `Signals.nack`."""
        self._client.run(self._stream.nack(signal, delay))

    def extend(self, signal: Signal, seconds: float | None = None) -> None:
        """As `Signals.extend`."""
        self._client.run(self._stream.extend(signal, seconds))

    def close(self) -> None:
        """As `Signals.aclose`."""
        self._client.run(self._stream.aclose())

    @property
    def health(self) -> Health:
        """As `Signals.health`."""
        return self._client.run(_health(self._stream))

    @property
    def lost_leases(self) -> int:
        """As `Signals.lost_leases`."""
        return self._stream.lost_leases


class BlockingClient:
    """As `Client`, in a `with`."""

    def __init__(
        self, key: str, url: str = DEFAULT_URL, *, cursors: Cursors | None = None, options: Options | None = None
    ) -> None:
        self._client = Client(key, url, cursors=cursors, options=options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pricewatch.client", daemon=True)

    def signals(self, *symbols: str, **how: Any) -> BlockingSignals:
        """As `Client.signals`, with the same arguments; `on_health` is called in the client's thread."""
        return BlockingSignals(self._client.signals(*symbols, **how), self)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it in the client's thread and wait for it; an interrupt here ends it there."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _health(stream: Signals) -> Health:
    return stream.health
