"""The engine: trades, quotes and time in; transitions and closed minutes out."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import msgspec

from pricewatch.domain.features import Features
from pricewatch.domain.market import Flag, Market, Quote, Trade
from pricewatch.domain.model import BarScore, Drift, Forecast, Snapshot
from pricewatch.domain.rule import RuleCommand, RuleState
from pricewatch.domain.time import MINUTE, SECOND
from pricewatch.engine.bars import Bar
from pricewatch.engine.closing import Closing
from pricewatch.engine.evidence import Cause
from pricewatch.engine.index import NAN, Instance, Sleeper
from pricewatch.engine.judge import Judge
from pricewatch.engine.market import MarketState
from pricewatch.engine.minutes import Minutes
from pricewatch.engine.roster import Roster
from pricewatch.engine.seeding import Seeding
from pricewatch.engine.settings import EngineSettings
from pricewatch.engine.silence import SILENCE, Silence
from pricewatch.engine.span import Span
from pricewatch.engine.state import ActiveRule, Alarm, Rest, Transition
from pricewatch.engine.timers import Agenda
from pricewatch.engine.times import Times
from pricewatch.models.bands.band import Band
from pricewatch.models.ensemble import Ensemble, version
from pricewatch.models.registry import ONLINE

_STORED_ONLY = int(Flag.HISTORY | Flag.SUSPECT)
_HISTORY = int(Flag.HISTORY)
_SUSPECT = int(Flag.SUSPECT)
_LATE = int(Flag.LATE)
_KEY = attrgetter("key")
_MANY = 50
"""Transitions without a signal that are worth a commit of their own."""


class Engine:
    """Every market's state and every rule's, advanced by one input at a time; no clock, no I/O.

    Inputs come in order of `seen`. The same inputs give the same outputs, whatever the calls of `advance` between
    them. Within one trade timers come first, then models, then rules in order of their ids.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.transitions: list[Transition] = []
        """Changes in the order in which they happened, for the shell to take and replace."""
        self.is_urgent = False
        """A signal is among the transitions, or many are; the shell takes it back."""
        self.bar_scores: list[BarScore] = []
        """Closed minutes that have a score, for the shell to take and replace."""
        self.drifts: list[Drift] = []
        """Markets that have left what their models knew, for the shell to take and replace."""
        self._grace = round(settings.grace * SECOND)
        self._kinds = dict(ONLINE) if settings.models else {}
        self._model = version(self._kinds)
        self._markets: dict[int, MarketState] = {}
        self._due: Agenda[Any] = Agenda(attrgetter("due_seen"))
        self.seeding = Seeding(self._markets)
        """The way to give indicators a past."""
        self._roster = Roster(self._markets, self._due, self._note)
        self._judge = Judge(self._due, self._note, self._grace, self._model)
        self._times = Times(self._due, self._judge, self._grace, self._close)

    # Rules and markets

    def add_market(self, market: Market) -> None:
        """Begin to follow a market; rules that match it are bound to it. A known one is left alone."""
        if market.id in self._markets:
            return
        ensemble = minutes = None
        if self._kinds:
            ensemble = Ensemble(self._kinds, warm_up=self.settings.warm_up, checkpoint=self.settings.checkpoint)
            minutes = Minutes(market.id)
        state = self._markets[market.id] = MarketState(market, ensemble, minutes)
        self._roster.add_market(state)

    def arm(
        self,
        rule: ActiveRule,
        states: Mapping[int, RuleState] | None = None,
        command: RuleCommand | None = None,
        parts: Mapping[int, bytes] | None = None,
    ) -> None:
        """Evaluate this version from the first trade after `effective_seen` on.

        An older version of the same rule goes with its state, unless both make the same signals of the same trades:
        then the state stays, and its rows are written anew; so it does where the same version watches other symbols.
        `states` are those stored for this very version, by market, and `parts` what their groups remember; markets
        must have been added before. `command` is the newest one taken up, for a restart.
        """
        self._roster.arm(rule, states or {}, parts or {}, command)

    def disarm(self, rule_id: uuid.UUID) -> None:
        """Forget a rule; unknown ones are fine."""
        self._roster.disarm(rule_id)

    def command(self, command: RuleCommand, seen: int) -> None:
        """Obey its owner from here on; commands to unknown rules are fine."""
        self.advance(seen)
        self._roster.command(command, seen)

    # Inputs

    def trade(
        self, trade: Trade, seen: int, *, evaluate: bool = True, late: bool = False, replay: bool = False
    ) -> None:
        """The next trade in the order.

        With `evaluate=False` it is a restart's history: numbers, windows, bars and models move, rules become armed,
        nothing is judged. Trades flagged as history change nothing, suspects only rules that count them; trades
        older than the market's last by more than the grace change nothing. Raises `KeyError` for a market never added.
        """
        if seen >= self._due.next:
            self._advance(seen, judge=evaluate)
        market = self._markets[trade.market]
        if trade.flags & _STORED_ONLY:
            self._suspect(market, trade, seen, evaluate=evaluate, late=late, replay=replay)
            return
        at, price = trade.at, trade.price
        if at < market.at:
            self._out_of_order(market, trade, seen, evaluate=evaluate, late=late, replay=replay)
            return
        if at >= market.due_at or market.span is not None:
            self._times.settle(market, trade, seen, evaluate=evaluate, late=late, replay=replay)
        market.at = at
        market.seen = seen
        score = self._learn(market, trade, seen)
        index = market.price
        if evaluate and len(market.indexes) == 1 and index.down < price < index.up and seen <= market.arm_seen:
            index.x = price
        elif evaluate:
            self._evaluate(market, trade, seen, score, late=late, replay=replay)
        else:
            market.park(seen)
            market.sample(trade, score)
            self._times.set(market)
        if market.span is not None:
            self._judge_span(market.span, trade, seen, evaluate=evaluate, late=late, replay=replay)

    def quote(self, quote: Quote, seen: int) -> None:
        """The next quote in the order: time passes, and rules on quotes are judged once the market has traded.

        Raises `KeyError` for a market never added.
        """
        if seen >= self._due.next:
            self.advance(seen)
        market = self._markets[quote.market]
        if not market.quoted or not market.at:
            return
        touched = market.sample_quote(quote)
        touched.extend(market.take_unquoted(seen))
        if touched:
            at = max(market.at, quote.at)
            cause = Cause(f"quote:{seen}", at, seen, quote.received, market.price.x, sample=True)
            self._judge.whole(market, touched, cause)

    def advance(self, seen: int) -> None:
        """Nothing else happened up to `seen`: timers and minutes due by then are settled at their own place."""
        self._advance(seen, judge=True)

    def _advance(self, seen: int, *, judge: bool) -> None:
        while (due := self._due.pop(seen)) is not None:
            place = due.due_seen
            if isinstance(due, Alarm):
                self._roster.ring(due, place)
                continue
            market = self._roster.home(due.market)
            if isinstance(due, Bar):
                self._close(due, place)
            elif isinstance(due, Silence):
                self._times.fall_silent(market, due, place, by_order=True, judge=judge)
            elif market.held:
                market.waiting.append(due)
            elif isinstance(due, Closing):
                self._times.end_bars(market, due, place, judge=judge)
            elif not math.isnan(market.price.x):  # else it waits for the first trade
                self._judge.fire(market, due, market.price.x, place)

    def hold(self, market_id: int) -> None:
        """The market is blind: until `release` its rules' timers come due by trades only."""
        self._markets[market_id].held = True

    def release(self, market_id: int) -> None:
        """The market is seen again; timers that waited come due at the next input, at their own place."""
        market = self._markets[market_id]
        market.held = False
        for instance in market.waiting:
            if instance.due_seen:
                self._due.add(instance.due_seen, instance.key, instance)
        market.waiting.clear()

    def activate(self, forecast: Forecast, seen: int) -> None:
        """Use this forecast for its market from the next trade on; forecasts of unknown markets are fine."""
        self.advance(seen)
        market = self._markets.get(forecast.market)
        if market is not None:
            market.band = Band(forecast)

    def rest(self, market_id: int) -> Rest | None:
        """Between which prices, and before when, no trade changes a rule; None while one must see the next trade."""
        market = self._markets[market_id]
        if market.fresh or len(market.indexes) > 1 or market.span is not None:
            return None
        price = market.price
        if any(not isinstance(one, Instance) or one.standing.alarms for one in price.members):
            return None  # a group looks at more than levels, and a rule's own life has its times
        return Rest(price.down, price.up, market.timers.next)

    def features(self, market_id: int) -> Features | None:
        """What is known of a market at its last closed minute; None before the first, and for unknown markets."""
        market = self._markets.get(market_id)
        return None if market is None else market.features()

    # What a restart needs

    def snapshot(self, market_id: int) -> list[Snapshot]:
        """The market's model states and open bars as of its last trade; nothing before its first."""
        return self._markets[market_id].snapshots()

    def restore(self, snapshot: Snapshot) -> bool:
        """Take a model state up, before the history is read; False when it is not usable and starts afresh.

        All of a market's snapshots were taken together: trades up to their `seen` are not learned again.
        """
        market = self._markets.get(snapshot.market)
        if market is None or not market.restore(snapshot):
            return False
        market.note_due(self._grace)
        for bar in market.open_bars():
            self._due.add(bar.due_seen, b"", bar)
        return True

    def longest_window(self) -> int:
        """Microseconds of history before the cursor that a restart must read again, once all rules are armed.

        Begin with the last trade before that span, and not later than the oldest snapshot's `seen`.
        """
        followed = (*self._markets.values(), *self._roster.spans)
        features = {feature for market in followed for feature in market.indexes}
        spans = [feature.reach for feature in features if feature.name != SILENCE]  # of that the last trade is enough
        return max([2 * MINUTE, *spans]) + self._grace

    @property
    def judged(self) -> int:
        """How often a condition was asked."""
        return self._judge.asked

    @property
    def failures(self) -> int:
        """How often a model failed and was taken back to its last good state."""
        return sum(market.failures for market in self._markets.values())

    # One trade

    def _learn(self, market: MarketState, trade: Trade, seen: int) -> float:
        """Bar, then score, then learn; what a restored snapshot already contains is not learned again."""
        ensemble, minutes = market.ensemble, market.minutes
        if seen <= market.model_seen:
            return market.total()
        bar, price = market.bar, trade.price
        if trade.at >= bar.end:
            bar = self._open_bar(market, trade, seen)
        bar.trade(price, trade.size)
        if ensemble is None or minutes is None:
            return NAN
        score = ensemble.take(price)
        if minutes.rarity > 0.0 and not score >= minutes.rarity:
            score = minutes.rarity  # of the last closed minute
        if score > bar.score:  # noqa: PLR1730 - NaN is not, and this is the hot path
            bar.score = score
        return score

    def _evaluate(
        self, market: MarketState, trade: Trade, seen: int, score: float, *, late: bool, replay: bool
    ) -> None:
        touched = market.sample(trade, score)
        if market.silences or market.closings:
            self._times.set(market)
        if seen > market.arm_seen:
            touched.extend(market.take_fresh(seen))
        if touched:
            self._judge.all(market, touched, _cause(trade, trade.at, seen, late=late, replay=replay))

    def _judge_span(
        self, span: MarketState, trade: Trade, seen: int, *, evaluate: bool, late: bool, replay: bool
    ) -> None:
        if not evaluate:
            span.park(seen)
        touched = span.numbers() if isinstance(span, Span) else []
        if span.silences or span.closings:
            self._times.set(span)
        if not evaluate:
            return
        if seen > span.arm_seen:
            touched.extend(span.take_fresh(seen))
        if touched:
            cause = _cause(trade, span.at, seen, late=late, replay=replay)
            venue = self._markets[trade.market].market.venue
            self._judge.all(span, touched, msgspec.structs.replace(cause, text=f"trade:{venue}:{trade.key}"))

    def _out_of_order(
        self, market: MarketState, trade: Trade, seen: int, *, evaluate: bool, late: bool, replay: bool
    ) -> None:
        """Within the grace: into its bar, and judged by level conditions at the market's time."""
        if market.at - trade.at > self._grace:
            return
        market.seen = seen
        market.late(trade)
        if seen > market.model_seen:
            for bar in (market.bar, market.older):
                if bar is not None and bar.due_seen and bar.start <= trade.at < bar.end:
                    bar.add(trade.price, trade.size)
        if not evaluate:
            return
        touched: list[Sleeper] = []
        market.price.glance(trade.price, touched)
        touched.extend(market.take_armed(market.price, suspect=False))
        self._judge.whole(market, touched, _cause(trade, market.at, seen, late=late, replay=replay))

    def _suspect(
        self, market: MarketState, trade: Trade, seen: int, *, evaluate: bool, late: bool, replay: bool
    ) -> None:
        """Judged like a trade out of order, by rules on the price that count such prints; nothing else moves."""
        if not evaluate or trade.flags & _HISTORY or trade.at < market.at - self._grace or not market.at:
            return
        touched: list[Sleeper] = []
        market.price.glance(trade.price, touched)
        wanted = market.take_armed(market.price, suspect=True)
        for instance in touched:
            if instance.standing.active.rule.policy.suspect:
                wanted.append(instance)
            else:
                market.price.place(instance)
        self._judge.whole(market, wanted, _cause(trade, market.at, seen, late=late, replay=replay))

    def _note(self, transition: Transition) -> None:
        self.transitions.append(transition)
        if transition.signal is not None or len(self.transitions) >= _MANY:
            self.is_urgent = True

    # Timers and minutes

    def _open_bar(self, market: MarketState, trade: Trade, seen: int) -> Bar:
        start = trade.at - trade.at % MINUTE
        last = market.bar
        if trade.at >= last.end + self._grace:
            self._close(last, seen)
        market.older = last if last.due_seen else None
        bar = market.bar = Bar(trade.market, start, seen + (start + MINUTE - trade.at) + self._grace, trade.price)
        self._due.add(bar.due_seen, b"", bar)
        market.note_due(self._grace)
        return bar

    def _close(self, bar: Bar, seen: int) -> None:
        if not bar.due_seen:
            return
        market = self._markets[bar.market]
        if market.older is not None and market.older is not bar:
            self._close(market.older, seen)  # models take minutes in their order
        bar.due_seen = 0
        alarms = drift = None
        if market.minutes is not None:
            alarms, drift = market.minutes.close(bar, seen)
        if drift is not None:
            self.drifts.append(drift)
        if bar.score >= 0.0:
            self.bar_scores.append(BarScore(bar.market, bar.start, bar.score, self._model, seen, alarms))


def _cause(trade: Trade, at: int, seen: int, *, late: bool, replay: bool) -> Cause:
    return Cause(
        f"trade:{trade.key}",
        at,
        seen,
        trade.received,
        trade.price,
        sample=True,
        late=late or bool(trade.flags & _LATE),
        replay=replay,
        suspect=bool(trade.flags & _SUSPECT),
    )
