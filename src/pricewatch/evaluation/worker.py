"""The owner of the order: every accepted tick gets its place, is stored, evaluated and shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.features import Features
from pricewatch.domain.market import Market, Quote, Tick, Trade
from pricewatch.domain.model import Activation, Forecast
from pricewatch.engine.evaluate import Engine
from pricewatch.evaluation.catchup import CatchUp, Progress
from pricewatch.evaluation.committer import Committer
from pricewatch.evaluation.intake import Intake
from pricewatch.evaluation.recovery import restore
from pricewatch.evaluation.saving import save_models
from pricewatch.evaluation.seeding import Seeder
from pricewatch.evaluation.settings import EvaluationSettings
from pricewatch.evaluation.sight import Sight
from pricewatch.evaluation.spooling import Spooling
from pricewatch.evaluation.watchlists import Watched
from pricewatch.ports.clock import Clock
from pricewatch.ports.journal import Journal, SignalSink
from pricewatch.ports.models import DriftSink, ModelStore
from pricewatch.ports.records import Watchlists
from pricewatch.ports.rules import RuleBook
from pricewatch.ports.ticks import History, PriceTape, TickLog, TickWriter
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)


class Evaluation:
    """The engine's shell (a `Part`, `TickSink`, `RuleChanges` and `ForecastSink`).

    Between `offer` and the engine there is no queue, await or task: one frame runs as one synchronous chain.
    """

    name = "evaluation"

    def __init__(
        self,
        settings: EvaluationSettings,
        make_engine: Callable[[], Engine],
        *,
        clock: Clock,
        owner: str,
        writer: TickWriter,
        ticks: TickLog,
        history: History,
        journal: Journal,
        rules: RuleBook,
        models: ModelStore,
        tape: PriceTape,
        signals: SignalSink,
        drifts: DriftSink | None = None,
        watchlists: Watchlists | None = None,
    ) -> None:
        self._settings = settings
        self._make_engine = make_engine
        self._engine = make_engine()
        self._clock = clock
        self._owner = owner
        self._writer = writer
        self._ticks = ticks
        self._history = history
        self._journal = journal
        self._rules = rules
        self._models = models
        self._tape = tape
        self._signals = signals
        self._drifts = drifts
        self._watchlists = watchlists
        self._markets: dict[int, Market] = {}
        self._progress = Progress()
        self._spooling = Spooling(writer, settings.spool_interval)
        self._wake = asyncio.Event()
        self._rules_wake = asyncio.Event()
        self._committer: Committer | None = None
        self._made: Intake | None = None
        self._catching: CatchUp | None = None
        self._recovered = False
        self._sight = Sight(self._engine)
        self.trades = 0
        self.quotes = 0
        self.pauses = 0

    # -- start-up ---------------------------------------------------------------------------------------------------

    async def recover(self, markets: Sequence[Market]) -> None:
        """Claim the shard and bring the engine to the end of what is stored. Ticks may be offered afterwards.

        Raises `Unavailable` when storage goes away meanwhile: then it may be called again from the beginning.
        """
        self._engine = self._make_engine()
        self._markets.clear()
        self._sight = Sight(self._engine)
        self._recovered = False
        for market in markets:
            self._markets[market.id] = market
            self._engine.add_market(market)
        claim = await self._journal.claim(self._settings.shard, self._owner)
        self._committer = Committer(
            self._engine,
            claim,
            journal=self._journal,
            models=self._models,
            spool=self._writer,
            signals=self._signals,
            limit=self._settings.commit_changes,
        )
        watched = Watched(self._watchlists)
        seeder = Seeder(self._engine, self._history, self._writer.drain)
        self._made = Intake(self._engine, self._committer, watched, self._rules, self._next_seen, seeder)
        self._progress.begin(claim.cursor)
        catching = self._catching = CatchUp(
            self._settings,
            self._engine,
            self._committer,
            self._progress,
            markets=self._markets,
            ticks=self._ticks,
            writer=self._writer,
            clock=self._clock,
        )
        restored = await restore(
            self._engine,
            claim.cursor,
            claim.shard,
            markets=self._markets.keys(),
            journal=self._journal,
            rules=self._rules,
            models=self._models,
            history=self._history,
            ticks=self._ticks,
            take_up=self._intake.placed,
            watched=watched,
        )
        self._engine.drifts = []  # those of history were told before
        self._intake.unreadable = restored.unreadable
        catching.activate_later(restored.later)
        await catching.read_on()
        catching.activate_before(None)
        self._sight.begin(self._markets)
        await self._look_for_rules()
        self._recovered = True
        log.info(
            "evaluation.recovered",
            term=claim.term,
            rules=restored.rules,
            relived=restored.history,
            cursor=claim.cursor,
            evaluated=self._progress.evaluated,
        )

    @property
    def _owned(self) -> Committer:
        if self._committer is None:
            raise RuntimeError("recover() comes before everything else")
        return self._committer

    @property
    def _intake(self) -> Intake:
        if self._made is None:
            raise RuntimeError("recover() comes before everything else")
        return self._made

    @property
    def _backlog(self) -> CatchUp:
        if self._catching is None:
            raise RuntimeError("recover() comes before everything else")
        return self._catching

    # -- the synchronous chain --------------------------------------------------------------------------------------

    def _next_seen(self) -> int:
        seen = self._progress.seen = max(self._clock.now(), self._progress.seen + 1)
        return seen

    def offer(self, tick: Tick) -> None:
        """Give the tick its place in the order, pack its row, evaluate it, show it."""
        progress, seen = self._progress, self._clock.now()
        if seen <= progress.seen:
            seen = progress.seen + 1
        progress.seen = seen
        if isinstance(tick, Trade):
            self.trades += 1
            self._writer.trade(tick, seen)
            if not self._spooling.due:
                self._spool_soon()
            if progress.standing:
                self._backlog.hold(seen, tick)
                return
            self._trade(tick, seen)
        else:
            self.quotes += 1
            self._writer.quote(tick, seen)
            if not progress.standing:
                self._quote(tick, seen)

    def follow(self, markets: Iterable[Market]) -> None:
        """Take up further markets, before the first of their ticks; rules that match them are bound to them."""
        for market in markets:
            if market.id not in self._markets:
                self._markets[market.id] = market
                self._engine.add_market(market)
                self._sight.begin([market.id])

    def blind(self, market: int) -> None:
        """Its timers wait until it is seen again: what was missed may yet break what they wait for."""
        self._sight.blind(market)

    def is_blind(self, market: int) -> bool:
        """Whether ingest said that no connection brings this market's trades."""
        return self._sight.is_blind(market)

    def sighted(self, market: int) -> None:
        """Nothing is missing any more: timers that came due meanwhile fire now."""
        self._sight.sighted(market)

    def _trade(self, trade: Trade, seen: int) -> None:
        if self._sight.held:
            self._sight.trade(trade)
        self._engine.trade(trade, seen)
        self._progress.evaluated = seen
        self._tape.trade(trade, seen)
        if self._engine.drifts:
            self._tell_drifts()
        if self._engine.is_urgent:
            self._wake.set()

    def _quote(self, quote: Quote, seen: int) -> None:
        self._engine.quote(quote, seen)
        if self._engine.transitions:
            self._progress.evaluated = seen
            if self._engine.is_urgent:
                self._wake.set()
        self._tape.quote(quote, seen)

    def _tell_drifts(self) -> None:
        found, self._engine.drifts = self._engine.drifts, []
        for drift in found:
            log.info("model.drift", market=drift.market, what=drift.what)
            if self._drifts is not None:
                self._drifts.drifted(drift)

    def _spool_soon(self) -> None:
        if self._committer is None:
            raise RuntimeError("recover() comes before offer()")
        self._spooling.soon()

    # -- commands, each with a place in the order -------------------------------------------------------------------

    def rules_changed(self) -> None:
        """Somebody changed a rule: look soon."""
        self._rules_wake.set()

    def forecast_ready(self, forecast: Forecast) -> None:
        """Use a stored forecast from now on."""
        activation = Activation(market=forecast.market, version=forecast.version, from_seen=self._next_seen())
        if self._progress.standing:  # the ticks before it are still to be evaluated
            self._backlog.activate_later([(activation, forecast)])
        else:
            self._engine.activate(forecast, activation.from_seen)
        self._owned.activate(activation)
        self._wake.set()

    # -- the loops --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Commit, fire timers, take up rules and save models until cancelled; then one last commit."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._commit_loop(), name="evaluation.commit")
                group.create_task(self._timer_loop(), name="evaluation.timers")
                group.create_task(self._rules_loop(), name="evaluation.rules")
                pause = self._settings.snapshot_interval
                saving = save_models(self._engine, self._owned, self._models, self._markets.keys, pause)
                group.create_task(saving, name="evaluation.models")
        finally:
            self._spooling.now()
            if not self._owned.idle or self._owned.cursor < self._progress.evaluated:
                await self._owned.commit(self._progress.evaluated, self._clock.now)

    async def _commit_loop(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._settings.checkpoint_interval):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            if self._owned.idle and self._owned.cursor >= self._progress.evaluated and not self._progress.standing:
                continue
            if await self._owned.commit(self._progress.evaluated, self._clock.now):
                if self._progress.standing:
                    await self._backlog.resume(self._trade)
                    self._rules_wake.set()
                continue
            if self._owned.waiting > self._settings.max_uncommitted and not self._progress.standing:
                self.pauses += 1
                self._backlog.stand()
            await asyncio.sleep(self._settings.commit_retry)
            self._wake.set()

    async def _timer_loop(self) -> None:
        release: int | None = self._clock.now() + round(self._settings.recovery_hold * 1e6)
        while True:
            await asyncio.sleep(self._settings.timer_interval)
            now = self._clock.now()
            if self._progress.standing:
                continue
            if release is not None and now >= release:
                release = None
                self._sight.release_unreported()
            if now > self._progress.seen:
                self._progress.seen = now
                self._engine.advance(now)
                self._progress.evaluated = now
                self._tell_drifts()
                if self._engine.is_urgent:
                    self._wake.set()

    async def _rules_loop(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._settings.rules_interval):
                    await self._rules_wake.wait()
            except TimeoutError:
                pass
            self._rules_wake.clear()
            try:
                await self._look_for_rules()
            except Unavailable as error:
                log.debug("rules.unavailable", error=str(error))

    async def _look_for_rules(self) -> None:
        """Take up what is new; while evaluation stands, the commit that ends it wakes us."""
        newest = await self._intake.look(lambda: not self._progress.standing)
        if self._progress.standing:
            return
        if newest is not None:
            self._progress.evaluated = newest
        if not self._owned.idle:
            self._wake.set()
        await self._intake.look_at_lists()

    # -- what it tells ----------------------------------------------------------------------------------------------

    def status(self) -> Mapping[str, Any]:
        """Where evaluation stands."""
        committer = self._committer
        return {
            "owner": self._owner,
            "seen": self._progress.seen,
            "evaluated": self._progress.evaluated,
            "cursor": committer.cursor if committer else None,
            "uncommitted": committer.waiting if committer else 0,
            "signals": committer.emitted if committer else 0,
            "unreadable_rules": self.unreadable_rules,
            "paused": self._progress.standing,
            "storage": "down" if committer and committer.down_since is not None else "up",
        }

    @property
    def unreadable_rules(self) -> int:
        """Stored rules that cannot be read."""
        return self._made.unreadable if self._made is not None else 0

    def features(self, market: int) -> Features | None:
        """What is known at a market's last closed minute; None before the first, and for unknown markets."""
        return self._engine.features(market)

    def trouble(self) -> str | None:
        """Not recovered yet, or storage away for so long that evaluation stands."""
        if not self._recovered:
            return "evaluation has not recovered yet"
        if self._progress.standing:
            return "evaluation waits for storage: too many rule changes are uncommitted"
        return None

    def samples(self) -> Iterable[Sample]:
        """Counters of the chain."""
        yield Sample("trades", self.trades, help="Trades given a place in the order")
        yield Sample("quotes", self.quotes, help="Quotes given a place in the order")
        yield Sample("model_failures", self._engine.failures, help="Times a model went back to its last good state")
        yield Sample("pauses", self.pauses, help="Times evaluation had to wait for storage")
        yield Sample("unreadable_rules", self.unreadable_rules, "gauge", help="Stored rules that cannot be read")
        if self._committer is not None:
            yield Sample("commits", self._committer.committed, help="Committed changes")
            yield Sample("signals", self._committer.emitted, help="Signals committed")
            yield Sample("uncommitted", self._committer.waiting, "gauge", help="Rule changes waiting for storage")
