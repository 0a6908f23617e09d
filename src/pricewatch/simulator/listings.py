"""Which markets the simulated venues list, and how each venue names and rounds them."""

from __future__ import annotations

import math
import zlib

import msgspec

_PRICES = {"BTC": 64_900.0, "ETH": 3_490.0, "SOL": 149.6, "XRP": 0.5985, "DOGE": 0.1196, "LTC": 84.7, "ADA": 0.4485}
_QUOTES = ("USDT", "BUSD", "USDC", "TUSD", "FDUSD", "TRY", "RUB", "EUR", "GBP", "USD", "BTC", "ETH", "BNB")
_TURNOVER = 600.0  # a typical trade, in the quote currency


class Listing(msgspec.Struct, frozen=True):
    """One market of one simulated venue."""

    venue: str
    base: str
    quote: str
    native: str
    """The venue's own name on its WebSocket."""
    decimals: int
    """Decimals of a price."""
    lot: int
    """Decimals of a size."""
    price: float
    """Where a seeded market starts."""
    step: int
    """Time resolution in microseconds."""

    @property
    def symbol(self) -> str:
        """Canonical `BASE-QUOTE`."""
        return f"{self.base}-{self.quote}"

    @property
    def key(self) -> str:
        """`venue:BASE-QUOTE`."""
        return f"{self.venue}:{self.symbol}"

    @property
    def tick(self) -> float:
        """The smallest step of a price."""
        return float(f"1e-{self.decimals}")

    @property
    def inverse(self) -> bool:
        """A contract whose sizes are in USD."""
        return self.venue == "deribit" and "_" not in self.native

    @property
    def size(self) -> float:
        """A typical trade."""
        return _TURNOVER if self.inverse else _TURNOVER / self.price

    @property
    def level(self) -> float:
        """The next round price above the start."""
        step = 10.0 ** (math.floor(math.log10(self.price)) - 1)
        return round(math.ceil(self.price / step) * step, self.decimals)


def listed(venue: str, symbol: str) -> Listing:
    """The market of a canonical symbol, as that venue lists it."""
    base, _, quote = symbol.partition("-")
    price = _PRICES.get(base) or 1 + zlib.crc32(base.encode()) % 9_000 / 100
    return _listing(venue, base, quote, price)


def recognised(venue: str, native: str) -> Listing:
    """The market behind a native name met in a capture."""
    if venue in {"binance", "binance_us"}:
        quote = next((known for known in _QUOTES if native.endswith(known) and native != known), native[-3:])
        base = native.removesuffix(quote)
    else:
        base, _, quote = native.replace("/", "-").partition("-")
    return msgspec.structs.replace(_listing(venue, base, quote, 1.0), decimals=8, native=native)


def _listing(venue: str, base: str, quote: str, price: float) -> Listing:
    decimals = 2 if price >= 20 else 4 if price >= 0.5 else 5
    if venue == "kraken" and price >= 20_000:
        decimals = 1
    between = {"binance": "", "binance_us": "", "kraken": "/", "deribit": "_"}.get(venue, "-")
    if venue == "deribit" and (quote == "PERPETUAL" or quote[:1].isdecimal()):
        between = "-"  # a contract
    native = f"{base}{between}{quote}"
    lot, step = {"binance": (5, 1_000), "binance_us": (5, 1_000), "deribit": (4, 1_000)}.get(venue, (8, 1))
    if venue == "deribit" and between == "-":
        lot = 0
    return Listing(venue, base, quote, native, decimals, lot, price, step)
