"""`outside_band`: the price is outside the market's active forecast band."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar, Literal

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.domain.rule import Phase
from pricewatch.rules.base import OUTSIDE, OVER, UNDER, Feature, Triggers, rising
from pricewatch.rules.policy import Back

BACK = Decimal("0.001")
"""It ends 0.1 % of the edge back inside, or in the middle half of the band, whichever comes first."""

Edge = Literal["upper", "lower", "either"]
_FEATURES = {"upper": OVER, "lower": UNDER, "either": OUTSIDE}


class OutsideBandDocument(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="outside_band"
):
    """`{"type": "outside_band", "side": "either"}`."""

    side: Edge = "either"

    percents: ClassVar[bool] = False

    def build(self, back: Back) -> OutsideBand:
        """The checked condition; raises `Invalid`."""
        if back.clear is not None:
            raise Invalid("$.policy.clear", "a band has no fixed level; use 'hysteresis' instead")
        return OutsideBand(float(-(BACK if back.fraction is None else back.fraction)), self.side)


class OutsideBand(msgspec.Struct, frozen=True, gc=False):
    """Holds while the price is strictly beyond the edge of a band that has not expired.

    Without such a band nothing is known: it does not hold, a pending rule ends silently, and a firing one stays as
    it is until a band says that the price is back inside. `clear` is a fraction of the edge, zero or below.
    """

    clear: float
    side: Edge

    kind: ClassVar[str] = "outside_band"
    emits_clear: ClassVar[bool] = True

    @property
    def level(self) -> float:
        """The edge itself."""
        return 0.0

    def needs(self) -> Feature:
        """How far the price is beyond the watched edge."""
        return _FEATURES[self.side]

    def begins(self, prior: float, x: float) -> bool:  # noqa: ARG002 - what was before does not matter
        """Strictly beyond the edge."""
        return x > 0.0

    def holds(self, x: float) -> bool:
        """Strictly beyond the edge."""
        return x > 0.0

    def cleared(self, x: float) -> bool:
        """Back inside by the hysteresis."""
        return x <= self.clear

    def triggers(self, phase: Phase, x: float) -> Triggers:  # noqa: ARG002 - one side only
        """Sleep inside, or outside until it ends."""
        return rising(phase, 0.0, self.clear)

    def evidence(self) -> dict[str, Any]:
        """The side watched and the hysteresis as a fraction of the edge."""
        return {"side": self.side, "clear": self.clear}
