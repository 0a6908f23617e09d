"""Rows in frames: one that cannot be used does not take the others with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Literal, TypeVar

import msgspec

from pricewatch.domain.market import Market, Quote
from pricewatch.exchanges.base import IGNORED, UNUSABLE, Ignored

RowT = TypeVar("RowT")
Key = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A trade id that is a number."""
Ident = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
"""A trade id as text."""
Millis = Annotated[int, msgspec.Meta(ge=0, le=10**14)]
"""Milliseconds since 1970."""
Best = float | Literal[""] | None
"""A price or size of a book that may have no orders on that side."""


_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


def salvaged(array: msgspec.Raw, decode: Callable[[msgspec.Raw], RowT]) -> tuple[list[RowT], int]:
    """The rows of a JSON array that `decode` reads, and how many it does not.

    Raises one of `UNUSABLE` where it is no array.
    """
    raws = _decode_array(array)
    rows: list[RowT] = []
    for raw in raws:
        with suppress(*UNUSABLE):
            rows.append(decode(raw))
    return rows, len(raws) - len(rows)


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
