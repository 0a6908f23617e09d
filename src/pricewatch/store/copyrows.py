"""Ticks as the very bytes of a binary COPY, and back."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from pricewatch.domain.market import Quote, Trade

EPOCH_2000 = 946_684_800_000_000
"""PostgreSQL counts microseconds from here."""
HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"

_TRADE = struct.Struct(">hiqiqiiididihiqiqihi")
_QUOTE = struct.Struct(">hiqiqiiididididiq")
_LENGTH = struct.Struct(">i")
_NULL = -1


class Table(NamedTuple):
    """A table as rows are packed for it."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    identity: str


TRADES = Table(
    "trade",
    ("ts", "seen", "instrument_id", "price", "size", "side", "trade_id", "recv_ts", "flags", "ref"),
    ("timestamptz", "int8", "int4", "float8", "float8", "int2", "int8", "timestamptz", "int2", "text"),
    "instrument_id, ts, trade_id",
)
QUOTES = Table(
    "quote",
    ("ts", "seen", "instrument_id", "bid", "bid_size", "ask", "ask_size", "recv_ts"),
    ("timestamptz", "int8", "int4", "float8", "float8", "float8", "float8", "timestamptz"),
    "instrument_id, ts, seen",
)


class Place(NamedTuple):
    """What a packed row says of itself: venue time with its tie-break, order and market."""

    ts: int
    seen: int
    market: int


def pack_trade(trade: Trade, seen: int, step: int) -> bytes:
    """One row. Raises `struct.error` for numbers that no column holds, `UnicodeEncodeError` for a ref that is no text.

    Within a unit of the venue's clock the row's `ts` is told apart by the key.
    """
    at = trade.at - EPOCH_2000
    ref = trade.ref
    encoded = None if ref is None else ref.encode()
    row = _TRADE.pack(
        10, 8, at if step == 1 else at + trade.key % step, 8, seen, 4, trade.market, 8, trade.price, 8, trade.size,
        2, trade.side, 8, trade.key, 8, trade.received - EPOCH_2000, 2, trade.flags,
        _NULL if encoded is None else len(encoded),
    )  # fmt: skip
    return row if encoded is None else row + encoded


def pack_quote(quote: Quote, seen: int) -> bytes:
    """One row; raises as `pack_trade`."""
    return _QUOTE.pack(
        8, 8, quote.at - EPOCH_2000, 8, seen, 4, quote.market, 8, quote.bid, 8, quote.bid_size,
        8, quote.ask, 8, quote.ask_size, 8, quote.received - EPOCH_2000,
    )  # fmt: skip


def rows(table: Table, payload: bytes) -> Iterator[bytes]:
    """The rows one by one."""
    size = _TRADE.size if table is TRADES else _QUOTE.size
    start = 0
    while start < len(payload):
        end = start + size
        if table is TRADES:
            end += max(0, _LENGTH.unpack_from(payload, end - 4)[0])
        yield payload[start:end]
        start = end


def spans(payload: bytes | bytearray) -> dict[int, tuple[int, int]]:
    """Of packed trades, by market: the earliest and the latest `ts`."""
    found: dict[int, tuple[int, int]] = {}
    for row in rows(TRADES, bytes(payload)):
        at, _, market = place(row)
        first, last = found.get(market, (at, at))
        found[market] = (min(first, at), max(last, at))
    return found


_PLACE = struct.Struct(">2x4xq4xq4xi")


def place(row: bytes | bytearray) -> Place:
    """Of a row of either table."""
    ts, seen, market = _PLACE.unpack_from(row)
    return Place(ts + EPOCH_2000, seen, market)
