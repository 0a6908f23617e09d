"""Ticks and feed entries as msgpack, for the way between processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import msgspec

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Quote, Tick, Trade
from pricewatch.domain.signal import FeedEntry


class _TradeRow(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=1):
    market: int
    at: int
    price: float
    size: float
    side: int
    key: int
    received: int
    flags: int = 0
    ref: str | None = None


class _QuoteRow(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=2):
    market: int
    at: int
    bid: float
    bid_size: float
    ask: float
    ask_size: float
    received: int


_encoder = msgspec.msgpack.Encoder()
_ticks = msgspec.msgpack.Decoder(list[_TradeRow | _QuoteRow])
_entry = msgspec.msgpack.Decoder(FeedEntry)
_messages = msgspec.msgpack.Decoder(list[bytes])


def pack_ticks(ticks: Sequence[Tick]) -> bytes:
    """Trades and quotes in their order, as one message."""
    return _encoder.encode([_row(tick) for tick in ticks])


def unpack_ticks(message: bytes) -> list[Tick]:
    """What `pack_ticks` packed; raises `BadData` for anything else."""
    try:
        return [_tick(row) for row in _ticks.decode(message)]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadData("bus_ticks", str(error)) from error


def pack_entry(entry: FeedEntry) -> bytes:
    """One committed signal with its place in the feed, as one message."""
    return _encoder.encode(entry)


def unpack_entry(message: bytes) -> FeedEntry:
    """What `pack_entry` packed; raises `BadData` for anything else."""
    try:
        return _entry.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadData("bus_entry", str(error)) from error


def pack_messages(messages: Sequence[bytes]) -> bytes:
    """Messages flushed together, as the payload of one bus entry."""
    return _encoder.encode(messages)


def unpack_messages(payload: bytes) -> list[bytes]:
    """What `pack_messages` packed; raises `BadData` for anything else."""
    try:
        return _messages.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadData("bus_payload", str(error)) from error


def _row(tick: Tick) -> _TradeRow | _QuoteRow:
    match tick:
        case Trade(market, at, price, size, side, key, received, flags, ref):
            return _TradeRow(market, at, price, size, side, key, received, flags, ref)
        case Quote(market, at, bid, bid_size, ask, ask_size, received):
            return _QuoteRow(market, at, bid, bid_size, ask, ask_size, received)
        case _:
            assert_never(tick)


def _tick(row: _TradeRow | _QuoteRow) -> Tick:
    if isinstance(row, _TradeRow):
        return Trade(
            row.market, row.at, row.price, row.size, row.side, row.key, row.received, flags=row.flags, ref=row.ref
        )
    return Quote(row.market, row.at, row.bid, row.bid_size, row.ask, row.ask_size, row.received)
