from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pricewatch.ingest.recent import Recent
from pricewatch.ingest.sequence import Sequence, Verdict


def test_it_remembers_the_newest_keys_only() -> None:
    recent = Recent(3, [5])
    assert recent.high == 5
    assert [recent.admit(key) for key in (9, 5, 2, 9)] == [
        Verdict.NEW,
        Verdict.DUPLICATE,
        Verdict.NEW,
        Verdict.DUPLICATE,
    ]
    assert recent.admit(7) is Verdict.NEW
    assert 5 not in recent
    assert 9 in recent
    assert recent.missing() == []
    assert recent.extend(10) is None


@given(st.lists(st.integers(0, 30)), st.integers(1, 10))
def test_it_is_bounded_and_never_doubles_within_its_memory(keys: list[int], capacity: int) -> None:
    recent = Recent(capacity)
    newest: list[int] = []
    for key in keys:
        known = key in newest[-capacity:]
        assert (recent.admit(key) is Verdict.DUPLICATE) is known
        if not known:
            newest.append(key)
    assert {key for key in range(31) if key in recent} == set(newest[-capacity:])


def test_a_sequence_knows_what_it_has_seen() -> None:
    ids = Sequence()
    assert 1 not in ids
    for key in (1, 4):
        ids.admit(key)
    assert [key for key in range(6) if key in ids] == [0, 1, 4]
