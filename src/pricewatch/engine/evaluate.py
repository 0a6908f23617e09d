"""The engine: trades, quotes and time in; transitions and closed minutes out."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping
from operator import attrgetter

from pricewatch.domain.market import Flag, Market, Quote, Trade
from pricewatch.domain.model import BarScore, Forecast, Snapshot
from pricewatch.domain.rule import Phase, RuleState, StateRow
from pricewatch.domain.signal import Direction
from pricewatch.domain.time import MINUTE, SECOND
from pricewatch.engine.bars import Bar
from pricewatch.engine.evidence import Cause, signal
from pricewatch.engine.index import NAN, Instance
from pricewatch.engine.market import MarketState
from pricewatch.engine.settings import EngineSettings
from pricewatch.engine.state import ActiveRule, Rest, Transition
from pricewatch.engine.timers import NEVER, Agenda
from pricewatch.models.bands.band import Band
from pricewatch.models.ensemble import Ensemble, version
from pricewatch.models.registry import ONLINE
from pricewatch.rules.lifecycle import NEW, Moment, Verdict, expire, step

_STORED_ONLY = int(Flag.HISTORY | Flag.SUSPECT)
_HISTORY = int(Flag.HISTORY)
_SUSPECT = int(Flag.SUSPECT)
_LATE = int(Flag.LATE)
_KEY = attrgetter("key")


class Engine:
    """Every market's state and every rule's, advanced by one input at a time; no clock, no I/O.

    Inputs come in order of `seen`. The same inputs give the same outputs, whatever the calls of `advance` between
    them. Within one trade timers come first, then models, then rules in order of their ids.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.transitions: list[Transition] = []
        """Changes in the order in which they happened, for the shell to take and replace."""
        self.bar_scores: list[BarScore] = []
        """Closed minutes that have a score, for the shell to take and replace."""
        self.judged = 0
        """How often a condition was asked."""
        self._grace = round(settings.grace * SECOND)
        self._kinds = dict(ONLINE) if settings.models else {}
        self._model = version(self._kinds)
        self._markets: dict[int, MarketState] = {}
        self._by_symbol: dict[str, list[MarketState]] = {}
        self._rules: dict[uuid.UUID, tuple[ActiveRule, tuple[Instance, ...]]] = {}
        self._watchers: dict[str | None, dict[uuid.UUID, ActiveRule]] = {}
        self._due: Agenda[Instance | Bar] = Agenda(attrgetter("due_seen"))

    # Rules and markets

    def add_market(self, market: Market) -> None:
        """Begin to follow a market; rules that match it are bound to it. A known one is left alone."""
        if market.id in self._markets:
            return
        ensemble = None
        if self._kinds:
            ensemble = Ensemble(self._kinds, warm_up=self.settings.warm_up, checkpoint=self.settings.checkpoint)
        state = self._markets[market.id] = MarketState(market, ensemble)
        self._by_symbol.setdefault(market.symbol, []).append(state)
        for symbol in (None, market.symbol):
            for active in self._watchers.get(symbol, {}).values():
                if active.rule.matches(market):
                    self._rules[active.id] = (active, (*self._rules[active.id][1], self._bind(active, state, NEW)))

    def arm(self, rule: ActiveRule, states: Mapping[int, RuleState] | None = None) -> None:
        """Evaluate this version from the first trade after `effective_seen` on.

        An older version of the same rule goes with its state. `states` are those stored for this very version, by
        market; markets must have been added before.
        """
        old = self._forget(rule.id)
        symbols = rule.rule.symbols
        for symbol in symbols or (None,):
            self._watchers.setdefault(symbol, {})[rule.id] = rule
        known = states or {}
        followed = [state for state in self._followed(symbols) if rule.rule.matches(state.market)]
        self._rules[rule.id] = (
            rule,
            tuple(self._bind(rule, state, known.get(state.market.id, NEW)) for state in followed),
        )
        self._unbind(old)  # after the new ones came: what both versions read goes on being followed

    def _followed(self, symbols: tuple[str, ...] | None) -> Iterable[MarketState]:
        if symbols is None:
            return self._markets.values()
        return [state for symbol in symbols for state in self._by_symbol.get(symbol, ())]

    def _bind(self, active: ActiveRule, market: MarketState, state: RuleState) -> Instance:
        index = market.index(active.rule.when.needs(), active.effective_seen)
        instance = Instance(active, active.id.bytes, market.market.id, index, state)
        index.members.add(instance)
        market.add_fresh(instance)
        if state.phase is Phase.PENDING:
            self._set_timer(market, instance)
        return instance

    def disarm(self, rule_id: uuid.UUID) -> None:
        """Forget a rule; unknown ones are fine."""
        self._unbind(self._forget(rule_id))

    def _forget(self, rule_id: uuid.UUID) -> tuple[Instance, ...]:
        found = self._rules.pop(rule_id, None)
        if found is None:
            return ()
        active, instances = found
        for symbol in active.rule.symbols or (None,):
            del self._watchers[symbol][rule_id]
        return instances

    def _unbind(self, instances: Iterable[Instance]) -> None:
        for instance in instances:
            market = self._markets[instance.market]
            market.forget(instance)
            instance.index.drop(instance)
            if not instance.index.members:
                market.release(instance.index)

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
            self.advance(seen)
        market = self._markets[trade.market]
        if trade.flags & _STORED_ONLY:
            self._suspect(market, trade, seen, evaluate=evaluate, late=late, replay=replay)
            return
        at, price = trade.at, trade.price
        if at < market.at:
            if market.at - at <= self._grace:
                self._out_of_order(market, trade, seen, evaluate=evaluate, late=late, replay=replay)
            return
        if at >= market.due_at:
            self._settle(market, trade, seen, late=late, replay=replay)
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

    def quote(self, quote: Quote, seen: int) -> None:
        """The next quote in the order: time passes, and rules on the spread are judged once the market has traded.

        Raises `KeyError` for a market never added.
        """
        if seen >= self._due.next:
            self.advance(seen)
        market = self._markets[quote.market]
        if market.spread is None or not market.at:
            return
        touched = market.sample_quote(quote, market.spread)
        touched.extend(market.take_unquoted(seen))
        if touched:
            at = max(market.at, quote.at)
            cause = Cause(f"quote:{seen}", at, seen, quote.received, market.price.x, sample=True)
            self._judge_all(market, touched, cause)

    def advance(self, seen: int) -> None:
        """Nothing else happened up to `seen`: timers and minutes due by then are settled at their own place."""
        while (due := self._due.pop(seen)) is not None:
            place = due.due_seen
            market = self._markets[due.market]
            if isinstance(due, Bar):
                self._close(due, place)
            elif market.held:
                market.waiting.append(due)
            elif not math.isnan(market.price.x):  # else it waits for the first trade
                self._fire(market, due, market.price.x, place)

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
        if market.fresh or len(market.indexes) > 1:
            return None
        price = market.price
        due = min((one.due_at for one in price.members if one.due_at), default=NEVER)
        return Rest(price.down, price.up, due)

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
        spans = [feature.reach for market in self._markets.values() for feature in market.indexes]
        return max([2 * MINUTE, *spans]) + self._grace

    @property
    def failures(self) -> int:
        """How often a model failed and was taken back to its last good state."""
        return sum(market.ensemble.failures for market in self._markets.values() if market.ensemble is not None)

    # One trade

    def _learn(self, market: MarketState, trade: Trade, seen: int) -> float:
        """Bar, then score, then learn; what a restored snapshot already contains is not learned again."""
        ensemble = market.ensemble
        if seen <= market.model_seen:
            return NAN if ensemble is None else ensemble.total()
        bar, price = market.bar, trade.price
        if trade.at >= bar.end:
            bar = self._open_bar(market, trade, seen)
        bar.trade(price, trade.size)
        if ensemble is None:
            return NAN
        score = ensemble.take(price)
        if score > bar.score:  # noqa: PLR1730 - NaN is not, and this is the hot path
            bar.score = score
        return score

    def _evaluate(
        self, market: MarketState, trade: Trade, seen: int, score: float, *, late: bool, replay: bool
    ) -> None:
        touched = market.sample(trade, score)
        if seen > market.arm_seen:
            touched.extend(market.take_fresh(seen))
        if touched:
            self._judge_all(market, touched, _cause(trade, trade.at, seen, late=late, replay=replay))

    def _out_of_order(
        self, market: MarketState, trade: Trade, seen: int, *, evaluate: bool, late: bool, replay: bool
    ) -> None:
        """Within the grace: into its bar, and judged by level conditions at the market's time."""
        market.seen = seen
        market.late(trade)
        if seen > market.model_seen:
            for bar in (market.bar, market.older):
                if bar is not None and bar.due_seen and bar.start <= trade.at < bar.end:
                    bar.add(trade.price, trade.size)
        if not evaluate:
            return
        touched: list[Instance] = []
        market.price.glance(trade.price, touched)
        touched.extend(market.take_armed(market.price, suspect=False))
        self._judge_all(market, touched, _cause(trade, market.at, seen, late=late, replay=replay))

    def _suspect(
        self, market: MarketState, trade: Trade, seen: int, *, evaluate: bool, late: bool, replay: bool
    ) -> None:
        """Judged like a trade out of order, by rules on the price that count such prints; nothing else moves."""
        if not evaluate or trade.flags & _HISTORY or trade.at < market.at - self._grace or not market.at:
            return
        touched: list[Instance] = []
        market.price.glance(trade.price, touched)
        wanted = market.take_armed(market.price, suspect=True)
        for instance in touched:
            if instance.active.rule.policy.suspect:
                wanted.append(instance)
            else:
                market.price.place(instance)
        self._judge_all(market, wanted, _cause(trade, market.at, seen, late=late, replay=replay))

    def _judge_all(self, market: MarketState, touched: list[Instance], cause: Cause) -> None:
        if len(touched) > 1:
            touched.sort(key=_KEY)
        now = Moment(cause.at, cause.seen, self._grace)
        for instance in touched:
            self._judge(market, instance, now, cause)

    def _judge(self, market: MarketState, instance: Instance, now: Moment, cause: Cause) -> None:
        self.judged += 1
        before, index, when = instance.state, instance.index, instance.active.rule.when
        prior, x = index.prior if before.armed else NAN, index.now
        verdict = Verdict(when.begins(prior, x), when.holds(x), when.cleared(x))
        after, direction = step(before, instance.active.rule.policy, verdict, now)
        if after is not before:
            self._change(market, instance, after, direction, cause)
            if after.phase is Phase.PENDING:
                self._set_timer(market, instance)
        index.place(instance)

    def _change(
        self, market: MarketState, instance: Instance, after: RuleState, direction: Direction | None, cause: Cause
    ) -> None:
        before, instance.state = instance.state, after
        if direction is None and not before.armed and after.phase is Phase.IDLE:
            return
        active = instance.active
        row = StateRow(active.id, active.version, instance.market, after, cause.seen)
        told = None if direction is None else signal(market, instance, before, direction, cause, self._model)
        self.transitions.append(Transition(row, told))

    # Timers and minutes

    def _set_timer(self, market: MarketState, instance: Instance) -> None:
        market.timers.add(instance.due_at, instance.key, instance)
        self._due.add(instance.due_seen, instance.key, instance)
        market.due_at = min(market.due_at, instance.due_at)

    def _settle(self, market: MarketState, trade: Trade, seen: int, *, late: bool, replay: bool) -> None:
        """Everything due at the trade's event time, before the trade itself."""
        price = trade.price if math.isnan(market.price.x) else market.price.x
        late = late or bool(trade.flags & _LATE)
        while (instance := market.timers.pop(trade.at)) is not None:
            self._fire(market, instance, price, seen, late=late, replay=replay)
        if market.older is not None and trade.at >= market.older.end + self._grace:
            self._close(market.older, seen)
            market.older = None
        market.note_due(self._grace)

    def _fire(
        self,
        market: MarketState,
        instance: Instance,
        price: float,
        seen: int,
        *,
        late: bool = False,
        replay: bool = False,
    ) -> None:
        due, index, when = instance.due_at, instance.index, instance.active.rule.when
        holds = index not in market.bands or when.holds(market.position(index.feature, price, due))
        after, direction = expire(instance.state, instance.active.rule.policy, holds=holds)
        cause = Cause(f"timer:{due}", due, seen, seen, price, sample=False, late=late, replay=replay)
        self._change(market, instance, after, direction, cause)
        if not instance.awake:
            index.place(instance)

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
        if bar.due_seen and bar.score >= 0.0:
            self.bar_scores.append(BarScore(bar.market, bar.start, bar.score, self._model, seen))
        bar.due_seen = 0


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
