"""What the heavy parts are to the others, said without importing them; and what is counted of all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from pricewatch.domain.market import Market
from pricewatch.ports.journal import Grant, Journal
from pricewatch.ports.models import ForecastSink
from pricewatch.ports.registry import Refits
from pricewatch.ports.rules import RuleChanges
from pricewatch.ports.status import Part
from pricewatch.ports.ticks import TickSink


class Tally(msgspec.Struct, frozen=True):
    """Trades: after a drained stop `received == stored + duplicates + rejected`."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0


class Evaluator(Part, TickSink, RuleChanges, ForecastSink, Protocol):
    """What the engine's shell is to the others. Its libraries are heavy: only a process with its role loads them."""

    async def recover(self, markets: Sequence[Market]) -> None:
        """Begin where the last owner ended."""
        ...

    async def run(self) -> None:
        """Until cancelled."""
        ...

    def follow(self, markets: Iterable[Market]) -> None:
        """Take up further markets."""
        ...

    def is_blind(self, market: int) -> bool:
        """Whether no connection brings this market's trades."""
        ...


class Shard(Part, Journal, Protocol):
    """The right to evaluate, as its engine and those around it need it."""

    async def acquire(self) -> Grant:
        """Stand by until it is ours."""
        ...

    async def run(self) -> None:
        """Keep it, until cancelled."""
        ...

    async def sure(self) -> None:
        """Return once it is certainly ours."""
        ...

    async def release(self) -> None:
        """Hand it over."""
        ...


class Training(Part, Refits, Protocol):
    """What keeps baselines fresh, as those around it need it."""

    def follow(self, markets: Sequence[Market]) -> None:
        """Take up further markets."""
        ...

    async def run(self) -> None:
        """Until cancelled."""
        ...
