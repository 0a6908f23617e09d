"""Canonical symbols: `BASE-QUOTE`, whatever a venue calls the coin."""

from __future__ import annotations

from pricewatch.domain.errors import Invalid

ALIASES = {"XBT": "BTC", "XDG": "DOGE"}
_LEG = 32


def canonical(symbol: str) -> str:
    """`XBT/USD`, `btc-usd` or `BTC_USD` -> `BTC-USD`; raises `Invalid` for what is not two names."""
    legs = symbol.strip().upper().replace("/", "-").replace("_", "-").split("-")
    if len(legs) != 2 or not all(leg.isalnum() and len(leg) <= _LEG for leg in legs):
        raise Invalid("symbol", f"{symbol[:80]!r} is not BASE-QUOTE; write for example 'BTC-USD'")
    return "-".join(ALIASES.get(leg, leg) for leg in legs)


def split(symbol: str) -> tuple[str, str]:
    """Base and quote of a canonical symbol."""
    base, _, quote = symbol.partition("-")
    return base, quote
