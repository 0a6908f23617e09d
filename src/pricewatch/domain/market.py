"""Markets and what venues print there. All times are integer microseconds since 1970, UTC."""

from __future__ import annotations

import enum
from decimal import Decimal

import msgspec


class Market(msgspec.Struct, frozen=True, gc=False):
    """One symbol on one venue."""

    id: int
    """Our number for it, given by the store, stable for ever."""
    venue: str
    symbol: str
    """Canonical `BASE-QUOTE`."""
    native: str
    """The venue's own name for it on the wire."""
    step: int = 1
    """The venue's time resolution in microseconds (1000 for a venue that prints milliseconds)."""

    @property
    def key(self) -> str:
        """`venue:BASE-QUOTE`, as users see it."""
        return f"{self.venue}:{self.symbol}"


class Side(enum.IntEnum):
    """Who took: the taker bought, sold, or the venue does not say."""

    SELL = -1
    UNKNOWN = 0
    BUY = 1


class Flag(enum.IntFlag):
    """What is known of a trade beyond its numbers; written once, with the row."""

    NONE = 0
    SUSPECT = 1
    LATE = 2
    """Arrived through a refill of a declared gap or outage."""
    HISTORY = 4
    """A venue's snapshot of its last trade at first subscription: stored, never evaluated."""


class Trade(msgspec.Struct, frozen=True, gc=False):
    """A print with the venue's identity."""

    market: int
    at: int
    """The venue's time, at the venue's own precision."""
    price: float
    size: float
    side: int
    key: int
    """63-bit identity: the venue's integer trade id, else a hash of its text id."""
    received: int
    """When the frame that carried it arrived here (wall clock)."""
    flags: int = 0
    ref: str | None = None
    """The venue's id as text, only where it is not the decimal form of `key`."""


class Quote(msgspec.Struct, frozen=True, gc=False):
    """A best bid and ask. No identity: conflated, and may be lost."""

    market: int
    at: int
    bid: float
    bid_size: float
    ask: float
    ask_size: float
    received: int


Tick = Trade | Quote


class Candle(msgspec.Struct, frozen=True, gc=False):
    """Open, high, low, close of `[at, at + span)`; times in microseconds."""

    market: int
    at: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int = 0


def decimal_text(value: float) -> str:
    """The shortest exact decimal text of a price or size, never with an exponent.

    Every venue prints at most 15 significant digits, so text -> float -> text keeps the number.
    """
    text = repr(value)
    if "e" in text or "E" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")
