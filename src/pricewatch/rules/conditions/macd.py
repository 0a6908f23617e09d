"""`macd`: the MACD line crosses its signal line."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.rules.bars import Bar, Period, bar, ordered
from pricewatch.rules.base import Feature
from pricewatch.rules.crossing import Crossing, around_zero
from pricewatch.rules.policy import Back

WIDTH = 0.002
"""It re-arms that many per cent of the price back, unless its policy says otherwise."""

Way = Literal["up", "down"]


class MacdDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="macd"):
    """`{"type": "macd", "fast": 12, "slow": 26, "signal": 9, "bar": "1h", "direction": "up"}`."""

    direction: Way
    fast: Period = 12
    slow: Period = 26
    signal: Period = 9
    bar: Bar = "1m"

    percents: ClassVar[bool] = True

    def build(self, back: Back) -> Macd:
        """The checked condition; raises `Invalid`."""
        spec = (bar(self.bar, "$.when.bar"), *ordered(self.fast, self.slow), self.signal)
        up = self.direction == "up"
        return Macd(0.0, around_zero(back, WIDTH, up=up), up, spec)


class Macd(Crossing, frozen=True, gc=False):
    """The histogram, in per cent of the price, crosses zero."""

    spec: tuple[int, int, int, int]

    kind: ClassVar[str] = "macd"

    def needs(self) -> Feature:
        """The histogram."""
        return Feature("macd", spec=self.spec)

    def evidence(self) -> dict[str, Any]:
        """The periods, the hysteresis in per cent of the price, and the way."""
        span, fast, slow, signal = self.spec
        return {
            "fast": fast, "slow": slow, "signal": signal, "bar": span / SECOND, "clear": self.clear,
            "direction": "up" if self.up else "down",
        }  # fmt: skip
