from __future__ import annotations

import asyncio
import math

from tests.evaluation.conftest import BTC, ETH, World, commit, running
from tests.models.made import made

from pricewatch.evaluation.worker import Evaluation


def live(world: World, evaluation: Evaluation, minutes: int, sigma: float, price: float = 100.0) -> float:
    """Three trades a minute, whose bars are those of a random walk."""
    for bar in made(minutes, round(1e6 * sigma), sigma=sigma, price=price):
        for after, value in ((20.0, bar.high), (20.0, bar.low), (20.0, bar.close)):
            evaluation.offer(world.trade(value, after=after))
        price = bar.close
    return price


async def test_drifts_are_told_once_and_features_are_at_hand(world: World) -> None:
    evaluation = await world.recovered(models=True)
    assert evaluation.features(BTC.id) is None
    price = live(world, evaluation, 800, 1e-3)
    assert world.drifts == []
    live(world, evaluation, 200, 1e-2, price)
    assert world.drifts
    assert {one.market for one in world.drifts} == {BTC.id}
    found = evaluation.features(BTC.id)
    assert found is not None
    assert found.drifts == len(world.drifts)
    assert math.isfinite(found.volatility)
    assert {one.name: one.value for one in evaluation.samples()}["model_failures"] == 0
    told = list(world.drifts)
    await commit(evaluation)
    evaluation._owned.keep(evaluation._engine.snapshot(BTC.id))
    await evaluation._owned.save_models()
    assert any(score.alarms is not None for score in world.models.bar_scores.values())
    again = await world.recovered(models=True)  # reads the last minutes again
    assert world.drifts == told
    assert again.features(BTC.id) == found


async def test_nobody_need_listen(world: World) -> None:
    evaluation = await world.recovered(models=True)
    evaluation._drifts = None
    price = live(world, evaluation, 800, 1e-3)
    live(world, evaluation, 200, 1e-2, price)
    found = evaluation.features(BTC.id)
    assert found is not None
    assert found.drifts > 0
    assert world.drifts == []


async def test_what_is_known_at_a_closed_minute_is_saved_for_those_who_look(world: World) -> None:
    evaluation = await world.recovered(models=True)
    async with running(evaluation):
        live(world, evaluation, 120, 1e-3)
        async with asyncio.timeout(15):
            while (saved := await world.models.features(BTC.id)) is None:
                await asyncio.sleep(0.01)
    known = evaluation.features(BTC.id)
    assert known is not None
    assert (saved.at, saved.bands) == (known.at, known.bands)
    assert await world.models.features(ETH.id) is None
