"""The client: streams of signals from one service under one key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Literal, Self

from pricewatch.client.cursors import Cursors, MemoryCursors
from pricewatch.client.follower import OnLost, Query, Start, strings
from pricewatch.client.health import Health
from pricewatch.client.options import Options
from pricewatch.client.signals import Signals

DEFAULT_URL = "ws://127.0.0.1:8080/ws/v1"


class Client:
    """Opens streams; leaving it closes them.

    `cursors` keeps the place of streams without a named consumer; by default only as long as the program runs.
    """

    def __init__(
        self, key: str, url: str = DEFAULT_URL, *, cursors: Cursors | None = None, options: Options | None = None
    ) -> None:
        self._key = key
        self._url = url
        self._cursors = cursors or MemoryCursors()
        self._options = options or Options()
        self._streams = AsyncExitStack()

    def signals(
        self,
        *symbols: str,
        consumer: str | None = None,
        channel: Literal["signals", "system"] = "signals",
        rules: Iterable[object] = (),
        severities: Iterable[str] = (),
        kinds: Iterable[str] = (),
        start: Start = "newest",
        on_lost: OnLost = "raise",
        ack: Literal["auto", "manual"] = "auto",
        ack_wait: float | None = None,
        max_in_flight: int | None = None,
        name: str | None = None,
        on_health: Callable[[Health], None] | None = None,
    ) -> Signals:
        """Signals of these symbols (`BTC-USD`, `coinbase:BTC-USD`; all where none is named), for ever.

        With `consumer` the server keeps the place, hands each signal to one of those who share the name, and again
        after `ack_wait` seconds to another unless it is acknowledged. Without it the place is kept in the client's
        cursors under `name` (the channel by default). `start` counts where nothing is kept yet; `on_lost` says what to
        do when signals are gone that were not handed out. With `ack="auto"` a signal is handled when the loop asks for
        the next one; with `"manual"` only by `ack`. `on_health` is called when it turns blind or sees again.
        """
        query = Query(
            channel=channel,
            symbols=symbols or ("*",),
            rules=strings(rules),
            severities=strings(severities),
            kinds=strings(kinds),
            consumer=consumer,
            ack_wait=ack_wait,
            max_in_flight=max_in_flight,
            start=start,
            on_lost=on_lost,
        )
        stream = Signals(
            self._url,
            self._key,
            query,
            cursors=self._cursors,
            name=name or channel,
            manual=ack == "manual",
            options=self._options,
            on_health=on_health,
        )
        self._streams.push_async_callback(stream.aclose)
        return stream

    async def aclose(self) -> None:
        """Close every stream."""
        await self._streams.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
