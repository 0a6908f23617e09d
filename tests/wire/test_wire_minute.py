from __future__ import annotations

import math

import msgspec

from pricewatch.domain.features import BandNow, Calibration, Features
from pricewatch.domain.time import HOUR, MINUTE, SECOND
from pricewatch.wire.minute import minute


def test_times_are_text_spans_are_words_and_what_is_not_finite_is_null() -> None:
    bands = [
        BandNow(0.95, 5 * MINUTE, MINUTE, "1", "2", "3", 0.94, 500, "bank"),
        BandNow(0.8, 24 * HOUR, MINUTE, "1", "2", "3", None, 0, "bank"),
    ]
    known = Features(
        market="coinbase:BTC-USD",
        at=0,
        end=MINUTE,
        close="2",
        move=0.1,
        move_short=0.2,
        move_long=math.nan,
        range=0.4,
        volume=5.0,
        usual_volume=6.0,
        volatility=0.7,
        score=1.0,
        rarity=-math.inf,
        parts={"move": 1.5, "trend": -math.inf},
        alarms_per_week=2.5,
        drifts=3,
        model="bank",
        bands=bands,
        calibration=[Calibration(21.0, 20.0, 2, 1_008)],
    )
    document = msgspec.json.decode(msgspec.json.encode(minute(known, MINUTE + 90 * SECOND)))
    assert (document["at"], document["end"]) == ("1970-01-01T00:00:00.000000Z", "1970-01-01T00:01:00.000000Z")
    assert (document["age"], document["move_30"], document["rarity"]) == (90.0, None, None)
    assert document["parts"] == {"move": 1.5, "trend": None}
    first, second = document["bands"]
    assert (first["horizon"], first["until"], first["coverage"]) == ("5m", "1970-01-01T00:06:00.000000Z", 0.94)
    assert (second["horizon"], second["coverage"], second["counted"]) == ("24h", None, 0)
    rate = {"stated_per_week": 21.0, "observed_per_week": 20.0, "alarms": 2, "minutes": 1_008}
    assert document["alarm_rates"] == [rate]
