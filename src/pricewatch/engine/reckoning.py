"""The digests of rules that are paused for firing too often: when they are due, and what they say."""

from __future__ import annotations

from typing import Any

import msgspec

from pricewatch.domain.market import decimal_text
from pricewatch.domain.rule import RuleState, StateRow, Tally
from pricewatch.domain.signal import EVIDENCE, Direction
from pricewatch.engine.evidence import Cause, signal
from pricewatch.engine.index import Instance
from pricewatch.engine.market import MarketState
from pricewatch.engine.state import Transition
from pricewatch.engine.timers import Agenda
from pricewatch.rules.lifecycle import Moment
from pricewatch.rules.tally import counted


class Reckoning:
    """The timer of one rule's digest on one market; void once that is told, or the rule is resumed."""

    __slots__ = ("instance", "key", "market")

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.key = instance.key + b"\xff"
        """Behind the rule's own timer: what it would fire at the very end belongs into the digest."""
        self.market = instance.market

    @property
    def due_at(self) -> int:
        """Event time at which the digest is due, 0 for none."""
        tally = self.instance.state.tally
        return 0 if tally is None else tally.due_at

    @property
    def due_seen(self) -> int:
        """The place in the order at which it is, 0 for none."""
        tally = self.instance.state.tally
        return 0 if tally is None else tally.due_seen

    def __lt__(self, other: object) -> bool:
        """The same place in an agenda: entries of one rule need no order."""
        return False


def keep_back(
    market: MarketState, instance: Instance, tally: Tally, cause: Cause, grace: int, due: Agenda[Any]
) -> RuleState:
    """Count a fire instead of telling it; the first one sets the timer of the digest. Returns the state after that."""
    now = Moment(cause.at, cause.seen, grace)
    price = instance.price(cause.price, sample=cause.sample)
    counts = counted(tally, instance.active.rule.policy, now, price)
    instance.state = msgspec.structs.replace(instance.state, tally=counts)
    if not tally.count:
        market.set_timer(Reckoning(instance), due)
    return instance.state


def resume(market: MarketState, instance: Instance, due: Agenda[Any]) -> None:
    """Set the timer of a digest that was owed when the process stopped, or before an edit."""
    tally = instance.state.tally
    if tally is not None and tally.count:
        market.set_timer(Reckoning(instance), due)


def early(market: MarketState, instance: Instance, seen: int) -> Transition | None:
    """The digest of a rule whose pause ends at that place, or whose owner holds or changes it; None without any."""
    tally = instance.state.tally
    if tally is None or not tally.count:
        return None
    at = max(market.at, tally.last_at)
    return digest(market, instance, Cause(f"timer:{seen}", at, seen, seen, tally.last, sample=False))


def digest(market: MarketState, instance: Instance, cause: Cause) -> Transition:
    """What was kept back, told; the state begins a new tally."""
    before, active = instance.state, instance.active
    tally = before.tally
    assert tally is not None  # noqa: S101 - it is asked only where something was kept back
    told = signal(market, instance, before, Direction.DIGEST, cause, "")
    told = msgspec.structs.replace(told, price=tally.last, since=tally.first_at, model=None, evidence=_evidence(tally))
    instance.state = msgspec.structs.replace(before, tally=Tally(cause.at))
    row = StateRow(active.id, active.version, instance.market, instance.state, cause.seen, instance.index.parts)
    return Transition(row, told)


def _evidence(tally: Tally) -> dict[str, Any]:
    return {
        "v": EVIDENCE,
        "count": tally.count,
        "first": {"at": tally.first_at, "price": decimal_text(tally.first)},
        "last": {"at": tally.last_at, "price": decimal_text(tally.last)},
        "low": decimal_text(tally.low),
        "high": decimal_text(tally.high),
        "since": tally.told_at,
    }
