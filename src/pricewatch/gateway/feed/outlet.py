"""One client's way out: written at once while it keeps up, queued within a bound while it lags."""

from __future__ import annotations

import asyncio
from collections import deque

from aiohttp import web

from pricewatch.gateway.feed.codes import Close
from pricewatch.gateway.feed.framing import Message

_BATCH = 65_536


class Outlet:
    """A bounded queue in front of one socket; `ended` is set with `code` when the client cannot be served on."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        *,
        messages: int,
        size: int,
        stall_timeout: float,
        deflates: bool = False,
    ) -> None:
        self.ended = asyncio.Event()
        self.code = Close.NORMAL
        self.sent = 0
        self._socket = socket
        self._transport = transport
        self._queue: deque[Message] = deque()
        self._frames = 0
        self._bytes = 0
        self._max_frames = messages
        self._max_bytes = size
        self._stall_timeout = stall_timeout
        self._deflates = deflates
        self._work = asyncio.Event()
        # With no high water mark the protocol is "paused" exactly while the kernel's buffer is full.
        transport.set_write_buffer_limits(high=0)

    def is_idle(self) -> bool:
        """Everything so far has gone to the kernel."""
        return not self._queue and not self._transport.get_write_buffer_size() and not self.ended.is_set()

    def is_exceeded_by(self, message: Message) -> bool:
        """Whether this alone is more than the bound."""
        return message.frames > self._max_frames or len(message.data) > self._max_bytes

    def send(self, message: Message) -> bool:
        """Write it now or queue it. Beyond the bound the outlet ends with `TOO_SLOW`. False when it did not go out."""
        if self.ended.is_set():
            return False
        waiting = self._transport.get_write_buffer_size()
        if not waiting and not self._queue:
            return self._write(message)
        size = len(message.data)
        if self._frames + message.frames > self._max_frames or waiting + self._bytes + size > self._max_bytes:
            self.end(Close.TOO_SLOW)
            return False
        self._queue.append(message)
        self._frames += message.frames
        self._bytes += size
        self._work.set()
        return True

    def end(self, code: Close) -> None:
        """Nothing more goes out; the first code stays."""
        if not self.ended.is_set():
            self.code = code
            self._let_go()
            self.ended.set()

    async def run(self) -> None:
        """Empty the queue as fast as the client takes it, until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._queue:
                await self.drained()
                written = 0
                while self._queue and written < _BATCH:
                    message = self._queue.popleft()
                    self._frames -= message.frames
                    self._bytes -= len(message.data)
                    written += len(message.data)
                    if not self._write(message) and message.landed is not None:
                        message.landed()

    async def drained(self) -> None:
        """Return when the kernel has taken all that was written; end the outlet when it takes nothing for too long."""
        if not self._transport.get_write_buffer_size():
            return
        try:
            async with asyncio.timeout(self._stall_timeout):
                # Awaiting an unsolicited pong (ignored by every client) is aiohttp's public way to await the buffer.
                await self._socket.pong()
        except TimeoutError:
            self.end(Close.TOO_SLOW)
        except ConnectionError:
            self.end(Close.NORMAL)

    async def cleared(self) -> None:
        """Return when nothing is queued or buffered, or the outlet has ended."""
        while not self.is_idle() and not self.ended.is_set():
            await self.drained()
            await asyncio.sleep(0)

    def _write(self, message: Message) -> bool:
        if self._transport.is_closing():
            self.end(Close.NORMAL)
            return False
        self._transport.write(message.deflated() if self._deflates else message.data)
        self.sent += message.frames
        if message.landed is not None:
            message.landed()
        return True

    def _let_go(self) -> None:
        for message in self._queue:
            if message.landed is not None:
                message.landed()
        self._queue.clear()
        self._frames = self._bytes = 0
