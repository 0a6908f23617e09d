"""What is known of a market at one moment, as the feed says it. Fields are only ever added."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Literal

import msgspec

from pricewatch.domain.features import Features
from pricewatch.domain.market import Candle, decimal_text
from pricewatch.domain.model import Forecast
from pricewatch.domain.time import HOUR, MINUTE, rfc3339
from pricewatch.wire.minute import MinuteDocument, minute

RETURNS = {"1m": MINUTE, "5m": 5 * MINUTE, "1h": HOUR}
"""The spans of `returns`."""


class FeatureBand(msgspec.Struct, frozen=True):
    """What the newest baseline expects of this minute."""

    version: uuid.UUID
    model: str
    level: float
    centre: float
    lower: float
    upper: float
    expires: str


class FeaturesDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One market. `returns` are against the close of the minute that ended so long ago; null where there is none.

    `spread` is between the best quotes, in per cent of their middle. `minute` is what the models make of the newest
    closed minute, with calibrated bands; null before the first.

    `score` is the highest anomaly score of the minute that began at `scored`. `band` is null where there is no
    baseline, or none that may still be used.
    """

    market: str
    at: str
    price: str | None
    returns: dict[str, float | None]
    score: float | None
    scored: str | None
    band: FeatureBand | None
    spread: float | None
    minute: MinuteDocument | None


class FeaturesPage(msgspec.Struct, frozen=True):
    """Of every market asked for, by market."""

    features: list[FeaturesDocument]


class FeaturesSnapshot(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="snapshot"):
    """Of every newly subscribed market, by market."""

    channel: Literal["features"] = "features"
    snapshot: bool = True
    data: list[FeaturesDocument]


class FeaturesFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="features"):
    """Of the markets where anything changed."""

    channel: Literal["features"] = "features"
    data: list[FeaturesDocument]


def features(
    market: str,
    *,
    now: int,
    price: float | None,
    candles: Sequence[Candle],
    score: tuple[int, float] | None,
    forecast: Forecast | None,
    spread: float | None = None,
    closed: Features | None = None,
) -> FeaturesDocument:
    """The public form; `score` comes with its minute, `candles` are minutes, oldest first."""
    return FeaturesDocument(
        market=market,
        at=rfc3339(now),
        price=None if price is None else decimal_text(price),
        returns={name: _return(price, candles, now - span, span) for name, span in RETURNS.items()},
        score=None if score is None else score[1],
        scored=None if score is None else rfc3339(score[0]),
        band=None if forecast is None else _band(forecast, now),
        spread=spread,
        minute=None if closed is None else minute(closed, now),
    )


def features_frame(documents: list[bytes]) -> bytes:
    """A `FeaturesFrame` around documents that are encoded once for all who get them."""
    return b'{"type":"features","channel":"features","data":[' + b",".join(documents) + b"]}"


def _return(price: float | None, candles: Sequence[Candle], at: int, span: int) -> float | None:
    """Against the last close at `at`; one from a quiet market may be older, by the span at most."""
    before = [one for one in candles if at - span <= one.at + MINUTE <= at]
    if price is None or not before:
        return None
    return price / before[-1].close - 1


def _band(forecast: Forecast, now: int) -> FeatureBand | None:
    if now >= forecast.expires:
        return None
    for row in forecast.rows:
        if row.at <= now < row.at + forecast.step:
            return FeatureBand(
                version=forecast.version,
                model=forecast.model,
                level=forecast.level,
                centre=row.centre,
                lower=row.lower,
                upper=row.upper,
                expires=rfc3339(forecast.expires),
            )
    return None
