"""Names of the numbers that closed bars give: rules ask for them, the engine answers."""

from __future__ import annotations

from pricewatch.rules.base import Feature

WEEK_BARS = 10_080
"""Bars of a minute in a week."""
ALARM = Feature("alarm")
"""Weeks between alarms as rare as the present cluster of unusual bars; 0 while nothing is unusual."""
DRIFT = Feature("drift")
"""1 from the close of a bar with which the market drifted to the next close, else 0."""
BAND = "band"
"""`band:<side>:<per cent>:<minutes>`: how far the price is outside that band, as a fraction of the edge."""


def band_feature(horizon: int, level: float, side: str) -> Feature:
    """The number of one band; `horizon` in minutes."""
    return Feature(f"{BAND}:{side}:{level:.0%}:{horizon}")


def band_of(feature: Feature) -> tuple[int, float, str]:
    """Horizon in minutes, level and side of what `band_feature` made."""
    _, side, level, horizon = feature.name.split(":")
    return int(horizon), float(level.removesuffix("%")) / 100.0, side


def is_of_minutes(feature: Feature) -> bool:
    """Whether closed bars give this number."""
    return feature in (ALARM, DRIFT) or feature.name.startswith(f"{BAND}:")
