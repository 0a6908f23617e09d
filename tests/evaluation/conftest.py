"""Evaluation over memory keepers, restarted at will."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from pricewatch.domain.account import Role
from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Flag, Market, Quote, Trade
from pricewatch.domain.model import Activation, Drift
from pricewatch.domain.signal import FeedEntry
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.settings import EngineSettings
from pricewatch.evaluation.settings import EvaluationSettings
from pricewatch.evaluation.worker import Evaluation
from pricewatch.ports.journal import Change, Claim
from pricewatch.ports.rules import StoredRule
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.journal import MemoryStore
from pricewatch.testing.models import MemoryModelStore
from pricewatch.testing.ticks import MemoryTicks

S = 1_000_000
BTC = Market(1, "coinbase", "BTC-USD", "BTC-USD")
ETH = Market(2, "coinbase", "ETH-USD", "ETH-USD")
FAST = {
    "spool_interval": 0.001,
    "checkpoint_interval": 0.01,
    "timer_interval": 0.003,
    "rules_interval": 0.01,
    "snapshot_interval": 0.05,
    "commit_retry": 0.005,
    "recovery_hold": 0.02,
}


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.002)


class Tape:
    """A `PriceTape` that remembers."""

    def __init__(self) -> None:
        self.trades: list[tuple[int, Trade]] = []
        self.quotes: list[tuple[int, Quote]] = []

    def trade(self, trade: Trade, seen: int) -> None:
        self.trades.append((seen, trade))

    def quote(self, quote: Quote, seen: int) -> None:
        self.quotes.append((seen, quote))


class World:
    """What survives a crash, and the engine's shell over it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.start = self.clock.now()
        self.store = MemoryStore(self.clock)
        self.ticks = MemoryTicks()
        self.models = MemoryModelStore()
        self.account = uuid.UUID(int=0)
        self.told: list[FeedEntry] = []
        self.drifts: list[Drift] = []
        self.calls: list[str] = []
        self.changes: list[Change] = []
        self.full = False
        self.tape = Tape()
        self.key = 0
        self._watch()

    def _watch(self) -> None:
        """Note the order of calls; a full disk refuses to spool."""
        spool, commit, activate = self.ticks.spool, self.store.journal.commit, self.models.activate

        def watched_spool() -> None:
            self.calls.append("spool")
            if self.full:
                raise Unavailable("no space left")
            spool()

        async def watched_commit(claim: Claim, change: Change) -> list[FeedEntry]:
            self.calls.append("commit")
            spooled = {one.seen for one in (*self.ticks.spooled, *self.ticks.stored)}
            assert all(row.seen in spooled or row.seen not in self.given for row in change.states)
            entries = await commit(claim, change)
            self.changes.append(change)
            return entries

        async def watched_activate(activations: Sequence[Activation]) -> None:
            self.calls.append("activate")
            await activate(activations)

        self.ticks.spool = watched_spool  # type: ignore[method-assign]  # a spy on a fake
        self.store.journal.commit = watched_commit  # type: ignore[method-assign]
        self.models.activate = watched_activate  # type: ignore[method-assign]

    @property
    def given(self) -> set[int]:
        return {one.seen for one in (*self.ticks.packed, *self.ticks.spooled, *self.ticks.stored)}

    def committed(self, entries: Sequence[FeedEntry]) -> None:
        known = [entry.seq for entry in self.store.journal._feeds.get(self.account, [])]
        assert all(entry.seq in known for entry in entries), "told before its commit"
        self.told += entries

    def drifted(self, drift: Drift) -> None:
        self.drifts.append(drift)

    async def open(self) -> None:
        self.account = (await self.store.accounts.create("ann", "", Role.USER)).id

    async def rule(self, number: int, when: dict[str, Any], **policy: Any) -> StoredRule:
        document = {"title": f"rule {number}", "symbols": "*", "when": when, "policy": policy}
        return await self.store.rules.create(self.account, json.dumps(document).encode(), rule_id=uuid.UUID(int=number))

    async def above(self, number: int = 1, level: str = "100", *, hold: str = "0s", **policy: Any) -> StoredRule:
        return await self.rule(number, {"type": "above", "level": level}, **policy, **{"for": hold})

    def build(self, *, models: bool = False, **settings: Any) -> Evaluation:
        return Evaluation(
            EvaluationSettings(**FAST | settings),
            lambda: Engine(EngineSettings(models=models, warm_up=5, checkpoint=5)),
            clock=self.clock,
            owner="test",
            writer=self.ticks,
            ticks=self.ticks,
            history=self.ticks,
            journal=self.store.journal,
            rules=self.store.rules,
            models=self.models,
            tape=self.tape,
            signals=self,
            drifts=self,
        )

    async def recovered(self, *, markets: Sequence[Market] = (BTC, ETH), **settings: Any) -> Evaluation:
        """A start: what was spooled is stored first."""
        await self.ticks.drain()
        evaluation = self.build(**settings)
        await evaluation.recover(markets)
        return evaluation

    def crash(self) -> list[Trade]:
        """Kill -9: what was not spooled is lost."""
        lost = [one.trade for one in self.ticks.packed]
        self.ticks.packed = []
        return lost

    def trade(self, price: float, *, market: int = 1, after: float = 1.0, flags: Flag = Flag.NONE) -> Trade:
        """A print `after` seconds later."""
        self.clock.advance(after)
        self.key += 1
        now = self.clock.now()
        return Trade(market, now, price, 1.0, 0, self.key, now, int(flags))

    def said(self) -> list[tuple[int, str]]:
        return [(entry.signal.rule_id.int, entry.signal.direction.value) for entry in self.told]

    def feed(self) -> list[FeedEntry]:
        return self.store.journal._feeds.get(self.account, [])


async def commit(evaluation: Evaluation) -> bool:
    """What the commit loop does, now."""
    return await evaluation._owned.commit(evaluation._progress.evaluated, evaluation._clock.now)


@asynccontextmanager
async def running(evaluation: Evaluation) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(evaluation.run())
        await asyncio.sleep(0)
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def world() -> World:
    world = World()
    await world.open()
    return world
