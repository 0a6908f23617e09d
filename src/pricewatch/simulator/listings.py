"""The markets of the simulated venues, in the venues' own names and roundings."""

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
        """Canonical `BASE-QUOTE`; the base alone where a recorded name has no two parts."""
        return f"{self.base}-{self.quote}" if self.quote else self.base

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


def start_price(base: str) -> float:
    """Where a seeded market of an asset starts; assets nobody knows get a price of their own."""
    return _PRICES.get(base) or 1 + zlib.crc32(base.encode()) % 9_000 / 100


def parted(native: str) -> tuple[str, str]:
    """Base and quote of a name without a sign between them: `BTCUSDT`."""
    upper = native.upper()
    quote = next((known for known in _QUOTES if upper.endswith(known) and upper != known), upper[-3:])
    return upper.removesuffix(quote), quote
