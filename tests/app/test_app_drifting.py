from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress

from pricewatch.app.drifting import Drifting
from pricewatch.domain.market import Market
from pricewatch.domain.model import Drift
from pricewatch.domain.signal import FeedEntry, Signal
from pricewatch.domain.watch import SYSTEM

BTC = Market(7, "kraken", "BTC-USD", "XBT/USD")


class Listening:
    """A system feed, its readers and who fits baselines."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []
        self.told: list[FeedEntry] = []
        self.refits: list[tuple[int, str]] = []

    async def append(self, signals: Sequence[Signal], *, mail: bool = False) -> list[FeedEntry]:
        new = {one.id: one for one in signals if one.id not in {known.id for known in self.signals}}
        self.signals += new.values()
        return [FeedEntry(feed=SYSTEM, epoch=1, seq=1, signal=one, committed=1) for one in new.values()]

    async def standing(self, rules: Sequence[uuid.UUID]) -> list[Signal]:
        return []

    def committed(self, entries: Sequence[FeedEntry]) -> None:
        self.told += entries

    def refit_soon(self, market: int, reason: str) -> None:
        self.refits.append((market, reason))


async def test_a_drift_is_told_once_and_its_baselines_are_fitted_anew() -> None:
    listening = Listening()
    drifting = Drifting(listening, listening, lambda: [BTC])
    drifting.add(listening)
    drift = Drift(7, 60_000_000, 61_000_000, "ranges", "bank@1")
    for one in (drift, drift, Drift(99, 60_000_000, 61_000_000, "coverage", "bank@1")):
        drifting.drifted(one)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(drifting.run())
        async with asyncio.timeout(10):
            while not listening.told:
                await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert [(one.kind, one.symbol) for one in listening.signals] == [("model.drift", "BTC-USD")]
    assert [entry.signal for entry in listening.told] == listening.signals
    assert listening.refits == [(7, "drift: ranges"), (7, "drift: ranges"), (99, "drift: coverage")]
