"""The lease on a shard: who stands by, who takes over, who notices that it has lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from pricewatch.domain.errors import Fenced, Unavailable
from pricewatch.evaluation.settings import EvaluationSettings
from pricewatch.evaluation.takeover import Tenure
from pricewatch.ports.journal import Change, Grant, Held
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.journal import MemoryJournal, MemoryStore

SETTINGS = EvaluationSettings(lease=3.0, standby_interval=0.001, commit_retry=0.001)


class MemoryRows:
    """Keeps `Rows`."""

    def __init__(self) -> None:
        self.fences: list[tuple[int, int]] = []
        self.drained = 0
        self.error: Exception | None = None

    def fence(self, shard: int, term: int) -> None:
        self.fences.append((shard, term))

    async def drain(self) -> None:
        if self.error is not None:
            raise self.error
        self.drained += 1


class World:
    """A journal, and a clock that database and processes share."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.journal: MemoryJournal = MemoryStore(self.clock).journal

    def tenure(self, home: str, *, rows: MemoryRows | None = None) -> Tenure:
        return Tenure(
            SETTINGS, self.journal, owner=f"{home}:1", home=home, rows=rows, now=lambda: self.clock.now() / 1e6
        )


@pytest.fixture
def world() -> World:
    return World()


@asynccontextmanager
async def waiting(tenure: Tenure) -> AsyncIterator[asyncio.Task[object]]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(tenure.acquire())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def turns() -> None:
    """Time for a few looks of a standby."""
    for _ in range(20):
        await asyncio.sleep(0.001)


async def test_a_free_shard_is_taken_at_once(world: World) -> None:
    tenure = world.tenure("a")
    assert tenure.trouble() == "standby: shard 0 is held by nobody we know of"
    grant = await tenure.acquire()
    assert (grant.former, grant.kept, grant.claim.cursor) == ("", False, 0)
    assert tenure.trouble() is None
    assert tenure.status() == {"shard": 0, "state": "owner", "owner": "a:1", "term": 1, "takeovers": 0}
    assert {one.name: one.value for one in tenure.samples()} == {"owned": 1, "takeovers": 0}


async def test_a_standby_waits_until_the_lease_has_run_out(world: World) -> None:
    await world.tenure("a").acquire()
    standby = world.tenure("b")
    with capture_logs() as logs:
        async with waiting(standby) as task:
            await turns()
            world.clock.advance(2.9)
            await turns()
            assert not task.done()
            assert standby.trouble() == "standby: shard 0 is held by a:1"
            assert standby.status()["state"] == "standby"
            world.clock.advance(0.2)
            await asyncio.wait_for(task, 5)
    assert standby.status() == {"shard": 0, "state": "owner", "owner": "b:1", "term": 2, "takeovers": 1}
    assert [one["event"] for one in logs] == ["shard.standby", "shard.taken_over"]
    assert logs[-1]["former"] == "a:1"
    assert 3.0 <= logs[-1]["silent_seconds"] < 4.0


async def test_commits_renew_the_lease(world: World) -> None:
    owner = world.tenure("a")
    claim = (await owner.acquire()).claim
    async with waiting(world.tenure("b")) as task:
        for cursor in range(1, 5):
            world.clock.advance(2.0)
            await owner.commit(claim, Change(cursor=cursor))
            await turns()
        assert not task.done()


async def test_who_comes_back_to_its_folder_does_not_wait(world: World) -> None:
    await world.tenure("a").acquire()
    with capture_logs() as logs:
        grant = await asyncio.wait_for(world.tenure("a").acquire(), 5)
    assert grant.kept
    assert grant.claim.term == 2
    assert not logs


async def test_a_handed_over_shard_is_taken_at_once(world: World) -> None:
    owner = world.tenure("a")
    await owner.acquire()
    async with waiting(world.tenure("b")) as task:
        await owner.release()
        await asyncio.wait_for(task, 5)
    await owner.release()  # of what is another's by now: nothing
    async with waiting(world.tenure("c")) as task:
        await turns()
        assert not task.done()


async def test_nothing_is_released_that_was_never_held(world: World) -> None:
    await world.tenure("a").release()


async def test_a_release_while_the_database_is_away_leaves_it_to_the_lease(world: World) -> None:
    owner = world.tenure("a")
    await owner.acquire()
    world.journal.down = True
    with capture_logs() as logs:
        await owner.release()
    assert [one["event"] for one in logs] == ["shard.unreleased"]


async def test_a_database_that_is_away_is_waited_for(world: World) -> None:
    world.journal.down = True
    async with waiting(world.tenure("a")) as task:
        await turns()
        assert not task.done()
        world.journal.down = False
        await asyncio.wait_for(task, 5)


async def test_who_was_replaced_says_so_once_and_commits_nothing(world: World) -> None:
    owner = world.tenure("a")
    claim = (await owner.acquire()).claim
    world.clock.advance(3.1)
    await world.tenure("b").acquire()
    with capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(Fenced):
                await owner.commit(claim, Change(cursor=9))
        with pytest.raises(Fenced):
            await owner.sure()
    assert [one["event"] for one in logs] == ["shard.lost"]
    assert owner.trouble() == "the shard was taken over by another engine"
    assert owner.status()["state"] == "lost"
    await owner.release()
    assert (await world.journal.claim(0, "c")).cursor == 0


async def test_rows_are_in_the_table_before_the_cursor_is_committed(world: World) -> None:
    rows = MemoryRows()
    owner = world.tenure("a", rows=rows)
    claim = (await owner.acquire()).claim
    assert rows.fences == [(0, 1)]
    await owner.commit(claim, Change(cursor=5))
    assert rows.drained == 1
    rows.error = Unavailable("away")
    with pytest.raises(Unavailable):
        await owner.commit(claim, Change(cursor=6))
    rows.error = Fenced("lost")
    with pytest.raises(Fenced):
        await owner.commit(claim, Change(cursor=6))
    assert owner.status()["state"] == "lost"
    assert (await world.journal.claim(0, "c")).cursor == 5


async def test_evaluation_is_given_what_was_acquired_and_then_new_terms(world: World) -> None:
    owner = world.tenure("a")
    grant = await owner.acquire()
    assert await owner.claim(0, "a:1") == grant.claim
    await owner.commit(grant.claim, Change(cursor=7))
    again = await owner.claim(0, "a:1")
    assert (again.term, again.cursor) == (2, 7)
    assert await owner.states(0) == []
    with pytest.raises(RuntimeError, match="not what this tenure is about"):
        await owner.claim(1, "a:1")


async def test_a_term_that_we_end_ourselves_is_not_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewal may come between the database's new term and our knowing of it."""
    owner = world.tenure("a")
    await owner.acquire()
    request, asked, answer = world.journal.request, asyncio.Event(), asyncio.Event()

    async def slow(shard: int, name: str, *, home: str, lease: float) -> Grant | Held:
        found = await request(shard, name, home=home, lease=lease)
        asked.set()
        await answer.wait()
        return found

    monkeypatch.setattr(world.journal, "request", slow)
    async with asyncio.TaskGroup() as group:
        again = group.create_task(owner.acquire())
        await asked.wait()
        world.clock.advance(2.0)
        renewing = group.create_task(owner.run())
        await asyncio.sleep(0.3)
        assert not renewing.done()
        answer.set()
        assert (await again).claim.term == 2
        await asyncio.sleep(0.3)
        assert not renewing.done()
        renewing.cancel()
    assert owner.trouble() is None
    assert owner.status()["state"] == "owner"


async def test_an_idle_owner_renews_and_learns_that_it_has_lost(world: World) -> None:
    owner = world.tenure("a")
    await owner.acquire()
    async with asyncio.TaskGroup() as group:
        world.clock.advance(1.6)
        renewing = group.create_task(owner.run())
        async with waiting(world.tenure("b")) as task:
            await asyncio.sleep(0.3)
            world.clock.advance(1.6)
            await turns()
            assert not task.done()
        renewing.cancel()
    world.clock.advance(4.0)
    await world.tenure("b").acquire()
    with pytest.raises(Fenced):
        await asyncio.wait_for(owner.run(), 5)


async def test_an_owner_goes_on_renewing_while_the_database_is_away(world: World) -> None:
    owner = world.tenure("a")
    await owner.acquire()
    world.clock.advance(1.6)
    world.journal.down = True
    async with asyncio.TaskGroup() as group:
        renewing = group.create_task(owner.run())
        await asyncio.sleep(0.2)
        assert not renewing.done()
        renewing.cancel()


async def test_who_slept_is_not_sure_until_it_has_asked(world: World) -> None:
    owner = world.tenure("a")
    await owner.acquire()
    world.journal.down = True
    await owner.sure()  # the lease still runs: nobody is asked
    world.clock.advance(2.5)
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(owner.sure())
        await turns()
        assert not asking.done()
        world.journal.down = False
        await asyncio.wait_for(asking, 5)
    await owner.sure()


async def test_what_was_never_acquired_cannot_be_renewed(world: World) -> None:
    world.clock.advance(10.0)
    with pytest.raises(RuntimeError, match="acquire"):
        await world.tenure("a").sure()
