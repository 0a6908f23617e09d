"""Rules of several members on one market: each member sleeps on its own number and wakes its rule when it changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from pricewatch.domain.market import decimal_text
from pricewatch.domain.rule import Phase, StateRow
from pricewatch.engine.index import ALWAYS, NEVER, Instance, LevelIndex, Sleeper
from pricewatch.engine.state import Standing, Transition
from pricewatch.rules.base import PRICES, Condition, Triggers
from pricewatch.rules.composite import GROUP, Composite, Truth, dump, load


class GroupIndex(LevelIndex):
    """The truth of one rule's group on one market as a number: 1 while it is known to hold, else 0.

    Its only member is the rule.
    """

    __slots__ = ("memory", "probes", "when")

    def __init__(self, when: Composite, parts: bytes) -> None:
        super().__init__(GROUP)
        self.when = when
        self.memory = load(when, parts)
        self.probes: tuple[Probe, ...] = ()
        self.recall()

    @property
    def parts(self) -> bytes:
        """What is stored of the members."""
        return dump(self.memory)

    @property
    def stored(self) -> bytes:
        """What the rule's row has."""
        return self.parts

    def reads(self, index: LevelIndex) -> bool:
        """Its members do."""
        return any(probe.index is index for probe in self.probes)

    def recall(self) -> None:
        """The truth by what is remembered: nothing begins with that."""
        self.x = self.now = _number(self.when.judge(self.memory, 0))

    def forget(self) -> None:
        """Nothing is known of the members any more."""
        self.memory = self.when.memory()
        self.recall()

    def look(self, at: int, touched: list[Sleeper]) -> None:
        """A member has changed at event time `at`: append the rule if that concerns it."""
        self.sample(_number(self.when.judge(self.memory, at)), touched)


class Probe(Sleeper):
    """One member of a group: true from where its condition begins to where it ends."""

    __slots__ = ("condition", "place", "root", "rule")

    def __init__(
        self, rule: Instance, root: GroupIndex, place: int, condition: Condition, index: LevelIndex, market: int
    ) -> None:
        super().__init__(rule.key, market, index)
        self.rule = rule
        self.root = root
        self.place = place
        """Which of the single conditions it is."""
        self.condition = condition

    @property
    def truth(self) -> Truth:
        """As it was last known."""
        return self.root.memory.truths[self.place]

    @property
    def standing(self) -> Standing:
        """The rule as a whole."""
        return self.rule.standing

    @property
    def is_armed(self) -> bool:
        """Whether something is known of it."""
        return self.truth is not None

    def triggers(self, x: float) -> Triggers:
        """Those of its condition; any number while nothing is known."""
        if self.rule.is_silenced:
            return NEVER
        if self.truth is None:
            return ALWAYS
        return self.condition.triggers(Phase.FIRING if self.truth else Phase.IDLE, x)

    def look(self) -> bool:
        """Take the number being judged into account; whether the truth has changed."""
        before, x = self.truth, self.index.now
        if math.isnan(x) or self.rule.is_silenced:
            return False
        if before is None:
            now = self.condition.begins(math.nan, x)
        elif before:
            now = not self.condition.cleared(x)
        else:
            now = self.condition.begins(self.index.prior, x)
        self.root.memory.truths[self.place] = now
        return now is not before

    def facts(self) -> dict[str, Any]:
        """Its part of a signal's evidence."""
        known: dict[str, Any] = {}
        if not math.isnan(self.index.now):
            known["value"] = decimal_text(self.index.now) if self.index.feature in PRICES else self.index.now
        return {"type": self.condition.kind, "holds": self.truth, **known, **self.condition.evidence()}


def ask(touched: Iterable[Sleeper], at: int, seen: int, note: Callable[[Transition], None]) -> list[Sleeper]:
    """Let the members among `touched` look, and their groups: the rules concerned by what `touched` stands for.

    What groups remember is noted whenever it changes.
    """
    rules: list[Sleeper] = []
    changed: dict[GroupIndex, Instance] = {}
    for one in touched:
        if not isinstance(one, Probe):
            rules.append(one)
            continue
        if one.look():
            changed[one.root] = one.rule
        one.index.place(one)
    for root, rule in sorted(changed.items(), key=_key):
        root.look(at, rules)
        active = rule.active
        row = StateRow(active.id, active.version, rule.market, rule.state, seen, root.stored)
        note(Transition(row, None))
    return rules


def _key(item: tuple[GroupIndex, Instance]) -> bytes:
    return item[1].key


def _number(truth: Truth) -> float:
    """What is not known does not hold."""
    return 1.0 if truth else 0.0
