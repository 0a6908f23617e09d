from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pricewatch.domain.rule import Tally
from pricewatch.domain.time import HOUR
from pricewatch.rules.lifecycle import Moment
from pricewatch.rules.policy import Policy
from pricewatch.rules.quiet import Quiet
from pricewatch.rules.tally import counted

S = 1_000_000
DAY0 = 1_700_006_400 * S
"""The start of a day."""
PLAIN = Policy(digest=10 * S)


def at(second: float, *, seen: int = 0) -> Moment:
    return Moment(at=DAY0 + round(second * S), seen=seen or DAY0 + round(second * S) + 5, grace=S)


def test_the_first_fire_says_when_it_will_be_told() -> None:
    tally = counted(Tally(DAY0), PLAIN, at(3), 7.5)
    assert tally == Tally(
        DAY0, DAY0 + 10 * S, DAY0 + 11 * S + 5, 1, DAY0 + 3 * S, DAY0 + 3 * S, 7.5, 7.5, 7.5, 7.5
    )  # fmt: skip


def test_later_ones_change_the_count_the_last_and_the_extremes_alone() -> None:
    tally = first = counted(Tally(DAY0), PLAIN, at(3), 7.5)
    for second, price in ((4, 9.0), (5, 6.0), (6, 8.0)):
        tally = counted(tally, PLAIN, at(second), price)
    assert (tally.count, tally.last_at, tally.last, tally.low, tally.high) == (4, DAY0 + 6 * S, 8.0, 6.0, 9.0)
    assert (tally.first_at, tally.first, tally.due_at, tally.due_seen, tally.told_at) == (
        first.first_at, 7.5, first.due_at, first.due_seen, DAY0,
    )  # fmt: skip


def test_after_a_long_peace_it_is_told_within_an_interval() -> None:
    assert counted(Tally(DAY0), PLAIN, at(47), 1.0).due_at == DAY0 + 50 * S
    assert counted(Tally(DAY0), PLAIN, at(50), 1.0).due_at == DAY0 + 60 * S


def test_a_fire_from_before_the_last_telling_waits_a_whole_interval() -> None:
    assert counted(Tally(DAY0 + 20 * S), PLAIN, at(19), 1.0).due_at == DAY0 + 30 * S


def test_quiet_hours_put_it_off_to_their_end_by_both_clocks() -> None:
    night = Policy(digest=HOUR, quiet=Quiet(22 * 60, 7 * 60, "UTC"))
    awake = counted(Tally(DAY0), night, at(3 * 3_600, seen=DAY0 + 3 * HOUR), 1.0)
    assert awake.due_at == DAY0 + 7 * HOUR
    assert awake.due_seen == DAY0 + 7 * HOUR + S
    assert counted(Tally(DAY0), night, at(8.5 * 3_600), 1.0).due_at == DAY0 + 9 * HOUR


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 10**6))
def test_it_comes_after_the_fire_and_never_within_an_interval_of_the_last(told: int, fire: int, every: int) -> None:
    tally = counted(Tally(told), Policy(digest=every), Moment(at=fire, seen=fire + 3, grace=1), 1.0)
    assert fire < tally.due_at
    assert told + every <= tally.due_at
    assert tally.due_at - fire <= every or fire < told
    assert (tally.due_at - told) % every == 0
    assert tally.due_seen == tally.due_at + 4
