"""Collections of garbage while the service lives."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from pricewatch.app.garbage import LONG, Garbage


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


class Watch:
    """A clock that goes on by so much at each look."""

    def __init__(self, step: float) -> None:
        self.at = 0.0
        self.step = step

    def __call__(self) -> float:
        self.at += self.step
        return self.at


def test_no_collection_happens_and_what_was_made_is_frozen() -> None:
    before = gc.get_freeze_count()
    with Garbage().none():
        assert not gc.isenabled()
        kept = [[] for _ in range(1_000)]  # type: ignore[var-annotated]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)


def test_after_an_error_nothing_is_frozen() -> None:
    before = gc.get_freeze_count()
    with pytest.raises(RuntimeError), Garbage().none():
        raise RuntimeError
    assert gc.isenabled()
    assert gc.get_freeze_count() == before


@pytest.mark.parametrize(("step", "frozen"), [(LONG * 2, 1), (LONG / 2, 0)])
def test_what_survives_a_long_collection_is_frozen(step: float, frozen: int) -> None:
    garbage = Garbage(now=Watch(step))
    kept = [[] for _ in range(1_000)]  # type: ignore[var-annotated]
    before = gc.get_freeze_count()
    with garbage.watched():
        gc.collect()
    assert garbage.frozen == frozen
    assert (gc.get_freeze_count() >= before + len(kept)) is bool(frozen)


def test_young_collections_and_those_of_others_are_left_alone() -> None:
    garbage = Garbage(now=Watch(LONG * 2))
    with garbage.watched():
        gc.collect(0)
    gc.collect()
    assert not garbage.frozen
    assert garbage._collected not in gc.callbacks
