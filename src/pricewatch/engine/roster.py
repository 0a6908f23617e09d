"""Which rules watch which markets, and the life of each rule as a whole: taken up, held, resumed, expired."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pricewatch.domain.rule import Order, Phase, RuleCommand, RuleState, StateRow
from pricewatch.domain.signal import Direction
from pricewatch.engine.binding import Binder, forget_parts
from pricewatch.engine.evidence import notice
from pricewatch.engine.index import Instance
from pricewatch.engine.market import MarketState
from pricewatch.engine.reckoning import early
from pricewatch.engine.span import Span
from pricewatch.engine.state import ActiveRule, Alarm, Standing, Transition
from pricewatch.engine.timers import Agenda
from pricewatch.rules.lifecycle import ARMED, NEW, rest

WHOLE = 0
"""The number under which the state of a rule as a whole is kept: no market has it."""


class Roster:
    """Binds rules to markets. `due` takes its timers, `note` its transitions."""

    def __init__(
        self, markets: Mapping[int, MarketState], due: Agenda[Any], note: Callable[[Transition], None]
    ) -> None:
        self._binder = Binder(markets, due)
        self._due = due
        self._note = note
        self._rules: dict[uuid.UUID, tuple[Standing, tuple[Instance, ...]]] = {}
        self._watchers: dict[str | None, dict[uuid.UUID, ActiveRule]] = {}

    def add_market(self, state: MarketState) -> None:
        """Bind the rules that match a market; it is among the markets already."""
        market = state.market
        self._binder.add_market(state)
        for symbol in (None, market.symbol):
            for active in self._watchers.get(symbol, {}).values():
                if active.rule.matches(market):
                    self._extend(active, state)

    def arm(
        self,
        rule: ActiveRule,
        states: Mapping[int, RuleState],
        parts: Mapping[int, bytes],
        command: RuleCommand | None,
    ) -> None:
        """As `Engine.arm` says."""
        old, instances = self._forget(rule.id)
        standing = Standing(rule, rule.effective_seen)
        same = old is not None and (old.active.version == rule.version or old.active.rule.judges_as(rule.rule))
        if old is not None and same:
            parts = {instance.market: instance.index.parts for instance in instances}
            states = self._carried(old, standing, instances)
        elif old is not None:
            standing.hold, standing.until = (None if old.hold is Phase.EXPIRED else old.hold), old.until
        self._take_hold(standing, states.get(WHOLE, NEW), command)
        symbols = rule.rule.symbols
        for symbol in symbols or (None,):
            self._watchers.setdefault(symbol, {})[rule.id] = rule
        bound = tuple(
            self._binder.bind(standing, home, states.get(home.market.id, NEW), parts.get(home.market.id, b""))
            for home in self._binder.homes(rule.rule)
        )
        self._rules[rule.id] = (standing, bound)
        going_on = {instance.market for instance in bound} if same else ()
        for instance in instances:
            if instance.market not in going_on:
                self._tell_early(instance, rule.effective_seen)
        self._binder.unbind(instances)  # after the new ones came: what both versions read goes on being followed

    def home(self, number: int) -> MarketState:
        """The market, or the symbol as a whole, of that number."""
        return self._binder.home(number)

    @property
    def spans(self) -> Iterable[Span]:
        """Symbols some rule looks at as a whole."""
        return self._binder.spans

    def disarm(self, rule_id: uuid.UUID) -> None:
        """Forget a rule; unknown ones are fine."""
        self._binder.unbind(self._forget(rule_id)[1])

    def command(self, command: RuleCommand, seen: int) -> None:
        """Obey from here on. An expired rule stays so; to resume a rule that runs wakes it where it was paused."""
        standing, instances = self._rules.get(command.rule_id, (None, ()))
        if standing is None or standing.hold is Phase.EXPIRED:
            return
        if command.order is Order.RESUME:
            self._resume(standing, instances, seen)
            return
        self._drop_alarms(standing, Phase.IDLE)
        standing.hold = Phase.PAUSED
        if command.order is Order.SNOOZE:
            standing.hold, standing.until = Phase.SNOOZED, max(command.until, seen + 1)
            self._add_alarm(standing, Phase.IDLE, standing.until)
        self._rest(instances, seen)

    def ring(self, alarm: Alarm, place: int) -> None:
        """A moment in the life of a rule has come."""
        standing = alarm.standing
        self._void(standing, alarm)
        instances = self._rules[standing.active.id][1]
        if alarm.event is Phase.IDLE:
            self._resume(standing, instances, place)
        elif alarm.event is None:
            standing.told = alarm.due_at
            self._tell(standing, RuleState(emitted_at=alarm.due_at), Direction.EXPIRING, alarm, place)
        else:
            for other in list(standing.alarms):
                self._void(standing, other)
            standing.hold = Phase.EXPIRED
            self._rest(instances, place)
            self._tell(standing, RuleState(phase=Phase.EXPIRED), Direction.EXPIRED, alarm, place)

    # Versions

    def _extend(self, active: ActiveRule, state: MarketState) -> None:
        standing, instances = self._rules[active.id]
        home = self._binder.span(state) if active.rule.spans else state
        for instance in instances:
            if instance.market == home.market.id:
                self._binder.join(instance, state)
                return
        self._rules[active.id] = (standing, (*instances, self._binder.bind(standing, home, NEW, b"")))

    def _forget(self, rule_id: uuid.UUID) -> tuple[Standing | None, tuple[Instance, ...]]:
        found = self._rules.pop(rule_id, None)
        if found is None:
            return None, ()
        standing, instances = found
        for alarm in list(standing.alarms):
            self._void(standing, alarm)
        for symbol in standing.active.rule.symbols or (None,):
            del self._watchers[symbol][rule_id]
        return standing, instances

    # The life of a rule

    def _carried(self, old: Standing, new: Standing, instances: Iterable[Instance]) -> dict[int, RuleState]:
        """The states of a version that goes on under a new number, as rows of that number."""
        new.after, new.hold, new.until = old.after, old.hold, old.until
        states = {instance.market: instance.state for instance in instances}
        if old.told or old.hold is Phase.EXPIRED:
            phase = Phase.EXPIRED if old.hold is Phase.EXPIRED else Phase.IDLE
            states[WHOLE] = RuleState(phase=phase, emitted_at=old.told)
        seen = new.active.effective_seen
        for instance in instances:
            if instance.state != NEW or instance.index.parts:
                self._write(new, instance.market, instance.state, seen, instance.index.parts)
        if WHOLE in states:
            self._write(new, WHOLE, states[WHOLE], seen)
        return states

    def _take_hold(self, standing: Standing, whole: RuleState, command: RuleCommand | None) -> None:
        """How it stands as a whole, by its stored state and its newest command, or else as the version before did."""
        policy = standing.active.rule.policy
        if whole.phase is Phase.EXPIRED:
            standing.hold = Phase.EXPIRED
            return
        if command is not None and command.effective_seen is not None:
            if command.order is Order.RESUME:
                standing.after = max(standing.after, command.effective_seen)
            else:
                standing.hold = Phase.PAUSED if command.order is Order.PAUSE else Phase.SNOOZED
                standing.until = command.until
        if standing.hold is Phase.SNOOZED:
            self._add_alarm(standing, Phase.IDLE, standing.until)
        standing.told = whole.emitted_at
        if not policy.expires:
            return
        self._add_alarm(standing, Phase.EXPIRED, policy.expires)
        early = policy.expires - policy.warn
        if policy.warn and not whole.emitted_at and early > standing.active.effective_seen:
            self._add_alarm(standing, None, early)

    def _resume(self, standing: Standing, instances: Iterable[Instance], seen: int) -> None:
        held, standing.hold = standing.hold, None
        self._drop_alarms(standing, Phase.IDLE)
        standing.after = seen
        for instance in instances:
            if held is not None or instance.state.tally is not None:
                self._set(instance, rest(instance.state), seen)
                for sleeper in self._binder.sleepers(instance):
                    self._binder.home(sleeper.market).add_fresh(sleeper)

    def _rest(self, instances: Iterable[Instance], seen: int) -> None:
        for instance in instances:
            self._set(instance, rest(instance.state), seen)
            for sleeper in self._binder.sleepers(instance):
                self._binder.home(sleeper.market).forget(sleeper)
                sleeper.index.place(sleeper)

    def _set(self, instance: Instance, state: RuleState, seen: int) -> None:
        """A state that only forgets what no row says needs none either."""
        self._tell_early(instance, seen)
        before, instance.state = instance.state, state
        forgot = forget_parts(instance)
        if before not in (state, ARMED) or forgot:
            self._write(instance.standing, instance.market, state, seen, instance.index.parts)

    def _write(self, standing: Standing, market: int, state: RuleState, seen: int, parts: bytes = b"") -> None:
        active = standing.active
        self._note(Transition(StateRow(active.id, active.version, market, state, seen, parts), None))

    def _tell(self, standing: Standing, state: RuleState, direction: Direction, alarm: Alarm, place: int) -> None:
        active = standing.active
        row = StateRow(active.id, active.version, WHOLE, state, place)
        self._note(Transition(row, notice(active, direction, alarm.due_at, place)))

    def _tell_early(self, instance: Instance, seen: int) -> None:
        """What it kept back while it was paused for firing too often, if anything."""
        if (told := early(self._binder.home(instance.market), instance, seen)) is not None:
            self._note(told)

    # Alarms

    def _add_alarm(self, standing: Standing, event: Phase | None, due: int) -> None:
        alarm = Alarm(standing, event, due, max(due, standing.active.effective_seen))
        standing.alarms.append(alarm)
        self._due.add(alarm.due_seen, b"", alarm)

    def _drop_alarms(self, standing: Standing, event: Phase) -> None:
        for alarm in [one for one in standing.alarms if one.event is event]:
            self._void(standing, alarm)

    def _void(self, standing: Standing, alarm: Alarm) -> None:
        standing.alarms.remove(alarm)
        alarm.due_seen = 0
