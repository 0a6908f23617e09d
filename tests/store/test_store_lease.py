"""Shards held for a time: who may take one, and what a former owner can still write (nothing)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest
from tests.store.conftest import QUICK
from tests.store.store_keepers import Keepers, in_memory, in_postgres, make_signal

from pricewatch.domain.account import Role
from pricewatch.domain.errors import Fenced
from pricewatch.domain.market import Quote, Trade
from pricewatch.ports.journal import Change, Grant, Held
from pricewatch.store.catalog import PostgresCatalog
from pricewatch.store.journal import PostgresJournal
from pricewatch.store.pool import Database
from pricewatch.store.writer import TickStore

LONG = 3600.0
SHORT = 0.05


async def taken(keepers: Keepers, home: str, lease: float = LONG) -> Grant:
    answer = await keepers.journal.request(0, f"{home}:1", home=home, lease=lease)
    assert isinstance(answer, Grant)
    return answer


async def let_run_out(keepers: Keepers) -> None:
    """Both clocks: the given one and the database's."""
    keepers.clock.advance(2 * SHORT)
    await asyncio.sleep(2 * SHORT)


class LeasePromises:
    async def test_a_free_shard_is_granted_and_then_held(self, keepers: Keepers) -> None:
        grant = await taken(keepers, "a")
        assert (grant.claim.owner, grant.claim.cursor, grant.former, grant.kept) == ("a:1", 0, "", False)
        await keepers.journal.commit(grant.claim, Change(cursor=5))
        answer = await keepers.journal.request(0, "b:1", home="b", lease=LONG)
        assert isinstance(answer, Held)
        assert answer.owner == "a:1"
        assert 0 <= answer.silent < LONG
        assert isinstance(await keepers.journal.request(1, "b:1", home="b", lease=LONG), Grant)

    async def test_a_lease_that_ran_out_is_free_and_fences_its_owner(self, keepers: Keepers) -> None:
        first = await taken(keepers, "a", SHORT)
        await keepers.journal.commit(first.claim, Change(cursor=5))
        await let_run_out(keepers)
        second = await taken(keepers, "b")
        assert (second.former, second.kept, second.claim.cursor) == ("a:1", False, 5)
        assert second.silent >= SHORT
        with pytest.raises(Fenced):
            await keepers.journal.commit(first.claim, Change(cursor=6))

    async def test_a_commit_of_signals_renews_as_well(self, keepers: Keepers) -> None:
        account = await keepers.accounts.create("ann", "", Role.USER)
        grant = await taken(keepers, "a", 4 * SHORT)
        for number in range(4):
            await let_run_out(keepers)
            change = Change(cursor=number, signals=[make_signal(account.id, number)])
            await keepers.journal.commit(grant.claim, change)
        answer = await keepers.journal.request(0, "b:1", home="b", lease=LONG)
        assert isinstance(answer, Held)
        assert answer.silent < 4 * SHORT

    async def test_its_own_home_takes_it_at_once(self, keepers: Keepers) -> None:
        first = await taken(keepers, "a")
        second = await taken(keepers, "a")
        assert second.kept
        assert second.claim.term > first.claim.term
        with pytest.raises(Fenced):
            await keepers.journal.commit(first.claim, Change(cursor=6))

    async def test_a_released_shard_is_free_at_once(self, keepers: Keepers) -> None:
        first = await taken(keepers, "a")
        await keepers.journal.release(first.claim)
        second = await taken(keepers, "b")
        assert second.former == "a:1"
        await keepers.journal.release(first.claim)
        assert isinstance(await keepers.journal.request(0, "c:1", home="c", lease=LONG), Held)

    async def test_of_many_one_gets_it(self, keepers: Keepers) -> None:
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(keepers.journal.request(0, str(one), home=str(one), lease=LONG)) for one in range(8)
            ]
        assert sum(isinstance(one.result(), Grant) for one in asked) == 1


class TestMemoryLease(LeasePromises):
    @pytest.fixture
    def keepers(self) -> Keepers:
        return in_memory()


@pytest.mark.postgres
class TestPostgresLease(LeasePromises):
    @pytest.fixture
    def keepers(self, database: Database) -> Keepers:
        return in_postgres(database)


def trade(key: int) -> Trade:
    return Trade(market=2, at=1_700_000_000_000_000 + key, price=1.5, size=1.0, side=1, key=key, received=1)


async def stored(database: Database) -> list[int]:
    return [row["trade_id"] for row in await database.fetch("SELECT trade_id FROM trade ORDER BY trade_id")]


@pytest.mark.postgres
async def test_a_former_owner_writes_no_tick(tick_store: TickStore, database: Database) -> None:
    keepers = in_postgres(database)
    first = await taken(keepers, "a", 0.0)
    tick_store.fence(0, first.claim.term)
    tick_store.trade(trade(1), 10)
    await tick_store.drain()
    assert await stored(database) == [1]
    tick_store.trade(trade(1), 11)  # known: by way of the staging table
    await tick_store.drain()
    await taken(keepers, "b")
    for key in (1, 2):
        tick_store.trade(trade(key), 20 + key)
        with pytest.raises(Fenced, match="shard 0"):
            await tick_store.drain()
    assert await stored(database) == [1]


@pytest.mark.postgres
async def test_what_a_frozen_owner_was_writing_is_undone(database: Database, database_url: str) -> None:
    """Its transaction would never end; whoever takes over ends it."""
    first = await taken(in_postgres(database), "a", 0.0)
    frozen = await asyncpg.connect(database_url)
    await frozen.execute("BEGIN")
    assert await frozen.fetchval("SELECT shard_hold(0, $1)", first.claim.term)
    await frozen.execute("CREATE TABLE half_written ()")
    async with asyncio.timeout(10):
        second = await taken(in_postgres(database), "b")
    assert second.former == "a:1"
    errors = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
    with pytest.raises(errors):  # how far its client has noticed is chance
        await frozen.execute("COMMIT")
    assert await database.fetchval("SELECT to_regclass('half_written')") is None
    await frozen.close(timeout=1)


@pytest.mark.postgres
async def test_what_another_owner_took_over_is_forgotten(
    database: Database, catalog: PostgresCatalog, tmp_path: Path
) -> None:
    def store() -> TickStore:
        return TickStore(database, tmp_path / "spool", QUICK, steps=catalog.steps)

    first = store()
    await first.open()
    first.trade(trade(1), 10)
    first.quote(Quote(market=2, at=1, bid=1.0, ask=2.0, bid_size=1.0, ask_size=1.0, received=1), 11)
    await first.close()
    second = store()
    await second.open()
    await second.forget()
    await second.recover()
    second.trade(trade(2), 20)
    await second.drain()
    assert await stored(database) == [2]
    await second.close()
    third = store()
    await third.open()
    await third.forget()  # nothing that was not stored
    await third.recover()
    await third.close()
    assert await stored(database) == [2]


@pytest.mark.postgres
async def test_a_forced_claim_leaves_no_lease(database: Database) -> None:
    keepers = in_postgres(database)
    await taken(keepers, "a")
    assert isinstance(keepers.journal, PostgresJournal)
    await keepers.journal.claim(0, "by hand")
    assert (await taken(keepers, "b")).former == "by hand"
