"""How far the price has come back from the extreme of a window."""

from __future__ import annotations

import math
from typing import Any

from pricewatch.domain.market import decimal_text
from pricewatch.engine.gauges.base import DECIMALS
from pricewatch.engine.gauges.peak import Peak
from pricewatch.rules.base import Feature

DIGITS = 15
"""Venues print at most that many significant digits; a distance keeps the places of the greater price."""


class Retreat:
    """`drop` and `rise` in per cent of the extreme, `drop_by` and `rise_by` as a price; never below zero."""

    def __init__(self, feature: Feature) -> None:
        self._sign = 1 if feature.name.startswith("drop") else -1
        self._percent = not feature.name.endswith("_by")
        self._peak = Peak(feature.window, self._sign)

    def trade(self, at: int, price: float, size: float) -> float:  # noqa: ARG002 - prices alone count
        """From the extreme to this price."""
        peak = self._peak
        peak.trim(at)
        peak.add(at, price)
        top = peak.price
        way = self._sign * (top - price)
        if self._percent:
            return round(100.0 * way / top, DECIMALS)
        return round(way, DIGITS - 1 - math.floor(math.log10(max(top, price))))

    def late(self, at: int, price: float, size: float) -> None:  # noqa: ARG002 - prices alone count
        """It may have been the extreme."""
        self._peak.insert(at, price)

    def facts(self) -> dict[str, Any]:
        """The extreme it is measured from, empty where nothing is known of it."""
        if not self._peak.at:
            return {}
        return {"extreme": {"at": self._peak.at, "price": decimal_text(self._peak.price)}}
