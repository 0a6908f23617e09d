"""Every condition there is, in plain sight: a new one is its file and one line in each list."""

from __future__ import annotations

from pricewatch.rules.conditions.above import AboveDocument
from pricewatch.rules.conditions.anomaly import AnomalyDocument
from pricewatch.rules.conditions.band import BandDocument
from pricewatch.rules.conditions.below import BelowDocument
from pricewatch.rules.conditions.change import ChangeDocument
from pricewatch.rules.conditions.channel import ChannelDocument
from pricewatch.rules.conditions.crosses import CrossesDocument
from pricewatch.rules.conditions.drift import DriftDocument
from pricewatch.rules.conditions.extreme import ExtremeDocument
from pricewatch.rules.conditions.outside_band import OutsideBandDocument
from pricewatch.rules.conditions.spread import SpreadDocument
from pricewatch.rules.conditions.trailing import TrailingDocument
from pricewatch.rules.conditions.volatility import VolatilityDocument
from pricewatch.rules.conditions.volume import VolumeDocument

ConditionDocument = (
    AboveDocument
    | AnomalyDocument
    | BandDocument
    | BelowDocument
    | ChangeDocument
    | ChannelDocument
    | CrossesDocument
    | DriftDocument
    | ExtremeDocument
    | OutsideBandDocument
    | SpreadDocument
    | TrailingDocument
    | VolatilityDocument
    | VolumeDocument
)

KINDS = (
    "above",
    "anomaly",
    "band",
    "below",
    "change",
    "channel",
    "crosses",
    "drift",
    "extreme",
    "outside_band",
    "spread",
    "trailing",
    "volatility",
    "volume",
)
"""What `when.type` may say."""
