"""`trailing`: the price has come back from the extreme of a window by more than a percentage or a distance."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import decimal_text
from pricewatch.domain.time import SECOND
from pricewatch.rules.base import Feature, Rising
from pricewatch.rules.numbers import Number, percent, positive, shown
from pricewatch.rules.policy import Back
from pricewatch.rules.windows import window

BACK = Decimal("0.1")
"""It ends when the way back has shrunk to 0.9 of its threshold unless its policy says otherwise."""

Extreme = Literal["high", "low"]
_FEATURES = {("high", True): "drop", ("low", True): "rise", ("high", False): "drop_by", ("low", False): "rise_by"}


class TrailingDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="trailing"):
    """`{"type": "trailing", "percent": "5%", "from": "high", "window": "24h"}`, or `"distance": "500"`."""

    percent: Annotated[
        Number | None, msgspec.Meta(description="How far from the extreme, in per cent of it, e.g. '5%'.")
    ] = None
    distance: Annotated[Decimal | None, msgspec.Meta(description="How far from the extreme, as a price.")] = None
    extreme: Annotated[
        Extreme, msgspec.Meta(description="'high': fallen from the highest price; 'low': risen from the lowest.")
    ] = msgspec.field(name="from", default="high")
    window: Annotated[str, msgspec.Meta(description="How far back the extreme is looked for, at most '24h'.")] = "24h"

    @property
    def percents(self) -> bool:
        """Whether its threshold is a percentage."""
        return self.percent is not None

    def build(self, back: Back) -> Trailing:
        """The checked condition; raises `Invalid`."""
        span = window(self.window, "$.when.window")
        size = self._size()
        return Trailing(float(size), float(back.of(size, BACK)), span, self.extreme, self.percents)

    def _size(self) -> Decimal:
        if self.percent is not None and self.distance is not None:
            raise Invalid("$.when.distance", f"{shown(self.distance)}, but 'percent' is given as well; keep one")
        if self.percent is not None:
            size = percent(self.percent, "$.when.percent")
            if size <= 0 or (self.extreme == "high" and size >= 100):
                raise Invalid("$.when.percent", f"{shown(self.percent)} can never be passed; write for example '5%'")
            return size
        if self.distance is None:
            raise Invalid("$.when.percent", "missing; write for example 'percent': '5%' or 'distance': '500'")
        return positive(self.distance, "$.when.distance")


class Trailing(Rising, frozen=True, gc=False):
    """The way back from the window's extreme is strictly longer than the threshold; ends at `clear` or less.

    The extreme is that of the trades of the last `window`, as far as the market has been followed by such a rule.
    """

    window: int
    extreme: Extreme
    percents: bool

    kind: ClassVar[str] = "trailing"

    def needs(self) -> Feature:
        """The way back from the extreme, in per cent of it or as a price."""
        return Feature(_FEATURES[self.extreme, self.percents], self.window)

    def evidence(self) -> dict[str, Any]:
        """Threshold and clear level, whether they are per cent or prices, the extreme meant, the window in seconds."""
        return {
            "threshold": self.level if self.percents else decimal_text(self.level),
            "clear": self.clear if self.percents else decimal_text(self.clear),
            "unit": "percent" if self.percents else "price",
            "from": self.extreme,
            "window": self.window / SECOND,
        }
