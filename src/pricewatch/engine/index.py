"""Rules asleep on one number of one market until it reaches a level that concerns them."""

from __future__ import annotations

import math
from abc import abstractmethod
from heapq import heapify, heappop, heappush

from pricewatch.domain.rule import Phase, RuleState
from pricewatch.engine.state import ActiveRule, Standing
from pricewatch.rules.base import PRICES, Feature, Triggers
from pricewatch.rules.lifecycle import NEW, armed

INF = math.inf
NAN = math.nan


NEVER: Triggers = (INF, -INF)
ALWAYS: Triggers = (-INF, INF)
"""Any known number wakes it."""


class Sleeper:
    """What waits on one number of one market: a rule, or a member of a rule's group."""

    __slots__ = ("down", "index", "key", "market", "up")

    def __init__(self, key: bytes, market: int, index: LevelIndex) -> None:
        self.key = key
        """The bytes of the rule's id: rules touched by the same trade are judged in this order."""
        self.market = market
        self.index = index
        self.up = self.down = NAN
        """Its triggers; NaN while it is not asleep."""

    @property
    @abstractmethod
    def standing(self) -> Standing:
        """The rule as a whole."""

    @property
    @abstractmethod
    def is_armed(self) -> bool:
        """Whether it has seen a sample."""

    @property
    def every(self) -> int:
        """The span of the bars at whose ends alone it looks; 0 for at every trade."""
        return self.standing.active.rule.policy.every

    @property
    def is_pending(self) -> bool:
        """Whether it must know when its number becomes unknown."""
        return False

    @abstractmethod
    def triggers(self, x: float) -> Triggers:
        """Until which numbers it may sleep when the number stands at `x`."""

    def void(self) -> None:
        """It is nobody any more."""
        self.up = self.down = NAN

    @property
    def awake(self) -> bool:
        """Whether no trigger would wake it: it has yet to be judged."""
        return self.up != self.up

    def __lt__(self, other: object) -> bool:
        """The same place in a heap: entries of one rule at one level need no order."""
        return False


class Instance(Sleeper):
    """One rule on one market: small, because there are hundreds of thousands."""

    __slots__ = ("_standing", "state")

    def __init__(self, standing: Standing, key: bytes, market: int, index: LevelIndex, state: RuleState) -> None:
        super().__init__(key, market, index)
        self._standing = standing
        self.state = state

    @property
    def standing(self) -> Standing:
        """The rule as a whole."""
        return self._standing

    @property
    def active(self) -> ActiveRule:
        """The version it is of."""
        return self._standing.active

    @property
    def is_armed(self) -> bool:
        """Whether it has seen a sample."""
        return self.state.armed

    @property
    def is_pending(self) -> bool:
        """Its timer may be void."""
        return self.state.phase is Phase.PENDING

    @property
    def is_silenced(self) -> bool:
        """Whether no sample matters: the rule is held, or has expired."""
        return self._standing.hold is not None or self.state.phase is Phase.EXPIRED

    @property
    def due_at(self) -> int:
        """Event time of its timer, 0 for none."""
        return self.state.due_at

    @property
    def due_seen(self) -> int:
        """The place in the order of its timer, 0 for none."""
        return self.state.due_seen

    def price(self, last: float, *, sample: bool) -> float:
        """What its signals call the price: the last trade's, or the quoted one it reads."""
        return self.index.now if sample and self.index.feature in PRICES[1:] else last

    def triggers(self, x: float) -> Triggers:
        """Those of its condition, unless no sample matters; after a silence that fired the next trade wakes it."""
        if self.is_silenced or self.state.phase is Phase.NODATA:
            return NEVER
        return self.active.rule.when.triggers(self.state.phase, x)

    def relive(self) -> None:
        """It is armed, unless its market may have come onto the rule's list since."""
        if self.active.rule.watchlist is None:
            self.state = armed(self.state)

    def void(self) -> None:
        """Its timer is void, too."""
        super().void()
        self.state = NEW


_Entry = tuple[float, bytes, Sleeper]


class LevelIndex:
    """Two heaps of triggers with their nearest values cached: two comparisons a trade, however many rules sleep.

    Entries are not removed when a rule's triggers change; they are recognised as stale when they come up, and the
    heaps are built anew before stale entries outnumber the others.
    """

    __slots__ = ("_downs", "_ups", "down", "feature", "members", "now", "prior", "up", "x")

    def __init__(self, feature: Feature) -> None:
        self.feature = feature
        self.x = NAN
        """The number at the last in-order trade; NaN where it is not known."""
        self.prior = NAN
        """What `x` was before the trade being judged."""
        self.now = NAN
        """The number at the trade being judged."""
        self.up = INF
        """The next value above at which somebody must be asked."""
        self.down = -INF
        """The next value below."""
        self.members: set[Sleeper] = set()
        self._ups: list[_Entry] = []
        self._downs: list[_Entry] = []

    @property
    def parts(self) -> bytes:
        """What is stored of a group's members; empty for a single number."""
        return b""

    def reads(self, index: LevelIndex) -> bool:
        """Whether what sleeps here is concerned by the number of `index`."""
        return self is index

    def place(self, instance: Sleeper) -> None:
        """Let it sleep until the number, now at `x`, reaches its next trigger."""
        up, down = instance.triggers(self.x)
        instance.up, instance.down = up, down
        bound = 2 * len(self.members) + 64
        if up != INF:
            heappush(self._ups, (up, instance.key, instance))
            self.up = min(self.up, up)
            if len(self._ups) > bound:
                self._ups = [(member.up, member.key, member) for member in self.members if member.up < INF]
                heapify(self._ups)
        if down != -INF:
            heappush(self._downs, (-down, instance.key, instance))
            self.down = max(self.down, down)
            if len(self._downs) > bound:
                self._downs = [(-member.down, member.key, member) for member in self.members if member.down > -INF]
                heapify(self._downs)

    def sample(self, x: float, touched: list[Sleeper]) -> None:
        """The number at the next in-order trade: append the rules it concerns, in no particular order."""
        prior = self.prior = self.x
        self.x = self.now = x
        if x >= self.up or x <= self.down:
            self.wake(x, touched)
        elif math.isnan(x) and not math.isnan(prior):
            touched.extend(member for member in self.members if member.is_pending)

    def glance(self, x: float, touched: list[Sleeper]) -> None:
        """The number at an out-of-order trade: it is judged, but neither stays nor becomes a prior sample."""
        self.prior, self.now = self.x, x
        if x >= self.up or x <= self.down:
            self.wake(x, touched)

    def wake(self, x: float, touched: list[Sleeper]) -> None:
        """Append every rule whose trigger `x` has reached, in no particular order; they are awake until placed."""
        ups, downs = self._ups, self._downs
        while ups and (ups[0][0] <= x or ups[0][2].up != ups[0][0]):
            value, _, instance = heappop(ups)
            if instance.up == value:
                instance.up = instance.down = NAN
                touched.append(instance)
        while downs and (-downs[0][0] >= x or downs[0][2].down != -downs[0][0]):
            value, _, instance = heappop(downs)
            if instance.down == -value:
                instance.up = instance.down = NAN
                touched.append(instance)
        self.up = ups[0][0] if ups else INF
        self.down = -downs[0][0] if downs else -INF

    def drop(self, instance: Sleeper) -> None:
        """It wakes nevermore, and its timer is void."""
        instance.void()
        self.members.discard(instance)

    def empty(self) -> None:
        """Nobody sleeps any more; all members are awake."""
        for member in self.members:
            member.up = member.down = NAN
        self._ups, self._downs = [], []
        self.up, self.down = INF, -INF
