"""Every condition there is, in plain sight: a new one is its file and one line in each list."""

from __future__ import annotations

from pricewatch.rules.conditions import group, sequence
from pricewatch.rules.conditions.above import AboveDocument
from pricewatch.rules.conditions.anomaly import AnomalyDocument
from pricewatch.rules.conditions.band import BandDocument
from pricewatch.rules.conditions.below import BelowDocument
from pricewatch.rules.conditions.change import ChangeDocument
from pricewatch.rules.conditions.channel import ChannelDocument
from pricewatch.rules.conditions.crosses import CrossesDocument
from pricewatch.rules.conditions.drift import DriftDocument
from pricewatch.rules.conditions.extreme import ExtremeDocument
from pricewatch.rules.conditions.group import AndDocument, NotDocument, OrDocument
from pricewatch.rules.conditions.outside_band import OutsideBandDocument
from pricewatch.rules.conditions.sequence import ThenDocument
from pricewatch.rules.conditions.spread import SpreadDocument
from pricewatch.rules.conditions.stale import StaleDocument
from pricewatch.rules.conditions.trailing import TrailingDocument
from pricewatch.rules.conditions.volatility import VolatilityDocument
from pricewatch.rules.conditions.volume import VolumeDocument

ConditionDocument = (
    AboveDocument
    | AndDocument
    | AnomalyDocument
    | BandDocument
    | BelowDocument
    | ChangeDocument
    | ChannelDocument
    | CrossesDocument
    | DriftDocument
    | ExtremeDocument
    | NotDocument
    | OrDocument
    | OutsideBandDocument
    | SpreadDocument
    | StaleDocument
    | ThenDocument
    | TrailingDocument
    | VolatilityDocument
    | VolumeDocument
)

for nested in (group, sequence):  # members are of the same union: only here is it known
    vars(nested)["Document"] = ConditionDocument

KINDS = (
    "above",
    "and",
    "anomaly",
    "band",
    "below",
    "change",
    "channel",
    "crosses",
    "drift",
    "extreme",
    "not",
    "or",
    "outside_band",
    "spread",
    "stale",
    "then",
    "trailing",
    "volatility",
    "volume",
)
"""What `when.type` may say."""
