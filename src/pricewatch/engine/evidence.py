"""A signal made of a change: its identity, and the numbers from which the verdict can be recomputed."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from pricewatch.domain.market import decimal_text
from pricewatch.domain.rule import Phase, RuleState
from pricewatch.domain.signal import EVIDENCE, Direction, Signal, signal_id
from pricewatch.domain.time import SECOND
from pricewatch.engine.group import GroupIndex
from pricewatch.engine.index import Instance, LevelIndex
from pricewatch.engine.market import MarketState
from pricewatch.engine.span import Span
from pricewatch.engine.state import ActiveRule
from pricewatch.models.bars import NAME
from pricewatch.rules.base import PRICES, SCORE
from pricewatch.rules.minutes import is_of_minutes
from pricewatch.rules.policy import Policy

WHOLE_SCOPE = "rule"
"""The scope of what concerns a rule on all its markets."""


class Cause(msgspec.Struct, frozen=True, gc=False):
    """What made rules change: a trade, a quote, or a timer that came due."""

    text: str
    """`trade:<key>`, `quote:<seen>` or `timer:<due>`."""
    at: int
    seen: int
    received: int
    price: float
    """The last trade's."""
    sample: bool
    """Whether it brought numbers, as all do but timers."""
    late: bool = False
    replay: bool = False
    suspect: bool = False


def signal(
    state: MarketState, instance: Instance, before: RuleState, direction: Direction, cause: Cause, model: str
) -> Signal:
    """The signal of an instance that has just changed from `before`."""
    active, market = instance.active, state.market
    rule = active.rule
    policy = rule.policy
    scope = market.symbol if isinstance(state, Span) else market.key
    told = direction is not Direction.CLEARED or policy.mail_on_clear
    return Signal(
        id=signal_id(active.id, active.version, scope, cause.text, direction),
        account_id=active.account_id,
        rule_id=active.id,
        rule_version=active.version,
        title=rule.title,
        kind=rule.when.kind,
        severity=policy.severity,
        direction=direction,
        scope=scope,
        market=market.id,
        venue=state.venues() if isinstance(state, Span) else market.venue,
        symbol=market.symbol,
        cause=cause.text,
        at=cause.at,
        seen=cause.seen,
        received=cause.received,
        price=instance.price(cause.price, sample=cause.sample),
        since=before.since if direction is Direction.CLEARED else instance.state.since,
        evidence=evidence(state, instance, cause) | _why(policy, instance.state.phase, direction),
        late=cause.late,
        suspect=cause.suspect,
        replay=cause.replay,
        model=_model(state, instance, model),
        channels=policy.channels if told else (),
        not_before=_not_before(policy, cause.seen),
    )


def notice(active: ActiveRule, direction: Direction, at: int, seen: int) -> Signal:
    """What a rule as a whole has to tell of its own life: of no market, at a moment of our clock."""
    rule, policy = active.rule, active.rule.policy
    return Signal(
        id=signal_id(active.id, active.version, WHOLE_SCOPE, f"timer:{at}", direction),
        account_id=active.account_id,
        rule_id=active.id,
        rule_version=active.version,
        title=rule.title,
        kind=rule.when.kind,
        severity=policy.severity,
        direction=direction,
        scope=WHOLE_SCOPE,
        market=0,
        venue="",
        symbol=rule.symbols[0] if rule.symbols else "*",
        cause=f"timer:{at}",
        at=at,
        seen=seen,
        received=seen,
        price=0.0,
        since=at,
        evidence={"v": EVIDENCE, "expires": policy.expires},
        channels=policy.channels,
        not_before=_not_before(policy, seen),
    )


def _why(policy: Policy, phase: Phase, direction: Direction) -> dict[str, Any]:
    """What the policy, and not the condition, brought about."""
    if direction is Direction.PAUSED:
        return {"most_per_hour": policy.most_per_hour, "digest": policy.digest / SECOND}
    return {"nodata": policy.silence / SECOND} if phase is Phase.NODATA else {}


def _not_before(policy: Policy, seen: int) -> int:
    return 0 if policy.quiet is None else policy.quiet.ends(seen)


def evidence(state: MarketState, instance: Instance, cause: Cause) -> dict[str, Any]:
    """Version 1: prices as decimal text, everything else as numbers; unknown numbers are left out.

    `value` is the number the condition read (`feature` says which), `prior` what it was at the sample before.
    """
    index = instance.index
    facts: dict[str, Any] = {"v": EVIDENCE, "feature": index.feature.name, "price": decimal_text(cause.price)}
    value = index.now if cause.sample else index.x
    for name, number in (("value", value), ("prior", index.prior)):
        if not math.isnan(number) and (cause.sample or name == "value"):
            facts[name] = decimal_text(number) if index.feature in PRICES else number
    facts.update(instance.active.rule.when.evidence())
    facts.update(_details(state, instance, cause.at))
    if index.feature == SCORE:
        _score(facts, state, facts.get("value"))
    return facts


def _details(state: MarketState, instance: Instance, at: int) -> dict[str, Any]:
    """What belongs to the number read."""
    index = instance.index
    if isinstance(state, Span):
        return state.facts(instance)
    if isinstance(index, GroupIndex):
        of = [probe.facts() | _of_model(state, probe.index, at) for probe in index.probes]
        return {"of": of, "shape": index.when.shape()}
    if index in state.quoted and state.quote is not None:
        return {"quote": {"bid": decimal_text(state.quote.bid), "ask": decimal_text(state.quote.ask)}}
    followed = state.gauge(index)
    if followed is not None:
        return followed.gauge.facts()
    if state.minutes is not None and is_of_minutes(index.feature):
        return state.minutes.facts(index.feature, at)
    if index in state.bands:
        return _band(state, at)
    return _reference(state, index)


def _of_model(state: MarketState, index: LevelIndex, at: int) -> dict[str, Any]:
    """What a member's number was made of, where a model said it."""
    facts: dict[str, Any] = {"feature": index.feature.name}
    if math.isnan(index.now):
        return {}
    if index.feature == SCORE:
        _score(facts, state, index.now)
    elif state.minutes is not None and is_of_minutes(index.feature):
        facts.update(state.minutes.facts(index.feature, at))
    elif index in state.bands:
        facts.update(_band(state, at))
    else:
        return {}
    return facts


def _model(state: MarketState, instance: Instance, online: str) -> str | None:
    index = instance.index
    indexes = [probe.index for probe in index.probes] if isinstance(index, GroupIndex) else [index]
    score = next((one for one in indexes if one.feature == SCORE), None)
    if score is not None:
        return NAME if _is_of_minute(state, score.now) else online
    if any(is_of_minutes(one.feature) for one in indexes):
        return NAME
    if state.band is not None and any(one in state.bands for one in indexes):
        return f"{state.band.forecast.model}@{state.band.forecast.version}"
    return None


def _reference(state: MarketState, index: LevelIndex) -> dict[str, Any]:
    for window in state.series.windows:
        if window.index is index and (found := state.series.reference(window))[0]:
            return {"reference": {"at": found[0], "price": decimal_text(found[1])}}
    return {}


def _is_of_minute(state: MarketState, score: float | None) -> bool:
    """Whether the last closed minute, and not the trade, was what made the score."""
    return state.minutes is not None and score == state.minutes.rarity > 0.0


def _score(facts: dict[str, Any], state: MarketState, score: float | None) -> None:
    facts["score"] = score
    if state.minutes is not None and _is_of_minute(state, score):
        facts.update(state.minutes.score_facts())
        return
    facts["parts"] = {} if state.ensemble is None else state.ensemble.parts()
    facts["weights"] = {} if state.ensemble is None else state.ensemble.weights()


def _band(state: MarketState, at: int) -> dict[str, Any]:
    band = state.band
    row = None if band is None else band.at(at)
    return {
        "version": None if band is None else str(band.forecast.version),
        "band": None if row is None else {"at": row.at, "lower": row.lower, "centre": row.centre, "upper": row.upper},
    }
