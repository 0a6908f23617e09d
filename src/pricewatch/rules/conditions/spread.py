"""`spread`: the best bid and ask are further apart than a percentage of the price between them."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.rules.base import SPREAD, Feature, Rising
from pricewatch.rules.numbers import Number, percent, shown
from pricewatch.rules.policy import Back

BACK = Decimal("0.2")
"""It ends at 0.8 of the threshold unless its policy says otherwise."""


class SpreadDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="spread"):
    """`{"type": "spread", "percent": "0.5%"}`."""

    percent: Annotated[Number, msgspec.Meta(description="In per cent of the middle of bid and ask, e.g. '0.5%'.")]

    percents: ClassVar[bool] = True

    def build(self, back: Back) -> Spread:
        """The checked condition; raises `Invalid`."""
        size = percent(self.percent, "$.when.percent")
        if not 0 < size < 200:
            raise Invalid("$.when.percent", f"{shown(self.percent)} can never be passed; write for example '0.5%'")
        return Spread(float(size), float(back.of(size, BACK)))


class Spread(Rising, frozen=True, gc=False):
    """100 * (ask - bid) / middle is strictly above the threshold, ends at `clear` or less. Judged by quotes alone.

    After a restart nothing is known until the next quote: the rule stays as it was until then.
    """

    kind: ClassVar[str] = "spread"

    def needs(self) -> Feature:
        """The spread, in per cent of the middle."""
        return SPREAD

    def evidence(self) -> dict[str, Any]:
        """Threshold and clear level in per cent."""
        return {"threshold": self.level, "clear": self.clear}
