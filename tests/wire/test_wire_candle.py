from __future__ import annotations

import json
import uuid

import msgspec
import pytest

from pricewatch.domain.market import Candle
from pricewatch.domain.model import Forecast, ForecastRow
from pricewatch.domain.time import HOUR, MINUTE
from pricewatch.wire.candle import CandleFrame, candle_frame, update
from pricewatch.wire.features import FeaturesFrame, features, features_frame

NOW = 10 * HOUR


def candle(back: int, close: float) -> Candle:
    """The minute that ended so many minutes ago."""
    return Candle(1, NOW - (back + 1) * MINUTE, 1.0, 9.0, 0.5, close, 0.1 + 0.2, 7)


def forecast(expires: int) -> Forecast:
    rows = [ForecastRow(NOW - MINUTE, 1.0, 0.5, 1.5), ForecastRow(NOW, 2.0, 1.5, 2.5)]
    return Forecast(uuid.UUID(int=4), 1, "prophet", 0, 0, 9, 0.95, MINUTE, expires, rows)


def test_a_candle_is_exact_text() -> None:
    made = update(candle(0, 1.5), "a:B-C", closed=True, partial=False)
    frame = msgspec.json.decode(candle_frame([msgspec.json.encode(made)]), type=CandleFrame)
    assert frame.data == [made]
    assert (made.at, made.high, made.close) == ("1970-01-01T09:59:00.000000Z", "9", "1.5")


def test_features_of_a_market() -> None:
    made = features(
        "a:B-C",
        now=NOW,
        price=3.0,
        candles=[candle(70, 6.0), candle(5, 2.0), candle(1, 1.5), candle(0, 99.0)],
        score=(NOW - MINUTE, 0.25),
        forecast=forecast(NOW + 1),
    )
    assert made.returns == {"1m": 1.0, "5m": 0.5, "1h": -0.5}
    assert (made.price, made.score, made.scored) == ("3", 0.25, "1970-01-01T09:59:00.000000Z")
    assert made.band is not None
    assert (made.band.lower, made.band.centre, made.band.upper) == (1.5, 2.0, 2.5)
    frame = features_frame([msgspec.json.encode(made)])
    assert msgspec.json.decode(frame, type=FeaturesFrame).data == [made]
    assert json.loads(frame)["channel"] == "features"


@pytest.mark.parametrize("expires", [NOW, NOW - 1])
def test_what_is_not_known_is_null(expires: int) -> None:
    old = features("a:B-C", now=NOW, price=3.0, candles=[candle(3, 2.0)], score=None, forecast=forecast(expires))
    assert (old.returns, old.band, old.score, old.scored) == ({"1m": None, "5m": None, "1h": None}, None, None, None)
    unknown = features("a:B-C", now=NOW, price=None, candles=[candle(1, 2.0)], score=None, forecast=None)
    assert (unknown.price, unknown.returns["1m"], unknown.band) == (None, None, None)
    later = features("a:B-C", now=NOW + HOUR, price=3.0, candles=[], score=None, forecast=forecast(NOW + 9 * HOUR))
    assert later.band is None
