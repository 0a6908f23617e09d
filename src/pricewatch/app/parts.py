"""Every part of the service, built and joined: the one place where stages meet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import structlog

from pricewatch.app import building
from pricewatch.app.drifting import Drifting
from pricewatch.app.fanout import Signals, Tapes
from pricewatch.app.following import Following
from pricewatch.app.holes import Holes
from pricewatch.app.lastmails import mails_out
from pricewatch.app.links import (
    RULES,
    SIGNALS,
    TICKS,
    Handler,
    Inlet,
    Outlet,
    RulesInlet,
    SignalInlet,
    TapeInlet,
    TickInlet,
)
from pricewatch.app.previewing import desk
from pricewatch.app.seats import Evaluator, Shard, Tally
from pricewatch.app.stages import Stages
from pricewatch.app.wiring import Store, ingest_folder, instrument_lists, stay_away
from pricewatch.bus.redis_streams import RedisBus
from pricewatch.config import Settings
from pricewatch.delivery.worker import DeliveryWorker
from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Market, Trade
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.gateway.app import Gateway
from pricewatch.gateway.keepers import Keepers
from pricewatch.ingest.instruments import Directory
from pricewatch.ingest.settings import IngestSettings
from pricewatch.ingest.worker import Ingest, listings
from pricewatch.ports.clock import Clock
from pricewatch.ports.journal import SignalSink
from pricewatch.ports.models import ForecastSink
from pricewatch.ports.status import Part
from pricewatch.ports.ticks import Gap, Mark, PriceTape, TickSink
from pricewatch.rules.document import parse
from pricewatch.store.audit import Auditor
from pricewatch.training.promote import Desk

log = structlog.get_logger(__name__)


class Assembly:
    """The parts this process runs. In one process they call each other; what runs elsewhere is reached by the bus."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        clock: Clock,
        owner: str,
        tapes: Sequence[PriceTape] = (),
        sinks: Sequence[SignalSink] = (),
    ) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.markets: Sequence[Market] = ()
        self.parts: list[Part] = []
        self._owner = owner
        self._roles = frozenset(settings.app.roles)
        self._bus = RedisBus(settings.bus) if settings.bus.url.get_secret_value() else None
        self._outlet = Outlet(self._bus, limit=settings.bus.tick_limit) if self._bus is not None else None
        self._tapes = Tapes(*tapes)
        if self._outlet is not None and {"ingest", "engine"} <= self._roles:
            self._tapes.add(self._outlet)  # gateways elsewhere see the prices too
        self._sinks = Signals()
        self._drifting = Drifting(store.system, self._sinks, lambda: self.markets)
        self.delivery: DeliveryWorker | None = None
        if "delivery" in self._roles:
            self.delivery = DeliveryWorker(settings.delivery, clock, store.outbox, endpoints=store.webhooks)
        self._replaceable = settings.evaluation.replaceable
        if self._replaceable is None:
            self._replaceable = "ingest" not in self._roles
        self.shard: Shard | None = None
        self.evaluation: Evaluator | None = None
        if "engine" in self._roles:
            self.shard = building.shard(settings, store, owner, replaceable=self._replaceable)
            self.evaluation = building.evaluation(
                settings, store, clock, owner, self.shard, tape=self._tapes, signals=self._sinks, drifts=self._drifting
            )
        self.following = Following(
            settings.ingest, store.choices, apply=self.follow, interval=settings.ingest.markets_interval
        )
        self.previews = desk(settings, store.url, clock)
        self.gateway = self._build_gateway() if "gateway" in self._roles else None
        for sink in (self.gateway, self.delivery, self._outlet, *sinks):
            if sink is not None:
                self._sinks.add(sink)
        store.gaps.sink = self._sinks
        store.gaps.mail = settings.ingest.silence.mail
        self.ingest: Ingest | None = None
        self.directory = Directory(instrument_lists(settings), clock, stay_away(settings, clock))
        self._followers: list[Callable[[Sequence[Market]], None]] = []

    @property
    def port(self) -> int | None:
        """Where the gateway listens."""
        return self.gateway.port if self.gateway is not None else None

    def add_parts(self, *parts: Part) -> None:
        """Parts that status and metrics tell about."""
        self.parts.extend(parts)

    def tally(self) -> Tally:
        """What ingest and storage have counted."""
        counters = [live.venue.counters for live in self.ingest.venues] if self.ingest is not None else []
        return Tally(
            received=sum(one.received for one in counters),
            stored=self.store.ticks.stored,
            duplicates=sum(one.duplicates for one in counters) + self.store.ticks.conflicts,
            rejected=sum(sum(one.rejected.values()) for one in counters) + self.store.ticks.quarantined,
        )

    # -- building -----------------------------------------------------------------------------------------------------

    def _build_gateway(self) -> Gateway:
        store = self.store
        changes = self.evaluation if self.evaluation is not None else self._far
        gateway = Gateway(
            self.settings.gateway,
            Keepers(
                accounts=store.accounts,
                records=store.records,
                rules=store.rules,
                changes=changes,
                feed=store.feed,
                history=store.history,
                catalog=store.catalog,
                outbox=store.outbox,
                webhooks=store.webhooks,
                models=store.models,
                registry=store.registry,
                desk=Desk(store.registry, store.artefacts, self.clock),
                choices=store.choices,
                market_changes=self.following,
                gaps=store.gaps,
                system=store.system,
                consumers=store.consumers,
                previews=self.previews,
            ),
            clock=self.clock,
            parse_rule=parse,
            parts=self.parts,
            states=self._states,
            redis=self.settings.bus.url.get_secret_value(),
            reach=self.settings.delivery.webhook.reach,
        )
        for reader in gateway.readers():
            self._tapes.add(reader)
        return gateway

    def _states(self) -> Mapping[str, str]:
        """What ingest knows better than the age of the last print tells: which markets nobody hears."""
        if self.evaluation is None:
            return {}
        return {market.key: "blind" for market in self.markets if self.evaluation.is_blind(market.id)}

    @property
    def _far(self) -> Outlet:
        """The way to a stage in another process."""
        if self._outlet is None:
            raise RuntimeError("a split service has a bus: check_roles sees to it")
        return self._outlet

    # -- starting -----------------------------------------------------------------------------------------------------

    def open_gateway(self, stages: Stages) -> None:
        """Answer `/healthz` and `/readyz` before anything else is up; not ready until evaluation has recovered."""
        if self.shard is not None and self.evaluation is not None:
            self.add_parts(self.shard, self.evaluation)
        if self.gateway is not None:
            stages.start("gateway", self.gateway.run())
            self.add_parts(self.previews)
            stages.start("previews", self.previews.run())

    async def start(self, stages: Stages) -> None:
        """Everything else, upstream last: nothing arrives before its reader is there. The schema is in place."""
        if "ingest" in self._roles:
            self.add_parts(self.directory)
        await self._patiently("markets", self._register)
        if self._bus is not None:
            self.add_parts(self._bus)
            stages.on_stop("bus", self._bus.close)
        if self._outlet is not None:
            stages.start("outlet", self._outlet.run())
        if self.delivery is not None:
            self.add_parts(self.delivery)
            stages.start("delivery", self.delivery.run())
            stages.on_stop("mails", partial(mails_out, self.delivery, self.store.outbox, self.clock))
        if self.evaluation is not None and self.shard is not None:
            await self._start_evaluation(stages, self.evaluation, self.shard)
        if "training" in self._roles and self.evaluation is not None:
            self._start_training(stages, self.evaluation)
        if "ingest" in self._roles:
            await self._start_ingest(stages)
        await self._start_inlets(stages)
        stages.start("following", self.following.run())

    async def _register(self) -> None:
        self.markets = await self._wanted(await self.following.current())

    async def _wanted(self, settings: IngestSettings) -> list[Market]:
        """The markets of these settings, without those whose venue says that it has no such thing."""
        if "ingest" in self._roles:
            await self.directory.look_up(settings)
        return await self.store.catalog.register(listings(settings, self.directory))

    async def follow(self, settings: IngestSettings) -> None:
        """Listen to the markets of these settings and to no others; what is listened to already goes on undisturbed.

        Raises `Unavailable`, and may then be called again.
        """
        wanted = await self._wanted(settings)
        known = {market.id for market in self.markets}
        new = [market for market in wanted if market.id not in known]
        gone = known - {market.id for market in wanted}
        marks = await self.store.history.marks([market.id for market in new]) if self.ingest is not None else {}
        for follower in self._followers:
            follower(new)
        if self.ingest is not None:
            self.ingest.remove(gone)
            await self.ingest.add(new, marks, settings)
        self.markets = wanted
        log.info("markets.changed", added=[market.key for market in new], removed=len(gone))

    async def _patiently(self, what: str, step: Callable[[], Awaitable[None]]) -> None:
        """Try again while the database is away: a start waits for it as long as it takes."""
        waiting = False
        while True:
            try:
                return await step()
            except Unavailable as error:
                if not waiting:
                    log.warning("start.waiting", step=what, error=str(error))
                waiting = True
                await asyncio.sleep(self.settings.database.probe_interval)

    async def _start_evaluation(self, stages: Stages, evaluation: Evaluator, shard: Shard) -> None:
        """Spool first: what an earlier process left there is read before anything is evaluated.

        Its folder is ours before we ask for the shard: nobody else asks in its name.
        """
        store = self.store
        await store.ticks.open()
        stages.on_stop("spool", store.ticks.close)
        stages.on_stop("handover", shard.release)
        grant = await shard.acquire()
        stages.start("shard", shard.run())
        if self._replaceable and not grant.kept:
            await store.ticks.forget()
        await store.ticks.recover()
        await self._patiently("recovery", lambda: evaluation.recover(self.markets))
        self._followers.append(evaluation.follow)
        auditor = self._auditor()
        self.add_parts(store.ticks, store.maintenance, store.retention, auditor)
        stages.start("store", store.ticks.run())
        stages.start("maintenance", store.maintenance.run())
        stages.start("retention", store.retention.run())
        stages.start("audit", auditor.run())
        stages.on_stop("ticks", store.ticks.drain)
        stages.start("evaluation", evaluation.run())
        stages.start("drifts", self._drifting.run())

    def _auditor(self) -> Auditor:
        def consecutive() -> Sequence[int]:
            return [market.id for market in self.markets if EXCHANGES[market.venue].consecutive]

        def found(number: int, gap: Gap) -> None:
            if self.ingest is not None:
                self.ingest.reopen(number, gap)

        store = self.store
        return Auditor(
            store.database,
            self.settings.database.ticks,
            clock=self.clock,
            ledger=store.gaps,
            writer=store.ticks,
            consecutive=consecutive,
            found=found,
        )

    def _start_training(self, stages: Stages, forecasts: ForecastSink) -> None:
        trainer = building.trainer(self.settings, self.store, self.clock, self.markets, forecasts)
        self._followers.append(trainer.follow)
        self.add_parts(trainer)
        self._drifting.add(trainer)
        stages.start("training", trainer.run())

    async def _start_ingest(self, stages: Stages) -> None:
        store = self.store
        sink: TickSink = self.evaluation if self.evaluation is not None else self._far
        self.ingest = Ingest(
            self.settings.ingest,
            self.markets,
            sink=sink,
            clock=self.clock,
            marks=await self._marks(),
            gaps=store.gaps,
            candles=store.history,
            stored=store.history,
            backlog=store.ticks if self.evaluation is not None else self._far,
            folder=ingest_folder(self.settings),
            recent=await self._recent(),
            system=store.system,
            signals=self._sinks,
        )
        holes = Holes(store.gaps, self.clock, self.settings.ingest.ledger_interval)
        self.add_parts(holes)
        stages.start("gaps", holes.run())
        self.add_parts(self.ingest)
        stages.start("ingest", self.ingest.run())

    async def _marks(self) -> Mapping[int, Mark]:
        found: dict[int, Mark] = {}

        async def read() -> None:
            found.update(await self.store.history.marks([market.id for market in self.markets]))

        await self._patiently("marks", read)
        return found

    async def _recent(self) -> Mapping[int, Sequence[Trade]]:
        """What the next prices are compared with: twice what is needed, for some are not in order or suspect."""
        wanted = 2 * self.settings.ingest.suspects.window
        found: dict[int, Sequence[Trade]] = {}

        async def read() -> None:
            rows = await self.store.history.recent([market.id for market in self.markets], wanted)
            found.update((market, [one.trade for one in newest]) for market, newest in rows.items())

        await self._patiently("recent", read)
        return found

    async def _start_inlets(self, stages: Stages) -> None:
        """What other processes send to the parts that run here."""
        if self._bus is None:
            return
        here = self._roles
        if self.evaluation is not None and "ingest" not in here:
            markets = [market.id for market in self.markets]
            sure = self.shard.sure if self.shard is not None else None
            inlet = TickInlet(self.evaluation, self.store.ticks, await self._marks(), markets, sure)
            self._followers.append(lambda new: inlet.follow(market.id for market in new))
            # One name for every owner of the shard: what the last one left unacknowledged comes first, and at once.
            shard = f"shard-{self.settings.evaluation.shard}"
            stages.start("ticks.engine", inlet.run(self._bus, TICKS, "engine", shard))
        if self.evaluation is not None:
            self._listen(stages, RULES, "engine", RulesInlet(self.evaluation).take)
        if self.gateway is not None and self.evaluation is None:
            self._listen(stages, TICKS, self._owner, TapeInlet(self.gateway, self.clock).take)
            self._listen(stages, SIGNALS, self._owner, SignalInlet(self.gateway).take)
        if self.delivery is not None and self.evaluation is None:
            self._listen(stages, SIGNALS, "delivery", SignalInlet(self.delivery).take)

    def _listen(self, stages: Stages, topic: str, group: str, handler: Handler) -> None:
        if self._bus is not None:
            inlet = Inlet(self._bus, topic, group, self._owner, handler)
            stages.start(f"{topic}.{group}", inlet.run())
