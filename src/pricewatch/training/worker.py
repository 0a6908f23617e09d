"""The trainer: refits every market's baselines on a schedule, in another process."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Market
from pricewatch.domain.model import Pointer
from pricewatch.domain.time import MINUTE, SECOND
from pricewatch.ports.clock import Clock
from pricewatch.ports.models import ForecastSink, ModelStore, PackedHistory, Spreads
from pricewatch.ports.registry import Artefacts, Registry
from pricewatch.ports.ticks import RecentTrades
from pricewatch.telemetry.metrics import Sample
from pricewatch.training.pool import FitPool
from pricewatch.training.reading import Reader
from pricewatch.training.refit import Candles, Fits, Refitter, State
from pricewatch.training.schedule import Patience, Schedule
from pricewatch.training.settings import TrainingSettings

log = structlog.get_logger(__name__)

Task = tuple[int, str]
"""A market and what is read for it together."""
GROUPS: Mapping[str, tuple[str, ...]] = {
    "price": ("price",),
    "days": ("range", "volume", "outlook"),
    "quotes": ("spread",),
}
"""What is fitted from the same candles."""
_GROUP_OF = {kind: group for group, kinds in GROUPS.items() for kind in kinds}
_CLOCKS = 5 * MINUTE
"""By how much clocks may differ between those who promote."""
_NEW = State("waiting", "not looked at yet")
_FAILURES = frozenset({"failed", "killed", "died", "memory"})
"""What is not the candles' fault."""


class Pool(Fits, Protocol):
    """Where fits happen, with what is counted there."""

    killed: int
    broken: int
    out_of_memory: int

    async def close(self) -> None:
        """End its process."""
        ...


class Trainer:
    """A `Part` and `Refits`. A fit that hangs, dies or raises changes nothing but counters."""

    name = "training"

    def __init__(
        self,
        settings: TrainingSettings,
        markets: Sequence[Market],
        *,
        history: RecentTrades,
        columns: PackedHistory,
        spreads: Spreads,
        models: ModelStore,
        registry: Registry,
        artefacts: Artefacts,
        forecasts: ForecastSink,
        clock: Clock,
        pool: Pool | None = None,
    ) -> None:
        self._settings = settings
        self._markets: dict[int, Market] = {}
        self._new = list(markets)
        self._reader = Reader(history, columns, spreads, clock)
        self._registry = registry
        self._pool: Pool = pool or FitPool(settings)
        self._refitter = Refitter(
            settings,
            fits=self._pool,
            models=models,
            registry=registry,
            artefacts=artefacts,
            forecasts=forecasts,
            clock=clock,
        )
        self._schedule: Schedule[Task] = Schedule(settings.retry_interval, settings.jitter, random.Random().random)
        self._patience: Patience[Task] = Patience(settings.retry_interval)
        self._states: dict[tuple[int, str], State] = {}
        self._clock = clock
        self._pointers: dict[tuple[int, str], Pointer] = {}
        self._heeded = 0
        self._expired: set[tuple[int, str]] = set()
        self._last: dict[int, float] = {}
        self._asked: dict[int, str] = {}
        self._storage: str | None = None
        self._seconds = 0.0
        self.fitted = 0
        self.failed = 0
        self.early = 0

    async def run(self) -> None:
        """Fit until cancelled, one market at a time."""
        if not self._settings.enabled:
            await asyncio.Event().wait()
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    await self._round(loop)
                except Unavailable as error:
                    self._storage_lost(str(error))
                    await asyncio.sleep(min(self._settings.retry_interval, 5.0))
                else:
                    await asyncio.sleep(self._schedule.wait(loop.time()))
        finally:
            await self._pool.close()

    def follow(self, markets: Sequence[Market]) -> None:
        """Take up further markets from the next round on."""
        self._new += markets

    def refit_soon(self, market: int, reason: str) -> None:
        """Fit this market's baselines at the next look, though not more often than every `early_gap` seconds."""
        self._asked.setdefault(market, reason)

    def status(self) -> Mapping[str, Any]:
        """JSON-ready facts for `/status`."""
        return {
            "enabled": self._settings.enabled,
            "fitted": self.fitted,
            "failed": self.failed,
            "promoted": self._refitter.promoted,
            "kept": self._refitter.kept,
            "refused_artefacts": self._refitter.refused,
            "killed": self._pool.killed,
            "died": self._pool.broken,
            "out_of_memory": self._pool.out_of_memory,
            "early": self.early,
            "states": dict(Counter(state.status for state in self._states.values())),
            "unfitted": {
                f"{market}/{kind}": f"{state.status}: {state.note}"
                for (market, kind), state in sorted(self._states.items())
                if not state.fitted
            },
            "expired": [f"{market}/{kind}" for market, kind in sorted(self._expired)],
            "last_seconds": round(self._seconds, 3),
        }

    def trouble(self) -> str | None:
        """Why no market can be fitted now; single failing markets are in the status."""
        return self._storage

    def samples(self) -> Iterable[Sample]:
        """Its counters and gauges."""
        yield Sample("fits", self.fitted, help="Baselines fitted and stored")
        yield Sample("failures", self.failed, help="Fits that raised, hung or died")
        yield Sample("killed", self._pool.killed, help="Fit processes killed at the time limit")
        yield Sample("broken", self._pool.broken, help="Fit processes that died by themselves")
        yield Sample("out_of_memory", self._pool.out_of_memory, help="Fits that met their memory limit")
        yield Sample("promoted", self._refitter.promoted, help="New versions that replaced the one in use")
        yield Sample("kept", self._refitter.kept, help="New versions that were worse than the one in use")
        yield Sample("refused_artefacts", self._refitter.refused, help="Artefacts that were not believed")
        yield Sample("early_refits", self.early, help="Refits ahead of their time")
        counts = Counter(state.status for state in self._states.values())
        for status, count in sorted(counts.items()):
            yield Sample("baselines", count, "gauge", (("status", status),), help="Baselines by how the last fit went")
        yield Sample("expired_bands", len(self._expired), "gauge", help="Baselines past their time to live")
        yield Sample("last_fit_seconds", self._seconds, "gauge", help="Wall time of the last fit")

    async def _round(self, loop: asyncio.AbstractEventLoop) -> None:
        """Everything that is due now."""
        now = loop.time()
        self._greet(now)
        self._hurry(now)
        await self._heed_operators(now)
        while (task := self._schedule.take(loop.time())) is not None:
            span = await self._refit(task, loop)
            self._schedule.put_off(task, loop.time(), span)
            await self._refitter.prune()

    def _greet(self, now: float) -> None:
        """Plan for markets that have come."""
        new, self._new = self._new, []
        self._markets.update((market.id, market) for market in new)
        self._schedule.know([(market.id, group) for market in new for group in GROUPS], now)

    def _hurry(self, now: float) -> None:
        """Bring forward what was asked for, unless that market has just had its turn."""
        asked, self._asked = self._asked, {}
        for market, reason in asked.items():
            if (
                market not in self._markets
                or now - self._last.get(market, -self._settings.early_gap) < self._settings.early_gap
            ):
                continue
            self.early += 1
            log.info("training.early", market=market, reason=reason)
            for group in GROUPS:
                self._schedule.rouse((market, group), now)

    async def _heed_operators(self, now: float) -> None:
        """What was promoted or rolled back elsewhere is put to use now, not at the next refit."""
        since, self._heeded = self._heeded, self._clock.now() - _CLOCKS
        for pointer in await self._registry.pointers(since=since):
            key = (pointer.market, pointer.kind)
            known = self._pointers.get(key)
            if known is not None and known != pointer:
                self._schedule.rouse((pointer.market, _GROUP_OF[pointer.kind]), now)
            self._pointers[key] = pointer

    async def _refit(self, task: Task, loop: asyncio.AbstractEventLoop) -> float:
        """One market's turn; returns after how many seconds it is next."""
        market, group = task
        ours = self._settings
        candles = await self._read(market, group)
        self._storage_found()
        if group == "quotes" and not len(candles.packed):
            return ours.baseline_interval  # most venues' quotes are not asked for: that is no failure
        started = loop.time()
        for kind in GROUPS[group]:
            before = self._states.get((market, kind), _NEW)
            pointer = self._pointers.get((market, kind))
            state = await self._refitter.refit(market, kind, candles, pointer, before)
            if state.pointer is not None:  # our own promotions are no operator's
                self._pointers[market, kind] = state.pointer
            self._note(market, kind, state, candles.until)
        self._seconds = loop.time() - started
        interval = ours.refit_interval if group == "price" else ours.baseline_interval
        fitted = any(self._states[market, kind].fitted for kind in GROUPS[group])
        if fitted:
            self._last[market] = loop.time()
            self._patience.forget(task)
            return interval
        return min(self._patience.after(task, interval), self._ripe(group, candles))

    def _ripe(self, group: str, candles: Candles) -> float:
        """Seconds until as many candles as a fit needs can have come, where there are too few."""
        ours = self._settings
        missing = (ours.min_rows if group == "price" else ours.baseline_min_rows) - len(candles.packed)
        return max(ours.retry_interval, missing * candles.span / SECOND) if missing > 0 else math.inf

    async def _read(self, market: int, group: str) -> Candles:
        ours = self._settings
        if group == "price":
            return await self._reader.minutes(market, ours.rows)
        if group == "quotes":
            return await self._reader.spreads(market, ours.baseline_rows)
        return await self._reader.hours(market, ours.baseline_rows, ours.baseline_min_rows)

    def _note(self, market: int, kind: str, state: State, until: int) -> None:
        """Count, and tell when something begins or ends."""
        before = self._states.get((market, kind), _NEW)
        self._states[market, kind] = state
        if state.fitted:
            self.fitted += 1
            if not before.fitted and before is not _NEW:
                log.info("training.recovered", market=market, kind=kind, was=before.status)
        elif state.status in _FAILURES:
            self.failed += 1
        key = (market, kind)
        if state.pointer is None or until < state.expires:
            self._expired.discard(key)
        elif key not in self._expired:
            self._expired.add(key)
            log.warning("training.band_expired", market=market, kind=kind, status=state.status, note=state.note)

    def _storage_lost(self, reason: str) -> None:
        if self._storage is None:
            log.warning("training.storage_lost", reason=reason)
        self._storage = reason

    def _storage_found(self) -> None:
        if self._storage is not None:
            log.info("training.storage_found")
            self._storage = None
