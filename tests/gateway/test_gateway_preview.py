"""Previews over REST."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from tests.gateway.gateway_world import QUICK, World

from pricewatch.domain.account import Role
from pricewatch.domain.time import DAY
from pricewatch.ports.preview import JobState, Problem

RULE = {"title": "x", "symbols": ["BTC-USD"], "when": {"type": "above", "level": "70000"}}
CHANGE = {**RULE, "when": {"type": "change", "window": "1m", "percent": "1%"}}
DONE = {"state": JobState.DONE, "progress": 1.0, "result": b'{"fired":14}'}


async def call(world: World, http: aiohttp.ClientSession, key: str, method: str, path: str, body: Any = None) -> Any:
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", **({"Content-Type": "application/json"} if data is not None else {})}
    async with http.request(method, f"{world.base}/api/v1{path}", data=data, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers


async def test_a_quick_preview_is_answered_at_once(world: World, http: aiohttp.ClientSession) -> None:
    _, key = await world.account("ann", Role.VIEWER)
    world.previews.ends = DONE
    status, told, headers = await call(world, http, key, "POST", "/rules/preview", {"rule": RULE, "span": "7d"})
    assert status == 200
    assert (told["state"], told["progress"], told["result"], told["problem"]) == ("done", 1.0, {"fired": 14}, None)
    (question,) = world.previews.questions
    assert json.loads(question.document) == RULE
    assert (question.end - question.start, question.end) == (7 * DAY, world.clock.now())
    assert (question.rule_id, question.version, question.points) == (None, 1, 400)
    again = await call(world, http, key, "GET", headers["Content-Location"].removeprefix("/api/v1"))
    assert again[1] == told


async def test_others_become_jobs_with_progress_and_can_be_cancelled(world: World, http: aiohttp.ClientSession) -> None:
    account, key = await world.account("ann")
    _, other = await world.account("bob")
    stored = await world.store.rules.create(account.id, json.dumps(CHANGE).encode())
    body: dict[str, Any] = {
        "rule_id": str(stored.id),
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-01-02T00:00:00+01:00",
        "points": 0,
    }
    body["markets"] = ["kraken:BTC-USD"]
    status, told, headers = await call(world, http, key, "POST", "/rules/preview", body)
    assert (status, told["state"], told["result"]) == (202, "waiting", None)
    question = world.previews.questions[-1]
    assert (question.rule_id, question.version, question.markets) == (stored.id, 1, ("kraken:BTC-USD",))
    assert question.end - question.start == 23 * 3_600_000_000
    path = headers["Location"].removeprefix("/api/v1")
    world.previews.finish(question_id(told), state=JobState.RUNNING, progress=0.257)
    assert (await call(world, http, key, "GET", path))[1]["progress"] == 0.26
    for method in ("GET", "DELETE"):
        assert (await call(world, http, other, method, path))[0] == 404
        assert (await call(world, http, key, method, "/previews/nonsense"))[0] == 404
    assert (await call(world, http, key, "DELETE", path))[1]["state"] == "cancelled"
    assert (await call(world, http, key, "GET", path))[1]["state"] == "cancelled"
    foreign = await call(world, http, other, "POST", "/rules/preview", {"rule_id": str(stored.id)})
    assert foreign[0] == 404


def question_id(told: dict[str, Any]) -> Any:
    from uuid import UUID

    return UUID(told["id"])


@pytest.mark.parametrize(
    ("problem", "status", "field"),
    [
        (Problem("invalid", "nothing is stored of it", "symbols"), 422, "symbols"),
        (Problem("unavailable", "away"), 503, None),
        (Problem("failed", "it died"), 200, None),
    ],
)
async def test_failures(
    world: World, http: aiohttp.ClientSession, problem: Problem, status: int, field: str | None
) -> None:
    _, key = await world.account("ann")
    world.previews.ends = {"state": JobState.FAILED, "problem": problem}
    got, told, _ = await call(world, http, key, "POST", "/rules/preview", {"rule": RULE})
    assert got == status
    if status == 200:
        assert told["problem"] == {"code": "failed", "field": None, "detail": "it died"}
    else:
        assert told.get("field") == field


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "rule"),
        ({"rule": RULE, "rule_id": "6f3ed1c4-9a3b-5a51-8d3f-0d5a3f6f0c11"}, 422, "rule"),
        ({"rule": {**RULE, "when": {"type": "above", "level": "-1"}}}, 422, "rule.when.level"),
        ({"rule": 5}, 422, "rule"),
        ({"rule": RULE, "span": "a while"}, 422, "span"),
        ({"rule": RULE, "span": "999999999d"}, 422, "span"),
        ({"rule": RULE, "from": "0001-01-01T00:00:00Z"}, 422, "from"),
        ({"rule": RULE, "span": "7d", "from": "2026-01-01T00:00:00Z"}, 422, "span"),
        ({"rule": RULE, "from": "2026-01-01"}, 422, "from"),
        ({"rule": RULE, "to": "soon"}, 422, "to"),
        ({"rule": RULE, "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, 422, "from"),
        ({"rule": RULE, "points": 5_000}, 422, "points"),
        ({"rule": RULE, "days": 7}, 422, None),
        ({"rule": RULE, "rule_id": 5}, 422, "rule_id"),
        (b"{", 422, None),
        (b"[" * 60_000, 422, None),
    ],
)
async def test_wrong_requests(
    world: World, http: aiohttp.ClientSession, body: Any, status: int, field: str | None
) -> None:
    _, key = await world.account("ann")
    got, told, _ = await call(world, http, key, "POST", "/rules/preview", body)
    assert (got, told.get("field")) == (status, field), told
    assert told["detail"]


async def test_too_many_are_refused_with_a_time_to_come_back(http: aiohttp.ClientSession) -> None:
    async with World(QUICK.model_copy(update={"preview_patience": 0.0})).running() as world:
        _, key = await world.account("ann")
        for _ in range(8):
            assert (await call(world, http, key, "POST", "/rules/preview", {"rule": RULE}))[0] == 202
        status, told, headers = await call(world, http, key, "POST", "/rules/preview", {"rule": RULE})
        assert (status, told["code"], headers["Retry-After"]) == (429, "too_many_previews", "15")
