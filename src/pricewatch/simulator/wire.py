"""WebSocket frames as bytes (RFC 6455, section 5.2): written here once for all clients, not by a library for each."""

from __future__ import annotations

import struct

_TEXT, _BINARY, _COMPRESSED = 0x81, 0x82, 0x40


def framed(payload: bytes, *, binary: bool = False, compressed: bool = False) -> bytes:
    """An unmasked text or binary message of one frame; `compressed`: the payload is, by permessage-deflate."""
    size = len(payload)
    kind = (_BINARY if binary else _TEXT) | (_COMPRESSED if compressed else 0)
    if size < 126:
        return bytes((kind, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", kind, 126, size) + payload
    return struct.pack("!BBQ", kind, 127, size) + payload
