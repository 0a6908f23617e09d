"""The life of a rule on one market, as a function: no clock, no storage."""

from __future__ import annotations

import msgspec

from pricewatch.domain.rule import Phase, RuleState
from pricewatch.domain.signal import Direction
from pricewatch.rules.policy import Policy

NEW = RuleState()
"""Has not seen a trade yet."""
ARMED = RuleState(armed=True)
"""Has seen one, and nothing has happened since."""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What a condition says of one sample. An unknown number makes all three false."""

    begins: bool = False
    holds: bool = False
    cleared: bool = False


class Moment(msgspec.Struct, frozen=True, gc=False):
    """Where a sample stands: event time, place in the order, and how long a timer waits for late trades."""

    at: int
    seen: int
    grace: int = 1_000_000


Step = tuple[RuleState, Direction | None]


def step(state: RuleState, policy: Policy, verdict: Verdict, now: Moment) -> Step:
    """The state after one sample, and the direction of the signal it makes, if any.

    Timers due before the sample have been settled by `expire`. The same state object comes back when nothing changed.
    """
    if not state.armed:
        return _arm(policy, verdict, now)
    if state.phase is Phase.IDLE:
        return _begin(state, policy, now) if verdict.begins else (state, None)
    if state.phase is Phase.PENDING:
        return (state, None) if verdict.holds else (_idle(state, policy), None)
    if state.phase is Phase.FIRING and verdict.cleared:
        told = policy.clear_signal and not state.silent
        return _idle(state, policy), Direction.CLEARED if told else None
    return state, None


def expire(state: RuleState, policy: Policy, *, holds: bool) -> Step:
    """A pending rule's timer is due: it fires at `due_at`, unless its condition is known not to hold any more."""
    if not holds:
        return _idle(state, policy), None
    return _firing(state, state.due_at), Direction.FIRED


def _arm(policy: Policy, verdict: Verdict, now: Moment) -> Step:
    if not verdict.begins:
        return ARMED, None
    if policy.fire_on_arming:
        return _begin(ARMED, policy, now)
    return RuleState(phase=Phase.FIRING, armed=True, silent=True, since=now.at), None


def _begin(state: RuleState, policy: Policy, now: Moment) -> Step:
    due = now.at + policy.hold
    if state.emitted_at:
        due = max(due, state.emitted_at + policy.cooldown)
    begun = msgspec.structs.replace(state, since=now.at)
    if due <= now.at:
        return _firing(begun, now.at), Direction.FIRED
    due_seen = now.seen + (due - now.at) + now.grace
    return msgspec.structs.replace(begun, phase=Phase.PENDING, due_at=due, due_seen=due_seen), None


def _firing(state: RuleState, at: int) -> RuleState:
    return RuleState(phase=Phase.FIRING, armed=True, since=state.since, emitted_at=at, fired=state.fired + 1)


def _idle(state: RuleState, policy: Policy) -> RuleState:
    """Idle again, or expired when it has fired as often as it may: then it stays so, and costs nothing."""
    if not state.fired:
        return ARMED
    phase = Phase.EXPIRED if policy.fires and state.fired >= policy.fires else Phase.IDLE
    return RuleState(phase=phase, armed=True, emitted_at=state.emitted_at, fired=state.fired)
