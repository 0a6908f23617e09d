"""What the engine knows of one market: one mutable object, read and written by every trade."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Protocol

import msgspec

from pricewatch.domain.features import Features
from pricewatch.domain.market import Market, Quote, Trade
from pricewatch.domain.model import Snapshot
from pricewatch.domain.time import SECOND
from pricewatch.engine import bars
from pricewatch.engine.bars import Bar
from pricewatch.engine.closing import Closing
from pricewatch.engine.gauges.base import DECIMALS
from pricewatch.engine.gauges.retreat import DIGITS
from pricewatch.engine.index import Instance, LevelIndex, Sleeper
from pricewatch.engine.minutes import Minutes
from pricewatch.engine.numbers import Numbers
from pricewatch.engine.silence import Absence
from pricewatch.engine.timers import NEVER, Agenda
from pricewatch.models.bands.band import Band
from pricewatch.models.bars import SCHEMAS
from pricewatch.models.ensemble import Ensemble
from pricewatch.rules.base import ASK, BID, MID, OVER, SPREAD, UNDER, Feature
from pricewatch.rules.minutes import is_of_minutes

NAN = math.nan
DUE_AT = attrgetter("due_at")
BARS = "bars"
"""The name under which open bars are saved beside the models."""
INDICATORS = "indicators"
"""The name under which indicators are saved."""
INSIDE = -1.0
"""The middle half of a band: as far inside as can be."""


def _middle(quote: Quote) -> float:
    """To the digits venues print, so that equality with a level survives the division."""
    middle = (quote.bid + quote.ask) / 2.0
    return round(middle, DIGITS - 1 - math.floor(math.log10(middle)))


def _spread(quote: Quote) -> float:
    return round(200.0 * (quote.ask - quote.bid) / (quote.bid + quote.ask), DECIMALS)


_QUOTED: Mapping[Feature, Callable[[Quote], float]] = {
    SPREAD: _spread,
    MID: _middle,
    BID: attrgetter("bid"),
    ASK: attrgetter("ask"),
}


class Timed(Protocol):
    """What comes due by event time, or at a place in the order if no trade comes; 0 when it is void."""

    @property
    def key(self) -> bytes:
        """Its rank among what is due together."""
        ...

    @property
    def due_at(self) -> int:
        """Event time."""
        ...

    @property
    def due_seen(self) -> int:
        """The place in the order."""
        ...


class MarketState(Numbers):
    """Numbers, windows, models, bars and sleeping rules of one market."""

    __slots__ = (
        "absences", "arm_seen", "at", "band", "bar", "due_at", "ensemble", "fresh", "held", "market", "minutes",
        "older", "roots", "seen", "span", "timers", "unarmed_seen", "unclosed", "unquoted", "waiting",
    )  # fmt: skip

    def __init__(self, market: Market, ensemble: Ensemble | None, minutes: Minutes | None = None) -> None:
        super().__init__(market.id)
        self.market = market
        self.at = 0
        """Event time of the last in-order trade."""
        self.seen = 0
        self.band: Band | None = None
        self.ensemble = ensemble
        self.minutes = minutes
        self.bar = Bar(market.id, -(1 << 62), 0, NAN)
        self.older: Bar | None = None
        """The bar before, while out-of-order trades may still come into it."""
        self.fresh: dict[Sleeper, None] = {}
        """Rules to be judged at the next in-order trade in any case, in order of arming."""
        self.unquoted: dict[Sleeper, None] = {}
        """Rules on quotes to be judged at the next quote in any case."""
        self.unclosed: dict[Sleeper, None] = {}
        """Rules to be judged at the next end of their bars in any case."""
        self.span: MarketState | None = None
        """Its symbol on all venues, while some rule looks at that."""
        self.absences: dict[Instance, Absence] = {}
        """Rules to which silence means something by their policy."""
        self.roots: set[Instance] = set()
        """Rules on groups: they wait on no number of the market's own."""
        self.arm_seen = NEVER
        """The least `effective_seen` among fresh rules: the trade after it judges them."""
        self.unarmed_seen = NEVER
        """The same among those that have not seen a trade yet."""
        self.timers: Agenda[Any] = Agenda(DUE_AT)
        """What has a time by the market's own: rules, digests, silences, ends of bars."""
        self.held = False
        """Blind: timers come due by trades only."""
        self.waiting: list[Timed] = []
        """Whose timer came due in the order while the market was held."""
        self.due_at = NEVER
        """Event time of the next timer, or of the older bar's end with grace."""

    def add_fresh(self, instance: Sleeper) -> None:
        """To be judged at the first trade (or quote) after the rule's `effective_seen`."""
        after = instance.standing.after
        if instance.every:
            self.unclosed[instance] = None
        elif instance.index in self.quoted:
            self.unquoted[instance] = None
        else:
            self.fresh[instance] = None
            self.arm_seen = min(self.arm_seen, after)
        if not instance.every and isinstance(instance, Instance) and not instance.is_armed:
            self.unarmed_seen = min(self.unarmed_seen, after)

    def take_fresh(self, seen: int) -> list[Sleeper]:
        """The fresh rules to be judged by a trade at `seen`."""
        taken = [i for i in self.fresh if i.is_armed or i.standing.after < seen]
        for instance in taken:
            del self.fresh[instance]
        self.arm_seen = self.unarmed_seen = min((i.standing.after for i in self.fresh), default=NEVER)
        return taken

    def forget(self, instance: Sleeper) -> None:
        """It is nobody's business any more whether this rule has been judged."""
        self.fresh.pop(instance, None)
        self.unquoted.pop(instance, None)
        self.unclosed.pop(instance, None)

    def take_unquoted(self, seen: int) -> list[Sleeper]:
        """The fresh rules to be judged by a quote at `seen`."""
        taken = [i for i in self.unquoted if i.is_armed or i.standing.after < seen]
        for instance in taken:
            del self.unquoted[instance]
        return taken

    def close(self, closing: Closing, seen: int) -> list[Sleeper]:
        """Bars end at the place `seen`; the rules that concerns, in no order.

        A rule taken up since the market's last trade has seen none of this bar: it waits for the next one's end.
        """
        touched: list[Sleeper] = []
        closing.close(touched, seen)
        taken = [i for i in self.unclosed if i.every == closing.span and (i.is_armed or i.standing.after < self.seen)]
        for instance in taken:
            del self.unclosed[instance]
        return [*touched, *taken]

    def park_closed(self, closing: Closing, seen: int) -> None:
        """The same in history: nobody is judged, who is new is armed by it."""
        closing.close([], seen)
        for i in self.unclosed:
            if i.every == closing.span and isinstance(i, Instance) and i.standing.after < self.seen:
                i.relive()

    def take_armed(self, index: LevelIndex, *, suspect: bool) -> list[Sleeper]:
        """The fresh rules that read `index`, have seen a trade, and count suspects if it is one.

        A restart woke them, or a silence that ended a group whose members still hold. What they do not read must not
        judge them: what a rule says does not depend on which other rules there are.
        """
        taken = [
            i
            for i in self.fresh
            if i.index.reads(index) and i.is_armed and (not suspect or i.standing.active.rule.policy.suspect)
        ]
        for instance in taken:
            del self.fresh[instance]
        return taken

    def park(self, seen: int) -> None:
        """History moves numbers without judging: who sleeps must be asked afterwards, who is new is armed by it."""
        asleep = sum(len(index.members) for index in self.indexes.values()) + len(self.roots)
        if len(self.fresh) + len(self.unquoted) + len(self.unclosed) < asleep:
            for root in self.roots:
                (self.unclosed if root.every else self.fresh)[root] = None
            for index in self.indexes.values():
                index.empty()
                for member in index.members:
                    asked = self.unquoted if index in self.quoted else self.fresh
                    (self.unclosed if member.every else asked)[member] = None
            self.arm_seen = -1
        if seen > self.unarmed_seen:
            unarmed = [
                i for asked in (self.fresh, self.unquoted) for i in asked if isinstance(i, Instance) and not i.is_armed
            ]
            for instance in unarmed:
                if instance.standing.after < seen:
                    instance.relive()
            self.unarmed_seen = min((i.standing.after for i in unarmed if not i.is_armed), default=NEVER)

    def sample(self, trade: Trade, score: float) -> list[Sleeper]:
        """Every number that is read, at the next in-order trade; the sleeping rules it concerns, in no order."""
        touched: list[Sleeper] = []
        at, price = trade.at, trade.price
        self.price.sample(price, touched)
        if self.score is not None:
            self.score.sample(score, touched)
        if self.series.windows:
            self.series.add(at, price)
            for window in self.series.windows:
                window.index.sample(self.series.change(window), touched)
        for index in self.bands:
            index.sample(self.position(index.feature, price, at), touched)
        for silence in self.silences:
            silence.end(touched)
        for followed in self.gauges:
            if self.seen > followed.after:
                followed.index.sample(followed.gauge.trade(at, price, trade.size), touched)
        return touched

    def sample_quote(self, quote: Quote) -> list[Sleeper]:
        """What is read of quotes, at the next one; the sleeping rules it concerns, in no order."""
        touched: list[Sleeper] = []
        self.quote = quote
        for index in self.quoted:
            index.sample(_QUOTED[index.feature](quote), touched)
        return touched

    def fall_silent(self, index: LevelIndex) -> list[Sleeper]:
        """Nothing was traded for as long as `index` is about; the rules it concerns, in no order."""
        touched: list[Sleeper] = []
        index.sample(index.feature.window / SECOND, touched)
        touched.extend(self.take_armed(index, suspect=False))
        return touched

    def late(self, trade: Trade) -> None:
        """A trade out of order, at its place in the order: gauges take it into their windows."""
        for followed in self.gauges:
            if self.seen > followed.after:
                followed.gauge.late(trade.at, trade.price, trade.size)

    def set_timer(self, instance: Timed, due: Agenda[Any]) -> None:
        """Note when something is due, by the market's time and, in `due`, by the order."""
        self.timers.add(instance.due_at, instance.key, instance)
        due.add(instance.due_seen, instance.key, instance)
        self.due_at = min(self.due_at, instance.due_at)

    def note_due(self, grace: int) -> None:
        """Work out `due_at` anew."""
        closing = NEVER if self.older is None else self.older.end + grace
        self.due_at = min(self.timers.next, closing)

    def open_bars(self) -> list[Bar]:
        """Bars that are not closed, oldest first."""
        return [bar for bar in (self.older, self.bar) if bar is not None and bar.due_seen]

    def snapshots(self) -> list[Snapshot]:
        """Models and open bars as of the last trade; nothing before the first."""
        if not self.seen:
            return []
        number = self.market.id
        saved = [] if self.ensemble is None else self.ensemble.snapshots(number, self.seen)
        saved += [] if self.minutes is None else self.minutes.snapshots(self.seen)
        if found := self.indicators():
            saved.append(Snapshot(number, INDICATORS, 1, self.seen, msgspec.msgpack.encode(found)))
        return [*saved, Snapshot(number, BARS, bars.SCHEMA, self.seen, bars.pack(self.open_bars()))]

    def restore(self, snapshot: Snapshot) -> bool:
        """Take models or bars up; False when they are not usable."""
        if snapshot.model == INDICATORS:
            if snapshot.schema != 1:
                return False
            self.saved = (snapshot.seen, msgspec.msgpack.decode(snapshot.payload, type=dict[str, list[object]]))
            return False  # it counts only beside the others of the same place
        if snapshot.model == BARS:
            usable = snapshot.schema == bars.SCHEMA and self._restore_bars(snapshot.payload)
        elif snapshot.model in SCHEMAS:
            usable = self.minutes is not None and self.minutes.restore(snapshot)
        else:
            usable = self.ensemble is not None and self.ensemble.restore(snapshot)
        if usable:
            self.model_seen = self.seen = max(self.model_seen, snapshot.seen)
        return usable

    def _restore_bars(self, payload: bytes) -> bool:
        try:
            opened = bars.unpack(self.market.id, payload)
        except ValueError:
            return False
        for bar in opened:
            self.older, self.bar = (self.bar if self.bar.due_seen else None), bar
        return True

    def total(self) -> float:
        """The combined score of the last trade learned; NaN while models warm up, or without any."""
        if self.ensemble is None or self.minutes is None:
            return NAN
        score, rarity = self.ensemble.total(), self.minutes.rarity
        return rarity if rarity > 0.0 and not score >= rarity else score

    def features(self) -> Features | None:
        """What is known at the last closed minute; None before the first."""
        return None if self.minutes is None else self.minutes.features(self.market.key, self.total())

    @property
    def failures(self) -> int:
        """How often a model failed and was taken back to its last good state."""
        if self.ensemble is None or self.minutes is None:
            return 0
        return self.ensemble.failures + self.minutes.models.failures

    def position(self, feature: Feature, price: float, at: int) -> float:
        """How far `price` is outside the band at `at`, as a fraction of the edge; NaN without a band.

        What closed minutes give is read here as well.
        """
        if is_of_minutes(feature):
            return NAN if self.minutes is None else self.minutes.number(feature, price, at)
        row = self.band.at(at) if self.band is not None else None
        if row is None:
            return NAN
        if abs(price - (row.lower + row.upper) / 2.0) < (row.upper - row.lower) / 4.0:
            return INSIDE
        over = (price - row.upper) / row.upper
        under = (row.lower - price) / row.lower
        if feature == OVER:
            return over
        return under if feature == UNDER else max(over, under)
