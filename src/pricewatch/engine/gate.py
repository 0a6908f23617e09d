"""The gate: what no later stage ever has to look at. Bad numbers are named, never mended."""

from __future__ import annotations

import enum

import msgspec

from pricewatch.domain.market import Quote, Tick, Trade

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


def check(tick: Tick, now: int, limits: Limits) -> Reason | None:
    """Why the tick must not pass, or None. NaN fails every comparison and so every range."""
    if tick.market not in limits.markets:
        return Reason.MARKET
    problem = _trade(tick) if isinstance(tick, Trade) else _quote(tick)
    if problem is None and not limits.earliest <= tick.at <= now + limits.ahead + limits.skew:
        return Reason.TOO_OLD if tick.at < limits.earliest else Reason.AHEAD
    return problem


def _trade(trade: Trade) -> Reason | None:
    if not _MIN_PRICE <= trade.price < _MAX_PRICE:
        return Reason.PRICE
    if not _MIN_SIZE <= trade.size < _MAX_SIZE:
        return Reason.SIZE
    if not 0 <= trade.key < _MAX_KEY:
        return Reason.KEY
    ref = trade.ref
    if ref is not None and not (0 < len(ref) <= _MAX_REF and ref.isprintable()):
        return Reason.KEY  # NUL bytes and lone surrogates are no text that can be stored
    return None


def _quote(quote: Quote) -> Reason | None:
    if not (_MIN_PRICE <= quote.bid < _MAX_PRICE and _MIN_PRICE <= quote.ask < _MAX_PRICE):
        return Reason.PRICE
    if not (0.0 <= quote.bid_size < _MAX_SIZE and 0.0 <= quote.ask_size < _MAX_SIZE):
        return Reason.SIZE
    return None
