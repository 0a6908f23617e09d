"""The life of a rule on one market, as a function: no clock, no storage."""

from __future__ import annotations

import msgspec

from pricewatch.domain.rule import Phase, RuleState, Tally
from pricewatch.domain.signal import Direction
from pricewatch.domain.time import HOUR
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

_LASTING = (Phase.FIRING, Phase.NODATA, Phase.EXPIRED)


def step(state: RuleState, policy: Policy, verdict: Verdict, now: Moment) -> Step:
    """The state after one sample, and the direction of the signal it makes, if any.

    Timers due before the sample have been settled by `expire`. The same state object comes back when nothing changed.
    """
    if not state.armed:
        return _arm(state, policy, verdict, now)
    if state.phase is Phase.IDLE:
        return _begin(state, policy, now) if verdict.begins else (state, None)
    if state.phase is Phase.PENDING:
        return (state, None) if verdict.holds else (_idle(state, policy), None)
    if state.phase is Phase.NODATA:
        return _heard(state, policy, verdict)
    if state.phase is Phase.FIRING and verdict.cleared:
        told = policy.clear_signal and not state.silent
        return _idle(state, policy), Direction.CLEARED if told else None
    return state, None


def expire(state: RuleState, policy: Policy, *, holds: bool) -> Step:
    """A pending rule's timer is due: it fires at `due_at`, unless its condition is known not to hold any more."""
    if not holds:
        return _idle(state, policy), None
    return _fire(state, policy, state.due_at)


def fall_silent(state: RuleState, policy: Policy, now: Moment) -> Step:
    """Nothing was traded for `policy.silence`: by its policy the rule fires, or has ended."""
    if not state.armed or state.phase is Phase.EXPIRED:
        return state, None
    if policy.silence_fires:
        if state.phase in (Phase.FIRING, Phase.NODATA):
            return state, None
        fired, direction = _fire(msgspec.structs.replace(state, since=now.at - policy.silence), policy, now.at)
        return msgspec.structs.replace(fired, phase=Phase.NODATA), direction
    if state.phase is Phase.FIRING:
        return _idle(state, policy), Direction.CLEARED if policy.clear_signal and not state.silent else None
    return (_idle(state, policy), None) if state.phase is Phase.PENDING else (state, None)


def _heard(state: RuleState, policy: Policy, verdict: Verdict) -> Step:
    """After a silence that fired: it goes on firing if its condition holds, else that was its end."""
    if verdict.holds:
        return msgspec.structs.replace(state, phase=Phase.FIRING), None
    return _idle(state, policy), Direction.CLEARED if policy.clear_signal and not state.silent else None


def rest(state: RuleState) -> RuleState:
    """What is left of a state when its rule is paused, snoozed or resumed.

    A firing rule goes on firing, so that its end can still be told. Everything else begins anew with the next sample,
    which only arms it; when it last fired, and how often, stays known. A pause for firing too often is over.
    """
    if state.phase in _LASTING and state.tally is None:
        return state
    return RuleState(emitted_at=state.emitted_at, fired=state.fired)


def armed(state: RuleState) -> RuleState:
    """After a first sample that was not judged."""
    return msgspec.structs.replace(state, armed=True)


def _arm(state: RuleState, policy: Policy, verdict: Verdict, now: Moment) -> Step:
    ready = armed(state)
    if not verdict.begins:
        return ready, None
    if policy.fire_on_arming:
        return _begin(ready, policy, now)
    return msgspec.structs.replace(ready, phase=Phase.FIRING, silent=True, since=now.at), None


def _begin(state: RuleState, policy: Policy, now: Moment) -> Step:
    due = now.at + policy.hold
    last = state.emitted_at if state.tally is None else max(state.emitted_at, state.tally.last_at)
    if last:
        due = max(due, last + policy.cooldown)
        if policy.once_per:
            due = max(due, (last // policy.once_per + 1) * policy.once_per)
    begun = msgspec.structs.replace(state, since=now.at)
    if due <= now.at:
        return _fire(begun, policy, now.at)
    due_seen = now.seen + (due - now.at) + now.grace
    return msgspec.structs.replace(begun, phase=Phase.PENDING, due_at=due, due_seen=due_seen), None


def paused(state: RuleState) -> RuleState:
    """For firing too often, at `since`: from there on it counts, and its ends are silent."""
    return msgspec.structs.replace(
        state, phase=Phase.FIRING, armed=True, silent=True, due_at=0, due_seen=0, tally=Tally(state.since)
    )


def _fire(state: RuleState, policy: Policy, at: int) -> Step:
    """It fires, unless it has done so too often within the hour: then it is paused, and that is said once.

    So paused it lives on in silence: what it would fire is for its tally alone, and counts as no fire.
    """
    if state.tally is not None:
        kept = msgspec.structs.replace(state, phase=Phase.FIRING, armed=True, silent=True, due_at=0, due_seen=0)
        return kept, Direction.FIRED
    hour = at // HOUR
    fires = 1 + (state.hour_fires if state.hour == hour else 0)
    if fires > policy.most_per_hour:
        return paused(msgspec.structs.replace(state, since=at, hour=hour, hour_fires=fires)), Direction.PAUSED
    firing = RuleState(
        phase=Phase.FIRING, armed=True, since=state.since, emitted_at=at, fired=state.fired + 1, hour=hour,
        hour_fires=fires,
    )  # fmt: skip
    return firing, Direction.FIRED


def _idle(state: RuleState, policy: Policy) -> RuleState:
    """Idle again, or expired when it has fired as often as it may: then it stays so, and costs nothing."""
    if not state.fired:
        return ARMED
    phase = Phase.EXPIRED if policy.fires and state.fired >= policy.fires else Phase.IDLE
    return RuleState(
        phase=phase, armed=True, emitted_at=state.emitted_at, fired=state.fired, hour=state.hour,
        hour_fires=state.hour_fires, tally=state.tally,
    )  # fmt: skip
