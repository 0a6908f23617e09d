"""`volume`: much more is traded within a window than was usual before it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.rules.base import Feature, Rising
from pricewatch.rules.numbers import Number
from pricewatch.rules.policy import Back
from pricewatch.rules.spike import BACK, spans, times


class VolumeDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="volume"):
    """`{"type": "volume", "times": 5, "window": "1m", "baseline": "1h"}`."""

    times: Annotated[Number, msgspec.Meta(description="How many times the usual volume, e.g. 5.")]
    window: Annotated[str, msgspec.Meta(description="In how long, at most '1h'.")] = "1m"
    baseline: Annotated[
        str, msgspec.Meta(description="What is usual: the time before the window, longer than it, at most '23h'.")
    ] = "1h"

    percents: ClassVar[bool] = False

    def build(self, back: Back) -> Volume:
        """The checked condition; raises `Invalid`."""
        level = times(self.times)
        window, baseline = spans(self.window, self.baseline)
        return Volume(float(level), float(back.of(level, BACK)), window, baseline)


class Volume(Rising, frozen=True, gc=False):
    """The window's volume a second is strictly more than `level` times the baseline's; ends at `clear` times.

    Unknown until the market has been followed for window and baseline, and while nothing was traded in the baseline.
    """

    window: int
    baseline: int

    kind: ClassVar[str] = "volume"

    def needs(self) -> Feature:
        """The ratio of the window's volume to the usual one."""
        return Feature("volume", self.window, self.baseline)

    def evidence(self) -> dict[str, Any]:
        """Threshold and clear level as multiples, the spans in seconds."""
        return {
            "threshold": self.level,
            "clear": self.clear,
            "window": self.window / SECOND,
            "baseline": self.baseline / SECOND,
        }
