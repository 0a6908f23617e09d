"""`stale`: nothing was traded on a market for some time."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import SECOND
from pricewatch.rules.base import Feature, Rising
from pricewatch.rules.numbers import shown
from pricewatch.rules.policy import Back
from pricewatch.rules.windows import window


class StaleDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="stale"):
    """`{"type": "stale", "after": "1m"}`."""

    after: Annotated[str, msgspec.Meta(description="How long without a trade, from '1s' to '24h'.")]

    percents: ClassVar[bool] = False

    def build(self, back: Back) -> Stale:
        """The checked condition; raises `Invalid`."""
        if back.clear is not None:
            raise Invalid("$.policy.clear", "silence ends with the next trade; remove it")
        return Stale(0.0, 0.0, silence(self.after, "$.when.after"))


class Stale(Rising, frozen=True, gc=False):
    """Begins once the market's last trade is `after` old, by its time or by the order; ends with the next trade."""

    after: int

    kind: ClassVar[str] = "stale"

    def needs(self) -> Feature:
        """For how long nothing was traded."""
        return Feature("silence", self.after)

    def evidence(self) -> dict[str, Any]:
        """The silence meant, in seconds."""
        return {"after": self.after / SECOND}


def silence(text: str, field: str) -> int:
    """Microseconds of a silence worth speaking of; raises `Invalid`."""
    span = window(text, field)
    if span < SECOND:
        raise Invalid(field, f"{shown(text)} is no silence; write at least '1s'")
    return span
