"""What happens when a market drifts: the system feed says so, and its baselines are fitted anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from pricewatch.domain.market import Market
from pricewatch.domain.model import Drift
from pricewatch.domain.watch import Place, model_drift
from pricewatch.ingest.herald import Herald
from pricewatch.ports.journal import SignalSink, SystemFeed


class Refits(Protocol):
    """Who fits baselines."""

    def refit_soon(self, market: int, reason: str) -> None:
        """Fit this market's baselines before their time."""
        ...


class Drifting:
    """Keeps `DriftSink`."""

    def __init__(self, feed: SystemFeed, sink: SignalSink, markets: Callable[[], Iterable[Market]]) -> None:
        self._herald = Herald(feed, sink)
        self._markets = markets
        self._refits: list[Refits] = []

    def add(self, refits: Refits) -> None:
        """Let it know of drifts."""
        self._refits.append(refits)

    def drifted(self, drift: Drift) -> None:
        """Never blocks; a drift told twice is one signal."""
        for market in self._markets():
            if market.id == drift.market:
                place = Place(market.id, market.venue, market.symbol)
                self._herald.tell(model_drift(place, drift.what, drift.model, at=drift.at, seen=drift.seen))
        for refits in self._refits:
            refits.refit_soon(drift.market, f"drift: {drift.what}")

    async def run(self) -> None:
        """Tell the system feed until cancelled."""
        await self._herald.run()
