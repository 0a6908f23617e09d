from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricewatch.domain.rule import Phase, RuleState, Tally
from pricewatch.domain.signal import Direction
from pricewatch.rules.lifecycle import ARMED, NEW, Moment, Verdict, armed, expire, fall_silent, rest, step
from pricewatch.rules.policy import Policy

S = 1_000_000
TRUE = Verdict(begins=True, holds=True)
BETWEEN = Verdict()
CLEARED = Verdict(cleared=True)
PLAIN = Policy()
NOW = Moment(at=100 * S, seen=107 * S)
FIRING = RuleState(phase=Phase.FIRING, armed=True, since=90 * S, emitted_at=90 * S, fired=1)
SILENT = RuleState(phase=Phase.FIRING, armed=True, silent=True, since=90 * S)
PENDING = RuleState(phase=Phase.PENDING, armed=True, since=98 * S, due_at=103 * S, due_seen=111 * S)
SPENT = RuleState(armed=True, emitted_at=90 * S, fired=1)


@pytest.mark.parametrize(
    ("state", "policy", "verdict", "after", "direction"),
    [
        (NEW, PLAIN, BETWEEN, ARMED, None),
        (NEW, PLAIN, CLEARED, ARMED, None),
        (NEW, PLAIN, TRUE, RuleState(phase=Phase.FIRING, armed=True, silent=True, since=100 * S), None),
        (
            NEW,
            Policy(fire_on_arming=True),
            TRUE,
            RuleState(phase=Phase.FIRING, armed=True, since=100 * S, emitted_at=100 * S, fired=1, hour_fires=1),
            Direction.FIRED,
        ),
        (
            NEW,
            Policy(fire_on_arming=True, hold=5 * S),
            TRUE,
            RuleState(phase=Phase.PENDING, armed=True, since=100 * S, due_at=105 * S, due_seen=113 * S),
            None,
        ),
        (ARMED, PLAIN, BETWEEN, ARMED, None),
        (
            ARMED,
            PLAIN,
            TRUE,
            RuleState(phase=Phase.FIRING, armed=True, since=100 * S, emitted_at=100 * S, fired=1, hour_fires=1),
            Direction.FIRED,
        ),
        (
            SPENT,
            Policy(cooldown=10 * S),
            TRUE,
            RuleState(phase=Phase.FIRING, armed=True, since=100 * S, emitted_at=100 * S, fired=2, hour_fires=1),
            Direction.FIRED,
        ),
        (
            SPENT,
            Policy(cooldown=12 * S, hold=S),
            TRUE,
            RuleState(
                phase=Phase.PENDING,
                armed=True,
                since=100 * S,
                due_at=102 * S,
                due_seen=110 * S,
                emitted_at=90 * S,
                fired=1,
            ),
            None,
        ),
        (PENDING, PLAIN, TRUE, PENDING, None),
        (PENDING, PLAIN, Verdict(holds=True), PENDING, None),
        (PENDING, PLAIN, BETWEEN, ARMED, None),
        (PENDING, PLAIN, CLEARED, ARMED, None),
        (FIRING, PLAIN, TRUE, FIRING, None),
        (FIRING, PLAIN, BETWEEN, FIRING, None),
        (FIRING, PLAIN, CLEARED, SPENT, Direction.CLEARED),
        (FIRING, Policy(clear_signal=False), CLEARED, SPENT, None),
        (SILENT, PLAIN, CLEARED, ARMED, None),
    ],
)
def test_every_path(
    state: RuleState, policy: Policy, verdict: Verdict, after: RuleState, direction: Direction | None
) -> None:
    assert step(state, policy, verdict, NOW) == (after, direction)


def test_a_timer_fires_at_its_due_time() -> None:
    after, direction = expire(PENDING, PLAIN, holds=True)
    assert direction is Direction.FIRED
    assert after == RuleState(phase=Phase.FIRING, armed=True, since=98 * S, emitted_at=103 * S, fired=1, hour_fires=1)


def test_a_timer_whose_condition_is_gone_ends_silently() -> None:
    assert expire(PENDING, PLAIN, holds=False) == (ARMED, None)


VERDICTS = st.sampled_from([TRUE, BETWEEN, CLEARED])


@given(st.lists(VERDICTS, max_size=60), st.booleans(), st.integers(0, 5), st.integers(0, 20))
def test_fires_and_clears_alternate_and_keep_their_distance(
    verdicts: list[Verdict], arming: bool, hold: int, cooldown: int
) -> None:
    policy = Policy(hold=hold * S, cooldown=cooldown * S, fire_on_arming=arming)
    state, told = NEW, []
    for number, verdict in enumerate(verdicts, start=1):
        now = Moment(at=number * S, seen=number * S)
        if state.phase is Phase.PENDING and state.due_at <= now.at:
            due = state.due_at
            state, direction = expire(state, PLAIN, holds=True)
            told.append((due, direction))
        state, direction = step(state, policy, verdict, now)
        if direction is not None:
            told.append((now.at, direction))
        assert state.armed
        assert (state.due_at > 0) == (state.phase is Phase.PENDING)
    directions = [direction for _, direction in told]
    assert directions == [Direction.FIRED, Direction.CLEARED] * (len(told) // 2) + [Direction.FIRED] * (len(told) % 2)
    fired = [at for at, direction in told if direction is Direction.FIRED]
    assert all(later - earlier >= policy.cooldown for earlier, later in itertools.pairwise(fired))
    assert state.fired == len(fired)


def test_a_rule_that_has_fired_as_often_as_it_may_has_expired() -> None:
    twice = Policy(fires=2)
    once, direction = step(ARMED, twice, TRUE, NOW)
    idle, _ = step(once, twice, CLEARED, NOW)
    assert (direction, idle.phase) == (Direction.FIRED, Phase.IDLE)
    again, direction = step(idle, twice, TRUE, NOW)
    expired, cleared = step(again, twice, CLEARED, NOW)
    assert (direction, cleared, expired.phase) == (Direction.FIRED, Direction.CLEARED, Phase.EXPIRED)
    for verdict in (TRUE, BETWEEN, CLEARED):
        assert step(expired, twice, verdict, NOW) == (expired, None)


def test_a_rule_that_fires_too_often_within_an_hour_is_paused_and_says_so() -> None:
    policy = Policy(most_per_hour=2)
    state, told = ARMED, []
    for second in range(0, 100, 10):
        now = Moment(at=7_200 * S + second * S, seen=second)
        state, direction = step(state, policy, CLEARED if second % 20 else TRUE, now)
        told.append(direction)
    assert told[:5] == [Direction.FIRED, Direction.CLEARED, Direction.FIRED, Direction.CLEARED, Direction.PAUSED]
    assert told[5:] == [None, Direction.FIRED, None, Direction.FIRED, None]  # for the tally: nothing is told of these
    assert (state.phase, state.silent, state.fired, state.emitted_at) == (Phase.IDLE, False, 2, 7_220 * S)
    assert state.tally == Tally(7_240 * S)


def test_every_hour_counts_anew() -> None:
    policy = Policy(most_per_hour=1)
    state, direction = step(ARMED, policy, TRUE, Moment(at=3_599 * S, seen=1))
    idle, _ = step(state, policy, CLEARED, Moment(at=3_599 * S, seen=2))
    again, direction = step(idle, policy, TRUE, Moment(at=3_600 * S, seen=3))
    assert (direction, again.hour, again.hour_fires) == (Direction.FIRED, 1, 1)


def test_a_timer_may_pause_too() -> None:
    tired = msgspec.structs.replace(PENDING, hour=0, hour_fires=1_000, fired=1_000)
    after, direction = expire(tired, PLAIN, holds=True)
    assert (after.phase, after.silent, direction) == (Phase.FIRING, True, Direction.PAUSED)
    assert (after.due_at, after.tally) == (0, Tally(tired.due_at))


def test_a_rule_so_paused_fires_and_ends_in_silence() -> None:
    since = msgspec.structs.replace(SPENT, fired=3, tally=Tally(100 * S))
    firing, direction = step(since, PLAIN, TRUE, Moment(at=200 * S, seen=1))
    assert (direction, firing.phase, firing.silent, firing.fired) == (Direction.FIRED, Phase.FIRING, True, 3)
    assert (firing.emitted_at, firing.tally) == (SPENT.emitted_at, since.tally)
    assert step(firing, PLAIN, CLEARED, Moment(at=201 * S, seen=2)) == (since, None)


def test_what_it_keeps_back_has_its_cooldown_and_its_bars() -> None:
    kept = Tally(100 * S, count=1, last_at=150 * S)
    since = msgspec.structs.replace(SPENT, tally=kept)
    for policy, due in ((Policy(cooldown=30 * S), 180), (Policy(once_per=60 * S), 180)):
        pending, direction = step(since, policy, TRUE, Moment(at=160 * S, seen=1))
        assert (pending.phase, pending.due_at, direction) == (Phase.PENDING, due * S, None)
        fired, direction = expire(pending, policy, holds=True)
        assert (fired.phase, fired.due_at, fired.silent, direction) == (Phase.FIRING, 0, True, Direction.FIRED)


def test_a_pause_ends_with_resting() -> None:
    since = msgspec.structs.replace(FIRING, silent=True, hour_fires=3, tally=Tally(100 * S))
    assert rest(since) == RuleState(emitted_at=FIRING.emitted_at, fired=FIRING.fired)


STATES = st.builds(
    RuleState,
    phase=st.sampled_from([Phase.IDLE, Phase.PENDING, Phase.FIRING, Phase.EXPIRED]),
    armed=st.booleans(),
    silent=st.booleans(),
    since=st.integers(0, 9),
    due_at=st.integers(0, 9),
    emitted_at=st.integers(0, 9),
    fired=st.integers(0, 9),
    hour_fires=st.integers(0, 9),
)


@given(STATES)
def test_rest_keeps_what_must_not_be_forgotten_and_is_the_same_twice(state: RuleState) -> None:
    rested = rest(state)
    assert rest(rested) == rested
    assert (rested.emitted_at, rested.fired) == (state.emitted_at, state.fired)
    assert (rested == state) or (rested.phase, rested.armed, rested.due_at) == (Phase.IDLE, False, 0)
    assert rested.phase is not Phase.PENDING
    assert armed(rested).armed


@given(STATES, VERDICTS, st.integers(0, 5), st.integers(1, 5))
def test_a_step_makes_one_signal_at_most_and_only_on_a_change(
    state: RuleState, verdict: Verdict, hold: int, most: int
) -> None:
    policy = Policy(hold=hold * S, most_per_hour=most)
    after, direction = step(state, policy, verdict, NOW)
    assert (after is state) <= (direction is None)
    assert after.armed or after is state
    if direction is Direction.FIRED:
        assert (after.phase, after.fired, after.silent) == (Phase.FIRING, state.fired + 1, False)
        assert after.hour_fires <= most
    if direction is Direction.CLEARED:
        assert (state.phase, state.silent) == (Phase.FIRING, False)
    if direction is Direction.PAUSED:
        assert (after.phase, after.silent, after.fired) == (Phase.FIRING, True, state.fired)
        assert after.tally is not None
    if state.phase is Phase.EXPIRED and state.armed:
        assert (after, direction) == (state, None)


def test_after_a_pause_the_cooldown_goes_on() -> None:
    policy = Policy(cooldown=30 * S)
    paused = rest(msgspec.structs.replace(SPENT))
    resumed, direction = step(paused, policy, CLEARED, Moment(at=95 * S, seen=1))
    assert (resumed, direction) == (SPENT, None)
    pending, direction = step(resumed, policy, TRUE, Moment(at=100 * S, seen=2))
    assert (pending.phase, pending.due_at, direction) == (Phase.PENDING, 120 * S, None)


ENDS = Policy(silence=10 * S)
FIRES = Policy(silence=10 * S, silence_fires=True)
NODATA = RuleState(phase=Phase.NODATA, armed=True, since=90 * S, emitted_at=100 * S, fired=1, hour_fires=1)


@pytest.mark.parametrize(
    ("state", "policy", "after", "direction"),
    [
        (NEW, FIRES, NEW, None),
        (RuleState(phase=Phase.EXPIRED, armed=True), FIRES, RuleState(phase=Phase.EXPIRED, armed=True), None),
        (ARMED, FIRES, NODATA, Direction.FIRED),
        (FIRING, FIRES, FIRING, None),
        (NODATA, FIRES, NODATA, None),
        (ARMED, ENDS, ARMED, None),
        (PENDING, ENDS, ARMED, None),
        (FIRING, ENDS, SPENT, Direction.CLEARED),
        (SILENT, ENDS, ARMED, None),
        (FIRING, Policy(silence=S, clear_signal=False), SPENT, None),
    ],
)
def test_silence_fires_or_ends(state: RuleState, policy: Policy, after: RuleState, direction: Direction | None) -> None:
    assert fall_silent(state, policy, NOW) == (after, direction)


def test_silence_that_fires_too_often_pauses() -> None:
    tired = RuleState(armed=True, fired=1_000, hour_fires=1_000)
    after, direction = fall_silent(tired, FIRES, NOW)
    assert (after.phase, after.silent, direction) == (Phase.NODATA, True, Direction.PAUSED)
    assert step(after, FIRES, CLEARED, NOW)[1] is None


@pytest.mark.parametrize(
    ("verdict", "policy", "phase", "direction"),
    [
        (TRUE, FIRES, Phase.FIRING, None),
        (BETWEEN, FIRES, Phase.IDLE, Direction.CLEARED),
        (CLEARED, Policy(clear_signal=False), Phase.IDLE, None),
    ],
)
def test_a_trade_after_silence_says_what_is_true(
    verdict: Verdict, policy: Policy, phase: Phase, direction: Direction | None
) -> None:
    after, told = step(NODATA, policy, verdict, NOW)
    assert (after.phase, told) == (phase, direction)


def test_once_a_bar_waits_for_the_next_bar() -> None:
    policy = Policy(once_per=60 * S)
    pending, direction = step(SPENT, policy, TRUE, NOW)
    assert (pending.phase, pending.due_at, direction) == (Phase.PENDING, 120 * S, None)
