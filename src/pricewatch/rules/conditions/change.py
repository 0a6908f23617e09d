"""`change`: the price has moved by more than a percentage within a window."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar, Literal

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.domain.rule import Phase
from pricewatch.domain.time import DAY, SECOND, parse_span
from pricewatch.rules.base import INF, Feature, Triggers, beyond, falling, rising, short_of
from pricewatch.rules.numbers import Number, percent, shown
from pricewatch.rules.policy import Back

BACK = Decimal("0.1")
"""A change ends when it has fallen to 0.9 of its threshold unless its policy says otherwise."""

Way = Literal["up", "down", "either"]


class ChangeDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="change"):
    """`{"type": "change", "window": "5m", "percent": "-2%"}`; `direction` defaults to the sign's."""

    window: str
    percent: Number
    direction: Way | None = None

    percents: ClassVar[bool] = True

    def build(self, back: Back) -> Change:
        """The checked condition; raises `Invalid`."""
        window = parse_span(self.window, field="$.when.window")
        if not 0 < window <= DAY:
            raise Invalid("$.when.window", f"{shown(self.window)} must be above zero and at most '24h'")
        size = percent(self.percent, "$.when.percent")
        if size == 0 or size <= -100:
            raise Invalid("$.when.percent", f"{shown(self.percent)} can never be passed; write for example '2%'")
        way: Way = self.direction or ("up" if size > 0 else "down")
        if size < 0 and way != "down":
            raise Invalid("$.when.percent", f"{shown(self.percent)} is negative but the direction is {way!r}; drop one")
        clear = back if back.clear is None else Back(clear=abs(back.clear))
        return Change(float(abs(size)), float(clear.of(abs(size), BACK)), window, way)


class Change(msgspec.Struct, frozen=True, gc=False):
    """100 * (price / reference - 1) lies strictly beyond the threshold; ends at or within `clear`.

    The reference is the last in-order trade at or before `at - window`; without one it does not hold.
    """

    level: float
    clear: float
    window: int
    way: Way

    kind: ClassVar[str] = "change"
    emits_clear: ClassVar[bool] = True

    def needs(self) -> Feature:
        """The change over the window, in per cent."""
        return Feature("change", self.window)

    def begins(self, prior: float, x: float) -> bool:  # noqa: ARG002 - what was before does not matter
        """Strictly beyond the threshold."""
        return self.holds(x)

    def holds(self, x: float) -> bool:
        """Strictly beyond the threshold."""
        return self._size(x) > self.level

    def cleared(self, x: float) -> bool:
        """Fallen to the clear level."""
        return self._size(x) <= self.clear

    def _size(self, x: float) -> float:
        if self.way == "up":
            return x
        return -x if self.way == "down" else abs(x)

    def triggers(self, phase: Phase, x: float) -> Triggers:
        """One side for `up` and `down`; `either` watches both until it holds, then the side it is on."""
        if self.way == "up":
            return rising(phase, self.level, self.clear)
        if self.way == "down":
            return falling(phase, -self.level, -self.clear)
        if phase is Phase.IDLE:
            return (beyond(self.level), short_of(-self.level))
        if x > 0:
            return rising(phase, self.level, self.clear)
        if x < 0:
            return falling(phase, -self.level, -self.clear)
        return (-INF, INF)

    def evidence(self) -> dict[str, Any]:
        """Threshold and clear level in per cent, the window in seconds and the direction watched."""
        return {
            "threshold": self.level,
            "clear": self.clear,
            "window": self.window / SECOND,
            "direction": self.way,
        }
