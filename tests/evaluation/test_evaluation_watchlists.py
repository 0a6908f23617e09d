"""Rules over a watchlist follow it while they run and over a restart."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence

import pytest
from tests.evaluation.conftest import BTC, ETH, World, commit

from pricewatch.evaluation.worker import Evaluation
from pricewatch.ports.records import Watchlist
from pricewatch.testing.records import MemoryWatchlists

ONE = uuid.UUID(int=1)


class Lists:
    """A world whose evaluation looks into lists."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lists = MemoryWatchlists(world.store.clock, world.store.accounts)
        self.made: Watchlist | None = None

    async def put(self, *symbols: str) -> None:
        if self.made is None:
            self.made = await self.lists.create(self.world.account, "majors", symbols)
        else:
            await self.lists.change(self.world.account, self.made.id, "majors", symbols)

    async def rule(self, title: str = "listed", level: str = "100") -> None:
        when = {"type": "above", "level": level}
        document = {"title": title, "symbols": {"watchlist": "majors"}, "when": when}
        await self.world.store.rules.create(self.world.account, json.dumps(document).encode(), rule_id=ONE)

    async def recovered(self) -> Evaluation:
        await self.world.ticks.drain()
        evaluation = self.world.build()
        evaluation._watchlists = self.lists
        await evaluation.recover((BTC, ETH))
        return evaluation

    def trade(self, evaluation: Evaluation, *prices: float, markets: Sequence[int] = (1, 2)) -> None:
        for price in prices:
            for market in markets:
                evaluation.offer(self.world.trade(price, market=market))

    def said(self) -> list[tuple[int, str]]:
        return [(entry.signal.market, entry.signal.direction.value) for entry in self.world.told]


@pytest.fixture
def lists(world: World) -> Lists:
    return Lists(world)


async def test_a_rule_follows_its_list(lists: Lists, world: World) -> None:
    await lists.put("BTC-USD")
    await lists.rule()
    evaluation = await lists.recovered()
    lists.trade(evaluation, 90, 110)
    assert await commit(evaluation)
    assert lists.said() == [(1, "fired")]
    await lists.put("BTC-USD", "ETH-USD")
    await evaluation._look_for_rules()
    lists.trade(evaluation, 110, 90)
    assert await commit(evaluation)
    assert lists.said() == [(1, "fired"), (1, "cleared")]  # the new one was above already
    await lists.put("ETH-USD")
    await evaluation._look_for_rules()
    lists.trade(evaluation, 110)
    assert await commit(evaluation)
    assert lists.said()[2:] == [(2, "fired")]


async def test_a_restart_reads_the_list_as_it_is(lists: Lists, world: World) -> None:
    await lists.put("BTC-USD")
    await lists.rule()
    evaluation = await lists.recovered()
    lists.trade(evaluation, 90, 110)
    assert await commit(evaluation)
    await lists.put("BTC-USD", "ETH-USD")
    evaluation = await lists.recovered()
    lists.trade(evaluation, 110, 90)
    assert await commit(evaluation)
    assert lists.said() == [(1, "fired"), (1, "cleared")]  # the new one was above already
    evaluation = await lists.recovered()
    lists.trade(evaluation, 110)
    assert await commit(evaluation)
    assert lists.said()[2:] == [(1, "fired"), (2, "fired")]


async def test_without_such_a_list_nothing_is_watched(lists: Lists, world: World) -> None:
    await lists.rule()
    evaluation = await lists.recovered()
    lists.trade(evaluation, 90, 110)
    assert await commit(evaluation)
    assert lists.said() == []
    await lists.put("BTC-USD")
    await evaluation._look_for_rules()
    lists.trade(evaluation, 90, 110)
    assert await commit(evaluation)
    assert lists.said() == [(1, "fired")]
    await lists.rule(level="200")
    await evaluation._look_for_rules()
    lists.trade(evaluation, 90, 210)
    assert await commit(evaluation)
    assert lists.said() == [(1, "fired"), (1, "fired")]
    await world.store.rules.delete(world.account, ONE)
    await evaluation._look_for_rules()
    lists.trade(evaluation, 90)
    assert await commit(evaluation)
    assert len(lists.said()) == 2


async def test_a_world_without_lists_has_nothing_on_them(lists: Lists, world: World) -> None:
    await lists.rule()
    evaluation = await world.recovered()
    lists.trade(evaluation, 90, 110)
    assert await commit(evaluation)
    assert lists.said() == []
