"""Rules are taken up once, and many of them a slice at a time."""

from __future__ import annotations

import asyncio

import pytest
from tests.evaluation.conftest import World, commit, running, until

from pricewatch.domain.errors import Unavailable
from pricewatch.evaluation import committer
from pricewatch.ports.journal import Change, Claim
from pricewatch.ports.rules import StoredRule


async def test_a_rule_committed_while_somebody_looks_for_rules_is_not_taken_up_again(world: World) -> None:
    evaluation = await world.recovered()
    look, keep = world.store.rules.pending, world.store.journal.commit

    async def slow_look() -> list[StoredRule]:
        found = await look()
        await asyncio.sleep(0.04)
        return found

    async def slow_commit(claim: Claim, change: Change) -> object:
        await asyncio.sleep(0.03)
        return await keep(claim, change)

    world.store.rules.pending = slow_look  # type: ignore[method-assign]  # a slow fake
    world.store.journal.commit = slow_commit  # type: ignore[method-assign,assignment]
    await world.above()
    async with running(evaluation):
        evaluation.rules_changed()
        await until(lambda: any(change.effective for change in world.changes))
        await asyncio.sleep(0.15)
    assert sum(len(change.effective) for change in world.changes) == 1


async def test_many_rules_are_taken_up_in_slices_before_the_cursor_moves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "_SLICE", 2)
    for number in range(1, 6):
        await world.above(number)
    evaluation = await world.recovered()
    evaluation.offer(world.trade(90))
    evaluation.offer(world.trade(110))
    before = evaluation.status()["cursor"]
    world.store.journal.down = True
    assert not await commit(evaluation)
    assert evaluation.status()["storage"] == "down"
    with pytest.raises(Unavailable):
        await world.store.journal.claim(0, "x")
    world.store.journal.down = False
    assert await commit(evaluation)
    assert [(len(change.effective), change.cursor == before) for change in world.changes] == [
        (2, True),
        (2, True),
        (1, False),
    ]
    assert [rule for rule, _ in world.said()] == [1, 2, 3, 4, 5]
