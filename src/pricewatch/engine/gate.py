"""The gate: what no later stage ever has to look at. Bad numbers are named, never mended."""

from __future__ import annotations

import enum

import msgspec

from pricewatch.domain.market import Tick, Trade

EARLIEST = 1_230_768_000_000_000
"""2009-01-01: before it nothing traded that concerns us."""

_MIN_PRICE = 1e-15
_MAX_PRICE = 1e15
_MIN_SIZE = 1e-18
_MAX_SIZE = 1e18
"""What the tables take, and far beyond what trades: no exponent is more than these."""
_MAX_KEY = 2**63
_MAX_REF = 128


class Reason(enum.StrEnum):
    """Why a tick was refused; the closed set of labels counters use."""

    MALFORMED = "malformed"
    NUMBER = "number"
    """A number longer than any venue prints, refused before it was converted."""
    MARKET = "unknown_market"
    PRICE = "price"
    SIZE = "size"
    TOO_OLD = "too_old"
    AHEAD = "ahead"
    KEY = "key"


class Limits(msgspec.Struct):
    """What the gate lets through; times in microseconds."""

    markets: frozenset[int]
    ahead: int = 5_000_000
    """How far `at` may lie ahead of `now`, after the venue's measured skew."""
    skew: int = 0
    """How far the venue's clock is ahead of ours, as measured; never negative."""
    earliest: int = EARLIEST


def check(tick: Tick, now: int, limits: Limits) -> Reason | None:  # noqa: C901 - a branch a reason, no call between
    """Why the tick must not pass, or None. NaN fails every comparison and so every range."""
    if tick.market not in limits.markets:
        return Reason.MARKET
    if isinstance(tick, Trade):
        if not _MIN_PRICE <= tick.price < _MAX_PRICE:
            return Reason.PRICE
        if not _MIN_SIZE <= tick.size < _MAX_SIZE:
            return Reason.SIZE
        if not 0 <= tick.key < _MAX_KEY or not (tick.ref is None or _storable(tick.ref)):
            return Reason.KEY
    else:
        if not (_MIN_PRICE <= tick.bid < _MAX_PRICE and _MIN_PRICE <= tick.ask < _MAX_PRICE):
            return Reason.PRICE
        if not (0.0 <= tick.bid_size < _MAX_SIZE and 0.0 <= tick.ask_size < _MAX_SIZE):
            return Reason.SIZE
    if tick.at < limits.earliest:
        return Reason.TOO_OLD
    return Reason.AHEAD if tick.at - now > limits.ahead + limits.skew else None


def _storable(ref: str) -> bool:
    """NUL bytes and lone surrogates are no text that can be stored."""
    return 0 < len(ref) <= _MAX_REF and ref.isprintable()
