"""A market's price on the `ticker` channel."""

from __future__ import annotations

import msgspec


class TickerDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The last trade and the last best bid and ask of one market; null where none is known."""

    market: str
    venue: str
    symbol: str
    price: str | None = None
    size: str | None = None
    side: str | None = None
    trade_id: str | None = None
    at: str | None = None
    bid: str | None = None
    ask: str | None = None
    received: str | None = None
