"""In-memory keepers of the registry and of artefacts."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

import msgspec

from pricewatch.domain.errors import BadData
from pricewatch.domain.model import Baseline, ModelEvent, Outlook, Pointer, Seal, What

_CHOSEN = {What.CHOSEN, What.ROLLED_BACK}
_CAME = {What.PROMOTED, What.CHOSEN}


class MemoryRegistry:
    """Keeps `Registry`."""

    def __init__(self) -> None:
        self.aliases: dict[uuid.UUID, uuid.UUID] = {}
        """Ids of forecasts' rows, and the versions they come from."""
        self._baselines: list[Baseline] = []
        self._pointers: dict[tuple[int, str], Pointer] = {}
        self._events: list[ModelEvent] = []
        self._outlooks: dict[tuple[int, str], Outlook] = {}
        self._place = 0

    async def register(self, baseline: Baseline, pointer: Pointer | None, event: ModelEvent) -> None:
        """Store a version, put it in use where a pointer is given, and write the event down."""
        self._place += 1
        self._baselines.append(msgspec.structs.replace(baseline, place=self._place))
        if pointer is not None:
            self._pointers[pointer.market, pointer.kind] = pointer
        await self.note(event)

    async def point(self, pointer: Pointer, event: ModelEvent) -> None:
        """Put a registered version in use."""
        self._pointers[pointer.market, pointer.kind] = pointer
        await self.note(event)

    async def note(self, event: ModelEvent) -> None:
        """Write an event down that changes nothing."""
        self._events.append(msgspec.structs.replace(event, id=len(self._events) + 1))

    async def pointers(self, *, since: int = 0) -> list[Pointer]:
        """What is in use, and has been put in use at `since` or later, by market and kind."""
        found = [self._pointers[place] for place in sorted(self._pointers)]
        return [one for one in found if one.since >= since]

    async def baseline(self, version: uuid.UUID) -> Baseline | None:
        """One version; the id of a forecast's rows finds the version they come from."""
        wanted = self.aliases.get(version, version)
        return next((one for one in self._baselines if one.version == wanted), None)

    async def baselines(
        self,
        *,
        markets: Sequence[int] | None = None,
        kind: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Baseline]:
        """Newest first, those registered before place `before`."""
        return [
            one
            for one in reversed(self._baselines)
            if (markets is None or one.market in markets)
            and kind in {None, one.kind}
            and (before is None or one.place < before)
        ][:limit]

    async def predecessor(self, pointer: Pointer) -> uuid.UUID | None:
        """The version in use before the pointer's came, roll-backs aside."""
        return next(
            (
                one.previous
                for one in reversed(self._events)
                if (one.market, one.kind, one.version) == (pointer.market, pointer.kind, pointer.version)
                and one.what in _CAME
            ),
            None,
        )

    async def events(
        self,
        *,
        markets: Sequence[int] | None = None,
        kind: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[ModelEvent]:
        """Newest first, those below id `before`."""
        return [
            one
            for one in reversed(self._events)
            if (markets is None or one.market in markets)
            and kind in {None, one.kind}
            and (before is None or one.id < before)
        ][:limit]

    async def save_outlook(self, outlook: Outlook) -> None:
        """The newest of its market and kind replaces the one before."""
        self._outlooks[outlook.market, outlook.kind] = outlook

    async def outlooks(self, markets: Sequence[int], kind: str) -> list[Outlook]:
        """The newest of each market that has one, in order of the markets' ids."""
        return [self._outlooks[one, kind] for one in sorted(set(markets)) if (one, kind) in self._outlooks]

    async def prune(self, keep: int) -> list[str]:
        """Forget all but the newest `keep` of each market and kind, and those that may be needed."""
        held = {one.version for one in self._pointers.values()}
        held |= {one.version for one in self._events if one.what in _CHOSEN and one.version is not None}
        held |= {
            one.previous
            for one in self._events
            if one.what in _CAME
            and one.previous is not None
            and one.version in {p.version for p in self._pointers.values()}
        }
        seen: dict[tuple[int, str], int] = {}
        gone = []
        for one in reversed(self._baselines):
            seen[one.market, one.kind] = rank = seen.get((one.market, one.kind), 0) + 1
            if rank > keep and one.version not in held:
                gone.append(one)
        self._baselines = [one for one in self._baselines if one not in gone]
        return [one.seal.name for one in gone]


class MemoryArtefacts:
    """Keeps `Artefacts`."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def put(self, name: str, payload: bytes) -> Seal:
        """Store once under a new name."""
        self.objects.setdefault(name, payload)
        digest = hashlib.sha256(payload).hexdigest()
        return Seal(name, digest, f"signed {digest}", len(payload))

    async def get(self, seal: Seal) -> bytes:
        """Raises `BadData` for what is missing, corrupted, foreign or unsigned."""
        payload = self.objects.get(seal.name)
        if payload is None:
            raise BadData("artefact", f"{seal.name} is missing")
        digest = hashlib.sha256(payload).hexdigest()
        if digest != seal.sha256 or seal.mac != f"signed {digest}":
            raise BadData("artefact", f"{seal.name} is not what was stored")
        return payload

    async def remove(self, names: Sequence[str]) -> None:
        """What is not there is fine."""
        for name in names:
            self.objects.pop(name, None)
