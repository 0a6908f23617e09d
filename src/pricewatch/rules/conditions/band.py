"""`band`: the price is outside the calibrated band that was drawn around it some time ago."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.rules.base import Feature, Rising
from pricewatch.rules.minutes import band_feature
from pricewatch.rules.policy import Back

BACK = Decimal("0.0005")
"""It ends 0.05 % of the edge back inside."""
HORIZONS = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "6h": 360, "24h": 1_440}

Edge = Literal["upper", "lower", "either"]


class BandDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="band"):
    """`{"type": "band", "level": 95, "horizon": "1h", "side": "either"}`."""

    level: Annotated[Literal[80, 95, 99], msgspec.Meta(description="Per cent of the outcomes the band covers.")] = 95
    horizon: Annotated[
        Literal["1m", "5m", "15m", "1h", "6h", "24h"],
        msgspec.Meta(description="How long ago the band was drawn; it is about now."),
    ] = "1h"
    side: Edge = "either"

    percents: ClassVar[bool] = False

    def build(self, back: Back) -> Band:
        """The checked condition; raises `Invalid`."""
        if back.clear is not None:
            raise Invalid("$.policy.clear", "a band has no fixed level; use 'hysteresis' instead")
        clear = -float(BACK if back.fraction is None else back.fraction)
        return Band(0.0, clear, HORIZONS[self.horizon], self.level / 100.0, self.side)


class Band(Rising, frozen=True, gc=False):
    """Holds while the price is strictly beyond the edge; unknown where no band is about the present minute."""

    horizon: int
    """Minutes."""
    share: float
    """Of the outcomes that the band covers."""
    side: Edge

    kind: ClassVar[str] = "band"

    def needs(self) -> Feature:
        """How far the price is beyond the watched edge."""
        return band_feature(self.horizon, self.share, self.side)

    def evidence(self) -> dict[str, Any]:
        """Side, level, horizon in seconds, and the hysteresis as a fraction of the edge."""
        return {"side": self.side, "level": self.share, "horizon": 60.0 * self.horizon, "clear": self.clear}
