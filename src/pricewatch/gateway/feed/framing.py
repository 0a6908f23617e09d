"""WebSocket frames made once for all who get them, as they are and deflated."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

WINDOW = 12
"""Bits of the deflate window, as clients ask for who spare memory. Who asks for less gets frames as they are."""
_SMALL = 128
_TAIL = b"\x00\x00\xff\xff"


def framed(payload: bytes) -> bytes:
    """A WebSocket text frame as a server sends it (RFC 6455: one piece, no mask)."""
    return _head(0x81, len(payload)) + payload


def deflated(payload: bytes) -> bytes:
    """The same by RFC 7692, without a context of earlier frames: any client that negotiated deflate can read it."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -WINDOW)
    packed = (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_TAIL)
    return _head(0xC1, len(packed)) + packed if len(packed) < len(payload) else framed(payload)


class Message:
    """One or more text frames. `landed` is called when they are written."""

    __slots__ = ("_deflated", "data", "frames", "landed")

    def __init__(self, data: bytes, frames: int = 1, landed: Callable[[], None] | None = None) -> None:
        self.data = data
        self.frames = frames
        self.landed = landed
        self._deflated: bytes | None = None

    def deflated(self) -> bytes:
        """Deflated frame by frame at the first asking; short frames stay as they are."""
        if self._deflated is None:
            self._deflated = b"".join(
                framed(payload) if len(payload) < _SMALL else deflated(payload) for payload in payloads(self.data)
            )
        return self._deflated


def payloads(data: bytes) -> list[bytes]:
    """What `framed` had put into frames."""
    found, at = [], 0
    while at < len(data):
        size, begin = data[at + 1], at + 2
        if size == 126:
            size, begin = struct.unpack_from(">H", data, begin)[0], begin + 2
        elif size == 127:
            size, begin = struct.unpack_from(">Q", data, begin)[0], begin + 8
        at = begin + size
        found.append(data[begin:at])
    return found


def _head(kind: int, size: int) -> bytes:
    if size < 126:
        return bytes((kind, size))
    if size < 65_536:
        return struct.pack(">BBH", kind, 126, size)
    return struct.pack(">BBQ", kind, 127, size)
