"""What is known of a market at the end of a bar, as it is shown: plain numbers with an age."""

from __future__ import annotations

import msgspec


class BandNow(msgspec.Struct, frozen=True):
    """Where the price will be, with a probability of `level`, `horizon` after `issued`."""

    level: float
    horizon: int
    """Microseconds of trading ahead."""
    issued: int
    """Event time of the close it starts from: its age is counted from here."""
    lower: str
    centre: str
    upper: str
    """Prices as decimal text."""
    coverage: float | None
    """Share of the last `counted` such bands that covered what came; None before the first."""
    counted: int
    model: str


class Calibration(msgspec.Struct, frozen=True):
    """Alarms a week as stated, beside those that came since the market was first followed."""

    stated: float
    observed: float
    alarms: int
    bars: int


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """One closed bar of one market, beside what was usual; moves, ranges and volatility are logarithmic."""

    market: str
    at: int
    """The bar's beginning, event time in microseconds."""
    end: int
    close: str
    """Decimal text."""
    move: float
    move_short: float
    """Over 5 bars."""
    move_long: float
    """Over 30 bars."""
    range: float
    volume: float
    usual_volume: float
    volatility: float
    """The range expected of the next bar."""
    score: float | None
    """The combined anomaly score of the last trade; None while models warm up."""
    rarity: float
    """Of this bar: about -log10 of the probability of the rarest thing about it."""
    parts: dict[str, float]
    """The same for each thing looked at."""
    alarms_per_week: float | None
    """How many alarms a week a reader would get who is alarmed by this; None where nothing is unusual."""
    drifts: int
    """How often the market has drifted so far."""
    model: str
    bands: list[BandNow]
    calibration: list[Calibration]
