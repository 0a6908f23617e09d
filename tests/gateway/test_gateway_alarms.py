from __future__ import annotations

import uuid
from typing import Any

import aiohttp
import pytest
from tests.gateway.gateway_world import BTC, ETH, KRAKEN, World
from tests.gateway.test_gateway_rest import RULE, Api

from pricewatch.domain.model import BarScore
from pricewatch.domain.time import DAY, HOUR, MINUTE, rfc3339

RARE = {
    "title": "rare",
    "symbols": "*",
    "when": {"type": "or", "of": [{"type": "anomaly", "false_alarms": "3/week"}, {"type": "above", "level": "1"}]},
}


@pytest.fixture
async def ann(world: World, http: aiohttp.ClientSession) -> Api:
    _, key = await world.account("ann")
    return Api(world, http, key)


async def judged(world: World, market: int, start: int, alarms: list[float | None]) -> None:
    await world.shelf.judged.save_bar_scores(
        [BarScore(market, start + place * MINUTE, 1.0, "m", 1, rate) for place, rate in enumerate(alarms)]
    )


async def test_before_it_is_armed_a_rule_has_a_history_alone(world: World, ann: Api) -> None:
    _, made = await ann("POST", "/rules", {**RARE, "symbols": ["BTC-USD"]})
    now = world.clock.now()
    await judged(world, BTC.id, now - DAY, [None, 2.0, 1.0, None, 7.0, None])
    await judged(world, BTC.id, now - 31 * DAY, [0.1])
    status, told = await ann("GET", f"/rules/{made['id']}/false-alarms")
    assert (status, told["rule"], told["version"], told["since"], told["next"]) == (200, made["id"], 1, None, None)
    assert [one["market"] for one in told["markets"]] == [BTC.key, KRAKEN.key]
    first, second = told["markets"]
    assert first["stated_per_week"] == 3.0
    assert first["history"] == {
        "from": rfc3339(now - 30 * DAY),
        "to": rfc3339(now),
        "minutes": 6,
        "alarms": 1,
        "per_week": 1680.0,
    }
    assert (second["history"]["minutes"], second["history"]["per_week"]) == (0, None)
    assert first["armed"] is second["armed"] is None


async def test_since_it_was_armed_is_told_beside_it(world: World, ann: Api) -> None:
    _, made = await ann("POST", "/rules", {**RARE, "symbols": ["ETH-USD"]})
    armed = world.clock.now()
    world.store.rules.take_up(uuid.UUID(made["id"]), 1, armed)
    await judged(world, ETH.id, armed - HOUR, [2.0, None])
    world.clock.advance(3_600.0)
    await judged(world, ETH.id, armed + MINUTE, [None, 2.0, None, 1.0])
    _, told = await ann("GET", f"/rules/{made['id']}/false-alarms")
    assert told["since"] == rfc3339(armed)
    (only,) = told["markets"]
    assert (only["history"]["alarms"], only["history"]["minutes"], only["history"]["to"]) == (1, 2, rfc3339(armed))
    assert (only["armed"]["alarms"], only["armed"]["minutes"]) == (2, 4)
    assert (only["armed"]["from"], only["armed"]["to"]) == (rfc3339(armed), rfc3339(world.clock.now()))


async def test_markets_come_in_pages(world: World, ann: Api) -> None:
    _, made = await ann("POST", "/rules", RARE)
    path = f"/rules/{made['id']}/false-alarms?limit=2"
    _, first = await ann("GET", path)
    _, second = await ann("GET", f"{path}&cursor={first['next']}")
    assert [[one["market"] for one in page["markets"]] for page in (first, second)] == [
        [BTC.key, ETH.key],
        [KRAKEN.key],
    ]
    assert second["next"] is None


async def test_a_list_is_looked_up(world: World, ann: Api) -> None:
    body: dict[str, Any] = {**RARE, "symbols": {"watchlist": "majors"}}
    _, kept = await ann("POST", "/watchlists", {"name": "majors", "symbols": ["ETH-USD"]})
    _, made = await ann("POST", "/rules", body)
    path = f"/rules/{made['id']}/false-alarms"
    assert [one["market"] for one in (await ann("GET", path))[1]["markets"]] == [ETH.key]
    assert (await ann("PUT", f"/watchlists/{kept['id']}", {"name": "majors", "symbols": []}))[0] == 200
    assert (await ann("GET", path))[1]["markets"] == []


async def test_rules_that_state_no_rate_and_those_of_others_have_none(
    world: World, http: aiohttp.ClientSession, ann: Api
) -> None:
    _, made = await ann("POST", "/rules", RULE)
    status, told = await ann("GET", f"/rules/{made['id']}/false-alarms")
    assert (status, told["markets"], told["next"]) == (200, [], None)
    _, rare = await ann("POST", "/rules", RARE)
    _, key = await world.account("bob")
    assert (await Api(world, http, key)("GET", f"/rules/{rare['id']}/false-alarms"))[0] == 404
