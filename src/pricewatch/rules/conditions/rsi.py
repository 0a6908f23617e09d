"""`rsi`: the relative strength index is above or below a level."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar, Literal

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.domain.rule import Phase
from pricewatch.domain.time import SECOND
from pricewatch.rules.bars import Bar, Period, bar
from pricewatch.rules.base import Feature, Triggers, falling, rising
from pricewatch.rules.numbers import Number, positive, shown
from pricewatch.rules.policy import Back

BACK = Decimal("0.05")
"""It ends 5 % of the level back unless its policy says otherwise."""

Way = Literal["above", "below"]


class RsiDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="rsi"):
    """`{"type": "rsi", "period": 14, "level": 70, "direction": "above", "bar": "1h"}`."""

    level: Number
    direction: Way
    period: Period = 14
    bar: Bar = "1m"

    percents: ClassVar[bool] = False

    def build(self, back: Back) -> Rsi:
        """The checked condition; raises `Invalid`."""
        level = positive(self.level, "$.when.level")
        if level >= 100:
            raise Invalid("$.when.level", f"{shown(self.level)} is never passed: the index goes from 0 to 100")
        up = self.direction == "above"
        spec = (bar(self.bar, "$.when.bar"), self.period)
        return Rsi(float(level), float(back.of(level, BACK, up=up)), up, spec)


class Rsi(msgspec.Struct, frozen=True, gc=False):
    """Wilder's index is strictly above (below) the level; ends at `clear` or beyond it."""

    level: float
    clear: float
    up: bool
    spec: tuple[int, int]

    kind: ClassVar[str] = "rsi"
    emits_clear: ClassVar[bool] = True

    def needs(self) -> Feature:
        """The index."""
        return Feature("rsi", spec=self.spec)

    def begins(self, prior: float, x: float) -> bool:  # noqa: ARG002 - what was before does not matter
        """Strictly beyond the level."""
        return self.holds(x)

    def holds(self, x: float) -> bool:
        """Strictly beyond the level."""
        return x > self.level if self.up else x < self.level

    def cleared(self, x: float) -> bool:
        """Back at the clear level."""
        return x <= self.clear if self.up else x >= self.clear

    def triggers(self, phase: Phase, x: float) -> Triggers:  # noqa: ARG002 - one side only
        """Sleep on the near side, or beyond until it ends."""
        return (rising if self.up else falling)(phase, self.level, self.clear)

    def evidence(self) -> dict[str, Any]:
        """Threshold and clear level, the period and the way."""
        span, period = self.spec
        return {
            "threshold": self.level, "clear": self.clear, "period": period, "bar": span / SECOND,
            "direction": "above" if self.up else "below",
        }  # fmt: skip
