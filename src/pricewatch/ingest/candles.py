"""Which imported candles can be believed."""

from __future__ import annotations

from pricewatch.domain.market import Candle

_MAX_PRICE = 1e15


def is_sound(candle: Candle) -> bool:
    """Prices positive, finite and in order; volume finite and not negative."""
    inside = candle.low <= candle.open <= candle.high and candle.low <= candle.close <= candle.high
    return inside and candle.low > 0.0 and candle.high < _MAX_PRICE and 0.0 <= candle.volume < float("inf")
