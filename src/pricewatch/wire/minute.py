"""What the models make of a market's newest closed minute, as feed and REST say it. Fields are only ever added."""

from __future__ import annotations

import math

import msgspec

from pricewatch.domain.features import BandNow, Calibration, Features
from pricewatch.domain.time import HOUR, MINUTE, SECOND, rfc3339


class BandAhead(msgspec.Struct, frozen=True):
    """Where the price will be, with a probability of `level`, at `until`.

    `coverage`: the share of the last `counted` such bands that covered what came; null before the first.
    """

    level: float
    horizon: str
    issued: str
    until: str
    lower: str
    centre: str
    upper: str
    coverage: float | None
    counted: int
    model: str


class AlarmRate(msgspec.Struct, frozen=True):
    """False alarms a week as a rule may state them, beside what came of that in `minutes` judged so far."""

    stated_per_week: float
    observed_per_week: float
    alarms: int
    minutes: int


class MinuteDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The minute [at, end), beside what was usual. `age` is in seconds since its end.

    `move` (one bar), `move_5`, `move_30`, `range` and `volatility` (the next bar's expected range) are logarithmic.
    `rarity` is about -log10 of the probability of the rarest of `parts`; null where there is nothing to tell.
    `alarms_per_week`: of a reader who is alarmed by this; null where nothing is unusual.
    """

    at: str
    end: str
    age: float
    close: str
    volume: float
    usual_volume: float
    move: float | None
    move_5: float | None
    move_30: float | None
    range: float | None
    volatility: float | None
    rarity: float | None
    parts: dict[str, float | None]
    alarms_per_week: float | None
    drifts: int
    model: str
    bands: list[BandAhead]
    alarm_rates: list[AlarmRate]


def minute(one: Features, now: int) -> MinuteDocument:
    """The public form."""
    return MinuteDocument(
        at=rfc3339(one.at),
        end=rfc3339(one.end),
        age=(now - one.end) / SECOND,
        close=one.close,
        volume=one.volume,
        usual_volume=one.usual_volume,
        move=_finite(one.move),
        move_5=_finite(one.move_short),
        move_30=_finite(one.move_long),
        range=_finite(one.range),
        volatility=_finite(one.volatility),
        rarity=_finite(one.rarity),
        parts={name: _finite(value) for name, value in one.parts.items()},
        alarms_per_week=one.alarms_per_week,
        drifts=one.drifts,
        model=one.model,
        bands=[_band(band) for band in one.bands],
        alarm_rates=[_rate(known) for known in one.calibration],
    )


def _band(one: BandNow) -> BandAhead:
    return BandAhead(
        level=one.level,
        horizon=f"{one.horizon // HOUR}h" if one.horizon >= HOUR else f"{one.horizon // MINUTE}m",
        issued=rfc3339(one.issued),
        until=rfc3339(one.issued + one.horizon),
        lower=one.lower,
        centre=one.centre,
        upper=one.upper,
        coverage=one.coverage,
        counted=one.counted,
        model=one.model,
    )


def _rate(one: Calibration) -> AlarmRate:
    return AlarmRate(one.stated, one.observed, one.alarms, one.bars)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
