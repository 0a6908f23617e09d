"""`anomaly`: something about the market is rarer than its owner cares to be told of."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, ClassVar

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.rules.base import SCORE, Feature, Rising
from pricewatch.rules.minutes import ALARM
from pricewatch.rules.numbers import positive, shown
from pricewatch.rules.policy import Back

BACK = Decimal("0.2")
"""An anomaly ends when the score has fallen to 0.8 of its threshold unless its policy says otherwise."""
MOST, LEAST = Decimal(350), Decimal(7) / 366
"""False alarms a week: fifty a day, and one a year."""
_RATE = re.compile(r"(\d{1,4}(?:\.\d{1,3})?) ?/ ?(day|week|month|year)")
_WEEKS = {"day": Decimal(1) / 7, "week": Decimal(1), "month": Decimal(365) / 84, "year": Decimal(365) / 7}


class AnomalyDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="anomaly"):
    """`{"type": "anomaly", "false_alarms": "3/week"}`, or `{"type": "anomaly", "score": "4"}`."""

    score: Annotated[
        Decimal | None, msgspec.Meta(description="Threshold of the combined score of trades and minutes, e.g. '4'.")
    ] = None
    false_alarms: Annotated[
        str | None,
        msgspec.Meta(
            description="At most so many alarms a 'day', 'week', 'month' or 'year' without a reason, e.g. '3/week'."
        ),
    ] = None

    percents: ClassVar[bool] = False

    def build(self, back: Back) -> Anomaly | RareBar:
        """The checked condition; raises `Invalid`."""
        if (self.score is None) == (self.false_alarms is None):
            raise Invalid("$.when", "give either 'false_alarms', e.g. '3/week', or 'score', e.g. '4'")
        if self.false_alarms is not None:
            return _rare(self.false_alarms, back)
        score = positive(self.score or Decimal(0), "$.when.score")
        return Anomaly(float(score), float(back.of(score, BACK)))


def _rare(text: str, back: Back) -> RareBar:
    found = _RATE.fullmatch(text)
    if found is None:
        raise Invalid("$.when.false_alarms", f"{shown(text)} is no rate; write for example '3/week' or '1/day'")
    weekly = Decimal(found[1]) / _WEEKS[found[2]]
    if not LEAST <= weekly <= MOST:
        raise Invalid("$.when.false_alarms", f"{shown(text)} is not between '1/year' and '50/day'")
    if back.clear is not None:
        raise Invalid("$.policy.clear", "a rate of false alarms has no level to end at; use 'hysteresis', or remove it")
    level = 1.0 / float(weekly)
    return RareBar(level, 0.0 if back.fraction is None else level * (1.0 - float(back.fraction)), float(weekly))


class Anomaly(Rising, frozen=True, gc=False):
    """Holds while score > level, ends at score <= clear. While the models warm up it does not hold."""

    kind: ClassVar[str] = "anomaly"

    def needs(self) -> Feature:
        """The combined anomaly score."""
        return SCORE

    def evidence(self) -> dict[str, Any]:
        """Threshold and clear level of the score."""
        return {"threshold": self.level, "clear": self.clear}


class RareBar(Rising, frozen=True, gc=False):
    """Holds from a minute that is rare enough to the end of its cluster of unusual minutes.

    `level` is in weeks between alarms: what is rarer comes less often than the owner bears.
    """

    weekly: float
    """False alarms a week, at most."""

    kind: ClassVar[str] = "anomaly"

    def needs(self) -> Feature:
        """Weeks between alarms as rare as the present cluster."""
        return ALARM

    def evidence(self) -> dict[str, Any]:
        """Threshold and clear level in weeks, and the rate they stand for."""
        return {"threshold": self.level, "clear": self.clear, "false_alarms_per_week": self.weekly}
