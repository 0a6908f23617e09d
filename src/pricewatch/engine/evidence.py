"""A signal made of a change: its identity, and the numbers from which the verdict can be recomputed."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from pricewatch.domain.market import decimal_text
from pricewatch.domain.rule import RuleState
from pricewatch.domain.signal import Direction, Signal, signal_id
from pricewatch.engine.index import Instance, LevelIndex
from pricewatch.engine.market import MarketState
from pricewatch.rules.base import SCORE

VERSION = 1


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
    told = direction is Direction.FIRED or policy.mail_on_clear
    return Signal(
        id=signal_id(active.id, active.version, market.key, cause.text, direction),
        account_id=active.account_id,
        rule_id=active.id,
        rule_version=active.version,
        title=rule.title,
        kind=rule.when.kind,
        severity=policy.severity,
        direction=direction,
        scope=market.key,
        market=market.id,
        venue=market.venue,
        symbol=market.symbol,
        cause=cause.text,
        at=cause.at,
        seen=cause.seen,
        received=cause.received,
        price=cause.price,
        since=instance.state.since if direction is Direction.FIRED else before.since,
        evidence=evidence(state, instance, cause),
        late=cause.late,
        suspect=cause.suspect,
        replay=cause.replay,
        model=_model(state, instance, model),
        channels=policy.channels if told else (),
    )


def evidence(state: MarketState, instance: Instance, cause: Cause) -> dict[str, Any]:
    """Version 1: prices as decimal text, everything else as numbers; unknown numbers are left out.

    `value` is the number the condition read (`feature` says which), `prior` what it was at the sample before.
    """
    index = instance.index
    facts: dict[str, Any] = {"v": VERSION, "feature": index.feature.name, "price": decimal_text(cause.price)}
    value = index.now if cause.sample else index.x
    for name, number in (("value", value), ("prior", index.prior)):
        if not math.isnan(number) and (cause.sample or name == "value"):
            facts[name] = decimal_text(number) if index is state.price else number
    facts.update(instance.active.rule.when.evidence())
    if index is state.spread and state.quote is not None:
        facts["quote"] = {"bid": decimal_text(state.quote.bid), "ask": decimal_text(state.quote.ask)}
    followed = state.gauge(index)
    if followed is not None:
        facts.update(followed.gauge.facts())
    elif index.feature.window:
        _reference(facts, state, index)
    if index.feature == SCORE:
        _score(facts, state)
    elif index in state.bands:
        _band(facts, state, cause.at)
    return facts


def _model(state: MarketState, instance: Instance, online: str) -> str | None:
    index = instance.index
    if index.feature == SCORE:
        return online
    if index in state.bands and state.band is not None:
        return f"{state.band.forecast.model}@{state.band.forecast.version}"
    return None


def _reference(facts: dict[str, Any], state: MarketState, index: LevelIndex) -> None:
    at, price = state.series.reference(next(window for window in state.series.windows if window.index is index))
    if at:
        facts["reference"] = {"at": at, "price": decimal_text(price)}


def _score(facts: dict[str, Any], state: MarketState) -> None:
    facts["score"] = facts.get("value")
    facts["parts"] = {} if state.ensemble is None else state.ensemble.parts()
    facts["weights"] = {} if state.ensemble is None else state.ensemble.weights()


def _band(facts: dict[str, Any], state: MarketState, at: int) -> None:
    band = state.band
    row = None if band is None else band.at(at)
    facts["version"] = None if band is None else str(band.forecast.version)
    facts["band"] = (
        None if row is None else {"at": row.at, "lower": row.lower, "centre": row.centre, "upper": row.upper}
    )
