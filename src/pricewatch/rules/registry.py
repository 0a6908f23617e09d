"""Every condition there is, in plain sight: a new one is its file and one line in each list."""

from __future__ import annotations

from pricewatch.rules.conditions import group, sequence
from pricewatch.rules.conditions.above import AboveDocument
from pricewatch.rules.conditions.anomaly import AnomalyDocument
from pricewatch.rules.conditions.band import BandDocument
from pricewatch.rules.conditions.below import BelowDocument
from pricewatch.rules.conditions.bollinger import BollingerDocument
from pricewatch.rules.conditions.change import ChangeDocument
from pricewatch.rules.conditions.channel import ChannelDocument
from pricewatch.rules.conditions.crosses import CrossesDocument
from pricewatch.rules.conditions.divergence import DivergenceDocument
from pricewatch.rules.conditions.drift import DriftDocument
from pricewatch.rules.conditions.extreme import ExtremeDocument
from pricewatch.rules.conditions.group import AndDocument, NotDocument, OrDocument
from pricewatch.rules.conditions.macd import MacdDocument
from pricewatch.rules.conditions.moving_average import MovingAverageDocument
from pricewatch.rules.conditions.outside_band import OutsideBandDocument
from pricewatch.rules.conditions.rsi import RsiDocument
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
    | BollingerDocument
    | ChangeDocument
    | ChannelDocument
    | CrossesDocument
    | DriftDocument
    | DivergenceDocument
    | ExtremeDocument
    | MacdDocument
    | MovingAverageDocument
    | NotDocument
    | OrDocument
    | OutsideBandDocument
    | RsiDocument
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
    "bollinger",
    "change",
    "channel",
    "crosses",
    "drift",
    "divergence",
    "extreme",
    "macd",
    "moving_average",
    "not",
    "or",
    "outside_band",
    "rsi",
    "spread",
    "stale",
    "then",
    "trailing",
    "volatility",
    "volume",
)
"""What `when.type` may say."""
