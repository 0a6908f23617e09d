"""The trainer: refits every market's baseline on a schedule, in another process."""

from __future__ import annotations

import asyncio
import math
import random
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Candle, Market
from pricewatch.domain.model import Forecast, ForecastRow
from pricewatch.domain.time import MINUTE, SECOND
from pricewatch.ports.clock import Clock
from pricewatch.ports.models import ForecastSink, ModelStore
from pricewatch.ports.ticks import History
from pricewatch.telemetry.metrics import Sample
from pricewatch.training.job import Failed, Fitted, Job
from pricewatch.training.pool import FitPool
from pricewatch.training.schedule import Schedule
from pricewatch.training.settings import TrainingSettings

log = structlog.get_logger(__name__)


class Trainer:
    """A fit that hangs, dies or raises changes nothing but counters."""

    name = "training"

    def __init__(
        self,
        settings: TrainingSettings,
        markets: Sequence[Market],
        *,
        history: History,
        models: ModelStore,
        forecasts: ForecastSink,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._markets = list(markets)
        self._history = history
        self._models = models
        self._forecasts = forecasts
        self._clock = clock
        self._pool = FitPool(settings)
        self._schedule = Schedule(
            settings.refit_interval, settings.retry_interval, settings.jitter, random.Random().random
        )
        self._fitted = 0
        self._failed = 0
        self._waiting: set[int] = set()
        self._failing: dict[int, str] = {}
        self._storage: str | None = None
        self._seconds = 0.0

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
        self._markets += [market for market in markets if market not in self._markets]

    def status(self) -> Mapping[str, Any]:
        """JSON-ready facts for `/status`."""
        return {
            "enabled": self._settings.enabled,
            "fitted": self._fitted,
            "failed": self._failed,
            "killed": self._pool.killed,
            "too_few_rows": len(self._waiting),
            "failing": {str(market): reason for market, reason in self._failing.items()},
            "last_seconds": round(self._seconds, 3),
        }

    def trouble(self) -> str | None:
        """Why no market can be fitted now; single failing markets are in the status."""
        return self._storage

    def samples(self) -> Iterable[Sample]:
        """Its counters and gauges."""
        yield Sample("fits", self._fitted, help="Baselines fitted and stored")
        yield Sample("failures", self._failed, help="Fits that raised, hung or died")
        yield Sample("killed", self._pool.killed, help="Fit processes killed at the time limit")
        yield Sample("broken", self._pool.broken, help="Fit processes that died by themselves")
        yield Sample("failing_markets", len(self._failing), "gauge", help="Markets whose last fit failed")
        yield Sample("waiting_markets", len(self._waiting), "gauge", help="Markets with too few candles")
        yield Sample("last_fit_seconds", self._seconds, "gauge", help="Wall time of the last fit")

    async def _round(self, loop: asyncio.AbstractEventLoop) -> None:
        """Everything that is due now."""
        self._schedule.know([market.id for market in self._markets], loop.time())
        while (market := self._schedule.take(loop.time())) is not None:
            if await self._refit(market, loop):
                self._schedule.done(market, loop.time())
            else:
                self._schedule.failed(market, loop.time())

    async def _refit(self, market: int, loop: asyncio.AbstractEventLoop) -> bool:
        candles = usable(await self._candles(market))
        self._storage_found()
        if len(candles) < self._settings.min_rows:
            self._waiting.add(market)
            return False
        self._waiting.discard(market)
        started = loop.time()
        outcome = await self._pool.fit(self._job(candles))
        self._seconds = loop.time() - started
        forecast = None if isinstance(outcome, Failed) else self._forecast(market, candles, outcome)
        if forecast is None:
            self._count_failure(market, outcome.reason if isinstance(outcome, Failed) else "the band is not finite")
            return False
        await self._models.save_forecast(forecast)
        self._fitted += 1
        if self._failing.pop(market, None) is not None:
            log.info("training.recovered", market=market)
        self._forecasts.forecast_ready(forecast)
        return True

    async def _candles(self, market: int) -> list[Candle]:
        """The closed minutes before the market's newest trade, or before now where there is none."""
        recent = await self._history.recent([market], 1)
        newest = recent[market][-1].trade.at if market in recent else self._clock.now()
        end = newest - newest % MINUTE
        span = 2 * self._settings.rows
        return await self._history.candles(market, end - span * MINUTE, end, span=MINUTE, limit=span)

    def _job(self, candles: Sequence[Candle]) -> Job:
        kept = candles[-self._settings.rows :]
        return Job(
            at=[candle.at for candle in kept],
            close=[candle.close for candle in kept],
            steps=round(self._settings.horizon * SECOND) // MINUTE,
            step=MINUTE,
            level=self._settings.level,
            anchor_half_life=self._settings.anchor_half_life,
            min_half_width=self._settings.min_half_width,
        )

    def _forecast(self, market: int, candles: Sequence[Candle], fitted: Fitted) -> Forecast | None:
        """The stored form; None when a number is not finite or the band is upside down."""
        kept = candles[-self._settings.rows :]
        trained_to = kept[-1].at + MINUTE
        rows = [
            ForecastRow(trained_to + place * MINUTE, centre, lower, upper)
            for place, (centre, lower, upper) in enumerate(zip(fitted.centre, fitted.lower, fitted.upper, strict=True))
        ]
        if not all(0 < row.lower <= row.centre <= row.upper < math.inf for row in rows):
            return None
        return Forecast(
            version=uuid.uuid4(),
            market=market,
            model="prophet",
            trained_from=kept[0].at,
            trained_to=trained_to,
            rows_used=len(kept),
            level=self._settings.level,
            step=MINUTE,
            expires=trained_to + round(self._settings.ttl * SECOND),
            rows=rows,
        )

    def _count_failure(self, market: int, reason: str) -> None:
        self._failed += 1
        if market not in self._failing:
            log.warning("training.failed", market=market, reason=reason)
        self._failing[market] = reason

    def _storage_lost(self, reason: str) -> None:
        if self._storage is None:
            log.warning("training.storage_lost", reason=reason)
        self._storage = reason

    def _storage_found(self) -> None:
        if self._storage is not None:
            log.info("training.storage_found")
            self._storage = None


def usable(candles: Sequence[Candle]) -> list[Candle]:
    """In order of time, one a minute (the last one wins), with a close that has a finite logarithm."""
    by_time = {candle.at: candle for candle in candles if 0 < candle.close < math.inf}
    return [by_time[at] for at in sorted(by_time)]
