from __future__ import annotations

import asyncio

import pytest
from tests.gateway.gateway_world import until
from tests.store.store_keepers import Keepers, in_postgres, make_signal

from pricewatch.domain.account import Account, Role
from pricewatch.domain.signal import FeedEntry
from pricewatch.ports.journal import Change
from pricewatch.store.pool import Database
from pricewatch.store.retention import Retention


@pytest.fixture
async def keepers(database: Database) -> Keepers:
    return in_postgres(database)


async def emit(keepers: Keepers, account: Account, first: int, count: int, *channels: str) -> list[FeedEntry]:
    claim = await keepers.journal.claim(0, "test")
    signals = [make_signal(account.id, number, channels=channels) for number in range(first, first + count)]
    return await keepers.journal.commit(claim, Change(cursor=0, signals=signals))


async def test_the_oldest_go_and_the_rest_has_no_hole(keepers: Keepers, database: Database) -> None:
    ann = await keepers.accounts.create("ann", "ann@example.org", Role.USER)
    bob = await keepers.accounts.create("bob", "bob@example.org", Role.USER)
    retention = Retention(database, keepers.clock, keep=10, interval=1)
    await retention.forget()
    old = [*await emit(keepers, ann, 0, 199), *await emit(keepers, ann, 199, 1, "email")]
    old += await emit(keepers, ann, 200, 1_900)
    await emit(keepers, bob, 5_000, 3)
    keepers.clock.advance(11)
    await emit(keepers, ann, 3_000, 2)
    await retention.forget()
    assert retention.forgotten == 2_103
    assert [entry.seq for entry in await keepers.feeds.read(ann.id, after_seq=0)] == [2_101, 2_102]
    assert await keepers.feeds.read(bob.id, after_seq=0) == []
    assert (await keepers.feeds.head(ann.id)).seq == 2_102
    # the mail that is still owed keeps its signal
    assert [
        row["id"] for row in await database.fetch("SELECT id FROM signal WHERE committed_at < $1", old[0].committed + 1)
    ] == [old[199].signal.id]
    assert len(await keepers.outbox.claim("email", limit=9, lease=60)) == 1
    assert next(iter(retention.samples())).value == retention.status()["signals_forgotten"] == 2_103


async def test_a_clock_that_was_set_back_tears_no_hole(keepers: Keepers, database: Database) -> None:
    ann = await keepers.accounts.create("ann", "ann@example.org", Role.USER)
    await emit(keepers, ann, 0, 1)
    keepers.clock.advance(-100)
    await emit(keepers, ann, 1, 1)
    keepers.clock.advance(105)
    await Retention(database, keepers.clock, keep=10, interval=1).forget()
    assert [entry.seq for entry in await keepers.feeds.read(ann.id, after_seq=0)] == [1, 2]


async def test_it_goes_on_after_an_outage(keepers: Keepers, database: Database) -> None:
    ann = await keepers.accounts.create("ann", "ann@example.org", Role.USER)
    await emit(keepers, ann, 0, 1)
    keepers.clock.advance(1)
    retention = Retention(database, keepers.clock, keep=0, interval=0.01)
    await database.close()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(retention.run())
        await until(retention.trouble)
        await database.open()
        await until(lambda: retention.trouble() is None and retention.forgotten)
        task.cancel()
