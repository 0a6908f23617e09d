"""What operators may do to versions: verified first, written down whatever comes of it."""

from __future__ import annotations

import uuid

import structlog

from pricewatch.domain.errors import BadData, NotFound, Refused
from pricewatch.domain.model import Baseline, ModelEvent, Pointer, What
from pricewatch.ports.clock import Clock
from pricewatch.ports.registry import Artefacts, Registry

log = structlog.get_logger(__name__)


class Desk:
    """A `ModelDesk`. A pointer moves only to an artefact that has just been read and verified."""

    def __init__(self, registry: Registry, artefacts: Artefacts, clock: Clock) -> None:
        self._registry = registry
        self._artefacts = artefacts
        self._clock = clock

    async def promote(self, version: uuid.UUID, *, actor: str, pinned: bool) -> Pointer:
        """Put a version in use; raises `NotFound`, or `Refused` where its artefact cannot be trusted."""
        found = await self._registry.baseline(version)
        if found is None:
            raise NotFound(f"there is no version {version}")
        return await self._point(found, What.CHOSEN, actor, pinned=pinned)

    async def rollback(self, market: int, kind: str, *, actor: str, pinned: bool) -> Pointer:
        """Go back to the version in use before the present one."""
        current = await self._current(market, kind)
        previous = None if current is None else await self._registry.predecessor(current)
        found = None if previous is None else await self._registry.baseline(previous)
        if found is None:
            raise NotFound(f"there is no version of {kind} on this market to go back to")
        return await self._point(found, What.ROLLED_BACK, actor, pinned=pinned)

    async def _current(self, market: int, kind: str) -> Pointer | None:
        return next((one for one in await self._registry.pointers() if (one.market, one.kind) == (market, kind)), None)

    async def _point(self, found: Baseline, what: What, actor: str, *, pinned: bool) -> Pointer:
        now = self._clock.now()
        current = await self._current(found.market, found.kind)
        event = ModelEvent(
            at=now,
            what=what,
            actor=actor,
            market=found.market,
            kind=found.kind,
            version=found.version,
            previous=None if current is None else current.version,
            detail={"pinned": pinned},
        )
        try:
            await self._artefacts.get(found.seal)
        except BadData as error:
            await self._registry.note(refusal(event, error))
            raise Refused(f"version {found.version} cannot be used: {error}; the one in use is kept") from error
        pointer = Pointer(found.market, found.kind, found.version, now, pinned)
        await self._registry.point(pointer, event)
        log.info("model.chosen", what=what.value, market=found.market, kind=found.kind, version=str(found.version))
        return pointer


def refusal(event: ModelEvent, error: BadData) -> ModelEvent:
    """The entry for an artefact that was not believed."""
    log.warning("model.refused", market=event.market, kind=event.kind, version=str(event.version), error=str(error))
    return ModelEvent(
        at=event.at,
        what=What.REFUSED,
        actor=event.actor,
        market=event.market,
        kind=event.kind,
        version=event.version,
        previous=event.previous,
        detail={"wanted": event.what.value, "problem": str(error)},
    )
