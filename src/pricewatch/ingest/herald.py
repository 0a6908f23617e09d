"""Tells the system feed, however long the store is away, in order, without ever holding up who has something to say."""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.signal import Signal
from pricewatch.ports.journal import SignalSink, SystemFeed

log = structlog.get_logger(__name__)

_MOST = 10_000
"""Signals that may wait for the store; then the oldest are given up, counted."""
_BATCH = 200


class Herald:
    """A bounded queue and one writer."""

    def __init__(
        self,
        feed: SystemFeed,
        sink: SignalSink,
        *,
        mail: bool = False,
        retry: float = 1.0,
        most: int = _MOST,
    ) -> None:
        self.lost = 0
        self._feed = feed
        self._sink = sink
        self._mail = mail
        self._retry = retry
        self._most = most
        self._waiting: deque[Signal] = deque()
        self._due = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Signals not committed yet."""
        return len(self._waiting)

    def tell(self, signal: Signal) -> None:
        """Say it soon."""
        if len(self._waiting) >= self._most:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(signal)
        self._due.set()

    async def run(self) -> None:
        """Until cancelled."""
        away = False
        while True:
            await self._due.wait()
            self._due.clear()
            while self._waiting:
                some = list(self._waiting)[:_BATCH]
                try:
                    entries = await self._feed.append(some, mail=self._mail)
                except Unavailable as error:
                    if not away:
                        log.warning("system_feed.away", error=str(error))
                    away = True
                    await asyncio.sleep(self._retry)
                    continue
                away = False
                for signal in some:  # the oldest may have been given up meanwhile
                    if self._waiting and self._waiting[0] is signal:
                        self._waiting.popleft()
                if entries:
                    self._sink.committed(entries)
