"""What a condition is: one number of a market compared with levels."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Protocol

import msgspec

from pricewatch.domain.rule import Phase
from pricewatch.domain.time import SECOND
from pricewatch.rules.policy import Back

INF = math.inf

Triggers = tuple[float, float]
"""`(up, down)`: nothing can change while `down < x < up`; reaching either asks for a new verdict."""


class Feature(msgspec.Struct, frozen=True, gc=False):
    """One number known of a market at a trade: what a condition reads. Unread features cost nothing."""

    name: str
    """`price`, `score`, `over`, `under`, `outside`, `change`, or the name of one of the engine's gauges."""
    window: int = 0
    """The span of recent trades it is about, in microseconds; 0 for none."""
    baseline: int = 0
    """The span before the window that it is compared with; 0 for none."""
    spec: tuple[int, ...] = ()
    """Of an indicator: the span of its bars (µs) and its periods."""
    every: int = 0
    """Looked at only where bars of that span (µs) end; 0 for at every trade."""

    @property
    def key(self) -> str:
        """A name of its own among all numbers."""
        return "/".join(map(str, (self.name, self.window, self.baseline, *self.spec, self.every)))

    @property
    def reach(self) -> int:
        """How far back it looks, in microseconds; a baseline begins with a whole second."""
        return self.window + self.baseline + (SECOND if self.baseline else 0) + 2 * self.every


PRICE = Feature("price")
SCORE = Feature("score")
OVER = Feature("over")
"""How far the price is above the upper edge of the active forecast band, as a fraction of the edge."""
UNDER = Feature("under")
"""How far the price is below the lower edge, as a fraction of the edge."""
OUTSIDE = Feature("outside")
"""The greater of `over` and `under`."""


SPREAD = Feature("spread")
"""How far bid and ask are apart, in per cent of their middle."""


MID = Feature("mid")
BID = Feature("bid")
ASK = Feature("ask")
QUOTED = (SPREAD, MID, BID, ASK)
"""What quotes move, and trades do not."""
PRICES = (PRICE, MID, BID, ASK)
"""Numbers that are prices: evidence has them as decimal text."""


class Condition(Protocol):
    """A parsed condition. An unknown number is NaN: it neither begins, holds nor clears."""

    @property
    def kind(self) -> str:
        """What `when.type` says."""
        ...

    @property
    def emits_clear(self) -> bool:
        """Whether the end is worth a signal; `crosses` and `extreme` are events and only re-arm."""
        ...

    @property
    def level(self) -> float:
        """The level it is compared with, as its owner wrote it."""
        ...

    @property
    def clear(self) -> float:
        """Where it ends."""
        ...

    def needs(self) -> Feature:
        """The number it reads."""
        ...

    def begins(self, prior: float, x: float) -> bool:
        """Whether it begins with `x`, after `prior`."""
        ...

    def holds(self, x: float) -> bool:
        """Whether it holds (what arming and a pending rule ask)."""
        ...

    def cleared(self, x: float) -> bool:
        """Whether it has ended (what a firing rule asks)."""
        ...

    def triggers(self, phase: Phase, x: float) -> Triggers:
        """Until which values a rule in `phase` may sleep when the number stands at `x`."""
        ...

    def evidence(self) -> dict[str, Any]:
        """The numbers its owner chose, for a signal's evidence: JSON-ready, prices as decimal text."""
        ...


class Document(Protocol):
    """A condition as it is written."""

    @property
    def percents(self) -> bool:
        """Whether its threshold is a percentage."""
        ...

    def build(self, back: Back) -> Condition:
        """The checked condition; raises `Invalid`."""
        ...


class Rising(msgspec.Struct, frozen=True, gc=False):
    """What conditions have in common that hold while a number > level and end at number <= clear."""

    level: float
    clear: float

    emits_clear: ClassVar[bool] = True

    def begins(self, prior: float, x: float) -> bool:  # noqa: ARG002 - what was before does not matter
        """Strictly above the threshold."""
        return x > self.level

    def holds(self, x: float) -> bool:
        """Strictly above the threshold."""
        return x > self.level

    def cleared(self, x: float) -> bool:
        """Fallen to the clear level."""
        return x <= self.clear

    def triggers(self, phase: Phase, x: float) -> Triggers:  # noqa: ARG002 - one side only
        """Sleep below the threshold, or above where it ends."""
        return rising(phase, self.level, self.clear)


def beyond(level: float) -> float:
    """The smallest number strictly above `level`."""
    return math.nextafter(level, INF)


def short_of(level: float) -> float:
    """The greatest number strictly below `level`."""
    return math.nextafter(level, -INF)


def rising(phase: Phase, level: float, clear: float) -> Triggers:
    """Triggers of a rule that holds above `level` and ends at `clear` or below."""
    if phase is Phase.FIRING:
        return (INF, clear)
    if phase is Phase.PENDING:
        return (INF, level)
    return (beyond(level), -INF)


def falling(phase: Phase, level: float, clear: float) -> Triggers:
    """Triggers of a rule that holds below `level` and ends at `clear` or above."""
    if phase is Phase.FIRING:
        return (clear, -INF)
    if phase is Phase.PENDING:
        return (level, -INF)
    return (INF, short_of(level))
