"""A study fed by trades: bars of event time, their closes, and the number as of the last trade."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from pricewatch.domain.market import decimal_text
from pricewatch.domain.time import SECOND
from pricewatch.engine.gauges.base import DECIMALS
from pricewatch.engine.gauges.studies import Convergence, Deviation, Distance, Simple, Strength, Study, exponential
from pricewatch.rules.base import Feature

STUDIES: Mapping[str, Callable[..., Study]] = {
    "bollinger": Deviation,
    "ema_cross": lambda fast, slow: Distance(exponential(fast), exponential(slow)),
    "macd": Convergence,
    "rsi": Strength,
    "sma_cross": lambda fast, slow: Distance(Simple(fast), Simple(slow)),
}


class Indicator:
    """The study's number with the open bar closed at the last trade's price. Bars without trades are left out."""

    def __init__(self, feature: Feature) -> None:
        name, _, side = feature.name.partition("/")
        span, *periods = feature.spec
        self._study = STUDIES[name](*periods)
        self._side = side
        self._span = span
        self._end = 0
        self._close = math.nan
        self.bars = 0
        """How many have closed."""

    def trade(self, at: int, price: float, size: float) -> float:  # noqa: ARG002 - prices alone count
        """The first trade at a bar's end or later closes it."""
        self._take(at, price)
        return self.number()

    def begin(self, closes: Iterable[tuple[int, float]]) -> None:
        """Last prices of earlier bars, oldest first, each with a time within its bar."""
        for at, price in closes:
            self._take(at, price)

    @property
    def has_begun(self) -> bool:
        """Whether it knows a trade."""
        return self._end != 0

    def _take(self, at: int, price: float) -> None:
        if at >= self._end:
            if self._end:
                self._study.push(self._close)
                self.bars += 1
            self._end = at - at % self._span + self._span
        self._close = price

    def number(self) -> float:
        """As of the last trade."""
        number = round(self._study.peek(self._close), DECIMALS)
        if self._side == "either":
            return abs(number)
        return -number if self._side == "lower" else number

    def late(self, at: int, price: float, size: float) -> None:
        """It closes no bar."""

    def facts(self) -> dict[str, Any]:
        """The bars' span in seconds, how many have closed, and the price the open one has."""
        return {"bar": self._span / SECOND, "bars": self.bars, "close": decimal_text(self._close)}

    def save(self) -> list[object]:
        """Everything, as JSON-like values."""
        return [self._end, None if math.isnan(self._close) else self._close, self.bars, self._study.save()]

    def load(self, saved: list[object]) -> None:
        """Take up what was saved; raises `msgspec.ValidationError`."""
        end, close, self.bars, study = msgspec.convert(saved, tuple[int, float | None, int, list[object]])
        self._study.load(study)
        self._end, self._close = end, math.nan if close is None else close
