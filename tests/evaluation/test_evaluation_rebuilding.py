from __future__ import annotations

import math
import random

import msgspec
import pytest
from tests.evaluation.conftest import World, commit

from pricewatch.domain.features import Features
from pricewatch.domain.model import Snapshot
from pricewatch.evaluation.worker import Evaluation
from pricewatch.models.bars import BANDS, BANK, SCHEMAS

MINUTES = 150


async def lived(world: World) -> Evaluation:
    """A market that has traded for a while, with its state saved."""
    evaluation = await world.recovered(models=True)
    luck, price = random.Random(4), 100.0
    for _ in range(3 * MINUTES):
        price *= math.exp(luck.gauss(0.0, 1e-3))
        evaluation.offer(world.trade(price, after=20.0))
    await commit(evaluation)
    await world.models.save_snapshots(evaluation._engine.snapshot(1))
    return evaluation


def told(evaluation: Evaluation) -> Features:
    found = evaluation._engine.features(1)
    assert found is not None
    return found


async def spoil(world: World, *models: str) -> None:
    for snapshot in await world.models.snapshots():
        if snapshot.model in models:
            foreign = msgspec.structs.replace(snapshot, schema=99)
            world.models._snapshots[foreign.market, foreign.model] = foreign


@pytest.mark.parametrize("parts", [(BANK,), (BANDS,), (BANK, BANDS), (BANK, BANDS, "bars")])
async def test_a_state_of_an_unknown_schema_is_made_anew_from_bars(world: World, parts: tuple[str, ...]) -> None:
    before = told(await lived(world))
    await spoil(world, *parts)
    after = await world.recovered(models=True)
    assert told(after) == before
    assert after._engine.snapshot(1)[-1].seen > 0


async def test_a_rebuilt_market_goes_on_like_one_that_never_stopped(world: World) -> None:
    first = await lived(world)
    await spoil(world, BANDS)
    second = await world.recovered(models=True)
    for _ in range(30):
        trade = world.trade(100.0 + world.key % 7 / 10, after=20.0)
        first.offer(trade)
        second.offer(trade)
    assert told(second) == told(first)
    payloads = [{one.model: one.payload for one in each._engine.snapshot(1)} for each in (first, second)]
    assert payloads[0][BANDS] == payloads[1][BANDS]


async def test_without_stored_bars_a_market_begins_afresh(world: World) -> None:
    for number, market in enumerate((1, 77)):
        await world.models.save_snapshots([Snapshot(market, BANK, SCHEMAS[BANK] + 1, number + 1, b"")])
    evaluation = await world.recovered(models=True)
    assert evaluation._engine.features(1) is None


async def test_more_than_a_page_is_read_to_its_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = told(await lived(world))
    await spoil(world, BANK, BANDS)
    monkeypatch.setattr("pricewatch.evaluation.rebuilding._PAGE", 25)
    assert told(await world.recovered(models=True)) == before
