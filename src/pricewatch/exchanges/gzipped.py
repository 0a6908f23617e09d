"""Frames that a venue compresses: inflated within a bound, and looked at as others are before they came."""

from __future__ import annotations

import zlib

from pricewatch.domain.errors import BadData
from pricewatch.exchanges.numbers import SHORT_FRAME, refuse_overlong

_GZIP = b"\x1f\x8b"
_SMALL = 1_000
"""Bytes of a frame that is inflated in one call, for deflate yields at most 1,032 times what goes in."""


def inflated(frame: bytes, most: int) -> bytes:
    """What a compressed frame holds; a plain one as it is.

    Raises `BadData` for what is torn, no gzip, or more than `most` bytes (or, of a small one, a megabyte), and
    `BadTrade` for a number longer than any venue prints: the frame's own length says nothing of that.
    """
    if not frame.startswith(_GZIP):
        return frame
    try:
        data = zlib.decompress(frame, 31, 2 * _SMALL) if len(frame) <= _SMALL else _within(frame, most)
    except zlib.error as error:
        raise BadData("malformed", f"not gzip: {error}") from error
    if len(data) > SHORT_FRAME:
        refuse_overlong(data)
    return data


def _within(frame: bytes, most: int) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    data = stream.decompress(frame, most)
    if not stream.eof:
        raise BadData("malformed", "a torn frame" if len(data) < most else f"inflates beyond {most} bytes")
    return data
