"""Asks the rules that an input concerns, and notes what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import msgspec

from pricewatch.domain.rule import Phase, RuleState, StateRow
from pricewatch.domain.signal import Direction
from pricewatch.engine.evidence import Cause, signal
from pricewatch.engine.group import ask
from pricewatch.engine.index import NAN, Instance, Sleeper
from pricewatch.engine.market import MarketState
from pricewatch.engine.reckoning import Reckoning, digest, keep_back
from pricewatch.engine.silence import Absence
from pricewatch.engine.span import Span
from pricewatch.engine.state import Transition
from pricewatch.engine.timers import Agenda
from pricewatch.rules.lifecycle import Moment, Verdict, expire, fall_silent, step

_KEY = attrgetter("key")


class Judge:
    """`due` takes the timers of rules that become pending, `note` what is to be stored and told."""

    def __init__(self, due: Agenda[Any], note: Callable[[Transition], None], grace: int, model: str) -> None:
        self.asked = 0
        """How often a condition was asked."""
        self._due = due
        self._note = note
        self._grace = grace
        self._model = model

    def all(self, market: MarketState, touched: list[Sleeper], cause: Cause) -> None:
        """Ask everything touched by one input, in order of the rules' ids."""
        if market.roots or market.span is not None:
            touched = ask(touched, cause.at, cause.seen, self._note)
        if len(touched) > 1:
            touched.sort(key=_KEY)
        now = Moment(cause.at, cause.seen, self._grace)
        for one in touched:
            ask_one = self._absence if isinstance(one, Absence) else self._one
            ask_one(market, one, now, cause)  # type: ignore[arg-type]  # members have been asked: rules are left

    def whole(self, market: MarketState, touched: list[Sleeper], cause: Cause) -> None:
        """Judge a market's rules, and those of its symbol if a venue has changed its mind by that."""
        self.all(market, touched, cause)
        span = market.span
        if isinstance(span, Span) and span.dirty and (asked := span.recount()):
            self.all(span, asked, msgspec.structs.replace(cause, at=max(span.at, cause.at)))

    def _one(self, market: MarketState, instance: Instance, now: Moment, cause: Cause) -> None:
        before, index, when = instance.state, instance.index, instance.active.rule.when
        if instance.is_silenced:  # nothing to wake up for
            index.place(instance)
            return
        self.asked += 1
        prior, x = index.prior if before.armed else NAN, index.now
        verdict = Verdict(when.begins(prior, x), when.holds(x), when.cleared(x))
        policy = instance.active.rule.policy
        after, direction = step(before, policy, verdict, now)
        if x != index.x and Phase.PENDING in (before.phase, after.phase) and not cause.suspect:
            # A price out of order: what waits goes by the price that stands.
            stands = index.x
            standing = Verdict(when.begins(x, stands), when.holds(stands), when.cleared(stands))
            after, told = step(after, policy, standing, now)
            after, direction = (before if after == before else after), direction or told
        if after is not before:
            self._change(market, instance, after, direction, cause)
            if after.phase is Phase.PENDING:
                market.set_timer(instance, self._due)
        index.place(instance)

    def _absence(self, market: MarketState, absence: Absence, now: Moment, cause: Cause) -> None:
        """A silence has begun or ended for a rule to which that means something."""
        rule = absence.rule
        if not absence.is_quiet:
            if rule.state.phase is Phase.NODATA:
                self._one(market, rule, now, cause)
        elif not rule.is_silenced:
            after, direction = fall_silent(rule.state, rule.active.rule.policy, now)
            if after is not rule.state:
                self._change(market, rule, after, direction, cause)
                rule.index.place(rule)
                if rule in market.roots and after.phase is Phase.IDLE:
                    market.add_fresh(rule)  # its members may go on unchanged, and so hold at the next trade
        absence.index.place(absence)

    def _change(
        self, market: MarketState, instance: Instance, after: RuleState, direction: Direction | None, cause: Cause
    ) -> None:
        before, instance.state = instance.state, after
        if after.tally is not None and direction is Direction.FIRED:
            after = keep_back(market, instance, after.tally, cause, self._grace, self._due)
            direction = None
        active = instance.active
        listed = active.rule.watchlist is not None  # which markets were on its list is known by their rows
        if direction is None and not before.armed and after.phase is Phase.IDLE and not listed:
            return
        row = StateRow(active.id, active.version, instance.market, after, cause.seen, instance.index.parts)
        told = None if direction is None else signal(market, instance, before, direction, cause, self._model)
        self._note(Transition(row, told))

    def fire(
        self,
        market: MarketState,
        instance: Instance | Reckoning,
        price: float,
        seen: int,
        *,
        late: bool = False,
        replay: bool = False,
    ) -> None:
        """A pending rule's timer is due, or a digest."""
        if isinstance(instance, Reckoning):
            due = instance.due_at
            cause = Cause(f"timer:{due}", due, seen, seen, price, sample=False, late=late, replay=replay)
            self._note(digest(market, instance.instance, cause))
            return
        due, index, when = instance.due_at, instance.index, instance.active.rule.when
        holds = index not in market.bands or when.holds(market.position(index.feature, price, due))
        after, direction = expire(instance.state, instance.active.rule.policy, holds=holds)
        cause = Cause(f"timer:{due}", due, seen, seen, price, sample=False, late=late, replay=replay)
        self._change(market, instance, after, direction, cause)
        if not instance.awake:
            index.place(instance)
