"""Order, commit, and what is told when."""

from __future__ import annotations

import asyncio

import pytest
from tests.evaluation.conftest import BTC, ETH, S, World, commit, running, until

from pricewatch.domain.errors import Fenced
from pricewatch.domain.market import Flag, Quote


async def test_seen_grows_under_a_clock_that_stands_still_or_jumps_back(world: World) -> None:
    evaluation = await world.recovered()
    for _ in range(3):
        evaluation.offer(world.trade(90, after=0))
    world.clock.advance(-3600)
    evaluation.offer(world.trade(90, after=0))
    seen = [one.seen for one in world.ticks.packed]
    assert seen == sorted(set(seen))
    assert await commit(evaluation)
    again = await world.recovered()
    again.offer(world.trade(90, after=0))
    assert world.ticks.packed[-1].seen > seen[-1]


async def test_a_tick_is_packed_evaluated_and_shown_in_one_call(world: World) -> None:
    evaluation = await world.recovered()
    trade = world.trade(90)
    evaluation.offer(trade)
    quote = Quote(1, trade.at, 89.0, 1.0, 91.0, 1.0, trade.received)
    evaluation.offer(quote)
    assert [one.trade for one in world.ticks.packed] == [trade]
    assert [one for _, one in world.tape.trades] == [trade]
    assert [one for _, one in world.tape.quotes] == [quote]
    assert world.tape.trades[0][0] < world.tape.quotes[0][0]


async def test_what_a_quote_brought_about_is_committed_at_its_place(world: World) -> None:
    await world.rule(1, {"type": "spread", "percent": "1%"})
    evaluation = await world.recovered()
    last = world.trade(100)
    evaluation.offer(last)
    async with running(evaluation):
        for bid, ask in ((100.0, 100.0), (99.0, 101.0)):
            world.clock.advance(1.0)
            evaluation.offer(Quote(1, world.clock.now(), bid, 1.0, ask, 1.0, world.clock.now()))
        await until(lambda: bool(world.told))
    assert world.said() == [(1, "fired")]
    (signal,) = (entry.signal for entry in world.told)
    assert signal.cause == f"quote:{world.tape.quotes[-1][0]}"
    assert world.changes[-1].cursor >= signal.seen


async def test_the_spool_is_written_before_every_commit(world: World) -> None:
    await world.above()
    evaluation = await world.recovered()
    world.calls.clear()
    async with running(evaluation):
        for price in (90, 110, 90, 110):
            evaluation.offer(world.trade(price))
            await asyncio.sleep(0.02)
    before = None
    for call in world.calls:
        assert call != "commit" or before in {"spool", "activate"}
        before = call
    assert world.said() == [(1, "fired"), (1, "cleared"), (1, "fired")]


async def test_a_failing_journal_keeps_and_merges_and_tells_once(world: World) -> None:
    await world.above()
    evaluation = await world.recovered()
    async with running(evaluation):
        evaluation.offer(world.trade(90))
        await until(lambda: evaluation.status()["cursor"] == evaluation.status()["evaluated"])
        world.store.journal.down = True
        for price in (110, 90, 110, 90, 110):
            evaluation.offer(world.trade(price))
            await asyncio.sleep(0.005)
        await until(lambda: evaluation.status()["storage"] == "down")
        assert evaluation.status()["uncommitted"] == 5
        assert not world.told
        assert evaluation.trouble() is None
        world.store.journal.down = False
        await until(lambda: len(world.told) == 5)
    assert world.said() == [(1, "fired"), (1, "cleared")] * 2 + [(1, "fired")]
    assert len(world.changes[-1].states) <= 1
    assert [entry.seq for entry in world.told] == [1, 2, 3, 4, 5]
    assert evaluation.status()["storage"] == "up"
    assert evaluation.status()["uncommitted"] == 0


async def test_signals_that_wait_count_even_where_their_states_merge(world: World) -> None:
    await world.above()
    evaluation = await world.recovered()
    world.store.journal.down = True
    for price in (90, *(110, 90) * 10):
        evaluation.offer(world.trade(price))
        assert not await commit(evaluation)
    assert evaluation.status()["uncommitted"] == 20


async def test_a_full_disk_stops_the_cursor(world: World) -> None:
    await world.above()
    evaluation = await world.recovered()
    async with running(evaluation):
        evaluation.offer(world.trade(90))
        await until(lambda: evaluation.status()["cursor"] == evaluation.status()["evaluated"])
        cursor = evaluation.status()["cursor"]
        world.full = True
        evaluation.offer(world.trade(110))
        await until(lambda: evaluation.status()["storage"] == "down")
        await asyncio.sleep(0.02)
        assert evaluation.status()["cursor"] == cursor
        assert not world.told
        world.full = False
        await until(lambda: world.told)
    assert evaluation.status()["cursor"] > cursor


async def test_a_fenced_owner_goes_down(world: World) -> None:
    await world.above()
    first = await world.recovered()
    first.offer(world.trade(90))
    second = await world.recovered()
    first.offer(world.trade(110))
    with pytest.raises(Fenced):
        await first.run()
    assert not world.told
    second.offer(world.trade(90))
    second.offer(world.trade(110))
    assert await commit(second)
    assert world.said() == [(1, "fired")]


async def test_a_stop_commits_what_is_left(world: World) -> None:
    await world.above()
    evaluation = await world.recovered(checkpoint_interval=60, commit_retry=60)
    async with running(evaluation):
        evaluation.offer(world.trade(90))
        evaluation.offer(world.trade(110))
    assert world.said() == [(1, "fired")]
    assert evaluation.status()["cursor"] == evaluation.status()["evaluated"]
    assert not world.ticks.packed


async def test_only_the_cursor_is_committed_at_a_checkpoint(world: World) -> None:
    evaluation = await world.recovered()
    async with running(evaluation):
        evaluation.offer(world.trade(90))
        await until(lambda: evaluation.status()["cursor"] == evaluation.status()["evaluated"] > 0)
    assert not world.changes[-1].states
    assert {sample.name for sample in evaluation.samples()} >= {"trades", "quotes", "commits", "signals", "uncommitted"}


async def test_timers_fire_without_ticks_and_wait_while_a_market_is_blind(world: World) -> None:
    await world.above(hold="5s")
    await world.above(2, "10", hold="5s")
    evaluation = await world.recovered()
    async with running(evaluation):
        for market, price in ((1, 90), (2, 5), (1, 110), (2, 11)):
            evaluation.offer(world.trade(price, market=market, after=0.1))
        evaluation.blind(BTC.id)
        world.clock.advance(10)
        await until(lambda: world.told)
        assert [(entry.signal.rule_id.int, entry.signal.market) for entry in world.told] == [(2, ETH.id)]
        evaluation.sighted(BTC.id)
        world.clock.advance(0.1)
        await until(lambda: len([one for one in world.told if one.signal.market == BTC.id]) >= 1)
    assert world.said()[-1] == (1, "fired")


async def test_a_refilled_trade_does_not_end_the_blindness_a_live_one_does(world: World) -> None:
    await world.above(hold="5s")
    evaluation = await world.recovered()
    evaluation.offer(world.trade(90))
    evaluation.offer(world.trade(110))
    evaluation.blind(BTC.id)
    evaluation.offer(world.trade(111, flags=Flag.LATE))
    world.clock.advance(20)
    evaluation._engine.advance(world.clock.now())
    assert await commit(evaluation)
    assert not world.told
    evaluation.offer(world.trade(112, after=0))
    assert await commit(evaluation)
    assert world.said() == [(1, "fired")]
    assert world.told[0].signal.at == world.start + 7 * S


async def test_after_a_start_timers_wait_for_the_hold(world: World) -> None:
    await world.above(hold="5s")
    first = await world.recovered()
    first.offer(world.trade(90))
    first.offer(world.trade(110))
    assert await commit(first)
    world.clock.advance(30)
    second = await world.recovered(recovery_hold=5.0)
    async with running(second):
        await asyncio.sleep(0.03)
        assert not world.told
        world.clock.advance(6)
        await until(lambda: world.told)
    assert world.said() == [(1, "fired")]


async def test_before_recovery_nothing_can_be_offered(world: World) -> None:
    evaluation = world.build()
    assert evaluation.trouble() == "evaluation has not recovered yet"
    assert evaluation.status()["cursor"] is None
    with pytest.raises(RuntimeError, match="recover"):
        evaluation.offer(world.trade(90))
    with pytest.raises(RuntimeError, match="recover"):
        await evaluation.run()
