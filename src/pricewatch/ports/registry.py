"""The registry of baselines: versions, which one is in use, what became of them, and their artefacts."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Protocol

from pricewatch.domain.model import Baseline, ModelEvent, Outlook, Pointer, Seal


class Registry(Protocol):
    """Versions and the pointer to the one in use. A pointer changes with its event, in one transaction."""

    async def register(self, baseline: Baseline, pointer: Pointer | None, event: ModelEvent) -> None:
        """Store a version, put it in use where a pointer is given, and write the event down."""
        ...

    async def point(self, pointer: Pointer, event: ModelEvent) -> None:
        """Put a registered version in use."""
        ...

    async def note(self, event: ModelEvent) -> None:
        """Write an event down that changes nothing."""
        ...

    async def pointers(self, *, since: int = 0) -> list[Pointer]:
        """What is in use, and has been put in use at `since` or later, by market and kind."""
        ...

    async def baseline(self, version: uuid.UUID) -> Baseline | None:
        """One version; the id of a forecast's rows finds the version they come from."""
        ...

    async def baselines(
        self,
        *,
        markets: Sequence[int] | None = None,
        kind: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Baseline]:
        """Newest first, those registered before place `before`."""
        ...

    async def predecessor(self, pointer: Pointer) -> uuid.UUID | None:
        """The version in use before the pointer's came, roll-backs aside; None where there was none."""
        ...

    async def events(
        self,
        *,
        markets: Sequence[int] | None = None,
        kind: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[ModelEvent]:
        """Newest first, those below id `before`."""
        ...

    async def save_outlook(self, outlook: Outlook) -> None:
        """The newest of its market and kind replaces the one before."""
        ...

    async def outlooks(self, markets: Sequence[int], kind: str) -> list[Outlook]:
        """The newest of each market that has one, in order of the markets' ids."""
        ...

    async def prune(self, keep: int) -> list[str]:
        """Forget all but the newest `keep` versions of each market and kind.

        Those in use, ever chosen by an operator, or next in a roll-back stay. Returns the names of artefacts that
        nobody needs any more.
        """
        ...


class Artefacts(Protocol):
    """Where versions lie, signed."""

    async def put(self, name: str, payload: bytes) -> Seal:
        """Store once under a new name. Raises `Unavailable`."""
        ...

    async def get(self, seal: Seal) -> bytes:
        """Raises `BadData` for what is missing, corrupted, foreign or unsigned, `Unavailable` when it cannot tell."""
        ...

    async def remove(self, names: Sequence[str]) -> None:
        """What is not there is fine. Raises `Unavailable`."""
        ...


class ModelDesk(Protocol):
    """What an operator may do to versions. Everything done or refused is in the events."""

    async def promote(self, version: uuid.UUID, *, actor: str, pinned: bool) -> Pointer:
        """Put a version in use; `pinned` keeps it whatever later fits do.

        Raises `NotFound`, and `Refused` where its artefact cannot be trusted: then nothing has changed.
        """
        ...

    async def rollback(self, market: int, kind: str, *, actor: str, pinned: bool) -> Pointer:
        """Go back to the version in use before the present one. Raises as `promote`."""
        ...


class Refits(Protocol):
    """Whom drift watches ask for an early refit."""

    def refit_soon(self, market: int, reason: str) -> None:
        """Fit this market's baselines ahead of their time, though not more often than is set. Never blocks."""
        ...
