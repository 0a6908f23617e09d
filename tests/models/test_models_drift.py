from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricewatch.models.drift import KEPT, QUIET, DriftWatch


def run(watch: DriftWatch, count: int, seed: int, *, level: float, misses: float) -> list[tuple[int, str]]:
    luck, found = random.Random(seed), []
    for number in range(count):
        drifted = watch.step(level * luck.lognormvariate(-0.1, 0.45), missed=luck.random() < misses)
        if drifted:
            found.append((number, drifted))
    return found


def test_a_steady_market_does_not_drift() -> None:
    watch = DriftWatch()
    assert run(watch, 20_000, 1, level=1.0, misses=0.05) == []
    assert watch.found == 0


def test_a_market_that_moves_more_has_drifted_once() -> None:
    watch = DriftWatch()
    run(watch, 2_000, 2, level=0.8, misses=0.05)
    found = run(watch, 200, 3, level=2.5, misses=0.05)
    assert [what for _, what in found] == ["ranges"]
    assert found[0][0] < 100
    assert watch.found == 1


def test_bands_that_miss_have_drifted() -> None:
    watch = DriftWatch()
    run(watch, 2_000, 4, level=1.0, misses=0.05)
    found = run(watch, 100, 5, level=1.0, misses=0.5)
    assert found
    assert found[0][1] == "coverage"


def test_it_is_told_once_in_a_while() -> None:
    watch = DriftWatch()
    luck = random.Random(6)
    found = []
    for number in range(20_000):
        wild = number // 400 % 2
        if watch.step((3.0 if wild else 0.5) * luck.lognormvariate(-0.1, 0.45), missed=None):
            found.append(number)
    assert len(found) > 10
    assert min(after - before for before, after in itertools.pairwise(found)) >= QUIET


@settings(max_examples=6, deadline=None)
@given(cut=st.integers(0, 7_000))
def test_a_dump_goes_on_identically(cut: int) -> None:
    one, other = DriftWatch(), DriftWatch()
    run(one, cut, 8, level=1.0, misses=0.05)
    other.load(one.dump())
    assert sum(map(len, one.dump())) < 2 * 2 * KEPT + 10
    for model in (one, other):
        run(model, 300, 9, level=2.0, misses=0.1)
    assert run(one, 3_000, 10, level=0.7, misses=0.05) == run(other, 3_000, 10, level=0.7, misses=0.05)
    assert one.dump() == other.dump()


def test_foreign_states_are_refused() -> None:
    with pytest.raises(ValueError, match="state of watches"):
        DriftWatch().load([])
    for bad in ([1.0], [0.0, 0.0, 999.0]):
        with pytest.raises(ValueError, match="watch's state"):
            DriftWatch().load([[0.0, 0.0], bad, [0.0, 0.0]])
