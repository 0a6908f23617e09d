"""`divergence`: one symbol's prices on several venues are further apart than a percentage."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.rules.base import Feature, Rising
from pricewatch.rules.numbers import Number, percent, shown
from pricewatch.rules.policy import Back

BACK = Decimal("0.2")
"""It ends at 0.8 of the threshold unless its policy says otherwise."""
DIVERGENCE = "divergence"
"""The name of the number; the venues it is about, if not all, follow after a slash."""


class DivergenceDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="divergence"):
    """`{"type": "divergence", "percent": "0.5%"}`."""

    percent: Annotated[Number, msgspec.Meta(description="From the lowest to the highest price, in per cent of it.")]

    percents: ClassVar[bool] = True

    def build(self, back: Back) -> Divergence:
        """The checked condition; raises `Invalid`."""
        size = percent(self.percent, "$.when.percent")
        if size <= 0:
            raise Invalid("$.when.percent", f"{shown(self.percent)} is always passed; write for example '0.5%'")
        return Divergence(float(size), float(back.of(size, BACK)))


class Divergence(Rising, frozen=True, gc=False):
    """100 * (highest - lowest) / lowest of the venues' last trades is strictly above the threshold.

    One state a symbol. A venue counts while its last trade is at most 10 s older than the newest of them all; with
    fewer than two of them nothing is known.
    """

    venues: tuple[str, ...] = ()
    """Those it is about; empty for all."""

    kind: ClassVar[str] = "divergence"

    def needs(self) -> Feature:
        """How far they are apart, in per cent of the lowest price."""
        return Feature("/".join((DIVERGENCE, *self.venues)))

    def evidence(self) -> dict[str, Any]:
        """Threshold and clear level in per cent."""
        return {"threshold": self.level, "clear": self.clear}
