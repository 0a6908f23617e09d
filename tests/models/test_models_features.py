from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.made import MINUTE, START, made

from pricewatch.models.features import LONG, MOST_EMPTY, SHORT, FeatureStream, Row, Shape, is_bar
from pricewatch.models.volatility import CAP, LEAST, OWN, Volatility

HOUR = 60 * MINUTE


def rows(stream: FeatureStream, bars: list[Shape]) -> list[Row]:
    found = []
    for bar in bars:
        found.append(stream.look(bar))
        stream.learn(found[-1])
    return found


def test_moves_are_log_returns_over_so_many_bars() -> None:
    bars = list(made(50))
    found = rows(FeatureStream(), bars)
    assert found[0].move == found[0].short == found[0].long == 0.0
    assert found[3].short == found[3].long == pytest.approx(math.log(bars[3].close / bars[0].close))
    last = found[-1]
    assert last.move == pytest.approx(math.log(bars[-1].close / bars[-2].close))
    assert last.short == pytest.approx(math.log(bars[-1].close / bars[-1 - SHORT].close))
    assert last.long == pytest.approx(math.log(bars[-1].close / bars[-1 - LONG].close))
    assert (last.at, last.step, last.close, last.volume) == (bars[-1].at, MINUTE, bars[-1].close, bars[-1].volume)
    assert last.hour == bars[-1].at // HOUR % 24


def test_the_range_includes_the_close_before() -> None:
    stream = FeatureStream()
    rows(stream, [Shape(START, MINUTE, 101.0, 99.0, 100.0, 1.0)])
    above = stream.look(Shape(START + MINUTE, MINUTE, 104.0, 102.0, 103.0, 1.0))
    below = stream.look(Shape(START + MINUTE, MINUTE, 98.0, 96.0, 97.0, 1.0))
    assert above.size == pytest.approx(math.log(104 / 100))
    assert below.size == pytest.approx(math.log(100 / 96))


def test_nothing_of_a_bar_is_in_what_was_usual_before_it() -> None:
    stream = FeatureStream()
    rows(stream, list(made(200)))
    calm = stream.look(Shape(START + 200 * MINUTE, MINUTE, stream.close, stream.close, stream.close, 0.0))
    wild = stream.look(Shape(START + 200 * MINUTE, MINUTE, stream.close * 9, stream.close, stream.close * 9, 1e9))
    assert (calm.sigma, calm.slow, calm.usual, calm.level) == (wild.sigma, wild.slow, wild.usual, wild.level)
    assert stream.look(wild and Shape(*wild[:2], 1.0, 1.0, 1.0, 0.0)).sigma == calm.sigma


def test_what_is_usual_follows_the_market_and_its_hours() -> None:
    stream = FeatureStream()
    rows(stream, list(made(3_000 * 24, sigma=1e-3, step=HOUR))[:2_000])
    night, day = (stream.volatility.expect(hour)[0] for hour in (3, 12))
    assert 1.5 < day / night < 2.5
    assert 1.0 < stream.volatility.usual(12) / stream.volatility.usual(3) < 3.0
    rows(stream, list(made(200, sigma=5e-3, step=HOUR, start=START + 2_000 * HOUR, price=stream.close)))
    assert 3.0 < stream.volatility.expect(3)[0] / night < 7.0


def test_a_rhythm_that_changes_is_learned_anew() -> None:
    volatility = Volatility()
    for number in range(24 * 2 * OWN):
        volatility.learn(number % 24, 2e-3 if number % 24 == 3 else 1e-3, 0.0, whole=True)
    assert 1.5 < volatility.season(3) < 2.0
    for number in range(24 * 3 * OWN):
        volatility.learn(number % 24, 1e-3, 0.0, whole=True)
    assert volatility.season(3) < 1.2


def test_one_busy_day_is_no_rhythm_yet() -> None:
    stream = FeatureStream()
    rows(stream, list(made(1_440)))
    assert all(0.85 < stream.volatility.season(hour) < 1.15 for hour in range(24))


def test_the_hour_after_a_closing_is_learned() -> None:
    stream = FeatureStream()
    assert not stream.settled
    opened = [bar for bar in made(24 * 40, step=HOUR) if 9 <= bar.at // HOUR % 24 < 16]
    rows(stream, opened)
    assert stream.settled
    assert stream.at // HOUR % 24 == 15
    assert stream.expected == stream.volatility.expect(9)
    minutes = FeatureStream()
    rows(minutes, list(made(61)))
    assert minutes.expected == minutes.volatility.expect(1)


def test_the_hours_ahead_are_those_the_market_trades_in() -> None:
    stream = FeatureStream()
    rows(stream, [bar for bar in made(24 * 40, step=HOUR) if 9 <= bar.at // HOUR % 24 < 16])
    assert list(stream.hours(9)) == [(hour, 1) for hour in (9, 10, 11, 12, 13, 14, 15, 9, 10)]
    fresh = FeatureStream()
    rows(fresh, list(made(23, step=HOUR)))
    assert list(fresh.hours(3)) == [(23, 1), (0, 1), (1, 1)], (
        "what never was followed by anything is followed by the next"
    )


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        (1, [(0, 1)]),
        (59, [(0, 59)]),
        (61, [(0, 59), (1, 2)]),
        (1_440, [(0, 59), *((hour, 60) for hour in range(1, 24)), (0, 1)]),
    ],
)
def test_the_minutes_ahead_fall_into_their_hours(bars: int, expected: list[tuple[int, int]]) -> None:
    stream = FeatureStream()
    rows(stream, list(made(1)))
    assert list(stream.hours(bars)) == expected
    seven = FeatureStream()
    rows(seven, list(made(1, step=7 * MINUTE)))
    assert list(seven.hours(10)) == [(0, 8), (1, 2)]


def test_empty_bars_are_explicit_and_a_long_silence_is_not_filled() -> None:
    stream = FeatureStream()
    assert list(stream.empties(START, MINUTE)) == []
    rows(stream, list(made(1)))
    price = stream.close
    found = list(stream.empties(START + 4 * MINUTE, MINUTE))
    assert found == [Shape(START + n * MINUTE, MINUTE, price, price, price, 0.0) for n in (1, 2, 3)]
    assert len(list(stream.empties(START + 5_000 * MINUTE, MINUTE))) == MOST_EMPTY
    assert list(stream.empties(START + MINUTE, MINUTE)) == []
    assert list(stream.empties(START - MINUTE, MINUTE)) == []


@pytest.mark.parametrize(
    "bad",
    [
        {"high": math.nan},
        {"low": 0.0},
        {"low": -1.0},
        {"close": math.inf, "high": math.inf},
        {"close": 102.0},
        {"close": 98.0},
        {"volume": math.nan},
        {"volume": -1.0},
        {"volume": math.inf},
        {"step": 0},
    ],
)
def test_what_is_no_bar_is_known_for_it(bad: dict[str, float]) -> None:
    bar = Shape(START, MINUTE, 101.0, 99.0, 100.0, 1.0)
    assert is_bar(bar)
    assert not is_bar(bar._replace(**bad))  # type: ignore[arg-type]


def test_a_standing_market_expects_the_least() -> None:
    stream = FeatureStream()
    rows(stream, [Shape(START + n * MINUTE, MINUTE, 5.0, 5.0, 5.0, 0.0) for n in range(50)])
    row = stream.look(Shape(START + 50 * MINUTE, MINUTE, 5.0, 5.0, 5.0, 0.0))
    assert (row.sigma, row.slow, row.level, row.usual) == (LEAST, LEAST, LEAST, 0.0)


def test_one_absurd_bar_is_learned_as_a_large_one() -> None:
    stream = FeatureStream()
    rows(stream, list(made(300)))
    before, usual = stream.volatility.expect(0)[0], stream.look(next(made(1))).usual
    rows(stream, [Shape(stream.at + MINUTE, MINUTE, 1e14, 100.0, 1e14, 1e14)])
    assert stream.volatility.expect(0)[0] < before * CAP
    assert stream.look(next(made(1))).usual < 1.2 * usual


@settings(max_examples=6, deadline=None)
@given(cut=st.integers(0, 120), seed=st.integers(0, 99), step=st.sampled_from([MINUTE, HOUR]))
def test_a_dump_goes_on_identically(cut: int, seed: int, step: int) -> None:
    bars = list(made(150, seed, step=step))
    whole, again = FeatureStream(), FeatureStream()
    found = rows(whole, bars[:cut])
    again.load(whole.dump())
    assert rows(again, bars[cut:]) == rows(whole, bars[cut:])
    assert len(found) == cut


def test_foreign_states_are_refused() -> None:
    with pytest.raises(ValueError, match="state of features"):
        FeatureStream().load([1.0])
    with pytest.raises(ValueError, match="volatility"):
        Volatility().load([1.0])
