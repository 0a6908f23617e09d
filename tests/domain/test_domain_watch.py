from __future__ import annotations

import uuid

from pricewatch.domain.signal import SIGNALS, Direction
from pricewatch.domain.watch import (
    GAP_RULE,
    STALE_RULES,
    SYSTEM,
    Hole,
    Place,
    gap_closed,
    gap_opened,
    model_drift,
    recovered,
    stale,
)

PLACE = Place(3, "kraken", "BTC-USD")
HOLE = Hole(12, 100, 109, 5_000_000, 6_000_000, "trade ids jumped")


def test_a_gap_is_known_by_its_number() -> None:
    opened, closed = gap_opened(PLACE, HOLE, seen=7), gap_closed(PLACE, HOLE, how="candles", seen=9)
    for signal, direction in ((opened, Direction.FIRED), (closed, Direction.CLEARED)):
        name = f"{GAP_RULE}/1/kraken:BTC-USD/gap:12/{direction}"
        assert signal.id == uuid.uuid5(SIGNALS, name)
        assert (signal.account_id, signal.kind, signal.gap) == (SYSTEM, "feed.gap", True)
        assert (signal.since, signal.at) == (5_000_000, 6_000_000)
        assert signal.evidence["missing"] == 10
    assert (opened.evidence["state"], opened.seen) == ("opened", 7)
    assert (closed.evidence["state"], closed.seen) == ("candles", 9)
    assert closed.title == "kraken:BTC-USD: missing trades stay missing; candles were had"


def test_where_only_the_times_are_known_nobody_says_how_many_are_missing() -> None:
    evidence = gap_opened(PLACE, Hole(1, 0, -1, 5, 6, "closed"), seen=7).evidence
    assert (evidence["missing"], evidence["first_key"], evidence["last_key"]) == (None, None, None)


def test_silence_and_its_end() -> None:
    silent = stale(PLACE, "trades", last=1_000_000, due=31_000_000, limit=30_000_000, ever=True)
    assert (silent.kind, silent.direction, silent.cause) == ("feed.stale", Direction.FIRED, "timer:31000000")
    assert silent.title == "kraken:BTC-USD trades: nothing came for 30 s"
    assert (silent.rule_id, silent.since, silent.at) == (STALE_RULES["trades"], 1_000_000, 31_000_000)
    never = stale(PLACE, "quotes", last=1, due=2, limit=1, ever=False)
    assert never.title.endswith("nothing came yet")
    again = recovered(PLACE, "trades", last=1_000_000, at=61_500_000, missing=3, filled=40)
    assert (again.kind, again.direction) == ("feed.recovered", Direction.CLEARED)
    assert again.evidence == {"v": 1, "channel": "trades", "silent_seconds": 60.5, "missing": 3, "filled": 40}
    assert len({silent.id, never.id, again.id}) == 3


def test_a_drift_is_known_by_its_minute() -> None:
    drift = model_drift(PLACE, "ranges", "bank@1", at=60_000_000, seen=61_000_000)
    assert (drift.kind, drift.direction, drift.cause) == ("model.drift", Direction.FIRED, "bar:60000000")
    assert drift.title == "kraken:BTC-USD has drifted: it ranges unlike before"
    assert drift.evidence == {"v": 1, "drift": "ranges", "model": "bank@1"}
    assert model_drift(PLACE, "ranges", "bank@1", at=60_000_000, seen=99).id == drift.id
    other = model_drift(PLACE, "coverage", "bank@1", at=120_000_000, seen=99)
    assert other.id != drift.id
    assert other.title.endswith("its bands miss more than they should")
