"""The ports a trainer needs, with one market's candles, and fits that answer as told."""

from __future__ import annotations

import asyncio
import math
import random
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Candle, Market, Trade
from pricewatch.domain.model import Forecast, Outlook
from pricewatch.domain.packed import Packed, packed
from pricewatch.domain.time import HOUR, MINUTE
from pricewatch.ports.ticks import Mark, Sequenced
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.models import MemoryModelStore
from pricewatch.testing.registry import MemoryArtefacts, MemoryRegistry
from pricewatch.training.job import Failed, Fitted, Job
from pricewatch.training.promote import Desk as Operators
from pricewatch.training.settings import TrainingSettings
from pricewatch.training.worker import Trainer

NOW = 1_769_868_000_000_000 - 1_769_868_000_000_000 % HOUR + 30_000_000
BTC = Market(1, "coinbase", "BTC-USD", "BTC-USD")
FAST: dict[str, Any] = {"retry_interval": 0.05, "rows": 400, "min_rows": 300}


def walk(rows: int, *, span: int = MINUTE, end: int = NOW, seed: int = 5, scale: float = 100.0) -> list[Candle]:
    """A random walk with a day's rhythm in how far it goes, ending with the last closed candle."""
    luck = random.Random(seed)
    price, first = scale, end - end % span - rows * span
    found = []
    for place in range(rows):
        at = first + place * span
        wide = 0.0005 * (1.5 + math.sin(2 * math.pi * (at % (24 * HOUR)) / (24 * HOUR)))
        price *= math.exp(luck.gauss(0.0, wide))
        reach = abs(luck.gauss(wide, wide / 4)) + 1e-6
        found.append(
            Candle(1, at, price, price * (1 + reach), price * (1 - reach), price, 1e4 * wide * luck.uniform(1, 2), 9)
        )
    return found


def job(candles: Sequence[Candle], kind: str = "price", *, span: int = MINUTE, **changes: Any) -> Job:
    fields: dict[str, Any] = {
        "kind": kind,
        "candles": packed(candles),
        "span": span,
        "until": candles[-1].at + span if candles else NOW,
        "least": 300,
        "most": 2_016,
        "reach": 240 * span,
        "levels": [0.95],
    }
    return Job(**fields | changes)


class Shelf(MemoryModelStore):
    """What is read of a market, `ModelStore` and `ForecastSink` over lists, which may be away."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.stored = walk(rows)
        self.hours: list[Candle] = []
        self.hourly_spreads: list[Candle] = []
        self.counted = 0
        self.mark: int | None = None
        self.down = False
        self.reads = 0
        self.forecasts: list[Forecast] = []
        self.told: list[Forecast] = []

    async def marks(self, markets: Sequence[int]) -> Mapping[int, Mark]:
        _ = markets
        return {}

    async def recent(self, markets: Sequence[int], limit: int) -> Mapping[int, Sequence[Sequenced]]:
        assert limit == 1
        if self.down:
            raise Unavailable("no database")
        at = self.mark
        return {} if at is None else {one: [Sequenced(1, Trade(one, at, 1.0, 1.0, 0, 1, at))] for one in markets}

    async def last(self, upto: int) -> Mapping[int, Sequenced]:
        _ = upto
        return {}

    async def trades(self, market: int, start: int, end: int, *, limit: int = 100_000) -> list[Sequenced]:
        _ = market, start, end, limit
        return []

    async def candles(self, market: int, start: int, end: int, *, span: int) -> Packed:
        self.reads += 1
        found = self.stored if span == MINUTE else self.hours
        return packed(one for one in found if one.market == market and start <= one.at < end)

    async def spreads(self, market: int, start: int, end: int) -> Packed:
        assert self.counted == end
        return packed(one for one in self.hourly_spreads if one.market == market and start <= one.at < end)

    async def count_spreads(self, market: int, upto: int) -> None:
        assert market
        self.counted = upto

    async def save_forecast(self, forecast: Forecast) -> None:
        if self.down:
            raise Unavailable("no database")
        self.forecasts.append(forecast)
        await super().save_forecast(forecast)

    def forecast_ready(self, forecast: Forecast) -> None:
        assert forecast in self.forecasts, "told before it was stored"
        self.told.append(forecast)


class Scripted:
    """A fit pool that answers as told: in turn, the last one for ever; for every kind but `price` it says `short`."""

    killed = broken = out_of_memory = replaced = 0

    def __init__(self, answers: Iterable[Callable[[Job], Fitted | Failed]]) -> None:
        self.answers = list(answers)
        self.jobs: list[Job] = []

    async def fit(self, work: Job) -> Fitted | Failed:
        if work.kind != "price":
            return Failed("too few", "short")
        self.jobs.append(work)
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(work)

    async def close(self) -> None: ...


def answer(
    work: Job, *, loss: float = 0.9, rival_loss: float | None = None, centre: float = 100.0, **changes: Any
) -> Fitted:
    """What a fit would say, better than its rival unless told otherwise."""
    steps = range(max(1, work.reach // work.span))
    fields: dict[str, Any] = {
        "artefact": f'{{"loss":{loss}}}'.encode(),
        "metrics": {"held_from": 1, "held_to": 2, "levels": [0.95], "loss": loss, "horizons": []},
        "rival_metrics": None if rival_loss is None else {"loss": rival_loss},
        "won": rival_loss is None or (not work.pinned and loss <= rival_loss),
        "parameters": {"growth": "flat"},
        "libraries": {"prophet": "1"},
        "trained_from": work.until - len(work.candles) * work.span,
        "trained_to": work.until - 70 * work.span,
        "rows_used": len(work.candles) - 70,
        "unit": "price",
        "step": work.span,
        "origin": work.until,
        "naive": centre,
        "centre": [centre for _ in steps],
        "lower": [[centre - 1 for _ in steps] for _ in work.levels],
        "upper": [[centre + 1 for _ in steps] for _ in work.levels],
        "status": "ok",
        "note": "",
    }
    return Fitted(**fields | changes)


class Desk:
    """A trainer with everything it needs at hand."""

    def __init__(
        self, rows: int = 350, *answers: Callable[[Job], Fitted | Failed], pool: Any = None, **changes: Any
    ) -> None:
        self.shelf = Shelf(rows)
        self.registry = MemoryRegistry()
        self.artefacts = MemoryArtefacts()
        self.clock = ManualClock(NOW)
        self.pool: Any = pool or Scripted(answers or [answer])
        self.trainer = Trainer(
            TrainingSettings(**{**FAST, **changes}),
            [BTC],
            history=self.shelf,
            columns=self.shelf,
            spreads=self.shelf,
            models=self.shelf,
            registry=self.registry,
            artefacts=self.artefacts,
            forecasts=self.shelf,
            clock=self.clock,
            pool=self.pool,
        )

    @property
    def jobs(self) -> list[Job]:
        found: list[Job] = self.pool.jobs
        return found

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.trainer.run())
            yield
            task.cancel()

    async def choose(self, version: uuid.UUID) -> None:
        """As an operator would."""
        desk = Operators(self.registry, self.artefacts, self.clock)
        await desk.promote(version, actor="ann", pinned=True)

    async def outlook(self, kind: str) -> Outlook | None:
        found = await self.registry.outlooks([1], kind)
        return found[0] if found else None


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)
