"""`above`: the price is strictly greater than a level."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from pricewatch.domain.market import decimal_text
from pricewatch.domain.rule import Phase
from pricewatch.rules.base import Feature, Triggers, rising
from pricewatch.rules.numbers import positive
from pricewatch.rules.policy import Back
from pricewatch.rules.source import SOURCES, Name, Source, told

BACK = Decimal("0.001")
"""A level rule ends 0.1 % of the level back unless its policy says otherwise."""


class AboveDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="above"):
    """`{"type": "above", "level": "70000"}`."""

    level: Decimal
    source: Source = "trade"

    percents: ClassVar[bool] = False

    def build(self, back: Back) -> Above:
        """The checked condition; raises `Invalid`."""
        level = positive(self.level, "$.when.level")
        return Above(float(level), float(back.of(level, BACK)), self.source)


class Above(msgspec.Struct, frozen=True, gc=False):
    """Begins and holds while price > level, ends at price <= clear."""

    level: float
    clear: float
    source: Name = "trade"

    kind: ClassVar[str] = "above"
    emits_clear: ClassVar[bool] = True

    def needs(self) -> Feature:
        """The price."""
        return SOURCES[self.source]

    def begins(self, prior: float, x: float) -> bool:  # noqa: ARG002 - what was before does not matter
        """Strictly above: equality is not."""
        return x > self.level

    def holds(self, x: float) -> bool:
        """Strictly above: equality is not."""
        return x > self.level

    def cleared(self, x: float) -> bool:
        """At the clear level or below."""
        return x <= self.clear

    def triggers(self, phase: Phase, x: float) -> Triggers:  # noqa: ARG002 - one side only
        """Sleep below the level, or above where it ends."""
        return rising(phase, self.level, self.clear)

    def evidence(self) -> dict[str, Any]:
        """Threshold and clear level."""
        return {"threshold": decimal_text(self.level), "clear": decimal_text(self.clear)} | told(self.source)
