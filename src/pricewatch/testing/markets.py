"""Choices of markets, in memory."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from pricewatch.ports.markets import MarketChoice


class MemoryMarketBook:
    """Keeps `MarketBook`."""

    def __init__(self) -> None:
        self._choices: dict[tuple[str, str], MarketChoice] = {}

    async def choose(self, choice: MarketChoice) -> None:
        """From now on this holds for its market."""
        self._choices[choice.venue, choice.symbol] = choice

    async def forget(self, venue: str, symbol: str, *, by: uuid.UUID | None = None) -> bool:  # noqa: ARG002
        """From now on the configuration holds again; False when there was no choice."""
        return self._choices.pop((venue, symbol), None) is not None

    async def choices(self) -> Sequence[MarketChoice]:
        """All of them, by venue and symbol."""
        return [self._choices[key] for key in sorted(self._choices)]
