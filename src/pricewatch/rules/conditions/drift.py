"""`drift`: the market has changed for good, and its models with it."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.rules.base import Feature, Rising
from pricewatch.rules.minutes import DRIFT
from pricewatch.rules.policy import Back

HALF = 0.5
"""Between the two values the number takes."""


class DriftDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="drift"):
    """`{"type": "drift"}`."""

    percents: ClassVar[bool] = False

    def build(self, back: Back) -> Drifted:
        """The checked condition; raises `Invalid`."""
        if back.clear is not None or back.fraction is not None:
            where = "$.policy.clear" if back.clear is not None else "$.policy.hysteresis"
            raise Invalid(where, "drift is an event and has no level; remove it")
        return Drifted(HALF, HALF)


class Drifted(Rising, frozen=True, gc=False):
    """An event: fires once for each drift, and its end makes no signal."""

    kind: ClassVar[str] = "drift"
    emits_clear: ClassVar[bool] = False

    def needs(self) -> Feature:
        """Whether the last closed bar showed a drift."""
        return DRIFT

    def evidence(self) -> dict[str, Any]:
        """Nothing its owner chose."""
        return {}
