from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricewatch.ingest import sequence
from pricewatch.ingest.sequence import Hole, Sequence, Verdict


def test_new_duplicate_and_hole() -> None:
    ids = Sequence()
    assert ids.admit(10) is Verdict.NEW
    assert ids.admit(11) is Verdict.NEW
    assert ids.admit(10) is Verdict.DUPLICATE
    assert ids.admit(9) is Verdict.DUPLICATE
    assert ids.admit(15) == Hole(12, 14)
    assert ids.admit(13) is Verdict.NEW
    assert ids.missing() == [(12, 12), (14, 14)]
    assert ids.missing((14, 20)) == [(14, 14)]
    assert ids.admit(13) is Verdict.DUPLICATE


def test_a_restart_knows_the_holes() -> None:
    ids = Sequence(20, [(15, 16), (3, 5), (4, 6), (15, 15)])
    assert ids.missing() == [(3, 6), (15, 16)]
    assert ids.admit(6) is Verdict.NEW
    assert ids.admit(21) is Verdict.NEW


def test_the_venue_knows_more() -> None:
    ids = Sequence()
    assert ids.extend(5) is None
    ids.admit(5)
    assert ids.extend(5) is None
    assert ids.extend(7) == Hole(6, 7)
    assert ids.admit(7) is Verdict.NEW
    assert ids.admit(8) is Verdict.NEW


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence, "MAX_HOLES", 3)
    ids = Sequence()
    for key in range(0, 20, 2):
        ids.admit(key)
    assert ids.missing() == [(13, 13), (15, 15), (17, 17)]


@given(st.lists(st.integers(0, 60), min_size=1))
def test_every_id_is_new_exactly_once(keys: list[int]) -> None:
    ids, seen, first = Sequence(), set[int](), keys[0]
    for key in keys:
        verdict = ids.admit(key)
        assert (verdict is Verdict.DUPLICATE) == (key in seen or key < first)
        if isinstance(verdict, Hole):
            assert verdict == (max(seen) + 1, key - 1)
        if key >= first:
            seen.add(key)
    missing = {key for hole in ids.missing() for key in range(hole.first, hole.last + 1)}
    assert missing == set(range(first, max(seen) + 1)) - seen


def test_what_was_seen_and_lost_is_missing_again() -> None:
    ids = Sequence(20, [(3, 4)])
    ids.reopen(Hole(5, 7))
    ids.reopen(Hole(18, 22))
    assert ids.missing() == [(3, 7), (18, 22)]
    assert ids.high == 22
    assert ids.admit(6) is Verdict.NEW
    assert ids.admit(6) is Verdict.DUPLICATE
    assert ids.admit(23) is Verdict.NEW
    fresh = Sequence()
    fresh.reopen(Hole(1, 2))
    assert fresh.admit(2) is Verdict.NEW
