from __future__ import annotations

import uuid
from typing import Any

import asyncpg
import pytest

from pricewatch.domain.model import Baseline, Forecast, ModelEvent, Outlook, OutlookRow, Pointer, Seal, What
from pricewatch.ports.registry import Registry
from pricewatch.store.catalog import PostgresCatalog
from pricewatch.store.models import PostgresModelStore
from pricewatch.store.pool import Database
from pricewatch.store.registry import PostgresRegistry
from pricewatch.testing.registry import MemoryRegistry


def baseline(market: int = 1, kind: str = "price", **changes: Any) -> Baseline:
    version = uuid.uuid4()
    fields: dict[str, Any] = {
        "version": version,
        "market": market,
        "kind": kind,
        "model": "prophet",
        "trained_from": 1,
        "trained_to": 2,
        "rows_used": 300,
        "step": 60_000_000,
        "parameters": {"growth": "flat", "seasons": {"day": 8}},
        "libraries": {"prophet": "1.5.0"},
        "metrics": {"loss": 0.9, "horizons": [{"steps": 1, "mae": 1e-5}]},
        "rival": None,
        "rival_metrics": None,
        "won": True,
        "seal": Seal(f"{version}.json", "ab", "cd", 12),
        "created": 5,
    }
    return Baseline(**fields | changes)


def event(one: Baseline, what: What = What.PROMOTED, previous: uuid.UUID | None = None) -> ModelEvent:
    return ModelEvent(
        at=7,
        what=what,
        actor="training",
        market=one.market,
        kind=one.kind,
        version=one.version,
        previous=previous,
        detail={"loss": 0.5},
    )


def pointer(one: Baseline, *, pinned: bool = False) -> Pointer:
    return Pointer(one.market, one.kind, one.version, 7, pinned)


async def promote(registry: Registry, one: Baseline, previous: Baseline | None = None) -> None:
    await registry.register(one, pointer(one), event(one, previous=None if previous is None else previous.version))


def outlook(market: int, kind: str = "outlook", origin: int = 10) -> Outlook:
    return Outlook(
        market=market,
        kind=kind,
        unit="price",
        version=uuid.uuid4(),
        model="prophet",
        origin=origin,
        step=3_600_000_000,
        expires=99,
        naive=100.5,
        levels=[0.8, 0.95],
        rows=[OutlookRow(10, 100.0, [99.0, 98.0], [101.0, 102.0])],
        metrics={"loss": 1.0},
    )


class RegistryPromises:
    async def test_a_version_comes_back_whole(self, registry: Registry) -> None:
        assert await registry.baseline(uuid.uuid4()) is None
        one = baseline(rival=uuid.uuid4(), rival_metrics={"loss": 2.0}, won=False)
        await registry.register(one, None, event(one, What.KEPT))
        found = await registry.baseline(one.version)
        assert found is not None
        assert found.place
        assert Baseline(**{**_fields(found), "place": 0}) == one
        assert await registry.pointers() == []

    async def test_the_newest_versions_come_first_in_pages(self, registry: Registry) -> None:
        some = [baseline(), baseline(kind="range"), baseline(market=2), baseline()]
        for one in some:
            await registry.register(one, None, event(one))
        found = await registry.baselines(markets=[1], kind="price")
        assert [one.version for one in found] == [some[3].version, some[0].version]
        assert [one.version for one in await registry.baselines(limit=2)] == [some[3].version, some[2].version]
        older = await registry.baselines(before=found[0].place)
        assert [one.version for one in older] == [one.version for one in reversed(some[:3])]

    async def test_a_pointer_moves_with_its_event(self, registry: Registry) -> None:
        one, two = baseline(), baseline()
        await promote(registry, one)
        await promote(registry, two, one)
        assert await registry.pointers() == [pointer(two)]
        assert await registry.pointers(since=pointer(two).since) == [pointer(two)]
        assert await registry.pointers(since=pointer(two).since + 1) == []
        await registry.point(pointer(one, pinned=True), event(one, What.ROLLED_BACK, two.version))
        assert await registry.pointers() == [pointer(one, pinned=True)]
        assert [(found.what, found.version, found.previous) for found in await registry.events(markets=[1])] == [
            (What.ROLLED_BACK, one.version, two.version),
            (What.PROMOTED, two.version, one.version),
            (What.PROMOTED, one.version, None),
        ]

    async def test_events_come_back_whole_in_pages(self, registry: Registry) -> None:
        one = baseline(market=2, kind="range")
        bare = ModelEvent(at=1, what=What.REFUSED, actor="ann")
        for each in (bare, event(one, What.FAILED)):
            await registry.note(each)
        newest, oldest = await registry.events()
        assert (newest.detail, newest.kind, newest.id > oldest.id) == ({"loss": 0.5}, "range", True)
        assert (oldest.market, oldest.kind, oldest.version, oldest.actor) == (None, None, None, "ann")
        assert await registry.events(before=newest.id) == [oldest]
        assert await registry.events(markets=[2, 3]) == [newest]
        assert await registry.events(kind="price") == []
        assert await registry.events(limit=1) == [newest]

    async def test_what_was_in_use_before(self, registry: Registry) -> None:
        one, two, three = baseline(), baseline(), baseline()
        await promote(registry, one)
        assert await registry.predecessor(pointer(one)) is None
        await promote(registry, two, one)
        await promote(registry, three, two)
        assert await registry.predecessor(pointer(three)) == two.version
        await registry.point(pointer(two), event(two, What.ROLLED_BACK, three.version))
        assert await registry.predecessor(pointer(two)) == one.version, "a roll-back can be followed by another"

    async def test_the_newest_outlook_stays(self, registry: Registry) -> None:
        old, new, other = outlook(1), outlook(1, origin=20), outlook(2)
        for one in (old, new, other, outlook(1, "range")):
            await registry.save_outlook(one)
        assert await registry.outlooks([2, 1, 3], "outlook") == [new, other]
        assert await registry.outlooks([], "outlook") == []

    async def test_old_versions_are_forgotten_but_those_that_may_be_needed(self, registry: Registry) -> None:
        some = [baseline() for _ in range(8)]
        await promote(registry, some[0])
        await promote(registry, some[1], some[0])
        await registry.register(some[2], None, event(some[2], What.KEPT))
        await promote(registry, some[3], some[1])
        for one in some[4:]:
            await registry.register(one, None, event(one, What.KEPT))
        await registry.note(event(some[2], What.CHOSEN))
        gone = await registry.prune(2)
        assert sorted(gone) == sorted([some[0].seal.name, some[4].seal.name, some[5].seal.name])
        left = {one.version for one in await registry.baselines()}
        assert left == {some[place].version for place in (1, 2, 3, 6, 7)}
        assert await registry.prune(2) == []


def _fields(one: Baseline) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Baseline.__struct_fields__}


class TestMemoryRegistry(RegistryPromises):
    @pytest.fixture
    def registry(self) -> Registry:
        return MemoryRegistry()

    async def test_rows_of_a_forecast_find_their_version(self) -> None:
        registry, one, issue = MemoryRegistry(), baseline(), uuid.uuid4()
        await promote(registry, one)
        registry.aliases[issue] = one.version
        found = await registry.baseline(issue)
        assert found is not None
        assert found.version == one.version


@pytest.mark.postgres
class TestPostgresRegistry(RegistryPromises):
    @pytest.fixture
    def registry(self, database: Database, catalog: PostgresCatalog) -> Registry:
        return PostgresRegistry(database)

    async def test_rows_of_a_forecast_find_their_version(self, registry: Registry, database: Database) -> None:
        one = baseline()
        await promote(registry, one)
        issued = Forecast(uuid.uuid4(), 1, "prophet", 1, 2, 3, 0.95, 60, 99, [], one.version)
        await PostgresModelStore(database).save_forecast(issued)
        found = await registry.baseline(issued.version)
        assert found is not None
        assert found.version == one.version

    @pytest.mark.parametrize("statement", ["UPDATE model_event SET actor = 'me'", "DELETE FROM model_event"])
    async def test_what_happened_cannot_be_changed(
        self, registry: Registry, database: Database, statement: str
    ) -> None:
        await registry.note(event(baseline()))
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await database.execute(statement)
        assert len(await registry.events()) == 1

    async def test_a_version_without_its_event_is_not_stored(self, registry: Registry) -> None:
        one = baseline()
        await promote(registry, one)
        with pytest.raises(asyncpg.UniqueViolationError):
            await registry.register(one, pointer(one, pinned=True), event(one))
        assert await registry.pointers() == [pointer(one)]
        assert len(await registry.events()) == 1
