from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from pricewatch.training.schedule import STEADY, Patience, Schedule


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


class Plain:
    """The same by looking at every key: what a schedule promises, without a heap."""

    def __init__(self) -> None:
        self.due: dict[int, tuple[float, int]] = {}
        self.turns = 0

    def plan(self, key: int, due: float) -> None:
        self.turns += 1
        self.due[key] = (due, self.turns)

    def take(self, now: float) -> int | None:
        key = min(self.due, key=self.due.__getitem__, default=None)
        return key if key is not None and self.due[key][0] <= now else None


@given(st.lists(st.tuples(st.sampled_from(["know", "rouse", "put_off", "pass"]), st.integers(0, 9)), max_size=300))
def test_whatever_is_asked_the_longest_due_one_comes_first(acts: list[tuple[str, int]]) -> None:
    plan, plain, now = schedule(jitter=0.0), Plain(), 0.0
    for act, key in acts:
        known = key in plain.due
        if act == "know":
            plan.know([key], now)
            if not known:
                plain.plan(key, now)
        elif act == "rouse":
            plan.rouse(key, now)
            if known and now < plain.due[key][0]:
                plain.plan(key, now)
        elif act == "put_off":
            plan.put_off(key, now, 7.0 * (1 + key % 3))
            plain.plan(key, now + 7.0 * (1 + key % 3))
        now += 1.0
        assert plan.take(now) == plain.take(now)
        first = min((due for due, _ in plain.due.values()), default=math.inf)
        assert plan.wait(now) == max(0.0, min(60.0, first - now))
    assert len(plan._heap) <= 2 * len(plain.due) + 1


def test_what_brings_nothing_is_tried_ever_less_often_until_it_does() -> None:
    patience: Patience[int] = Patience(60.0)
    assert [patience.after(7, 3_600.0) for _ in range(STEADY)] == [60.0] * STEADY
    assert [patience.after(7, 3_600.0) for _ in range(7)] == [120, 240, 480, 960, 1_920, 3_600, 3_600]
    assert patience.after(8, 3_600.0) == 60.0
    patience.forget(7)
    patience.forget(7)
    assert patience.after(7, 3_600.0) == 60.0
    for _ in range(2_000):
        assert patience.after(7, math.inf) < math.inf
