"""Which markets people asked for beyond the configuration, or do not want any more."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Protocol

import msgspec


class MarketChoice(msgspec.Struct, frozen=True):
    """The newest word on one market; it goes before what the configuration says."""

    venue: str
    symbol: str
    wanted: bool
    """Listen to it, or do not."""
    account: uuid.UUID
    """Who said so."""
    at: int
    """When, in microseconds."""

    @property
    def key(self) -> str:
        """`venue:BASE-QUOTE`."""
        return f"{self.venue}:{self.symbol}"


class MarketBook(Protocol):
    """Keeps the choices."""

    async def choose(self, choice: MarketChoice) -> None:
        """From now on this holds for its market. Raises `Unavailable`."""
        ...

    async def forget(self, venue: str, symbol: str, *, by: uuid.UUID | None = None) -> bool:
        """From now on the configuration holds again; False when there was no choice. Raises `Unavailable`."""
        ...

    async def choices(self) -> Sequence[MarketChoice]:
        """All of them, by venue and symbol. Raises `Unavailable`."""
        ...


class MarketChanges(Protocol):
    """Who wants to know at once that a choice was made; without a word they are read now and then."""

    def markets_changed(self) -> None:
        """Somebody chose: look soon."""
        ...
