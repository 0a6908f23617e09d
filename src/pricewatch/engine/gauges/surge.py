"""How much more than usual: what a window sums up against what the time before it did."""

from __future__ import annotations

import math
from typing import Any

from pricewatch.engine.gauges.base import DECIMALS
from pricewatch.engine.gauges.sums import Sums
from pricewatch.rules.base import Feature

UNIT = 10**18
"""Summands are added up as whole multiples of 1e-18: a sum is the same however it has come about."""


class Surge:
    """The window's rate as a multiple of the baseline's; unknown until both are known, or without a baseline."""

    def __init__(self, feature: Feature) -> None:
        self._sums = Sums(feature.window, feature.baseline)
        self._span = feature.window + feature.baseline
        self._scale = feature.baseline / feature.window
        self._first = 0

    def _ratio(self, at: int) -> float:
        sums = self._sums
        sums.trim(at)
        self._first = self._first or at
        if at - self._first < self._span or not sums.usual:
            return math.nan
        return sums.recent / sums.usual * self._scale


class Volume(Surge):
    """`volume`: of the sizes traded."""

    def trade(self, at: int, price: float, size: float) -> float:  # noqa: ARG002 - sizes alone count
        """With this trade's size."""
        self._sums.add(at, round(size * UNIT))
        return round(self._ratio(at), DECIMALS)

    def late(self, at: int, price: float, size: float) -> None:  # noqa: ARG002 - sizes alone count
        """It was traded too."""
        self._sums.insert(at, round(size * UNIT))

    def facts(self) -> dict[str, Any]:
        """The volume of the window, and what is usual for as long."""
        sums = self._sums
        return {"recent": sums.recent / UNIT, "usual": sums.usual / UNIT / self._scale}


class Volatility(Surge):
    """`volatility`: of the root of the summed squares of returns from trade to trade."""

    def __init__(self, feature: Feature) -> None:
        super().__init__(feature)
        self._price = 0.0

    def trade(self, at: int, price: float, size: float) -> float:  # noqa: ARG002 - prices alone count
        """With the return from the trade before."""
        if self._price:
            self._sums.add(at, round(math.log(price / self._price) ** 2 * UNIT))
        self._price = price
        return round(math.sqrt(self._ratio(at)), DECIMALS)

    def late(self, at: int, price: float, size: float) -> None:
        """A print out of order is nobody's prior sample: it makes no return."""

    def facts(self) -> dict[str, Any]:
        """The volatility of the window, and what is usual for as long: roots of summed squares, in per cent."""
        recent, usual = self._sums.recent / UNIT, self._sums.usual / UNIT / self._scale
        return {"recent": 100.0 * math.sqrt(recent), "usual": 100.0 * math.sqrt(usual)}
