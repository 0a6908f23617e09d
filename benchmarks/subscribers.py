"""`python -m benchmarks.subscribers PORT KEY COUNT`: many readers of the signals channel in one cheap process.

They count frames without decoding them, so that the readers do not weigh on the machine they share with the service;
the last to join decodes its own for the latency.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
import sys
import time
from datetime import UTC, datetime

import msgspec


class _Signal(msgspec.Struct):
    received: datetime


class _Frame(msgspec.Struct):
    type: str
    data: _Signal | None = None


class Reader(asyncio.Protocol):
    """One subscriber: upgrades, subscribes, counts."""

    def __init__(self, key: str, ready: asyncio.Semaphore, latencies: list[float] | None) -> None:
        self.signals = self.start = self.seq = 0
        self.is_refused = False
        self._key = key
        self._ready = ready
        self._latencies = latencies
        self._buffer = bytearray()
        self._upgraded = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(
            b"GET /ws/v1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(os.urandom(16)) + b"\r\n"
            b"Authorization: Bearer " + self._key.encode() + b"\r\n\r\n"
        )

    def connection_lost(self, exc: Exception | None) -> None:
        sys.stderr.write(f"a subscriber was closed: {exc}\n")

    def data_received(self, data: bytes) -> None:
        now = time.time_ns()
        buffer = self._buffer
        buffer += data
        if not self._upgraded:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not buffer.startswith(b"HTTP/1.1 101"):
                self.is_refused = True
                self._ready.release()
                return
            del buffer[: end + 4]
            self._upgraded = True
            ask = {"method": "subscribe", "params": {"channel": "signals", "symbols": ["*"]}, "req_id": 1}
            self._send(0x1, json.dumps(ask).encode())
        start = 0
        while (found := self._next(start)) is not None:
            kind, begin, start = found
            self._take(kind, bytes(buffer[begin:start]), now)
        if start:
            del buffer[:start]

    def _next(self, start: int) -> tuple[int, int, int] | None:
        """Kind, begin and end of the next whole frame."""
        buffer = self._buffer
        if len(buffer) < start + 2:
            return None
        size, begin = buffer[start + 1] & 127, start + 2
        if size == 126:
            begin += 2
            if len(buffer) < begin:
                return None
            (size,) = struct.unpack_from(">H", buffer, begin - 2)
        elif size == 127:
            begin += 8
            if len(buffer) < begin:
                return None
            (size,) = struct.unpack_from(">Q", buffer, begin - 8)
        if len(buffer) < begin + size:
            return None
        return buffer[start] & 15, begin, begin + size

    def _take(self, kind: int, payload: bytes, now: int) -> None:
        if kind == 0x9:
            self._send(0xA, payload)
        elif kind == 0x1 and payload.startswith(b'{"type":"signal"'):
            self.signals += 1
            self.seq = _seq(payload)
            if self._latencies is not None:
                frame = msgspec.json.decode(payload, type=_Frame)
                if frame.data is not None:
                    self._latencies.append(now / 1e6 - 1000 * frame.data.received.astimezone(UTC).timestamp())
        elif kind == 0x1 and b'"snapshot"' in payload[:64]:
            self.start = self.seq = _seq(payload)
            self._ready.release()

    def _send(self, kind: int, payload: bytes) -> None:
        assert self._transport is not None
        size = len(payload)
        head = bytes((0x80 | kind, 0x80 | size)) if size < 126 else struct.pack(">BBH", 0x80 | kind, 0x80 | 126, size)
        self._transport.write(head + bytes(4) + payload)


def _seq(payload: bytes) -> int:
    at = payload.index(b'"seq":') + 6
    return int(payload[at : payload.index(b",", at)])


async def main(port: int, key: str, count: int) -> None:
    """Join, say so, and report what was read between the lines `begin` and `end` on stdin."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    readers = [await _join(port, key, latencies if number == count - 1 else None) for number in range(count)]
    _say({"ready": count})
    await loop.run_in_executor(None, sys.stdin.readline)
    latencies.clear()
    before = [reader.signals for reader in readers]
    await loop.run_in_executor(None, sys.stdin.readline)
    await asyncio.sleep(0.2)
    read = [reader.signals - one for reader, one in zip(readers, before, strict=True)]
    ordered = sorted(latencies) or [0.0]
    _say(
        {
            "signals": read[-1],
            "complete": all(reader.signals == reader.seq - reader.start > 0 for reader in readers),
            "p50_ms": ordered[round(0.5 * (len(ordered) - 1))],
            "p99_ms": ordered[round(0.99 * (len(ordered) - 1))],
            "worst_ms": ordered[-1],
        }
    )


async def _join(port: int, key: str, latencies: list[float] | None) -> Reader:
    """A subscriber with its snapshot; a service that is busy is asked again, as clients do."""
    for _ in range(20):
        ready = asyncio.Semaphore(0)
        loop = asyncio.get_running_loop()
        _, reader = await loop.create_connection(lambda: Reader(key, ready, latencies), "127.0.0.1", port)  # noqa: B023
        await ready.acquire()
        if not reader.is_refused:
            return reader
        await asyncio.sleep(0.5)
    raise RuntimeError("the service takes no subscribers")


def _say(words: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
