"""A restart is a start: what was stored decides, never how we stopped."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections.abc import Sequence

import msgspec
import pytest
from tests.evaluation.conftest import BTC, ETH, S, World, commit, running, until

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Flag, Trade
from pricewatch.domain.model import Activation, Forecast, ForecastRow
from pricewatch.domain.signal import FeedEntry
from pricewatch.evaluation.worker import Evaluation
from pricewatch.ports.rules import StoredRule


def band(world: World, number: int, lower: float, upper: float) -> Forecast:
    rows = [ForecastRow(world.start + n * 60 * S, (lower + upper) / 2, lower, upper) for n in range(60)]
    return Forecast(uuid.UUID(int=number), 1, "prophet", 0, 0, 10, 0.95, 60 * S, world.start + 3600 * S, rows)


async def rules(world: World) -> None:
    await world.above(1, "100")
    await world.above(2, "101", hold="3s")
    await world.rule(3, {"type": "crosses", "direction": "down", "level": "99"})
    await world.rule(4, {"type": "change", "window": "5s", "percent": "1%", "direction": "either"})
    await world.above(5, "100.5", cooldown="20s")


def walk(world: World, count: int, luck: random.Random) -> list[Trade]:
    """Prints that cross the levels again and again; one market is sparse."""
    prices = {1: 100.0, 2: 100.0}
    trades = []
    for _ in range(count):
        market = 1 if luck.random() < 0.9 else 2
        prices[market] += luck.uniform(-0.8, 0.8) + (100 - prices[market]) * 0.05
        trades.append(world.trade(round(prices[market], 2), market=market, after=luck.uniform(0.1, 2.0)))
    return trades


def ids(entries: Sequence[FeedEntry]) -> dict[uuid.UUID, tuple[int, str, int]]:
    return {one.signal.id: (one.signal.rule_id.int, one.signal.direction.value, one.signal.at) for one in entries}


async def uninterrupted(seed: int) -> tuple[list[Trade], dict[uuid.UUID, tuple[int, str, int]]]:
    world = World()
    await world.open()
    await rules(world)
    evaluation = await world.recovered()
    trades = walk(world, 300, random.Random(seed))
    world.clock.advance(world.start / S - world.clock.now() / S)
    for trade in trades:
        world.clock.advance((trade.at - world.clock.now()) / S)
        evaluation.offer(trade)
    assert await commit(evaluation)
    return trades, ids(world.told)


@pytest.mark.parametrize("seed", range(6))
async def test_cut_anywhere_the_signals_are_those_of_an_uninterrupted_run(seed: int) -> None:
    trades, wanted = await uninterrupted(seed)
    assert len({rule for rule, _, _ in wanted.values()}) == 5
    luck = random.Random(seed + 100)
    world = World()
    await world.open()
    await rules(world)
    evaluation = await world.recovered()
    pending = list(reversed(trades))
    cuts = 0
    while pending:
        trade = pending.pop()
        world.clock.advance(max(0, trade.at - world.clock.now()) / S)
        evaluation.offer(trade)
        chance = luck.random()
        if chance < 0.2:
            world.ticks.spool()
        elif chance < 0.4:
            assert await commit(evaluation)
        elif chance < 0.5:
            cuts += 1
            lost = world.crash()  # what was in memory only, the venue's history gives back
            pending += [msgspec.structs.replace(one, flags=int(Flag.LATE)) for one in reversed(lost)]
            evaluation = await world.recovered()
    assert await commit(evaluation)
    assert cuts > 10
    assert ids(world.told) == wanted
    assert len(world.told) == len(wanted)
    assert world.ticks.conflicts == 0


async def test_rules_already_true_are_silent_after_a_restart(world: World) -> None:
    for number in range(1, 201):
        await world.above(number, "100")
    evaluation = await world.recovered()
    evaluation.offer(world.trade(90))
    evaluation.offer(world.trade(110))
    assert await commit(evaluation)
    assert len(world.told) == 200
    for _ in range(3):
        world.clock.advance(60)
        evaluation = await world.recovered()
        evaluation.offer(world.trade(111))
        assert await commit(evaluation)
    assert len(world.told) == 200


async def test_what_became_true_while_down_is_told_once_and_late(world: World) -> None:
    await world.above()
    evaluation = await world.recovered()
    evaluation.offer(world.trade(90))
    assert await commit(evaluation)
    crossing = world.trade(110)
    evaluation.offer(crossing)
    world.ticks.spool()
    world.clock.advance(60)
    evaluation = await world.recovered()
    assert await commit(evaluation)
    assert world.said() == [(1, "fired")]
    assert world.told[0].signal.late
    assert world.told[0].signal.at == crossing.at


async def test_rules_changed_or_deleted_while_down_are_taken_up(world: World) -> None:
    for number in (1, 2, 3):
        await world.above(number, "100")
    evaluation = await world.recovered()
    evaluation.offer(world.trade(90))
    assert await commit(evaluation)
    book = world.store.rules
    document = {"title": "higher", "symbols": "*", "when": {"type": "above", "level": "200"}}
    await book.revise(world.account, uuid.UUID(int=1), json.dumps(document).encode())
    await book.delete(world.account, uuid.UUID(int=2))
    await world.above(4, "100")
    evaluation = await world.recovered()
    evaluation.offer(world.trade(90))
    evaluation.offer(world.trade(110))
    assert await commit(evaluation)
    assert sorted(world.said()) == [(3, "fired"), (4, "fired")]
    evaluation.offer(world.trade(210))
    assert await commit(evaluation)
    assert world.said()[-1] == (1, "fired")
    assert world.told[-1].signal.rule_version == 2
    assert {rule.version for rule in await book.pending() if not rule.deleted} == set()


async def test_rules_changed_while_running_are_taken_up_once(world: World) -> None:
    await world.above()
    evaluation = await world.recovered(rules_interval=60.0)
    async with running(evaluation):
        evaluation.offer(world.trade(90))
        await world.above(2, "95")
        evaluation.rules_changed()
        await until(lambda: evaluation._engine._roster._rules.keys() >= {uuid.UUID(int=2)})
        evaluation.offer(world.trade(90))
        evaluation.offer(world.trade(96))
        await until(lambda: world.said() == [(2, "fired")])
        await world.store.rules.delete(world.account, uuid.UUID(int=2))
        evaluation.rules_changed()
        await until(lambda: uuid.UUID(int=2) not in evaluation._engine._roster._rules)
        await world.store.rules.create(world.account, b"{}", rule_id=uuid.UUID(int=9))
        evaluation.rules_changed()
        await until(lambda: evaluation.unreadable_rules == 1)
    assert not await world.store.rules.pending()
    places = [place for change in world.changes for place in change.effective]
    assert len(places) == len({(rule, version) for rule, version, _ in places})


async def test_a_rule_whose_commit_passes_our_question_is_not_taken_up_twice(world: World) -> None:
    evaluation = await world.recovered(rules_interval=60.0)
    await world.above()
    book = world.store.rules
    pending = book.pending
    asked = asyncio.Event()
    answer = asyncio.Event()

    async def slow() -> list[StoredRule]:
        found = await pending()
        if asked.is_set():
            return found
        asked.set()
        await answer.wait()
        return found

    evaluation._intake.take_up(await evaluation._intake._read(await pending()))
    book.pending = slow  # type: ignore[method-assign]  # an answer that is old when it comes
    async with running(evaluation):
        evaluation.rules_changed()
        await asked.wait()
        evaluation.offer(world.trade(90))
        evaluation.offer(world.trade(110))
        await until(lambda: world.told)
        answer.set()
        await asyncio.sleep(0.02)
        evaluation.offer(world.trade(90))
        await until(lambda: len(world.told) == 2)
    assert world.said() == [(1, "fired"), (1, "cleared")]


async def test_unreadable_rules_are_counted_and_the_others_run(world: World) -> None:
    await world.above()
    await world.store.rules.create(world.account, b'{"when": "what?"}', rule_id=uuid.UUID(int=2))
    evaluation = await world.recovered()
    assert evaluation.unreadable_rules == 1
    evaluation.offer(world.trade(90))
    evaluation.offer(world.trade(110))
    assert await commit(evaluation)
    assert world.said() == [(1, "fired")]


async def test_markets_no_longer_configured_do_not_stop_a_start(world: World) -> None:
    await world.above()
    evaluation = await world.recovered()
    for market in (1, 2):
        evaluation.offer(world.trade(90, market=market))
    assert await commit(evaluation)
    evaluation.offer(world.trade(110, market=2))
    evaluation.offer(world.trade(110, market=1))
    world.ticks.spool()
    evaluation = await world.recovered(markets=(BTC,))
    assert await commit(evaluation)
    assert [(one.signal.market, one.signal.late) for one in world.told] == [(1, True)]


async def test_a_change_rule_knows_the_price_before_its_window_after_a_restart(world: World) -> None:
    """The reference of a sparse market lies before the span that is read again."""
    await world.rule(1, {"type": "change", "window": "5m", "percent": "1%", "direction": "up"})
    evaluation = await world.recovered()
    evaluation.offer(world.trade(100))
    evaluation.offer(world.trade(100.1, after=310))
    evaluation.offer(world.trade(100.2, after=200))
    assert await commit(evaluation)
    evaluation = await world.recovered()
    evaluation.offer(world.trade(101.5, after=90))
    assert await commit(evaluation)
    assert world.said() == [(1, "fired")]


async def test_a_silent_market_does_not_make_a_start_read_its_whole_silence(world: World) -> None:
    evaluation = await world.recovered(models=True)
    evaluation.offer(world.trade(50, market=ETH.id))
    for _ in range(200):
        evaluation.offer(world.trade(100, after=10))
    assert await commit(evaluation)
    for market in (BTC, ETH):
        evaluation._owned.keep(evaluation._engine.snapshot(market.id))
    await evaluation._owned.save_models()
    assert len({one.seen for one in await world.models.snapshots()}) == 2
    before = world.ticks.read
    spans = []

    def read(after: int, **how: int) -> object:
        spans.append(after)
        return before(after, **how)

    world.ticks.read = read  # type: ignore[assignment, method-assign]  # a spy on a fake
    await world.recovered(models=True)
    assert min(spans) > world.clock.now() - 300 * S


async def test_a_timer_that_waited_for_a_blind_market_waits_on_after_a_crash(world: World) -> None:
    await world.above(hold="5s")
    evaluation = await world.recovered()
    evaluation.offer(world.trade(90))
    evaluation.offer(world.trade(110))
    evaluation.blind(BTC.id)
    for _ in range(10):
        evaluation.offer(world.trade(50, market=ETH.id))
    assert await commit(evaluation)
    assert not world.told
    evaluation = await world.recovered()
    assert await commit(evaluation)
    assert not world.told
    breaking = world.trade(90, after=0)
    evaluation.offer(
        Trade(1, world.start + 4 * S, 90.0, 1.0, 0, breaking.key, breaking.received, flags=2)
    )  # the refill
    evaluation.sighted(BTC.id)
    evaluation._engine.advance(world.clock.now() + 60 * S)
    assert await commit(evaluation)
    assert not world.told


async def test_forecasts_are_activated_at_their_place_in_the_order(world: World) -> None:
    await world.rule(1, {"type": "outside_band"})
    first, second = band(world, 1, 90, 110), band(world, 2, 70, 80)
    evaluation = await world.recovered()
    evaluation.offer(world.trade(100))
    for forecast in (first, second):
        await world.models.save_forecast(forecast)
    evaluation.forecast_ready(first)
    evaluation.offer(world.trade(100))
    assert await commit(evaluation)
    evaluation.offer(world.trade(95))
    evaluation.forecast_ready(second)
    evaluation.offer(world.trade(96))
    evaluation._writer.spool()
    await world.models.activate(evaluation._owned._activations)  # killed between the two writes of a commit
    evaluation = await world.recovered()
    assert await commit(evaluation)
    assert [(one.signal.direction.value, one.signal.price) for one in world.told] == [("fired", 96.0)]
    evaluation = await world.recovered()
    evaluation.offer(world.trade(75))
    assert await commit(evaluation)
    assert world.said()[-1] == (1, "cleared")


async def test_an_activation_after_everything_stored_is_in_force_after_the_start(world: World) -> None:
    await world.rule(1, {"type": "outside_band"})
    evaluation = await world.recovered()
    evaluation.offer(world.trade(100))
    assert await commit(evaluation)
    forecast = band(world, 1, 90, 110)
    await world.models.save_forecast(forecast)
    evaluation.forecast_ready(forecast)
    await world.models.activate(evaluation._owned._activations)
    evaluation = await world.recovered()
    evaluation.offer(world.trade(100))
    evaluation.offer(world.trade(120))
    assert await commit(evaluation)
    assert world.said() == [(1, "fired")]


async def test_an_activation_that_comes_during_a_commit_is_journaled_too(world: World) -> None:
    evaluation = await world.recovered()
    evaluation.offer(world.trade(100))
    activate = world.models.activate

    async def slow(activations: Sequence[Activation]) -> None:
        await asyncio.sleep(0)
        await activate(activations)
        await asyncio.sleep(0)

    world.models.activate = slow  # type: ignore[method-assign]  # the other side takes its time
    for number in (1, 2):
        await world.models.save_forecast(band(world, number, 90, 110))
    evaluation.forecast_ready(band(world, 1, 90, 110))
    async with asyncio.TaskGroup() as group:
        group.create_task(commit(evaluation))
        await asyncio.sleep(0)
        evaluation.forecast_ready(band(world, 2, 90, 110))
    assert await commit(evaluation)
    assert len(world.models._activations) == 2


async def test_snapshots_are_never_ahead_of_the_cursor(world: World) -> None:
    await world.above()
    evaluation = await world.recovered(models=True)
    async with running(evaluation):
        for number in range(60):
            evaluation.offer(world.trade(100 + number % 7, market=1 + number % 2))
            await asyncio.sleep(0.003)
            saved = await world.models.snapshots()
            assert all(one.seen <= world.store.journal._claims[0].cursor for one in saved)
        await until(lambda: world.models._snapshots)
        world.store.journal.down = True
        evaluation.offer(world.trade(90))
        before = {place: one.seen for place, one in world.models._snapshots.items()}
        await until(lambda: evaluation.status()["storage"] == "down")
        await asyncio.sleep(0.1)
        assert all(one.seen <= world.store.journal._claims[0].cursor for one in await world.models.snapshots())
        assert len(evaluation._owned._snapshots) <= 2 * len(before)
        world.store.journal.down = False
        await until(lambda: world.models._snapshots[1, "bars"].seen > before[1, "bars"] if before else True)


async def test_bar_scores_wait_while_they_cannot_be_written(world: World) -> None:
    evaluation = await world.recovered(models=True)
    for number in range(200):
        evaluation.offer(world.trade(100 + number % 7))
    assert evaluation._engine.bar_scores
    save = world.models.save_bar_scores

    async def away(scores: object) -> None:
        raise Unavailable("away")

    world.models.save_bar_scores = away  # type: ignore[method-assign]
    count = len(evaluation._engine.bar_scores)
    with pytest.raises(Unavailable):
        await evaluation._owned.save_models()
    assert len(evaluation._engine.bar_scores) == count
    world.models.save_bar_scores = save  # type: ignore[method-assign]
    await evaluation._owned.save_models()
    assert len(world.models.bar_scores) == count


async def test_recovery_can_begin_again_when_storage_goes_away_in_it(world: World) -> None:
    await world.above()
    evaluation = await world.recovered()
    evaluation.offer(world.trade(90))
    assert await commit(evaluation)
    evaluation.offer(world.trade(110))
    await world.ticks.drain()
    again = world.build()
    world.ticks.away = True
    with pytest.raises(Unavailable):
        await again.recover((BTC, ETH))
    assert again.trouble() == "evaluation has not recovered yet"
    world.ticks.away = False
    await again.recover((BTC, ETH))
    assert again.trouble() is None
    assert await commit(again)
    assert world.said() == [(1, "fired")]


class TestPause:
    """More than may wait: ticks are only spooled until storage is back."""

    async def test_nothing_is_lost_doubled_or_out_of_order(self, world: World) -> None:
        await world.above()
        evaluation = await world.recovered(max_uncommitted=5)
        async with running(evaluation):
            await self._pause(world, evaluation)
            for price in (90, 110) * 20:
                evaluation.offer(world.trade(price))
            evaluation._spooling.now()
            waiting = evaluation.status()["uncommitted"]
            await asyncio.sleep(0.02)
            assert evaluation.status()["uncommitted"] == waiting
            world.store.journal.down = world.ticks.away = False
            await until(lambda: not evaluation.status()["paused"])
            evaluation.offer(world.trade(90))
            await until(lambda: world.said()[-1:] == [(1, "cleared")] and evaluation.status()["uncommitted"] == 0)
        places = [entry.signal.seen for entry in world.told]
        assert places == sorted(set(places))
        assert world.said() == [(1, "fired"), (1, "cleared")] * (len(world.told) // 2)
        assert len(world.told) == 8 + 40
        assert evaluation.pauses == 1

    async def _pause(self, world: World, evaluation: Evaluation) -> None:
        evaluation.offer(world.trade(90))
        world.store.journal.down = world.ticks.away = True
        for price in (110, 90, 110, 90, 110, 90, 110):
            evaluation.offer(world.trade(price))
        await until(lambda: evaluation.status()["paused"])
        assert "waits for storage" in str(evaluation.trouble())

    async def test_a_tail_that_overflowed_is_read_from_storage(self, world: World) -> None:
        await world.above()
        evaluation = await world.recovered(max_uncommitted=5, catch_up_tail=100)
        async with running(evaluation):
            await self._pause(world, evaluation)
            for price in (90, 110) * 300:
                evaluation.offer(world.trade(price))
            world.store.journal.down = world.ticks.away = False
            await until(lambda: not evaluation.status()["paused"] and evaluation.status()["uncommitted"] == 0)
        assert len(world.told) == 7 + 600

    async def test_catching_up_is_tried_again_when_the_table_comes_back_later(self, world: World) -> None:
        await world.above()
        evaluation = await world.recovered(max_uncommitted=5)
        async with running(evaluation):
            await self._pause(world, evaluation)
            evaluation.offer(world.trade(90))
            world.store.journal.down = False
            await until(lambda: evaluation.status()["storage"] == "up")
            await asyncio.sleep(0.05)
            assert evaluation.status()["paused"]
            world.ticks.away = False
            await until(lambda: not evaluation.status()["paused"])
            await until(lambda: len(world.told) == 8)

    async def test_timers_rules_and_forecasts_keep_their_place(self, world: World) -> None:
        await world.above(1, "100")
        await world.above(2, "100", hold="5s")
        await world.rule(3, {"type": "outside_band"})
        evaluation = await world.recovered(max_uncommitted=5)
        async with running(evaluation):
            await self._pause(world, evaluation)
            evaluation.offer(world.trade(90))
            forecast = band(world, 1, 80, 200)
            await world.models.save_forecast(forecast)
            world.clock.advance(60)
            evaluation.forecast_ready(forecast)
            await world.above(4, "100")
            evaluation.rules_changed()
            await asyncio.sleep(0.03)
            evaluation.offer(world.trade(210))
            world.store.journal.down = world.ticks.away = False
            await until(lambda: not evaluation.status()["paused"] and (1, "fired") in world.said()[-3:])
            await until(lambda: uuid.UUID(int=4) in evaluation._engine._roster._rules)
            evaluation.offer(world.trade(90))
            evaluation.offer(world.trade(110))
            await until(lambda: (4, "fired") in world.said())
        assert (2, "fired") not in world.said()
        assert (3, "fired") in world.said()
