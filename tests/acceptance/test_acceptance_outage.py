"""A database that stays away for longer than the engine may run ahead of it, and a stop in the middle of that."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.acceptance.captures import BTC, ETH, Trades, prints, trades
from tests.acceptance.oracle import expected
from tests.acceptance.rig import Rig, rigged, tell, until
from tests.acceptance.test_acceptance_kills import MARKETS, PATIENT, names, rules
from tests.acceptance.world import World, scores

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.shared, pytest.mark.timeout(480)]


async def begin(rig: Rig, shared: Path, wanted: Trades, speed: float) -> None:
    server = rig.external
    assert server is not None
    await server.start()
    rig.reserve_venue()
    # Two rule changes may wait: the third finds the engine standing.
    rig.configure(
        MARKETS,
        database={"url": server.url(), "probe_interval": 0.2},
        evaluation={"max_uncommitted": 2, "catch_up_tail": 100, "snapshot_interval": 2.0, "recovery_hold": 2.0},
    )
    await rig.prepare(rules(wanted))
    await rig.start_service()
    await rig.start_venue([shared / "data" / BTC, shared / "data" / ETH], speed=speed)
    await rig.ready()


def assert_whole(left: World, shared: Path, wanted: Trades) -> None:
    for market, ids in wanted.items():
        assert left.prices(market) == ids
    left.assert_feeds_are_whole()
    titles = names(left)
    told = [one for file in (BTC, ETH) for one in prints(shared / "data" / file)]
    armed = [dataclasses.replace(rule, from_seen=0) for rule in left.rules]
    for asked in (left.expected(), expected(armed, told, scores=scores(told, 100))):
        eager = {one.id: one for one in asked if titles[one.rule] not in PATIENT}
        found = {one["id"]: one for one in left.signals if titles[one["rule_id"]] not in PATIENT}
        assert not [one for key, one in eager.items() if key not in found]
        assert not [one for key, one in found.items() if key not in eager]
    assert {one["state"] for one in left.deliveries} == {"sent"}


async def paused(rig: Rig) -> bool:
    return bool((await rig.status())["evaluation"]["paused"])


async def test_evaluation_waits_and_catches_up(shared: Path) -> None:
    wanted = trades(shared / "data" / BTC) | trades(shared / "data" / ETH)
    async with rigged(external=True) as rig:
        await begin(rig, shared, wanted, 15.0)
        assert rig.external is not None
        for _ in range(2):
            await rig.external.stop()
            await until(lambda: paused(rig), within=15, what="the engine stands")
            assert "evaluation" in (await rig.readiness())[1]["troubles"]
            await rig.external.start()
            await rig.ready()
        await until(rig.venue_done, within=100, what="the capture has been played")
        await rig.drained()
        left = await rig.left()
        tell(len(left.prints), "trades", len(left.signals), "signals", (await rig.status())["evaluation"])
        assert_whole(left, shared, wanted)


async def test_a_stop_without_a_database_keeps_everything(shared: Path) -> None:
    wanted = trades(shared / "data" / BTC) | trades(shared / "data" / ETH)
    async with rigged(external=True) as rig:
        await begin(rig, shared, wanted, 25.0)
        assert rig.external is not None
        await rig.external.stop()
        await until(lambda: paused(rig), within=15, what="the engine stands")
        assert rig.service is not None
        assert await rig.service.stop(within=45) == 0
        await rig.external.start()
        await rig.start_service()
        await rig.ready()
        await until(rig.venue_done, within=100, what="the capture has been played")
        await rig.drained()
        assert_whole(await rig.left(), shared, wanted)
