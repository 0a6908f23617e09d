from __future__ import annotations

import math
import random
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricewatch.models.bands.conformal import (
    BEYOND,
    LAST,
    LEVELS,
    PARTS,
    SEEDS,
    STEEPEST,
    WINDOW,
    HorizonBand,
)
from pricewatch.models.bands.reach import MEAN


def walk(count: int, seed: int, *, tail: float = 3.0) -> list[tuple[float, float]]:
    """Logarithms of a heavy-tailed walk, and a range expected of the next bar that is right up to a factor."""
    luck, log, found = random.Random(seed), 0.0, []
    for number in range(count):
        size = 1e-3 * (3.0 if number // 300 % 2 else 1.0)
        found.append((log, 1.7 * size))
        log += size * luck.choice((-1, 1)) * (luck.paretovariate(tail) - 1.0)
    return found


@pytest.mark.parametrize("horizon", [1, 5, 24])
def test_coverage_is_what_is_said(horizon: int) -> None:
    band = HorizonBand(horizon)
    missed = [0, 0, 0]
    for log, sigma in walk(8_000 * band.stride, 7):
        outcome = band.step(log, sigma)
        if outcome is not None:
            missed = [count + (outcome >> place & 1) for place, count in enumerate(missed)]
    for level, count in zip(LEVELS, missed, strict=True):
        allowed = max(0.0015, 2.6 * math.sqrt(level * (1 - level) * min(horizon, PARTS) / band.settled))
        assert 1 - count / band.settled == pytest.approx(level, abs=allowed)
    assert band.counted == LAST
    for place, level in enumerate(LEVELS):
        found = band.coverage(place)
        assert found is not None
        assert found == pytest.approx(level, abs=0.3 * math.sqrt(1 - level))


def test_a_new_market_has_wide_bands_and_no_coverage() -> None:
    band = HorizonBand(4)
    # Quantiles of Student's distribution with four degrees of freedom, times two for the root of four bars.
    low, middle, high = band.sides(0.5).up
    assert band.sides(0.5).down == (low, middle, high)
    assert [low, middle] == pytest.approx([1.533 * MEAN, 2.776 * MEAN], rel=0.05)
    assert 1.0 < high / (4.604 * MEAN) < 1.3  # the largest of so many, and a little beyond
    assert band.coverage(0) is None
    assert band.due(1) is None
    assert band.counted == 0


def test_wider_levels_are_never_narrower_and_the_beyond_is_finite() -> None:
    band = HorizonBand(1)
    for number in range(420):
        band.step(float(number % 2) * (10.0 if number > 300 else 1e-3), 1e-3)  # suddenly every bar misses
        for low, middle, high in band.sides(1e-3):
            assert 0.0 <= low <= middle <= high < math.inf
    assert sum(side[-1] for side in band.sides(1e-3)) == pytest.approx(2e-3 * 50.0 * BEYOND)


def test_what_is_assumed_of_a_new_market_is_forgotten() -> None:
    band = HorizonBand(1)
    assert math.gcd(SEEDS, 37) == 1
    assert sorted(band._moves) == list(band._order)
    for number in range(WINDOW):
        band.step(1e-3 * (number % 2), 1e-3)
    assert len(band._moves) == len(band._order) == WINDOW
    assert min(band._moves[1:]) == pytest.approx(1.0)


def test_a_lasting_excess_of_misses_widens_the_band_at_once() -> None:
    calm, told = HorizonBand(1), HorizonBand(1)
    for band in (calm, told):
        for log, sigma in walk(600, 3):
            band.step(log, sigma)
    told._excess[1] += 0.05  # one in ten missed of late, where one in twenty should be
    assert told.sides(1.0).up[1] > 1.1 * calm.sides(1.0).up[1]
    assert told.sides(1.0).up[0] == calm.sides(1.0).up[0]
    told._excess[1] = -0.05
    assert told.sides(1.0).up[1] < calm.sides(1.0).up[1]


def test_a_level_asked_too_seldom_shrinks_to_nothing() -> None:
    band = HorizonBand(1)
    for _ in range(3_000):
        band.step(0.0, 1e-3)
    assert band.sides(1e-3).up[0] == band.sides(1e-3).down[0] == 0.0


def test_a_band_is_about_its_bar() -> None:
    band = HorizonBand(3)
    for number in range(5):
        band.step(float(number), 1e-3)
    assert [issued.centre for ahead in (1, 2, 3) if (issued := band.due(ahead))] == [2.0, 3.0, 4.0]
    assert band.due(4) is None
    far = HorizonBand(30)
    for number in range(40):
        far.step(float(number), 1e-3)
    centres = [far.due(ahead) for ahead in (1, 2, 3)]
    assert all(one is not None and one.centre in (11.0, 13.0) for one in centres)


@settings(max_examples=6, deadline=None)
@given(cut=st.integers(0, 1_300), horizon=st.sampled_from([1, 3, 30]), seed=st.integers(0, 9))
def test_a_dump_goes_on_identically(cut: int, horizon: int, seed: int) -> None:
    path = walk(1_400, seed)
    one, other = HorizonBand(horizon), HorizonBand(horizon)
    for log, sigma in path[:cut]:
        one.step(log, sigma)
    other.load(one.dump())
    for log, sigma in path[cut:]:
        assert one.step(log, sigma) == other.step(log, sigma)
        assert one.sides(sigma) == other.sides(sigma)
    assert one.dump() == other.dump()
    assert [one.coverage(place) for place in range(3)] == [other.coverage(place) for place in range(3)]


def skewed(count: int, seed: int, *, fall: float) -> list[float]:
    """Logarithms of a walk whose falls go `fall` times as far as its rises."""
    luck, log, found = random.Random(seed), 0.0, []
    for _ in range(count):
        step = luck.gauss(0.0, 1e-3)
        log += step * fall if step < 0.0 else step
        found.append(log)
    return found


def test_both_sides_are_missed_equally_often() -> None:
    band, missed = HorizonBand(1), {"down": 0, "up": 0}
    path = skewed(20_000, 2, fall=1.5)
    for before, log in pairwise(path):
        issued = band.due(1)
        band.step(log, 1e-3)
        if issued is not None and band.settled > 5_000:
            missed["down"] += log < issued.centre - issued.sides.down[1]
            missed["up"] += log > issued.centre + issued.sides.up[1]
        assert issued is None or issued.centre == before
    assert missed["down"] == pytest.approx(missed["up"], rel=0.15)
    down, up = band.sides(1e-3)
    assert 1.2 < down[1] / up[1] < 1.7
    rising = HorizonBand(1)
    for log in path:
        rising.step(-log, 1e-3)
    assert rising.sides(1e-3).down == pytest.approx(up, rel=0.01)
    assert rising.sides(1e-3).up == pytest.approx(down, rel=0.01)


def test_no_side_is_tilted_without_end() -> None:
    for sign in (1.0, -1.0):
        band = HorizonBand(1)
        for log in skewed(30_000, 4, fall=8.0):
            band.step(sign * log, 1e-3)
        near, far = sorted(side[0] for side in band.sides(1e-3))
        assert far / near == pytest.approx((1.0 + STEEPEST) / (1.0 - STEEPEST))


def test_a_state_is_small() -> None:
    band = HorizonBand(360)
    for log, sigma in walk(WINDOW * 40, 1):
        band.step(log, sigma)
    assert len(band.dump()) < 10_000


def test_foreign_states_are_refused() -> None:
    band = HorizonBand(1)
    for log, sigma in walk(50, 1):
        band.step(log, sigma)
    good = band.dump()
    with pytest.raises(ValueError, match="band's state"):
        HorizonBand(1).load(good.replace(good[:1], b"\x93", 1)[:1] + b"\x91\xcb" + b"\0" * 8 + b"\xc4\0\xc4\0")
    numbers, outcomes, moves = msgspec.msgpack.decode(good)
    with pytest.raises(ValueError, match="band's state"):  # fewer moves than every band has from the first
        HorizonBand(1).load(msgspec.msgpack.encode([numbers, outcomes, moves[:8]]))
    spoilt = HorizonBand(1)
    spoilt._alphas[0] = math.nan
    with pytest.raises(ValueError, match="finite"):
        HorizonBand(1).load(spoilt.dump())


def test_a_band_says_when_it_needs_to_know_what_is_expected() -> None:
    band = HorizonBand(60)
    found = []
    for _ in range(30):
        found.append(band.issues)
        before = len(band._pending)
        band.step(0.0, 1e-3)
        assert (len(band._pending) > before) == found[-1]
    assert found.count(True) == 30 // band.stride == 6
