from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pricewatch.delivery.backoff import Backoff

DAY = 86_400.0
BACKOFF = Backoff(first=5.0, cap=1800.0, span=DAY)


def test_doubles_up_to_the_cap() -> None:
    waits = [BACKOFF.after(attempts, 0.0) for attempts in range(1, 12)]
    assert waits == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0, 1800.0, 1800.0]


def test_the_last_attempt_falls_on_the_end_of_the_span() -> None:
    assert BACKOFF.after(20, DAY - 100.0) == 100.0
    assert BACKOFF.after(20, DAY) is None


@given(st.integers(min_value=0, max_value=10**9), st.floats(min_value=-1e9, max_value=1e9))
def test_is_always_a_short_wait_or_none(attempts: int, waited: float) -> None:
    wait = BACKOFF.after(attempts, waited)
    assert wait is None or 0 < wait <= 1800.0
