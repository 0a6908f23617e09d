"""Learned cadences: silence found in time, its end too, and nothing else, whatever the rhythm."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricewatch.domain.time import HOUR, MINUTE, SECOND
from pricewatch.ingest.cadence import Bounds, Cadence, Heard, Silent

S = SECOND
T0 = 1_700_000_000 * S
BOUNDS = Bounds()


class Watch:
    """A cadence looked at once a second while a market speaks."""

    def __init__(self, bounds: Bounds = BOUNDS, *, expected: bool = True, every: int = S) -> None:
        self.now = self.spoke = T0
        self.spoke = 0
        self.every = every
        self.cadence = Cadence(bounds, T0, expected=expected)
        self.said: list[Silent | Heard] = []

    def until(self, end: int, arrivals: Sequence[int] = ()) -> None:
        coming = iter(arrivals)
        following = next(coming, None)
        while self.now + self.every <= end:
            self.now += self.every
            while following is not None and following <= self.now:
                self.spoke, following = following, next(coming, None)
            found = self.cadence.look(self.now, self.spoke)
            if found is not None:
                self.said.append(found)


def poisson(luck: random.Random, mean: float, start: int, end: int) -> list[int]:
    at, found = start, []
    while (at := at + max(1, round(luck.expovariate(1 / mean) * S))) < end:
        found.append(at)
    return found


@pytest.mark.parametrize("mean", [0.05, 0.5, 2.0, 10.0, 40.0])
@pytest.mark.parametrize("seed", range(4))
def test_no_false_alarm_in_a_day_of_poisson_arrivals(mean: float, seed: int) -> None:
    luck = random.Random(f"{mean}{seed}")
    watch = Watch()
    end = T0 + 24 * HOUR
    for start in range(T0, end, HOUR):
        watch.until(start + HOUR, poisson(luck, mean, start, start + HOUR))
    assert watch.said == []


def test_bursts_every_minute_are_a_rhythm_too() -> None:
    watch = Watch()
    bursts = [T0 + minute * MINUTE + n * 1_000 for minute in range(600) for n in range(200)]
    watch.until(T0 + 600 * MINUTE, bursts)
    assert watch.said == []
    assert 2 * MINUTE < watch.cadence.limit < 8 * MINUTE


@pytest.mark.parametrize("mean", [0.1, 1.0, 5.0])
def test_a_mute_market_is_stale_within_its_limit_and_one_look(mean: float) -> None:
    luck = random.Random(7)
    watch = Watch()
    mute = T0 + 2 * HOUR
    watch.until(mute, poisson(luck, mean, T0, mute))
    limit, last = watch.cadence.limit, watch.spoke
    watch.until(mute + HOUR)
    assert watch.said == [Silent(last, last + limit, limit, ever=True)]
    assert limit <= 60 * mean * S + BOUNDS.floor
    again = watch.now + 500_000
    watch.until(again + 2 * S, [again])
    assert watch.said[1:] == [Heard(last, again)]


def test_one_that_never_speaks_is_stale_after_the_start_limit() -> None:
    watch = Watch()
    watch.until(T0 + HOUR)
    assert watch.said == [Silent(T0, T0 + BOUNDS.start, BOUNDS.start, ever=False)]
    first = T0 + HOUR + S // 2
    watch.until(first + 2 * S, [first])
    assert watch.said[1:] == [Heard(T0, first)]


def test_a_channel_that_need_not_speak_is_judged_from_its_first_word_on() -> None:
    watch = Watch(expected=False)
    watch.until(T0 + HOUR)
    assert watch.said == []
    watch.until(T0 + 2 * HOUR, [T0 + HOUR + S])
    assert [type(one) for one in watch.said] == [Silent]


def test_our_own_sleep_is_nobodys_silence() -> None:
    luck = random.Random(3)
    watch = Watch()
    watch.until(T0 + HOUR, poisson(luck, 1.0, T0, T0 + HOUR))
    limit = watch.cadence.limit
    watch.now += 8 * HOUR
    watch.cadence.excuse(8 * HOUR)
    watch.until(watch.now + limit - 3 * S)
    assert watch.said == []
    watch.until(watch.now + HOUR)
    (silent,) = watch.said
    assert isinstance(silent, Silent)
    assert silent.due - silent.last == limit + 8 * HOUR
    back = watch.now + S
    watch.until(back + 2 * S, [back])
    assert watch.cadence.limit <= 4 * limit, "the sleep taught nothing, the silence a little"


def test_an_interruption_teaches_nothing() -> None:
    luck = random.Random(3)
    watch = Watch()
    watch.until(T0 + HOUR, poisson(luck, 1.0, T0, T0 + HOUR))
    limit = watch.cadence.limit
    for _ in range(30):
        watch.cadence.interrupted()
        start = watch.now + 20 * S
        watch.until(start + MINUTE, poisson(luck, 1.0, start, start + MINUTE))
    assert watch.said == []
    assert watch.cadence.limit <= 2 * limit


def test_a_clock_set_back_is_no_silence_and_hides_none() -> None:
    luck = random.Random(3)
    watch = Watch()
    watch.until(T0 + HOUR, poisson(luck, 1.0, T0, T0 + HOUR))
    watch.now -= 30 * MINUTE
    watch.until(watch.now + 10 * S)
    assert watch.said == []
    watch.until(watch.now + 2 * watch.cadence.limit)
    assert [type(one) for one in watch.said] == [Silent]


def test_a_market_that_has_become_slower_does_not_flap_for_long() -> None:
    luck = random.Random(11)
    watch = Watch()
    watch.until(T0 + 6 * HOUR, poisson(luck, 0.5, T0, T0 + 6 * HOUR))
    start = watch.now
    watch.until(start + 24 * HOUR, poisson(luck, 120.0, start, start + 24 * HOUR))
    alarms = [one for one in watch.said if isinstance(one, Silent)]
    assert 1 <= len(alarms) <= 12
    assert all(one.due < start + 6 * HOUR for one in alarms), "afterwards it is known"


def test_patience_comes_back_with_calm() -> None:
    watch = Watch(Bounds(start=S, floor=10 * S))
    rhythm: Callable[[int, int], list[int]] = lambda start, end: list(range(start, end, S))  # noqa: E731
    watch.until(T0 + 10 * MINUTE, rhythm(T0, T0 + 10 * MINUTE))
    before = watch.cadence.limit
    watch.until(watch.now + MINUTE)
    start = watch.now
    watch.until(start + MINUTE, rhythm(start, start + MINUTE))
    assert watch.cadence.limit > before
    start = watch.now
    watch.until(start + HOUR, rhythm(start, start + HOUR))
    assert watch.cadence.limit == before
    assert [type(one) for one in watch.said] == [Silent, Heard]


def test_what_was_stored_is_known_at_once_and_a_silence_said_is_not_said_again() -> None:
    cadence = Cadence(BOUNDS, T0)
    cadence.seed(T0 - n * 300 * S for n in range(64))
    assert 20 * MINUTE <= cadence.limit <= 40 * MINUTE
    cadence.resume(T0 - HOUR)
    assert cadence.look(T0 + 3 * HOUR, 0) is None
    assert cadence.look(T0 + 4 * HOUR, T0 + 3 * HOUR) == Heard(T0 - HOUR, T0 + 3 * HOUR)
    assert cadence.silence(T0 + 4 * HOUR) == HOUR


WHAT = st.sampled_from(["speak", "nothing", "sleep", "cut", "back"])


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 400), WHAT), max_size=80))
def test_silence_and_its_end_take_turns_whatever_happens(steps: list[tuple[int, str]]) -> None:
    cadence = Cadence(BOUNDS, T0)
    now, spoke, is_silent = T0, 0, False
    for seconds, what in steps:
        now += seconds * S
        if what == "speak":
            spoke = now
        elif what == "sleep":
            cadence.excuse(seconds * S)
        elif what == "cut":
            cadence.interrupted()
        elif what == "back":
            now -= 100 * S
        found = cadence.look(now, spoke)
        if found is not None:
            is_silent = not is_silent
            assert isinstance(found, Silent) is is_silent
        assert BOUNDS.floor <= cadence.limit <= BOUNDS.ceiling
        assert cadence.silence(now) >= 0
