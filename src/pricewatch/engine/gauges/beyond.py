"""How far a price lies beyond all others of a window."""

from __future__ import annotations

import math
from typing import Any

from pricewatch.domain.market import decimal_text
from pricewatch.engine.gauges.base import DECIMALS
from pricewatch.engine.gauges.peak import Peak
from pricewatch.rules.base import Feature


class Beyond:
    """`over_high` and `under_low`: in per cent of the extreme before this trade; zero or less when not beyond it.

    Unknown until the market has been followed for a whole window, and where nothing was printed within it.
    """

    def __init__(self, feature: Feature) -> None:
        self._sign = 1 if feature.name == "over_high" else -1
        self._span = feature.window
        self._peak = Peak(feature.window, self._sign)
        self._first = 0
        self._other: tuple[int, float] | None = None

    def trade(self, at: int, price: float, size: float) -> float:  # noqa: ARG002 - prices alone count
        """From the extreme of the others to this price."""
        peak = self._peak
        self._first = self._first or at
        peak.trim(at)
        top, top_at = peak.price, peak.at
        peak.add(at, price)
        if not top_at or at - self._first < self._span:
            self._other = None
            return math.nan
        self._other = (top_at, top)
        far = 100.0 * self._sign * (price - top) / top
        return round(far, DECIMALS) or far  # the smallest step beyond is beyond

    def late(self, at: int, price: float, size: float) -> None:  # noqa: ARG002 - prices alone count
        """It may have been the extreme."""
        self._peak.insert(at, price)

    def facts(self) -> dict[str, Any]:
        """The extreme of the others, empty where nothing is known of it."""
        if self._other is None:
            return {}
        at, price = self._other
        return {"extreme": {"at": at, "price": decimal_text(price)}}
