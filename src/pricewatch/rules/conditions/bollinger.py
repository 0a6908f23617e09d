"""`bollinger`: the price is outside its Bollinger band."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.rules.bars import Bar, Period, bar
from pricewatch.rules.base import Feature, Rising
from pricewatch.rules.numbers import Number, positive
from pricewatch.rules.policy import Back

BACK = Decimal("0.1")
"""It ends at 0.9 of the deviations unless its policy says otherwise."""

Side = Literal["upper", "lower", "either"]


class BollingerDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="bollinger"):
    """`{"type": "bollinger", "period": 20, "deviations": 2, "side": "upper", "bar": "15m"}`."""

    period: Period = 20
    deviations: Annotated[Number, msgspec.Meta(description="Half the band's width in standard deviations.")] = 2
    side: Side = "either"
    bar: Bar = "1m"

    percents: ClassVar[bool] = False

    def build(self, back: Back) -> Bollinger:
        """The checked condition; raises `Invalid`."""
        size = positive(self.deviations, "$.when.deviations")
        spec = (bar(self.bar, "$.when.bar"), self.period)
        return Bollinger(float(size), float(back.of(size, BACK)), spec, self.side)


class Bollinger(Rising, frozen=True, gc=False):
    """The price is strictly more standard deviations from the mean of the last closes than that, its own included."""

    spec: tuple[int, int]
    side: Side

    kind: ClassVar[str] = "bollinger"

    def needs(self) -> Feature:
        """How many standard deviations the price is from the mean, on the side watched."""
        return Feature(f"bollinger/{self.side}", spec=self.spec)

    def evidence(self) -> dict[str, Any]:
        """Threshold and clear level in standard deviations, the period and the side."""
        span, period = self.spec
        return {
            "threshold": self.level, "clear": self.clear, "period": period, "bar": span / SECOND, "side": self.side,
        }  # fmt: skip
