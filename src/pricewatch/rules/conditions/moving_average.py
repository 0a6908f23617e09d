"""`moving_average`: a fast mean of closes crosses a slow one."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.rules.bars import Bar, Period, bar, ordered
from pricewatch.rules.base import Feature
from pricewatch.rules.crossing import Crossing, around_zero
from pricewatch.rules.policy import Back

WIDTH = 0.01
"""It re-arms that many per cent of the slow mean back, unless its policy says otherwise."""

Mean = Literal["sma", "ema"]
Way = Literal["up", "down"]


class MovingAverageDocument(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="moving_average"
):
    """`{"type": "moving_average", "mean": "ema", "fast": 9, "slow": 21, "bar": "5m", "direction": "up"}`."""

    direction: Way
    fast: Period = 9
    slow: Period = 21
    mean: Mean = "ema"
    bar: Bar = "1m"

    percents: ClassVar[bool] = True

    def build(self, back: Back) -> MovingAverage:
        """The checked condition; raises `Invalid`."""
        spec = (bar(self.bar, "$.when.bar"), *ordered(self.fast, self.slow))
        up = self.direction == "up"
        return MovingAverage(0.0, around_zero(back, WIDTH, up=up), up, self.mean, spec)


class MovingAverage(Crossing, frozen=True, gc=False):
    """The fast mean's distance from the slow one, in per cent of the slow one, crosses zero."""

    mean: Mean
    spec: tuple[int, int, int]

    kind: ClassVar[str] = "moving_average"

    def needs(self) -> Feature:
        """That distance."""
        return Feature(f"{self.mean}_cross", spec=self.spec)

    def evidence(self) -> dict[str, Any]:
        """The means meant, the hysteresis in per cent of the slow one, and the way."""
        span, fast, slow = self.spec
        way = "up" if self.up else "down"
        return {
            "mean": self.mean, "fast": fast, "slow": slow, "bar": span / SECOND, "clear": self.clear, "direction": way,
        }  # fmt: skip
