from __future__ import annotations

import pytest

from pricewatch.domain.time import DAY, SECOND
from pricewatch.ingest.skew import Skew

MS = 1_000


def told(skew: Skew, *deltas: int) -> list[int | None]:
    """The measure after each sample that changed it."""
    return [skew.measured for delta in deltas if skew.observe(delta)]


def test_a_few_wrong_times_move_nothing() -> None:
    skew = Skew()
    assert told(skew, *[-50 * MS] * 60, *[900 * SECOND] * 4) == [-50 * MS]
    assert told(skew, *[30 * SECOND] * 7, -40 * MS, *[30 * SECOND] * 7) == []
    assert skew.jumps == 0


def test_a_clock_set_ahead_is_believed_after_eight_and_back_after_sixty_four() -> None:
    skew = Skew()
    told(skew, *[-50 * MS] * 64)
    assert told(skew, *[20 * SECOND] * 8) == [20 * SECOND]
    assert told(skew, *[21 * SECOND + MS] * 8) == [21 * SECOND + MS]
    assert told(skew, *[-50 * MS] * 64) == [-50 * MS]
    assert skew.jumps == 3


def test_our_own_lateness_and_old_recordings_are_no_set_clocks() -> None:
    skew = Skew()
    told(skew, *[-50 * MS] * 64)
    assert told(skew, *[-9 * SECOND] * 20, *[-50 * MS] * 44) == [-50 * MS]
    measured = told(skew, *[-(10**15) + n * SECOND for n in range(640)])[-1]
    assert measured is not None
    assert measured < -(10**14)
    assert skew.jumps == 0


@pytest.mark.parametrize("spoilt", [10**400, -(10**400), DAY + 1, -(1 << 60)])
def test_times_that_no_clock_shows_are_no_samples(spoilt: int) -> None:
    skew = Skew()
    assert told(skew, *[spoilt] * 640) == []
    assert told(skew, *[-50 * MS] * 64) == [-50 * MS]
    assert told(skew, *[spoilt] * 640) == []
    assert told(skew, *[DAY] * 8) == [DAY]
