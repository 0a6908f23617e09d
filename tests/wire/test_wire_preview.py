from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.backtest.conftest import BTC, RULE, START, M, S, document, memory, question, replay, trade

from pricewatch.domain.market import Candle
from pricewatch.ports.preview import Answer
from pricewatch.wire import preview as wire

ABOVE = {"type": "above", "level": "100"}


def answered(*, mail: bool = True, candles: bool = False, count: int = 9, end: int = START + 30 * M) -> Answer:
    trades = [trade(n, START + 20 * M + n * S, 99.0 + 2 * (n % 2)) for n in range(1, count)]
    past = memory(trades)
    if candles:
        past.add_candles([Candle(1, START + n * M, 99.0, 100.25, 98.5, 99.0, 1.0) for n in range(3)])
    policy = {"channels": ["email"], "mail_on_clear": True} if mail else {}
    return asyncio.run(replay(past).run(question(document(ABOVE, **policy), end=end, points=5)))


def test_a_preview_tells_counts_and_every_signal_with_its_id() -> None:
    answer = answered()
    told = msgspec.to_builtins(wire.document(answer, 3))
    assert told["summary"] == "30 minutes: fired 3 times, you would have got 6 mails"
    assert (told["fired"], told["cleared"], told["mails"], told["deliveries"]) == (3, 3, 6, {"email": 6})
    assert told["resolution"] == "tick"
    assert (told["rule_id"], told["rule_version"]) == (str(RULE), 1)
    assert told["thresholds"] == {"threshold": "100", "clear": "99.9"}
    assert (told["from"], told["to"]) == ("2027-01-15T08:00:00.000000Z", "2027-01-15T08:30:00.000000Z")
    assert [one["id"] for one in told["signals"]] == [str(one.id) for one in answer.signals[-3:]]
    assert told["signals_left_out"] == 3
    assert told["signals"][0]["cause"].startswith("trade:")
    assert told["markets"] == [
        {"market": BTC.key, "resolution": "tick", "from": "2027-01-15T08:20:01.000000Z", "to": told["to"]}
    ]
    assert told["charts"] == [
        {"market": BTC.key, "points": [{"at": "2027-01-15T08:18:00.000000Z", "low": "99", "high": "101"}]}
    ]


def test_from_candles_there_are_no_ids_and_times_are_minutes() -> None:
    told = wire.document(answered(candles=True, mail=False, count=1), 100)
    assert told.summary == "30 minutes: fired 3 times, it sends no mail (by candles)"
    assert {(one.id, one.cause) for one in told.signals} == {(None, None)}
    assert all(one.at.endswith(":00.000000Z") for one in told.signals)
    assert told.signals_left_out == 0


@pytest.mark.parametrize(
    ("micros", "words"),
    [
        (30 * 1440 * M, "30 days"),
        (1440 * M, "1 day"),
        (36 * 60 * M, "1.5 days"),
        (60 * M, "1 hour"),
        (90 * S, "1.5 minutes"),
        (1_500_000, "1.5 seconds"),
    ],
)
def test_spans_are_said_as_people_say_them(micros: int, words: str) -> None:
    answer = msgspec.structs.replace(answered(), start=0, end=micros, signals=[])
    assert wire.summary(answer) == f"{words}: fired 0 times, you would have got 0 mails"


def test_what_a_pause_keeps_back_is_counted_and_its_mails_are_two() -> None:
    trades = [trade(n, START + n * M, 99.0 + 2 * (n % 2)) for n in range(1, 20)]
    rule = document(ABOVE, channels=["email"], clear_signal=False, most_per_hour=2, digest="20m")
    answer = asyncio.run(replay(memory(trades)).run(question(rule, end=START + 30 * M, points=5)))
    told = wire.document(answer, 10)
    assert [one.direction for one in told.signals] == ["fired", "fired", "paused", "digest"]
    assert (told.fired, told.kept_back, told.mails) == (2, 6, 4)
    assert told.summary == (
        "30 minutes: fired 2 times and 6 more while paused for firing too often, you would have got 4 mails"
    )


def test_nothing_stored_is_said() -> None:
    answer = answered(count=1)
    assert wire.summary(answer) == "30 minutes: nothing is stored of that time"
    assert wire.document(answer, 5).resolution is None
