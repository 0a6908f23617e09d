from __future__ import annotations

import asyncio

from tests.evaluation.conftest import World, commit, running, until

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.signal import FeedEntry
from pricewatch.ports.journal import Change, Claim


async def _burst(world: World, rules: int, trades: int) -> list[tuple[int, str]]:
    """Rules that all fire and clear with every trade; what is to be said of it, in order."""
    for number in range(1, rules + 1):
        await world.above(number)
    evaluation = await world.recovered(commit_changes=5)
    for number in range(trades + 1):
        evaluation.offer(world.trade(90.0 if number % 2 == 0 else 110.0))
    assert await commit(evaluation)
    assert evaluation.status()["uncommitted"] == 0
    assert evaluation.status()["cursor"] == evaluation.status()["evaluated"]
    return [(rule, "fired" if n % 2 == 0 else "cleared") for n in range(trades) for rule in range(1, rules + 1)]


async def test_a_burst_is_committed_and_told_piece_by_piece(world: World) -> None:
    expected = await _burst(world, 2, 40)
    assert world.said() == expected
    assert [entry.seq for entry in world.told] == list(range(1, 81))
    assert [len(change.signals) for change in world.changes if change.signals] == [6] * 13 + [2]


async def test_what_one_trade_brings_about_is_never_parted(world: World) -> None:
    expected = await _burst(world, 12, 3)
    assert world.said() == expected
    assert [len(change.signals) for change in world.changes if change.signals] == [12, 12, 12]


async def test_the_cursor_of_a_piece_is_its_last_change(world: World) -> None:
    await _burst(world, 2, 10)
    cursors = [change.cursor for change in world.changes]
    assert cursors == sorted(cursors)
    for change in world.changes[:-1]:
        if change.states:
            assert change.cursor == max(row.seen for row in change.states)


async def test_a_crash_between_two_pieces_says_the_rest_and_nothing_twice(world: World) -> None:
    for number in (1, 2):
        await world.above(number)
    evaluation = await world.recovered(commit_changes=5)
    journal_commit = world.store.journal.commit
    made = 0

    async def one_piece(claim: Claim, change: Change) -> list[FeedEntry]:
        nonlocal made
        if made == 1 and change.signals:
            raise Unavailable("killed here")
        made += bool(change.signals)
        return await journal_commit(claim, change)

    world.store.journal.commit = one_piece  # type: ignore[method-assign]  # a spy on a fake
    for number in range(11):
        evaluation.offer(world.trade(90.0 if number % 2 == 0 else 110.0))
    assert not await commit(evaluation)
    assert len(world.feed()) == 6
    assert evaluation.status()["uncommitted"] == 14
    world.store.journal.commit = journal_commit  # type: ignore[method-assign]

    again = await world.recovered(commit_changes=5)
    assert await commit(again)
    said = [(entry.signal.rule_id.int, entry.signal.direction.value) for entry in world.feed()]
    assert said == [(rule, "fired" if n % 2 == 0 else "cleared") for n in range(10) for rule in (1, 2)]
    assert len({entry.signal.id for entry in world.feed()}) == 20


async def test_a_piece_that_failed_is_tried_again_with_what_came_after(world: World) -> None:
    await world.above(1)
    evaluation = await world.recovered(commit_changes=5)
    journal_commit, away = world.store.journal.commit, True

    async def ambiguous(claim: Claim, change: Change) -> list[FeedEntry]:
        entries = await journal_commit(claim, change)
        if away:
            raise Unavailable("the answer was lost")
        return entries

    world.store.journal.commit = ambiguous  # type: ignore[method-assign]  # a spy on a fake
    for number in range(4):
        evaluation.offer(world.trade(90.0 if number % 2 == 0 else 110.0))
    assert not await commit(evaluation)
    tried = world.changes[-1].cursor
    for number in range(12):
        evaluation.offer(world.trade(90.0 if number % 2 == 0 else 110.0))
    away = False
    assert await commit(evaluation)
    later = [change.cursor for change in world.changes[1:]]
    assert min(later) >= tried
    assert len(world.feed()) == len({entry.seq for entry in world.feed()})
    assert evaluation.status()["uncommitted"] == 0


async def test_what_happens_during_a_commit_waits_for_the_next(world: World) -> None:
    await world.above(1)
    evaluation = await world.recovered(commit_changes=5)
    journal_commit, reached, go = world.store.journal.commit, asyncio.Event(), asyncio.Event()

    async def held(claim: Claim, change: Change) -> list[FeedEntry]:
        if change.signals:
            reached.set()
            await go.wait()
        return await journal_commit(claim, change)

    world.store.journal.commit = held  # type: ignore[method-assign]  # a spy on a fake
    async with running(evaluation):
        evaluation.offer(world.trade(90.0))
        evaluation.offer(world.trade(110.0))
        await reached.wait()
        evaluation.offer(world.trade(90.0))
        cursor = evaluation.status()["cursor"]
        go.set()
        await until(lambda: len(world.told) == 2)
        assert world.said() == [(1, "fired"), (1, "cleared")]
        await until(lambda: evaluation.status()["cursor"] > cursor)
    beyond = [row.seen > change.cursor for change in world.changes for row in change.states]
    assert not any(beyond)
