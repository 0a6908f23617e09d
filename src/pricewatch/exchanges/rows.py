"""Rows in frames and pages: one that cannot be used does not take the others with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Annotated, Literal, TypeVar

import msgspec

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Market, Quote
from pricewatch.exchanges.base import IGNORED, UNUSABLE, CandleRequest, Ignored, text_key, within

RowT = TypeVar("RowT")
Key = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A trade id that is a number."""
Ident = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
"""A trade id as text."""
Millis = Annotated[int, msgspec.Meta(ge=0, le=10**14)]
"""Milliseconds since 1970."""
Best = float | Literal[""] | None
"""A price or size of a book that may have no orders on that side."""


class Kline(msgspec.Struct, gc=False, array_like=True):
    """A minute as several venues write it: open ms, open, high, low, close, base volume, and more."""

    at: Millis
    open: float
    high: float
    low: float
    close: float
    volume: float


_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


def decoded(decode: Callable[[bytes], RowT], body: bytes, unusable: type[BadData] = BadData) -> RowT:
    """What `decode` reads; raises `unusable` where it does not."""
    try:
        return decode(body)
    except UNUSABLE as error:
        raise unusable("malformed", str(error)) from error


def identity(text: str) -> tuple[int, str | None]:
    """Key and reference of a trade id: its number where it is one that fits, else a key for the text."""
    if len(text) < 20 and text.isascii() and text.isdigit() and (key := int(text)) < 2**63 and text[0] != "0":
        return key, None
    return text_key(text), text


def salvaged(array: bytes, decode: Callable[[msgspec.Raw], RowT]) -> tuple[list[RowT], int]:
    """The rows of a JSON array that `decode` reads, and how many it does not.

    Raises one of `UNUSABLE` where it is no array.
    """
    raws = _decode_array(array)
    rows: list[RowT] = []
    for raw in raws:
        with suppress(*UNUSABLE):
            rows.append(decode(raw))
    return rows, len(raws) - len(rows)


def minutes(request: CandleRequest, rows: Iterable[Kline]) -> list[Candle]:
    """The candles asked for, oldest first."""
    number = request.market.id
    return within(
        [Candle(number, row.at * 1000, row.open, row.high, row.low, row.close, row.volume) for row in rows], request
    )


def best(
    market: Market, at: int, bid: Best, bid_size: Best, ask: Best, ask_size: Best, received: int
) -> Quote | Ignored:
    """The quote of `at` (µs); ignored where a side has no orders, which is nothing wrong."""
    if not (
        isinstance(bid, float)
        and isinstance(bid_size, float)
        and isinstance(ask, float)
        and isinstance(ask_size, float)
    ):
        return IGNORED
    return Quote(market.id, at, bid, bid_size, ask, ask_size, received)
