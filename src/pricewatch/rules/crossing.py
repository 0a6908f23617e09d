"""What conditions have in common whose number passes a level from one side to the other."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.domain.rule import Phase
from pricewatch.rules.base import INF, Triggers, falling, rising
from pricewatch.rules.policy import Back


class Crossing(msgspec.Struct, frozen=True, gc=False):
    """Up: begins with prior <= level < number, re-arms at number <= clear. Down is the mirror image.

    It needs a prior sample, so it never fires at arming; re-arming makes no signal.
    """

    level: float
    clear: float
    up: bool

    emits_clear: ClassVar[bool] = False

    def begins(self, prior: float, x: float) -> bool:
        """The last in-order number on one side (or at the level), this one strictly on the other."""
        if self.up:
            return prior <= self.level < x
        return prior >= self.level > x

    def holds(self, x: float) -> bool:
        """Still on the far side."""
        return x > self.level if self.up else x < self.level

    def cleared(self, x: float) -> bool:
        """Back at the clear level or beyond it."""
        return x <= self.clear if self.up else x >= self.clear

    def triggers(self, phase: Phase, x: float) -> Triggers:
        """As above or below; idle on the far side it waits for the way back."""
        if self.up:
            return (
                (INF, self.level) if phase is Phase.IDLE and x > self.level else rising(phase, self.level, self.clear)
            )
        if phase is Phase.IDLE and x < self.level:
            return (self.level, -INF)
        return falling(phase, self.level, self.clear)


def around_zero(back: Back, width: float, *, up: bool) -> float:
    """Where a crossing of zero re-arms: `hysteresis` per cent, or `width`, on the near side; raises `Invalid`."""
    if back.clear is not None:
        raise Invalid("$.policy.clear", "what crosses zero has no level of its own; use 'hysteresis' instead")
    size = width if back.fraction is None else float(100 * back.fraction)
    return -size if up else size
