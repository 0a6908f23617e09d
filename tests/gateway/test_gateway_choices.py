"""`/api/v1/markets`: administrators add and remove markets."""

from __future__ import annotations

import aiohttp
import pytest
from tests.gateway.gateway_world import World
from tests.gateway.test_gateway_rest import Api

from pricewatch.domain.account import Role


@pytest.fixture
async def admin(world: World, http: aiohttp.ClientSession) -> Api:
    account, key = await world.account("root", Role.ADMIN)
    assert account.role is Role.ADMIN
    return Api(world, http, key)


async def test_a_market_is_chosen_and_left_to_the_configuration_again(world: World, admin: Api) -> None:
    status, made = await admin("POST", "/markets", {"market": "Kraken:xbt-usd"})
    assert (status, made["market"], made["wanted"]) == (202, "kraken:BTC-USD", True)
    assert world.market_changes == 1
    status, gone = await admin("DELETE", "/markets/coinbase:ETH-USD")
    assert (status, gone["market"], gone["wanted"]) == (202, "coinbase:ETH-USD", False)
    _, listed = await admin("GET", "/markets")
    assert listed == {"choices": [gone, made]}
    assert world.market_changes == 2


async def test_a_choice_is_taken_back(world: World, http: aiohttp.ClientSession) -> None:
    _, key = await world.account("root", Role.ADMIN)
    base, headers = f"{world.base}/api/v1/markets", {"Authorization": f"Bearer {key}"}
    async with http.post(base, json={"market": "kraken:BTC-USD"}, headers=headers) as answer:
        assert answer.status == 202
    async with http.delete(f"{base}/kraken:BTC-USD/choice", headers=headers) as answer:
        assert answer.status == 204
    async with http.delete(f"{base}/kraken:BTC-USD/choice", headers=headers) as answer:
        assert answer.status == 404
    assert await world.choices.choices() == []
    assert world.market_changes == 2


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"market": "krakn:BTC-USD"}, "did you mean kraken?"),
        ({"market": "zzz:BTC-USD"}, "known: "),
        ({"market": "BTC-USD"}, "write venue:BASE-QUOTE"),
        ({"market": "kraken:BTC"}, "BTC"),
        ({"market": 5}, "Expected `str`"),
        ({}, "market"),
        ({"market": "kraken:BTC-USD", "x": 1}, "x"),
    ],
)
async def test_what_is_no_market_is_said(world: World, admin: Api, body: object, says: str) -> None:
    status, problem = await admin("POST", "/markets", body)
    assert status == 422
    assert problem["field"] == ("x" if says == "x" else "market")
    assert says in problem["detail"]
    assert world.market_changes == 0


async def test_only_json_is_read(world: World, http: aiohttp.ClientSession) -> None:
    _, key = await world.account("root", Role.ADMIN)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    async with http.post(f"{world.base}/api/v1/markets", data=b"{", headers=headers) as answer:
        assert answer.status == 422


async def test_others_may_not(world: World, http: aiohttp.ClientSession) -> None:
    _, key = await world.account("ann")
    ann = Api(world, http, key)
    assert (await ann("GET", "/markets"))[0] == 403
    assert (await ann("POST", "/markets", {"market": "kraken:BTC-USD"}))[0] == 403
    assert (await ann("DELETE", "/markets/kraken:BTC-USD"))[0] == 403
