"""Versions of baselines, the pointer to the one in use, and what became of them, in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from pricewatch.domain.model import Baseline, ModelEvent, Outlook, Pointer, Seal, What
from pricewatch.store.pool import Connection, Database, Row
from pricewatch.store.sql import load

SQL = load("registry")

_outlook = msgspec.msgpack.Decoder(Outlook).decode


class PostgresRegistry:
    """Keeps `Registry`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, baseline: Baseline, pointer: Pointer | None, event: ModelEvent) -> None:
        """Store a version, put it in use where a pointer is given, and write the event down."""
        placed = (None,) * 5 if pointer is None else _pointer(pointer)
        await self._database.execute(SQL["register"], *_columns(baseline), *placed, *_event(event))

    async def point(self, pointer: Pointer, event: ModelEvent) -> None:
        """Put a registered version in use."""

        async def write(connection: Connection) -> None:
            await connection.execute(SQL["point"], *_pointer(pointer))
            await connection.execute(SQL["note"], *_event(event))

        await self._database.transaction(write)

    async def note(self, event: ModelEvent) -> None:
        """Write an event down that changes nothing."""
        await self._database.execute(SQL["note"], *_event(event))

    async def pointers(self, *, since: int = 0) -> list[Pointer]:
        """What is in use, and has been put in use at `since` or later, by market and kind."""
        return [Pointer(*row) for row in await self._database.fetch(SQL["pointers"], since)]

    async def baseline(self, version: uuid.UUID) -> Baseline | None:
        """One version; the id of a forecast's rows finds the version they come from."""
        row = await self._database.fetchrow(SQL["baseline"], version)
        return None if row is None else _baseline(row)

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
            _baseline(row)
            for row in await self._database.fetch(SQL["baselines"], _numbers(markets), kind, before, limit)
        ]

    async def predecessor(self, pointer: Pointer) -> uuid.UUID | None:
        """The version in use before the pointer's came, roll-backs aside."""
        found: uuid.UUID | None = await self._database.fetchval(
            SQL["predecessor"], pointer.market, pointer.kind, pointer.version
        )
        return found

    async def events(
        self,
        *,
        markets: Sequence[int] | None = None,
        kind: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[ModelEvent]:
        """Newest first, those below id `before`."""
        rows = await self._database.fetch(SQL["events"], _numbers(markets), kind, before, limit)
        return [
            ModelEvent(
                id=row["id"],
                at=row["at"],
                what=What(row["what"]),
                actor=row["actor"],
                market=row["instrument_id"],
                kind=row["kind"],
                version=row["version"],
                previous=row["previous"],
                detail=_parsed(row["detail"]),
            )
            for row in rows
        ]

    async def save_outlook(self, outlook: Outlook) -> None:
        """The newest of its market and kind replaces the one before."""
        document = msgspec.msgpack.encode(outlook)
        await self._database.execute(
            SQL["save_outlook"], outlook.market, outlook.kind, outlook.version, outlook.origin, document
        )

    async def outlooks(self, markets: Sequence[int], kind: str) -> list[Outlook]:
        """The newest of each market that has one, in order of the markets' ids."""
        rows = await self._database.fetch(SQL["outlooks"], list(markets), kind)
        return [_outlook(row["document"]) for row in rows]

    async def prune(self, keep: int) -> list[str]:
        """Forget all but the newest `keep` of each market and kind, and those that may be needed."""
        return [row["object"] for row in await self._database.fetch(SQL["prune"], keep)]


def _numbers(markets: Sequence[int] | None) -> list[int] | None:
    return None if markets is None else list(markets)


def _columns(one: Baseline) -> tuple[object, ...]:
    return (
        *(one.version, one.market, one.kind, one.model, one.trained_from, one.trained_to, one.rows_used, one.step),
        *(_json(one.parameters), _json(one.libraries), _json(one.metrics), one.rival),
        None if one.rival_metrics is None else _json(one.rival_metrics),
        *(one.won, one.seal.name, one.seal.sha256, one.seal.mac, one.seal.size, one.created),
    )


def _pointer(one: Pointer) -> tuple[object, ...]:
    return (one.market, one.kind, one.version, one.since, one.pinned)


def _event(one: ModelEvent) -> tuple[object, ...]:
    return (
        *(one.at, one.what.value, one.actor, one.market, one.kind, one.version, one.previous),
        _json(one.detail),
    )


def _baseline(row: Row) -> Baseline:
    rival_metrics = row["rival_metrics"]
    return Baseline(
        version=row["version"],
        market=row["instrument_id"],
        kind=row["kind"],
        model=row["model"],
        trained_from=row["trained_from"],
        trained_to=row["trained_to"],
        rows_used=row["rows_used"],
        step=row["step"],
        parameters=_parsed(row["parameters"]),
        libraries=_parsed(row["libraries"]),
        metrics=_parsed(row["metrics"]),
        rival=row["rival"],
        rival_metrics=None if rival_metrics is None else _parsed(rival_metrics),
        won=row["won"],
        seal=Seal(row["object"], row["sha256"], row["mac"], row["size"]),
        created=row["created"],
        place=row["place"],
    )


def _json(value: dict[str, Any] | dict[str, str]) -> str:
    return msgspec.json.encode(value).decode()


def _parsed(text: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(text)
    return found
