"""Puts rules to sleep on the numbers of the markets they watch, or of a symbol's venues together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from pricewatch.domain.rule import Phase, RuleState
from pricewatch.engine import reckoning
from pricewatch.engine.group import GroupIndex, Probe
from pricewatch.engine.index import Instance, LevelIndex, Sleeper
from pricewatch.engine.market import MarketState
from pricewatch.engine.silence import SILENCE, Absence
from pricewatch.engine.span import Ballot, Place, Span, VoteIndex
from pricewatch.engine.state import Standing
from pricewatch.engine.timers import Agenda
from pricewatch.rules.base import Condition, Feature
from pricewatch.rules.composite import Composite
from pricewatch.rules.document import Rule
from pricewatch.rules.lifecycle import paused, rest
from pricewatch.rules.quorum import Quorum


class Binder:
    """`due` takes the timers of rules that are pending when they come."""

    def __init__(self, markets: Mapping[int, MarketState], due: Agenda[Any]) -> None:
        self._markets = markets
        self._due = due
        self._by_symbol: dict[str, list[MarketState]] = {}
        self._spans: dict[int, Span] = {}

    @property
    def spans(self) -> Iterable[Span]:
        """Symbols some rule looks at as a whole."""
        return self._spans.values()

    def home(self, number: int) -> MarketState:
        """The market, or the symbol, of that number; raises `KeyError`."""
        return self._markets[number] if number >= 0 else self._spans[number]

    def add_market(self, state: MarketState) -> None:
        """A new venue of its symbol."""
        there = self._by_symbol.setdefault(state.market.symbol, [])
        if there and there[0].span is not None:
            self._enrol(there[0].span, state)
        there.append(state)

    def homes(self, rule: Rule) -> list[MarketState]:
        """Where the rule has a state: the markets that match it, or their symbols."""
        symbols = self._by_symbol if rule.symbols is None else rule.symbols
        followed = [state for symbol in symbols for state in self._by_symbol.get(symbol, ())]
        matching = [state for state in followed if rule.matches(state.market)]
        return list(dict.fromkeys(map(self.span, matching))) if rule.spans else matching

    def span(self, state: MarketState) -> MarketState:
        """A market's symbol as a whole."""
        if state.span is None:
            span = Span(state.market.symbol)
            self._spans[span.market.id] = span
            for one in self._by_symbol[state.market.symbol]:
                self._enrol(span, one)
            return span
        return state.span

    def bind(self, standing: Standing, home: MarketState, state: RuleState, parts: bytes) -> Instance:
        """Let the rule sleep there; it is to be judged at the first sample in any case, unless it is held."""
        active = standing.active
        rule, after = active.rule, active.effective_seen
        index = self._index(rule, home, after, parts)
        instance = Instance(standing, active.id.bytes, home.market.id, index, state)
        if rule.policy.silence:
            silence = home.index(Feature(SILENCE, rule.policy.silence), after)
            home.absences[instance] = Absence(instance, silence)
        if isinstance(index, GroupIndex | VoteIndex):
            home.roots.add(instance)
            self._probe_all(instance, index, home, parts)
        if standing.hold is not None:
            instance.state = rest(state)
            forget_parts(instance)
        elif state.phase is Phase.PAUSED:  # stored before there were digests
            instance.state = paused(state)
        reckoning.resume(home, instance, self._due)
        for sleeper in self.sleepers(instance):
            self._lay(sleeper)
        if standing.hold is None and state.phase is Phase.PENDING:
            home.set_timer(instance, self._due)
        return instance

    def join(self, instance: Instance, state: MarketState) -> None:
        """A new venue for a rule that looks at its symbol as a whole."""
        index = instance.index
        if isinstance(index, VoteIndex):
            ballot = self._poll(instance, index, state, b"")
            for probe in ballot.probes:
                self._lay(probe)

    def unbind(self, instances: Iterable[Instance]) -> None:
        """Take rules off; what nobody reads any more is released."""
        for instance in instances:
            home = self.home(instance.market)
            asleep = list(self.sleepers(instance))
            home.roots.discard(instance)
            home.absences.pop(instance, None)
            if isinstance(home, Span) and isinstance(instance.index, VoteIndex):
                home.votes.pop(instance.index)
                home.dirty.pop(instance.index, None)
            for sleeper in asleep:
                there = self.home(sleeper.market)
                there.forget(sleeper)
                sleeper.index.drop(sleeper)
                if not sleeper.index.members and not isinstance(sleeper.index, GroupIndex | VoteIndex):
                    there.release(sleeper.index)
            if isinstance(home, Span) and not home.roots and len(home.indexes) == 1:
                self._dissolve(home)

    def sleepers(self, instance: Instance) -> Iterator[Sleeper]:
        """Its members, where it has some, the rule itself, and what waits for silence on its behalf."""
        index = instance.index
        for group in index.ballots.values() if isinstance(index, VoteIndex) else (index,):
            yield from group.probes if isinstance(group, GroupIndex) else ()
        yield instance
        absence = self.home(instance.market).absences.get(instance)
        if absence is not None:
            yield absence

    # One rule

    def _index(self, rule: Rule, home: MarketState, after: int, parts: bytes) -> LevelIndex:
        if isinstance(home, Span) and isinstance(rule.when, Quorum):
            votes = VoteIndex(rule.when, home)
            home.votes[votes] = None
            return votes
        if isinstance(rule.when, Composite):
            return GroupIndex(rule.when, parts)
        return home.index(read(rule.when, rule.policy.every), after)

    def _probe_all(self, instance: Instance, index: GroupIndex | VoteIndex, home: MarketState, parts: bytes) -> None:
        if isinstance(index, GroupIndex):
            self._probe(instance, index, home)
            return
        for venue in self._by_symbol[home.market.symbol]:
            if instance.active.rule.matches(venue.market):
                self._poll(instance, index, venue, parts)

    def _probe(self, instance: Instance, group: GroupIndex, state: MarketState) -> None:
        active = instance.active
        every, after = active.rule.policy.every, active.effective_seen
        group.probes = tuple(
            Probe(instance, group, place, leaf, state.index(read(leaf, every), after), state.market.id)
            for place, leaf in enumerate(group.when.leaves())
        )

    def _poll(self, instance: Instance, votes: VoteIndex, state: MarketState, parts: bytes) -> Ballot:
        number = state.market.id
        known = msgspec.msgpack.decode(parts, type=dict[int, bytes]) if parts else {}
        ballot = votes.ballots[number] = Ballot(votes, votes.span.places[number], known.get(number, b""))
        self._probe(instance, ballot, state)
        return ballot

    def _lay(self, sleeper: Sleeper) -> None:
        sleeper.index.members.add(sleeper)
        if sleeper.standing.hold is None:
            self.home(sleeper.market).add_fresh(sleeper)
        else:
            sleeper.index.place(sleeper)

    # One symbol

    def _enrol(self, span: MarketState, state: MarketState) -> None:
        assert isinstance(span, Span)  # noqa: S101 - whatever stands for a symbol on all its venues is one
        state.span = span
        span.places[state.market.id] = Place(state.market)

    def _dissolve(self, span: Span) -> None:
        del self._spans[span.market.id]
        for state in self._by_symbol[span.market.symbol]:
            state.span = None


def read(condition: Condition, every: int) -> Feature:
    """The number it reads: at every trade, or where bars end."""
    return msgspec.structs.replace(condition.needs(), every=every)


def forget_parts(instance: Instance) -> bool:
    """A rule that does not fire any more forgets its members, too; whether it has any."""
    if not isinstance(instance.index, GroupIndex | VoteIndex) or instance.state.phase is Phase.FIRING:
        return False
    instance.index.forget()
    return True
