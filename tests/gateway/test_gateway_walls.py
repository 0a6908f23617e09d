"""Nobody reads or changes what is another's: every route with an id, made from the table of routes."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import aiohttp
import pytest
from tests.gateway.gateway_world import World
from tests.gateway.postgres_world import RULE, House, house

from pricewatch.accounts.tokens import mint
from pricewatch.domain.account import Role, Scope
from pricewatch.gateway.openapi import path_of
from pricewatch.gateway.rest.endpoint import Access, Endpoint

BODIES: dict[str, Any] = {
    "/rules/{id}": RULE,
    "/watchlists/{id}": {"name": "stolen", "symbols": []},
    "/channels/{id}": {"name": "stolen"},
    "/signals/{id}/feedback": {"feedback": "noise"},
    "/users/{id}": {"role": "viewer"},
    "/rules/{id}/snooze": {"for": "1h"},
}
OWN = {"rules", "signals", "deliveries", "watchlists", "keys", "sessions", "previews", "channels"}
"""Kinds whose ids are of one account."""


def with_ids(house: House) -> list[Endpoint]:
    return [one for one in house.gateway._routes.private if "{id}" in one.path]


async def ask(
    http: aiohttp.ClientSession, house: House, one: Endpoint, number: str, key: str | None
) -> tuple[int, str]:
    headers = {"X-API-Key": key} if key is not None else {}
    url = house.base + path_of(one).replace("{id}", number)
    async with http.request(one.method, url, json=BODIES.get(one.path), headers=headers) as answer:
        return answer.status, await answer.text()


def kind_of(one: Endpoint) -> str:
    return one.path.split("/")[1]


@pytest.mark.postgres
async def test_other_peoples_ids_are_nothing(database_url: str) -> None:
    async with house(database_url) as home, aiohttp.ClientSession() as http:
        ann, key = await home.account("ann")
        _, other = await home.account("bob")
        owned = await home.furnish(ann, key)
        before = await everything(http, home, key)
        tried = 0
        for one in with_ids(home):
            kind = kind_of(one)
            number = owned.get(kind, owned["deliveries"])
            assert (await ask(http, home, one, number, None))[0] == 401, one.path
            status, text = await ask(http, home, one, number, other)
            if one.access is Access.ADMIN:
                assert status == 403, one.path
            else:
                assert kind in OWN, f"say in OWN whose ids {one.path} takes"
                assert status == 404, one.path
            assert not any(word in text for word in ("ann@", "BTC", "mine", "spare")), one.path
            tried += 1
        assert tried >= 15
        assert await everything(http, home, key) == before
        mine = sorted(
            (one for one in with_ids(home) if one.access is not Access.ADMIN), key=lambda one: one.method == "DELETE"
        )
        for one in mine:
            assert (await ask(http, home, one, owned[kind_of(one)], key))[0] < 300, one.path


async def everything(http: aiohttp.ClientSession, home: House, key: str) -> dict[str, Any]:
    """All that the owner sees of his own."""
    found = {}
    for one in home.gateway._routes.private:
        if one.method == "GET" and one.access is Access.READ and kind_of(one) in OWN and "{" not in one.path:
            async with http.get(home.base + path_of(one), headers={"X-API-Key": key}) as answer:
                assert answer.status == 200
                found[one.path] = await answer.json()
    for row in found["/keys"]["keys"]:
        row["used"] = None
    return found


@pytest.mark.postgres
async def test_listings_and_exports_are_of_ones_own(database_url: str) -> None:
    async with house(database_url) as home, aiohttp.ClientSession() as http:
        ann, key = await home.account("ann")
        _, other = await home.account("bob")
        owned = await home.furnish(ann, key)
        for one in home.gateway._routes.private:
            if one.method != "GET" or "{" in one.path or one.access is Access.ADMIN:
                continue
            async with http.get(home.base + path_of(one), headers={"X-API-Key": other}) as answer:
                text = await answer.text()
                assert answer.status in {200, 422}, one.path
            assert not any(number in text for number in owned.values()), one.path
        async with http.get(f"{home.base}/api/v1/me/export", headers={"X-API-Key": key}) as answer:
            lines = [json.loads(line) for line in (await answer.text()).splitlines()]
        assert {"account", "key", "rule", "signal", "delivery", "watchlist", "webhook", "audit"} <= {
            one["kind"] for one in lines
        }
        assert not any("digest" in line or "password" in line or "secret" in line for line in lines)
        async with http.get(f"{home.base}/api/v1/me/export") as answer:
            assert answer.status == 401


async def test_every_route_asks_for_its_role_and_scope(world: World, http: aiohttp.ClientSession) -> None:
    made = {role: (await world.account(role.value, role))[0] for role in Role}
    scopes = {name: frozenset({*map(Scope, names)}) for name, names in SCOPES.items()}
    keys: dict[tuple[Role, str], str] = {}
    for role, account in made.items():
        for name, held in scopes.items():
            minted = mint(account.id, now=world.clock.now(), scopes=held)
            await world.store.accounts.add_key(minted.key)
            keys[role, name] = minted.text
    refused = 0
    for one in world.gateway._routes.private:
        url = world.base + re.sub(r"\{\w+\}", str(uuid.UUID(int=7)), path_of(one))
        async with http.request(one.method, url) as answer:
            assert answer.status == 401, one.path
        for (role, name), key in keys.items():
            async with http.request(one.method, url, headers={"X-API-Key": key}) as answer:
                status, text = answer.status, await answer.text()
            code = json.loads(text).get("code") if status == 403 else None
            assert (code in REFUSALS) is not may(one.access, role, scopes[name]), (one.path, role, name, status, text)
            refused += code in REFUSALS
    assert refused > 100


SCOPES = {"all": ("read", "write", "admin"), "no admin": ("read", "write"), "look": ("read",), "blind": ("write",)}
REFUSALS = {"scope_missing", "read_only_key", "admin_only", "read_only"}


def may(access: Access, role: Role, scopes: frozenset[Scope]) -> bool:
    """Said once more, without the product's words."""
    match access:
        case Access.READ:
            return Scope.READ in scopes
        case Access.OWN:
            return Scope.WRITE in scopes
        case Access.WRITE:
            return role is not Role.VIEWER and Scope.WRITE in scopes
        case Access.ADMIN:
            return role is Role.ADMIN and Scope.ADMIN in scopes
