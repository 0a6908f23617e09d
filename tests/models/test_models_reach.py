from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.made import MINUTE, START, made

from pricewatch.models.bands.reach import FARTHEST, LEAST, MEAN, SETTLED, SLIGHT, Reach
from pricewatch.models.features import FeatureStream, Shape

HOUR = 60 * MINUTE


class Both:
    """Features and reach, fed together."""

    def __init__(self) -> None:
        self.features = FeatureStream()
        self.reach = Reach()

    def feed(self, bars: Iterable[Shape]) -> list[tuple[float, float]]:
        """What was expected of each bar, and the move it made."""
        found = []
        for bar in bars:
            row = self.features.look(bar)
            self.features.learn(row)
            found.append((self.reach.expected, row.move))
            self.reach.step(row, self.features)
        return found


def falling(count: int, seed: int) -> Iterator[Shape]:
    """A market that moves three times as far after a fall."""
    luck, price, size = random.Random(seed), 100.0, 1e-3
    for number in range(count):
        step = luck.gauss(0.0, size)
        before, price = price, price * math.exp(step)
        size = 3e-3 if step < 0.0 else 1e-3
        yield Shape(START + number * MINUTE, MINUTE, max(before, price), min(before, price), price, 1.0)


def test_a_walk_moves_as_far_as_expected() -> None:
    found = Both().feed(made(4_000))[500:]
    mean = sum(abs(move) / expected for expected, move in found) / len(found)
    assert mean == pytest.approx(MEAN, rel=0.2), "the rest of the level is found by the bands' quantiles"


def test_further_ahead_it_is_the_mean_over_the_hours_on_the_way() -> None:
    both = Both()
    assert both.reach.ahead(24, both.features) == both.reach.expected == LEAST
    found = {}
    for bar in made(24 * 100, step=HOUR):
        both.feed([bar])
        found[both.features.coming] = [both.reach.ahead(bars, both.features) for bars in (1, 6, 24)]
        assert found[both.features.coming][0] == both.reach.expected
    (night, evening, whole), (noon, dusk, day) = found[3], found[12]
    assert night < evening < whole, "it grows livelier from there on"
    assert noon == pytest.approx(dusk, rel=0.15), "six lively hours lie ahead"
    assert 1.5 < noon / night < 2.6
    assert day < noon
    assert 0.8 < day / whole < 1.25, "a whole day is the same from wherever it is looked at"


def test_it_follows_the_hours_of_the_day() -> None:
    both = Both()
    expected = {}
    for bar in made(24 * 100, step=HOUR):
        both.feed([bar])
        expected[both.features.coming] = both.reach.expected
    assert 1.5 < expected[12] / expected[3] < 2.6


def test_a_fall_is_learned_to_be_followed_by_more() -> None:
    found = Both().feed(falling(6_000, 5))[3_000:]
    after = {"fall": [0.0, 0], "rise": [0.0, 0]}
    for (_, before), (expected, _) in pairwise(found):
        place = after["fall" if before < 0.0 else "rise"]
        place[0] += expected
        place[1] += 1
    fall, rise = (total / count for total, count in after.values())
    assert fall > 1.1 * rise
    walk = Both()
    walk.feed(made(3_000))
    assert all(abs(weight) < 0.03 for weight in walk.reach._weights._weights[2:])


def test_a_burst_is_noticed_at_once_and_an_absurd_bar_is_no_regime() -> None:
    both = Both()
    both.feed(made(600))
    before = both.reach.expected
    both.feed(made(4, sigma=1e-2, start=both.features.at + MINUTE, price=both.features.close))
    assert both.reach.expected > 2.0 * before
    calm = Both()
    calm.feed(made(600))
    calm.feed([Shape(calm.features.at + MINUTE, MINUTE, 1e12, 100.0, 1e12, 1.0)])
    assert before < calm.reach.expected < 12.0 * before


def test_a_standing_market_expects_the_least() -> None:
    both = Both()
    assert both.reach.expected == LEAST
    both.feed(Shape(START + number * MINUTE, MINUTE, 5.0, 5.0, 5.0, 0.0) for number in range(500))
    assert both.reach.expected == LEAST
    both.feed(made(300, start=both.features.at + MINUTE, price=5.0))
    assert math.isfinite(both.reach.expected)
    assert both.reach.expected > 100.0 * LEAST


def test_nothing_is_corrected_in_the_beginning_and_never_by_more_than_so_much() -> None:
    both = Both()
    both.feed(falling(SETTLED, 1))
    assert not both.reach._weights._weights.any()
    both.feed(made(200, start=both.features.at + MINUTE, price=both.features.close))
    assert both.reach._weights._weights.any()
    both.reach._weights._weights[:] = 1e9
    base = both.reach._base()
    both.feed(made(1, start=both.features.at + MINUTE, price=both.features.close))
    assert both.reach._now < 3.0 * math.exp(FARTHEST) * base


@settings(max_examples=6, deadline=None)
@given(cut=st.integers(0, 150), seed=st.integers(0, 99))
def test_a_dump_goes_on_identically(cut: int, seed: int) -> None:
    bars = list(made(200, seed))
    whole, again = Both(), Both()
    whole.feed(bars[:cut])
    again.features.load(whole.features.dump())
    again.reach.load(whole.reach.dump())
    assert again.feed(bars[cut:]) == whole.feed(bars[cut:])
    assert again.reach.dump() == whole.reach.dump()


def test_foreign_states_are_refused() -> None:
    reach = Reach()
    good = reach.dump()
    with pytest.raises(ValueError, match="a reach"):
        reach.load(good[:5])
    with pytest.raises(ValueError, match="a reach"):
        reach.load([math.nan, *good[1:]])
    with pytest.raises(ValueError, match="a reach"):
        reach.load([*good[:3], SLIGHT / 2.0, *good[4:]])
    with pytest.raises(ValueError, match="weights"):
        reach.load(good[:-1])
