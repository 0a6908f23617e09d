"""`anomaly`: the market's combined anomaly score is above a threshold."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from pricewatch.domain.rule import Phase
from pricewatch.rules.base import SCORE, Feature, Triggers, rising
from pricewatch.rules.numbers import positive
from pricewatch.rules.policy import Back

BACK = Decimal("0.2")
"""An anomaly ends when the score has fallen to 0.8 of its threshold unless its policy says otherwise."""


class AnomalyDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="anomaly"):
    """`{"type": "anomaly", "score": "4"}`."""

    score: Decimal

    percents: ClassVar[bool] = False

    def build(self, back: Back) -> Anomaly:
        """The checked condition; raises `Invalid`."""
        score = positive(self.score, "$.when.score")
        return Anomaly(float(score), float(back.of(score, BACK)))


class Anomaly(msgspec.Struct, frozen=True, gc=False):
    """Holds while score > level, ends at score <= clear. While the models warm up it does not hold."""

    level: float
    clear: float

    kind: ClassVar[str] = "anomaly"
    emits_clear: ClassVar[bool] = True

    def needs(self) -> Feature:
        """The combined anomaly score."""
        return SCORE

    def begins(self, prior: float, x: float) -> bool:  # noqa: ARG002 - what was before does not matter
        """Strictly above the threshold."""
        return x > self.level

    def holds(self, x: float) -> bool:
        """Strictly above the threshold."""
        return x > self.level

    def cleared(self, x: float) -> bool:
        """Fallen to the clear level."""
        return x <= self.clear

    def triggers(self, phase: Phase, x: float) -> Triggers:  # noqa: ARG002 - one side only
        """Sleep below the threshold, or above where it ends."""
        return rising(phase, self.level, self.clear)

    def evidence(self) -> dict[str, Any]:
        """Threshold and clear level of the score."""
        return {"threshold": self.level, "clear": self.clear}
