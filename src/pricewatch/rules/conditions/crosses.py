"""`crosses`: the price passes a level from one side to the other."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar, Literal

import msgspec

from pricewatch.domain.market import decimal_text
from pricewatch.rules.base import Feature
from pricewatch.rules.crossing import Crossing
from pricewatch.rules.numbers import positive
from pricewatch.rules.policy import Back
from pricewatch.rules.source import SOURCES, Name, Source, told

BACK = Decimal("0.001")
"""A crossing re-arms 0.1 % of the level back unless its policy says otherwise."""


class CrossesDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="crosses"):
    """`{"type": "crosses", "direction": "up", "level": "70000"}`."""

    level: Decimal
    direction: Literal["up", "down"]
    source: Source = "trade"

    percents: ClassVar[bool] = False

    def build(self, back: Back) -> Crosses:
        """The checked condition; raises `Invalid`."""
        up = self.direction == "up"
        level = positive(self.level, "$.when.level")
        return Crosses(float(level), float(back.of(level, BACK, up=up)), up, self.source)


class Crosses(Crossing, frozen=True, gc=False):
    """A price level, crossed."""

    source: Name = "trade"

    kind: ClassVar[str] = "crosses"

    def needs(self) -> Feature:
        """The price."""
        return SOURCES[self.source]

    def evidence(self) -> dict[str, Any]:
        """Threshold, clear level and way."""
        return {
            "threshold": decimal_text(self.level),
            "clear": decimal_text(self.clear),
            "direction": "up" if self.up else "down",
            **told(self.source),
        }
