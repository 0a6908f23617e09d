from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pricewatch.training.schedule import Schedule


def schedule(luck: float = 0.5, jitter: float = 0.1) -> Schedule[int]:
    return Schedule(60.0, jitter, lambda: luck)


def test_new_ones_are_due_at_once_in_their_order() -> None:
    plan = schedule()
    plan.know([7, 3], now=10.0)
    assert plan.take(10.0) == 7
    plan.put_off(7, 10.0, 3600.0)
    assert plan.take(10.0) == 3
    plan.put_off(3, 10.0, 60.0)
    assert plan.take(10.0) is None
    assert plan.wait(10.0) == 60.0
    plan.know([7, 3], now=20.0)
    assert plan.take(69.9) is None
    assert plan.take(70.0) == 3
    plan.put_off(3, 70.0, 3600.0)
    assert plan.take(3610.0) == 7


def test_what_is_roused_is_due_now_and_not_later_than_it_was() -> None:
    plan = schedule()
    plan.know([7, 3], now=10.0)
    plan.put_off(7, 10.0, 3600.0)
    plan.put_off(3, 10.0, 3600.0)
    plan.rouse(3, 20.0)
    plan.rouse(3, 30.0)
    plan.rouse(99, 20.0)
    assert plan.take(20.0) == 3
    plan.put_off(3, 20.0, 3600.0)
    assert plan.take(30.0) is None


def test_nothing_known_is_nothing_due() -> None:
    assert schedule().take(0.0) is None
    assert schedule().wait(0.0) == 60.0


@given(st.floats(min_value=0, max_value=1, exclude_max=True))
def test_jitter_stays_within_its_share(luck: float) -> None:
    plan = schedule(luck)
    plan.know([1], now=0.0)
    plan.put_off(1, 0.0, 3600.0)
    assert plan.take(3239.9) is None
    assert plan.take(3960.1) == 1
