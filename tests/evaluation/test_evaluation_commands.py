"""What owners tell their rules: each command once, at its place in the order, also after a crash."""

from __future__ import annotations

import json
import uuid

from tests.evaluation.conftest import S, World, commit, running, until

from pricewatch.domain.rule import Order

ONE = uuid.UUID(int=1)


async def tell(world: World, order: Order, *, seconds: float = 0) -> None:
    moment = world.clock.now() + round(seconds * S) if seconds else 0
    await world.store.rules.command(world.account, ONE, order, until=moment)


async def test_a_pause_survives_a_crash_and_a_resume_ends_it(world: World) -> None:
    await world.above()
    evaluation = await world.recovered()
    evaluation.offer(world.trade(90))
    await tell(world, Order.PAUSE)
    async with running(evaluation):
        evaluation.rules_changed()
        await until(lambda: any(change.commands for change in world.changes))
    evaluation = await world.recovered()
    for price in (110, 90, 110):
        evaluation.offer(world.trade(price))
    assert await commit(evaluation)
    assert world.said() == []
    await tell(world, Order.RESUME)
    async with running(evaluation):
        evaluation.rules_changed()
        await until(lambda: sum(len(change.commands) for change in world.changes) == 2)
        for price in (90, 110):
            evaluation.offer(world.trade(price))
        await until(lambda: world.told)
    assert world.said() == [(1, "fired")]
    assert await world.store.rules.pending_commands() == []


async def test_a_command_given_while_down_comes_after_what_was_stored(world: World) -> None:
    await world.above()
    evaluation = await world.recovered()
    evaluation.offer(world.trade(90))
    assert await commit(evaluation)
    evaluation.offer(world.trade(110))
    world.ticks.spool()
    await tell(world, Order.PAUSE)
    evaluation = await world.recovered()
    for price in (90, 110):
        evaluation.offer(world.trade(price))
    assert await commit(evaluation)
    assert world.said() == [(1, "fired")]
    assert world.changes[-1].commands[0][2] <= world.changes[-1].cursor


async def test_a_command_whose_commit_failed_is_taken_up_again(world: World) -> None:
    await world.above()
    evaluation = await world.recovered()
    evaluation.offer(world.trade(90))
    assert await commit(evaluation)
    await tell(world, Order.PAUSE)
    async with running(evaluation):
        world.store.journal.down = True
        evaluation.rules_changed()
        await until(lambda: evaluation._owned.obeyed)
        evaluation.rules_changed()
        await until(lambda: not evaluation._rules_wake.is_set())
        world.store.journal.down = False
        await until(lambda: not evaluation._owned.obeyed)
    assert sum(len(change.commands) for change in world.changes) == 1
    (taken,) = [one async for batch in world.store.rules.taken_commands() for one in batch]
    assert taken.effective_seen == world.changes[-1].commands[0][2]


async def test_a_snooze_over_before_the_stop_changes_nothing_after_it(world: World) -> None:
    await world.above(hold="30s")
    evaluation = await world.recovered()
    evaluation.offer(world.trade(90))
    await tell(world, Order.SNOOZE, seconds=5)
    await evaluation._look_for_rules()
    for price in (90, 90, 90, 90, 90, 90, 110):
        evaluation.offer(world.trade(price))
    assert await commit(evaluation)
    evaluation = await world.recovered()
    world.clock.advance(31)
    evaluation.offer(world.trade(110))
    assert await commit(evaluation)
    assert world.said() == [(1, "fired")]


async def test_a_snooze_goes_on_over_a_restart(world: World) -> None:
    await world.above()
    evaluation = await world.recovered()
    evaluation.offer(world.trade(90))
    await tell(world, Order.SNOOZE, seconds=5)
    await evaluation._look_for_rules()
    assert await commit(evaluation)
    evaluation = await world.recovered()
    for price in (110, 90, 90, 90, 90, 90, 110):
        evaluation.offer(world.trade(price))
    assert await commit(evaluation)
    assert world.said() == [(1, "fired")]


async def test_a_title_changed_while_down_keeps_the_state(world: World) -> None:
    await world.above()
    evaluation = await world.recovered()
    for price in (90, 110):
        evaluation.offer(world.trade(price))
    assert await commit(evaluation)
    document = {"title": "another", "symbols": "*", "when": {"type": "above", "level": "100"}}
    await world.store.rules.revise(world.account, ONE, json.dumps(document).encode())
    for _ in range(2):
        evaluation = await world.recovered()
        evaluation.offer(world.trade(110))
        assert await commit(evaluation)
    evaluation.offer(world.trade(90))
    assert await commit(evaluation)
    assert world.said() == [(1, "fired"), (1, "cleared")]
    assert [entry.signal.rule_version for entry in world.told] == [1, 2]


async def test_what_was_stored_is_judged_by_the_version_in_force_then(world: World) -> None:
    await world.above()
    evaluation = await world.recovered()
    evaluation.offer(world.trade(90))
    assert await commit(evaluation)
    evaluation.offer(world.trade(110))
    world.ticks.spool()
    await world.above(level="200")
    evaluation = await world.recovered()
    assert await commit(evaluation)
    assert world.said() == [(1, "fired")]
    assert (world.told[0].signal.rule_version, world.told[0].signal.late) == (1, True)


async def test_an_expired_rule_is_told_once_over_restarts(world: World) -> None:
    await world.above(expires="2024-01-01T00:00:00Z", warn="1h")
    evaluation = await world.recovered()
    evaluation.offer(world.trade(90))
    world.clock.advance(10**8)
    for _ in range(3):
        evaluation.offer(world.trade(90))
        assert await commit(evaluation)
        evaluation = await world.recovered()
    evaluation.offer(world.trade(110))
    assert await commit(evaluation)
    assert world.said() == [(1, "expiring"), (1, "expired")]
