"""The description is of every route, is valid, and its page asks nobody else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from openapi_spec_validator import validate
from playwright.async_api import Page, expect
from tests.gateway.gateway_world import QUICK, World

from pricewatch.gateway.openapi import describe
from pricewatch.gateway.pages import POLICY, Pages
from pricewatch.gateway.rest.endpoint import Endpoint, Public
from pricewatch.gateway.rest.parameters import PARAMETERS

NOT_REST = {"/ws/v1", *Pages().paths()}


def served(world: World) -> set[tuple[str, str]]:
    """Everything the router answers."""
    app: web.Application = world.gateway._application()
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD" and route.resource.canonical not in NOT_REST
    }


async def fetched(world: World, http: aiohttp.ClientSession) -> dict[str, Any]:
    async with http.get(f"{world.base}/openapi.json") as answer:
        assert answer.content_type == "application/json"
        document: dict[str, Any] = await answer.json()
    return document


async def test_it_is_valid_and_of_every_route(world: World, http: aiohttp.ClientSession) -> None:
    document = await fetched(world, http)
    validate(document)
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == served(world)
    assert len({item["operationId"] for path in document["paths"].values() for item in path.values()}) == len(described)


async def test_every_operation_is_explained(world: World, http: aiohttp.ClientSession) -> None:
    for path, item in (await fetched(world, http))["paths"].items():
        for method, operation in item.items():
            assert operation["summary"].endswith((".", "!", "?", ";", ":", ",")) or len(operation["summary"]) > 10, path
            if path.startswith("/api/v1") and path != "/api/v1/session":
                assert {"400", "401", "403", "429", "503"} <= set(operation["responses"]), (method, path)
            if "{" in path:
                assert "404" in operation["responses"]


async def test_our_own_routes_say_their_parameters(world: World) -> None:
    table: list[Endpoint | Public] = [*world.gateway._routes.private, *world.gateway._routes.public]
    for one in table:
        assert set(one.docs.query or ()) <= set(PARAMETERS)
        if isinstance(one, Endpoint) and one.method in {"POST", "PUT", "PATCH"} and one.docs.body is None:
            assert re.search(r"/(ack|replay|rotate|test|pause|resume|tickets|markets.*)$", one.path), (
                f"{one.path} takes no document?"
            )


async def test_locked_status_is_described_as_locked() -> None:
    world = World(QUICK.model_copy(update={"open_status": False}))
    document = describe([*world.gateway._routes.public, *world.gateway._routes.private])
    assert "security" in document["paths"]["/status"]["get"]
    assert "security" not in document["paths"]["/healthz"]["get"]
    async with world.running(), aiohttp.ClientSession() as http, http.get(f"{world.base}/metrics") as answer:
        assert answer.status == 401


async def test_the_licence_of_what_we_did_not_write_is_there() -> None:
    folder = Path("src/pricewatch/gateway/apidocs")
    root = Path(__file__).resolve().parents[2]
    assert "Apache License" in (root / folder / "LICENSE").read_text()
    assert (root / folder / "NOTICE").read_text().startswith("swagger-ui")


@pytest.mark.browser
async def test_the_page_shows_it_and_asks_nobody_else(page: Page, tmp_path: Path) -> None:
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    async with World().running() as world:
        answer = await page.goto(f"{world.base}/api/docs")
        assert answer is not None
        assert answer.headers["content-security-policy"] == POLICY
        await expect(page.locator(".info .title")).to_contain_text("pricewatch")
        await expect(page.locator("#operations-rules-get_rules")).to_be_visible()
        await page.locator("#operations-rules-post_rules .opblock-summary-control").click()
        await expect(page.locator("#operations-rules-post_rules")).to_contain_text("Idempotency-Key")
        await page.screenshot(path=tmp_path / "docs.png", full_page=False)
        assert all(url.startswith((world.base, "data:")) for url in asked), asked
    assert complaints == []
