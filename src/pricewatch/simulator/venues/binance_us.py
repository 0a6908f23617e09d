"""Binance.US, the server's side: Binance's, but past trades beyond the newest want a key.

https://docs.binance.us/#trade-data
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pricewatch.simulator.session import Reply
from pricewatch.simulator.venues.binance import Binance


class BinanceUS(Binance):
    """Speaks Binance.US."""

    id = "binance_us"
    hosts: ClassVar[tuple[str, ...]] = ("stream.binance.us",)

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/api/v3/…`; no client here has a key."""
        if path == "/api/v3/historicalTrades":
            return Reply({"code": -2014, "msg": "API-key format invalid."}, 401)
        return super().rest(path, query, now)
