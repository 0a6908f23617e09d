"""`extreme`: a price higher (or lower) than every other one of a window."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.domain.rule import Phase
from pricewatch.domain.time import SECOND
from pricewatch.rules.base import Feature, Rising, Triggers, rising
from pricewatch.rules.policy import Back
from pricewatch.rules.windows import window

BACK = Decimal("0.001")
"""It re-arms 0.1 % off the extreme unless its policy says otherwise."""

Extreme = Literal["high", "low"]
_FEATURES = {"high": "over_high", "low": "under_low"}


class ExtremeDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="extreme"):
    """`{"type": "extreme", "of": "high", "window": "24h"}`."""

    of: Annotated[Extreme, msgspec.Meta(description="'high': a new highest price; 'low': a new lowest.")]
    window: Annotated[str, msgspec.Meta(description="Among the prices of how long, at most '24h'.")] = "24h"

    percents: ClassVar[bool] = False

    def build(self, back: Back) -> NewExtreme:
        """The checked condition; raises `Invalid`."""
        span = window(self.window, "$.when.window")
        if back.clear is not None:
            raise Invalid("$.policy.clear", "an extreme has no fixed level; use 'hysteresis' instead")
        fraction = BACK if back.fraction is None else back.fraction
        return NewExtreme(0.0, float(-100 * fraction), span, self.of)


class NewExtreme(Rising, frozen=True, gc=False):
    """Begins with a price strictly beyond all others of the last `window`; re-arms once the price is off by `clear`.

    An event: its end makes no signal. `for` asks that the price stays nearer than that. It is known once the market
    has been followed for a whole window.
    """

    window: int
    of: Extreme

    kind: ClassVar[str] = "extreme"
    emits_clear: ClassVar[bool] = False

    def needs(self) -> Feature:
        """How far the price is beyond the window's other prices, in per cent of their extreme."""
        return Feature(_FEATURES[self.of], self.window)

    def holds(self, x: float) -> bool:
        """Not off by the hysteresis."""
        return x > self.clear

    def triggers(self, phase: Phase, x: float) -> Triggers:  # noqa: ARG002 - one side only
        """Sleep until there is an extreme, then until the price is off again."""
        return rising(Phase.IDLE if phase is Phase.IDLE else Phase.FIRING, 0.0, self.clear)

    def evidence(self) -> dict[str, Any]:
        """The extreme meant, the hysteresis in per cent of it, the window in seconds."""
        return {"of": self.of, "clear": self.clear, "window": self.window / SECOND}
