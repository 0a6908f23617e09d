from __future__ import annotations

import uuid
from typing import Any

import aiohttp
import pytest
from tests.gateway.gateway_world import World
from tests.gateway.test_gateway_rest import RULE, Api

from pricewatch.domain.time import HOUR, rfc3339


@pytest.fixture
async def ann(world: World, http: aiohttp.ClientSession) -> Api:
    _, key = await world.account("ann")
    return Api(world, http, key)


async def test_a_rule_is_told_to_pause_snooze_and_go_on(world: World, ann: Api) -> None:
    _, made = await ann("POST", "/rules", RULE)
    path = f"/rules/{made['id']}"
    assert made["command"] is None
    status, told = await ann("POST", f"{path}/pause")
    now = rfc3339(world.clock.now())
    assert (status, told) == (200, {"number": 1, "order": "pause", "until": None, "created": now, "effective": None})
    until = rfc3339(world.clock.now() + 2 * HOUR)
    for body in ({"for": "2h"}, {"until": until}):
        assert (await ann("POST", f"{path}/snooze", body))[1]["until"] == until
    assert (await ann("GET", path))[1]["command"]["order"] == "snooze"
    assert (await ann("GET", "/rules"))[1]["rules"][0]["command"]["number"] == 3
    assert (await ann("POST", f"{path}/resume"))[1]["order"] == "resume"
    page = (await ann("GET", f"{path}/commands?limit=2"))[1]["commands"]
    assert [one["order"] for one in page] == ["resume", "snooze"]
    assert world.changes == 5


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "for"),
        ({"for": "2h", "until": "2030-01-01T00:00:00Z"}, "for"),
        ({"for": "soon"}, "for"),
        ({"for": "0s"}, "for"),
        ({"for": "367d"}, "for"),
        ({"for": "999999999d999999999d"}, "for"),
        ({"until": "2020-01-01T00:00:00Z"}, "until"),
        ({"until": "9999-01-01T00:00:00Z"}, "until"),
        ({"until": "noon"}, "until"),
        ({"span": "2h"}, "span"),
    ],
)
async def test_snoozes_that_are_none(ann: Api, body: Any, field: str) -> None:
    _, made = await ann("POST", "/rules", RULE)
    status, problem = await ann("POST", f"/rules/{made['id']}/snooze", body)
    assert (status, problem["field"]) == (422, field)
    assert (await ann("GET", f"/rules/{made['id']}"))[1]["command"] is None


async def test_other_rules_are_told_nothing(world: World, http: aiohttp.ClientSession, ann: Api) -> None:
    _, made = await ann("POST", "/rules", RULE)
    _, key = await world.account("bob")
    bob = Api(world, http, key)
    for path in (f"/rules/{made['id']}", f"/rules/{uuid.uuid4()}"):
        for act, body in (("pause", None), ("snooze", {"for": "1h"}), ("resume", None)):
            assert (await bob("POST", f"{path}/{act}", body))[0] == 404
        assert (await bob("GET", f"{path}/commands"))[0] == 404
