"""`crosses`: the price passes a level from one side to the other."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar, Literal

import msgspec

from pricewatch.domain.market import decimal_text
from pricewatch.domain.rule import Phase
from pricewatch.rules.base import INF, Feature, Triggers, falling, rising
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


class Crosses(msgspec.Struct, frozen=True, gc=False):
    """Up: begins with prior <= level < price, re-arms at price <= clear. Down is the mirror image.

    It needs a prior sample, so it never fires at arming; re-arming makes no signal.
    """

    level: float
    clear: float
    up: bool
    source: Name = "trade"

    kind: ClassVar[str] = "crosses"
    emits_clear: ClassVar[bool] = False

    def needs(self) -> Feature:
        """The price."""
        return SOURCES[self.source]

    def begins(self, prior: float, x: float) -> bool:
        """The last in-order price on one side (or at the level), this one strictly on the other."""
        if self.up:
            return prior <= self.level < x
        return prior >= self.level > x

    def holds(self, x: float) -> bool:
        """Still on the far side."""
        return x > self.level if self.up else x < self.level

    def cleared(self, x: float) -> bool:
        """Back at the clear level or beyond it."""
        return x <= self.clear if self.up else x >= self.clear

    def triggers(self, phase: Phase, x: float) -> Triggers:
        """As `above` or `below`; idle on the far side it waits for the way back."""
        if self.up:
            return (
                (INF, self.level) if phase is Phase.IDLE and x > self.level else rising(phase, self.level, self.clear)
            )
        if phase is Phase.IDLE and x < self.level:
            return (self.level, -INF)
        return falling(phase, self.level, self.clear)

    def evidence(self) -> dict[str, Any]:
        """Threshold, clear level and way."""
        return {
            "threshold": decimal_text(self.level),
            "clear": decimal_text(self.clear),
            "direction": "up" if self.up else "down",
            **told(self.source),
        }
