"""Frames no client should trust: nonsense of many kinds, and small ones that inflate enormously."""

from __future__ import annotations

import zlib
from functools import lru_cache
from random import Random

from pricewatch.simulator.wire import framed

_CHUNK = 1_048_576
_TEXTS = (
    b"",
    b"null",
    b"0",
    b'"',
    b"{",
    b'{"' + b"a" * 70_000 + b'":1}',
    b"[" * 100_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"price":' + b"9" * 5_000 + b"}",
    b'{"price":1e999999,"size":-0.0,"time":NaN}',
    b'{"type":"match","trade_id":"x","price":[],"size":{},"product_id":null,"time":-1}',
    b'{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":1,"p":"NaN","q":"1e400","T":1,"m":true}}',
    b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","price":"0x10","qty":-5,"trade_id":9e99}]}',
    b'{"channel":"\\ud800","symbol":"\\udfff"}',
    b'[0,"te",[1,2,3]]',
)


def garbage(rng: Random) -> bytes:
    """A framed message that makes no sense: a text of the list, its ruins, or random bytes in a binary frame."""
    kind = rng.random()
    if kind < 0.3:
        return framed(rng.randbytes(rng.randrange(1, 2_000)), binary=True)
    text = bytearray(rng.choice(_TEXTS))
    if kind < 0.6 and text:
        for _ in range(3):
            text[rng.randrange(len(text))] = rng.randrange(0x20, 0x7F)
    return framed(bytes(text))


@lru_cache(maxsize=2)
def bomb(size: int) -> bytes:
    """A framed compressed text of about a thousandth of `size`, which it has when inflated (whole MiB)."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    chunk = squeezer.compress(b" " * _CHUNK) + squeezer.flush(zlib.Z_FULL_FLUSH)
    # Blocks ended by a full flush know nothing of each other and may be repeated. RFC 7692, section 7.2.1: the last
    # four bytes of the flush are left off.
    return framed((chunk * (size // _CHUNK)).removesuffix(b"\x00\x00\xff\xff"), compressed=True)
