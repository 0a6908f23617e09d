"""Indicators of new rules begin with stored bars; so do those of a restart without saved states."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from tests.evaluation.conftest import BTC, World, commit

from pricewatch.backtest.memory import MemoryPast
from pricewatch.backtest.replay import Replay
from pricewatch.backtest.settings import PreviewSettings
from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Candle
from pricewatch.domain.rule import Order
from pricewatch.domain.time import DAY, MINUTE
from pricewatch.engine.seeding import Want, stretches
from pricewatch.engine.settings import EngineSettings
from pricewatch.evaluation.seeding import read
from pricewatch.ports.preview import Question
from pricewatch.ports.rules import StoredRule
from pricewatch.rules.base import Feature

RSI = {"type": "rsi", "period": 3, "level": 60, "direction": "above", "bar": "1m"}
SMOOTH = {"type": "moving_average", "fast": 2, "slow": 5, "direction": "up", "bar": "5m"}
BOTH = {"type": "and", "of": [RSI, {"type": "above", "level": "99"}]}
BEFORE = [100 + (7 * n * n) % 13 for n in range(90)]
AFTER = [100 + (5 * n * n) % 17 for n in range(60)]
ONE = uuid.UUID(int=1)


async def before(world: World) -> Any:
    """Half an hour of trades that no indicator looks at."""
    evaluation = await world.recovered()
    for price in BEFORE:
        evaluation.offer(world.trade(price, after=20.0))
    assert await commit(evaluation)
    return evaluation


async def lived(when: dict[str, Any], *, killed: bool = False, **policy: Any) -> World:
    """A rule, and trades after it; on request a kill with every other one, without any saved state."""
    world = World()
    await world.open()
    evaluation = await before(world)
    await world.rule(1, when, **policy)
    await evaluation._look_for_rules()
    for number, price in enumerate(AFTER):
        evaluation.offer(world.trade(price, after=20.0))
        if killed and number % 2:
            world.ticks.spool()
            evaluation = await world.recovered()
        assert await commit(evaluation)
    await world.ticks.drain()
    return world


def told(world: World) -> list[tuple[uuid.UUID, Any]]:
    return [(entry.signal.id, entry.signal.evidence.get("value")) for entry in world.feed()]


@pytest.mark.parametrize("when", [RSI, SMOOTH, BOTH], ids=["rsi", "moving_average", "and"])
@pytest.mark.parametrize("evaluate", ["tick", "close"])
async def test_live_over_restarts_and_previewed_it_says_the_same(when: dict[str, Any], evaluate: str) -> None:
    world = await lived(when, evaluate=evaluate)
    live = told(world)
    first = world.feed()[0].signal
    begun = world.ticks.stored[len(BEFORE)].trade.at
    assert first.at - begun < 3 * MINUTE if when is not SMOOTH else first.at - begun < 20 * MINUTE
    assert told(await lived(when, evaluate=evaluate, killed=True)) == live
    (stored,) = [one async for batch in world.store.rules.everything() for one in batch]
    assert stored.effective_seen is not None
    past = MemoryPast([BTC])
    past.add_trades(world.ticks.stored)
    question = Question(
        document=stored.document, start=stored.effective_seen + 1, end=world.clock.now() + 1, rule_id=ONE
    )
    previewed = await Replay(past, PreviewSettings(), EngineSettings(models=False)).run(question)
    assert [(one.id, one.evidence.get("value")) for one in previewed.signals] == live


async def test_imported_candles_are_a_past_too(world: World) -> None:
    evaluation = await world.recovered()
    evaluation.offer(world.trade(100))
    start = world.clock.now() // MINUTE * MINUTE - 9 * MINUTE
    candles = [Candle(1, start + n * MINUTE, 1.0, 1.0, 1.0, 100.0 - n, 1.0) for n in range(9)]
    assert await world.ticks.import_candles(candles) == 9
    await world.rule(1, {**RSI, "level": 40})
    await evaluation._look_for_rules()
    evaluation.offer(world.trade(80))
    evaluation.offer(world.trade(130))
    assert await commit(evaluation)
    assert world.said() == [(1, "fired")]


async def test_a_bar_that_ends_while_bars_are_read_makes_them_be_read_again(world: World) -> None:
    evaluation = await before(world)
    await world.rule(1, RSI)
    candles, asked = world.ticks.candles, []

    async def slow(market: int, start: int, end: int, *, span: int, limit: int = 10_000) -> list[Candle]:
        asked.append(end)
        found = await candles(market, start, end, span=span, limit=limit)
        if len(asked) == 1:
            evaluation.offer(world.trade(107, after=60.0))
        return found

    world.ticks.candles = slow  # type: ignore[method-assign]
    await evaluation._look_for_rules()
    assert len(asked) == 2
    assert asked[1] - asked[0] == MINUTE
    (closes,) = evaluation._engine._markets[1].indicators().values()
    assert closes[1] == 107  # the open bar's price


async def test_a_market_whose_bars_end_faster_than_they_are_read_begins_without(world: World) -> None:
    evaluation = await before(world)
    await world.rule(1, RSI)
    candles = world.ticks.candles

    async def slow(market: int, start: int, end: int, *, span: int, limit: int = 10_000) -> list[Candle]:
        evaluation.offer(world.trade(107, after=60.0))
        return await candles(market, start, end, span=span, limit=limit)

    world.ticks.candles = slow  # type: ignore[method-assign]
    await evaluation._look_for_rules()
    assert [want.market for want in evaluation._engine.seeding.missing()] == [1, 2]
    assert [one.effective_seen is not None async for batch in world.store.rules.everything() for one in batch]


async def test_without_storage_such_a_rule_waits_and_others_do_not(world: World) -> None:
    evaluation = await before(world)
    await world.rule(1, RSI)
    await world.above(2)
    candles = world.ticks.candles

    async def away(*_: object, **__: object) -> list[Candle]:
        raise Unavailable("storage is away")

    world.ticks.candles = away  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await evaluation._look_for_rules()
    assert {rule.int for rule, _ in evaluation._owned.taken_up} == {2}
    world.ticks.candles = candles  # type: ignore[method-assign]
    await evaluation._look_for_rules()
    assert {rule.int for rule, _ in evaluation._owned.taken_up} == {1, 2}


async def test_what_evaluation_cannot_take_now_waits(world: World) -> None:
    evaluation = await before(world)
    await world.rule(1, RSI)
    answers = iter([True, False])
    assert await evaluation._intake.look(lambda: next(answers)) is None
    assert evaluation._owned.taken_up == set()


async def test_a_command_for_a_rule_that_waits_for_its_past_comes_after_it(world: World) -> None:
    evaluation = await before(world)
    await world.rule(1, RSI)
    await world.store.rules.command(world.account, ONE, Order.PAUSE, until=0)
    await evaluation._look_for_rules()
    for price in AFTER:
        evaluation.offer(world.trade(price, after=20.0))
    assert await commit(evaluation)
    assert world.said() == []


async def test_many_documents_are_read_some_at_a_time(world: World) -> None:
    evaluation = await before(world)
    stored = [StoredRule(uuid.UUID(int=n), world.account, 1, json.dumps({"n": n}).encode(), 0) for n in range(120)]
    found = await evaluation._intake._read(stored)
    assert [active for _, active in found] == [None] * 120


async def test_long_pasts_are_read_a_page_at_a_time(world: World) -> None:
    want = Want(1, Feature("rsi", spec=(5 * MINUTE, 14)))
    at = 20_000 * DAY
    given = [Candle(1, at - n * MINUTE, 1.0, 1.0, 1.0, float(n), 1.0) for n in range(1, 4_000)]
    await world.ticks.import_candles(given)
    closes = await read(world.ticks, want, at)
    ((_, start, _),) = stretches(want, at)
    assert len(closes) == -(-min(4_000 * MINUTE, at - start) // (5 * MINUTE))
    assert closes[-1] == (at - MINUTE, 1.0)
    assert [one for one, _ in closes] == sorted({one for one, _ in closes})


async def test_a_restart_leaves_markets_alone_of_which_nothing_was_stored_then(world: World) -> None:
    await world.rule(1, RSI)
    evaluation = await world.recovered()
    evaluation.offer(world.trade(100))
    assert await commit(evaluation)
    evaluation = await world.recovered()
    assert [want.market for want in evaluation._engine.seeding.missing()] == [2]
