"""`channel`: the price has come into the span between two levels, or has left it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import decimal_text
from pricewatch.domain.rule import Phase
from pricewatch.rules.base import INF, Feature, Triggers, beyond, short_of
from pricewatch.rules.numbers import positive, shown
from pricewatch.rules.policy import Back
from pricewatch.rules.source import SOURCES, Name, Source, told

BACK = Decimal("0.001")
"""It ends 0.1 % of the level back unless its policy says otherwise, and in any case in the channel's middle half."""

Way = Literal["enter", "exit"]


class ChannelDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="channel"):
    """`{"type": "channel", "lower": "60000", "upper": "70000", "direction": "exit"}`."""

    lower: Decimal
    upper: Decimal
    direction: Annotated[
        Way, msgspec.Meta(description="'enter': holds while the price is inside; 'exit': while it is outside.")
    ]
    source: Source = "trade"

    percents: ClassVar[bool] = False

    def build(self, back: Back) -> Channel:
        """The checked condition; raises `Invalid`."""
        lower, upper = positive(self.lower, "$.when.lower"), positive(self.upper, "$.when.upper")
        if lower >= upper:
            raise Invalid("$.when.upper", f"{shown(upper)} is not above 'lower' ({shown(lower)}); exchange the two")
        if back.clear is not None:
            raise Invalid("$.policy.clear", "a channel ends at two levels; use 'hysteresis' instead")
        fraction = BACK if back.fraction is None else back.fraction
        inside = self.direction == "enter"
        if inside:
            least, most = lower * (1 - fraction), upper * (1 + fraction)
        else:
            quarter = (upper - lower) / 4
            least, most = lower + min(quarter, lower * fraction), upper - min(quarter, upper * fraction)
        return Channel(float(lower), float(upper), float(least), float(most), inside, self.source)


class Channel(msgspec.Struct, frozen=True, gc=False):
    """Inside: holds while lower < price < upper, ends at `least` or below it and at `most` or above it.

    Outside: holds while price < lower or price > upper, ends from `least` to `most`. Passing the whole channel from
    one trade to the next enters nothing, and does not end an exit.
    """

    lower: float
    upper: float
    least: float
    most: float
    inside: bool
    source: Name = "trade"

    kind: ClassVar[str] = "channel"
    emits_clear: ClassVar[bool] = True

    @property
    def level(self) -> float:
        """The upper level."""
        return self.upper

    @property
    def clear(self) -> float:
        """Where it ends at the upper level."""
        return self.most

    def needs(self) -> Feature:
        """The price."""
        return SOURCES[self.source]

    def begins(self, prior: float, x: float) -> bool:  # noqa: ARG002 - what was before does not matter
        """Strictly inside or outside: equality is neither."""
        return self.holds(x)

    def holds(self, x: float) -> bool:
        """Strictly inside or outside: equality is neither."""
        return self.lower < x < self.upper if self.inside else x < self.lower or x > self.upper

    def cleared(self, x: float) -> bool:
        """Out again, or in again, by the hysteresis."""
        return x <= self.least or x >= self.most if self.inside else self.least <= x <= self.most

    def triggers(self, phase: Phase, x: float) -> Triggers:
        """Both levels from within; from beyond one of them, only the way back."""
        lower, upper = self.lower, self.upper
        if not self.inside:
            return self._back_in(phase, x)
        if phase is Phase.FIRING:
            return (self.most, self.least)
        if phase is Phase.PENDING:
            return (upper, lower)
        if x >= upper:
            return (INF, short_of(upper))
        return (beyond(lower), -INF) if x <= lower else (-INF, INF)

    def _back_in(self, phase: Phase, x: float) -> Triggers:
        if phase is Phase.IDLE:
            return (beyond(self.upper), short_of(self.lower))
        upper, lower = (self.most, self.least) if phase is Phase.FIRING else (self.upper, self.lower)
        if x > upper:
            return (INF, upper)
        return (lower, -INF) if x < lower else (-INF, INF)

    def evidence(self) -> dict[str, Any]:
        """The two levels, where it ends at each, and the way."""
        return {
            "lower": decimal_text(self.lower),
            "upper": decimal_text(self.upper),
            "clear_lower": decimal_text(self.least),
            "clear_upper": decimal_text(self.most),
            "direction": "enter" if self.inside else "exit",
            **told(self.source),
        }
