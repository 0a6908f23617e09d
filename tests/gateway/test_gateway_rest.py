from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import aiohttp
import pytest
from tests.gateway.gateway_world import BTC, QUICK, World

from pricewatch.domain.account import Role
from pricewatch.domain.market import Candle
from pricewatch.domain.model import Forecast, ForecastRow
from pricewatch.domain.time import MINUTE
from pricewatch.ports.journal import SignalSink
from pricewatch.ports.status import Part
from pricewatch.ports.ticks import PriceTape

RULE = {"title": "BTC above 70k", "symbols": ["BTC-USD"], "when": {"type": "above", "level": "70000"}}


class Api:
    """Requests with one account's key."""

    def __init__(self, world: World, http: aiohttp.ClientSession, key: str) -> None:
        self._world = world
        self._http = http
        self._headers = {"Authorization": f"Bearer {key}"}

    async def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        headers = {**self._headers, **options.pop("headers", {})}
        url = f"{self._world.base}/api/v1{path}"
        async with self._http.request(method, url, json=body, headers=headers, **options) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            text = await answer.text()
            if answer.status >= 400:
                assert answer.content_type == "application/problem+json"
            return answer.status, json.loads(text) if text else None


@pytest.fixture
async def ann(world: World, http: aiohttp.ClientSession) -> Api:
    _, key = await world.account("ann")
    return Api(world, http, key)


@pytest.fixture
async def bob(world: World, http: aiohttp.ClientSession) -> Api:
    _, key = await world.account("bob")
    return Api(world, http, key)


async def test_rules_live_and_change(world: World, ann: Api, bob: Api) -> None:
    status, made = await ann("POST", "/rules", RULE)
    assert (status, made["version"], made["effective"], made["document"]) == (201, 1, None, RULE)
    path = f"/rules/{made['id']}"
    changed = {**RULE, "title": "BTC high"}
    status, second = await ann("PUT", path, changed)
    assert (status, second["version"], second["document"]) == (200, 2, changed)
    for method, body in (("GET", None), ("PUT", RULE), ("DELETE", None)):
        status, problem = await bob(method, path, body)
        assert (status, problem["code"]) == (404, "not_found")
    assert (await bob("GET", "/rules"))[1] == {"rules": [], "next": None}
    assert (await ann("GET", "/rules"))[1]["rules"] == [second]
    assert (await ann("DELETE", path))[0] == 204
    assert (await ann("GET", path))[0] == 404
    assert world.changes == 3


async def test_rules_come_in_pages(ann: Api) -> None:
    made = {(await ann("POST", "/rules", RULE))[1]["id"] for _ in range(5)}
    status, first = await ann("GET", "/rules?limit=3")
    _, second = await ann("GET", f"/rules?limit=3&cursor={first['next']}")
    assert status == 200
    assert second["next"] is None
    assert {one["id"] for one in first["rules"] + second["rules"]} == made


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**RULE, "when": {"type": "above", "level": "-1"}}, "level"),
        ({**RULE, "symbols": ["BTC-UDS"]}, "symbols[0]"),
        ({**RULE, "venues": ["karken"]}, "venues[0]"),
        ({**RULE, "symbols": ["ETH-USD"], "venues": ["kraken"]}, "venues"),
        ({**RULE, "policy": {"expires": "2020-01-01T00:00:00Z"}}, "policy.expires"),
        ([], ""),
    ],
)
async def test_bad_rules_name_field_and_fix(ann: Api, body: Any, field: str) -> None:
    status, problem = await ann("POST", "/rules", body)
    assert status == 422
    assert field in problem.get("field", "")
    assert problem["detail"]


async def test_a_misspelt_symbol_is_met_with_the_right_one(ann: Api) -> None:
    _, problem = await ann("POST", "/rules", {**RULE, "symbols": ["BTC-UDS"]})
    assert "did you mean BTC-USD" in problem["detail"]


async def test_signals_are_the_feeds_documents(world: World, http: aiohttp.ClientSession) -> None:
    account, key = await world.account("cat")
    _, other_key = await world.account("dan")
    api, other = Api(world, http, key), Api(world, http, other_key)
    entries = await world.emit(account, 5)
    status, page = await api("GET", "/signals?after_seq=2&limit=2")
    assert status == 200
    assert [one["seq"] for one in page["signals"]] == [3, 4]
    assert page["seq"] == 5
    assert page["missing"] == 0
    assert (await api("GET", f"/signals?after_seq=5&epoch={page['epoch']}"))[1]["signals"] == []
    _, newest = await api("GET", "/signals?limit=2")
    assert [one["seq"] for one in newest["signals"]] == [4, 5]
    _, before = await api("GET", "/signals?limit=2&before_seq=4")
    assert [one["seq"] for one in before["signals"]] == [2, 3]
    path = f"/signals/{entries[2].signal.id}"
    assert (await api("GET", path))[1] == page["signals"][0]
    assert (await other("GET", path))[0] == 404
    assert (await other("GET", "/signals?after_seq=0"))[1]["signals"] == []
    deliveries = (await api("GET", "/deliveries?state=queued"))[1]["deliveries"]
    assert len(deliveries) == 5
    assert deliveries[0]["target"] == "cat@example.org"
    assert (await other("GET", "/deliveries"))[1]["deliveries"] == []


async def test_what_is_not_kept_any_more_is_counted(world: World, http: aiohttp.ClientSession) -> None:
    account, key = await world.account("cat")
    api = Api(world, http, key)
    await world.emit(account, 5)
    del world.store.journal._feeds[account.id][:3]
    _, page = await api("GET", "/signals?after_seq=1")
    assert (page["missing"], [one["seq"] for one in page["signals"]]) == (2, [4, 5])
    assert (await api("GET", "/signals?after_seq=4"))[1]["missing"] == 0
    assert (await api("GET", "/signals"))[1]["missing"] == 0


async def test_markets_candles_and_forecast(world: World, ann: Api) -> None:
    world.trade(70_000.25)
    _, answer = await ann("GET", "/symbols")
    row = next(one for one in answer["symbols"] if one["market"] == "coinbase:BTC-USD")
    assert (row["price"], row["feed_age"], row["state"]) == ("70000.25", 0, "live")
    now = world.clock.now()
    world.shelf.bars = [Candle(BTC.id, now - MINUTE, 1.5, 2.5, 0.1, 1e-7, 3.0, 4)]
    _, candles = await ann("GET", "/candles?market=coinbase:btc-usd&interval=1m")
    assert candles["candles"][0]["close"] == "0.0000001"
    assert (await ann("GET", "/forecast?market=coinbase:BTC-USD"))[0] == 404
    rows = [ForecastRow(now, 2.0, 1.0, 3.0)]
    world.shelf.forecasts[BTC.id] = Forecast(
        uuid.uuid4(), BTC.id, "prophet", now - MINUTE, now, 10, 0.95, MINUTE, now + 1, rows
    )
    _, forecast = await ann("GET", "/forecast?market=coinbase:BTC-USD")
    assert (forecast["expired"], forecast["bands"][0]["upper"]) == (False, 3.0)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/candles", "market"),
        ("/candles?market=coinbase:BTC-UDS", "market"),
        ("/candles?market=coinbase:BTC-USD&interval=5m", "interval"),
        ("/candles?market=coinbase:BTC-USD&from=yesterday", "from"),
        ("/candles?market=coinbase:BTC-USD&interval=1s&from=2026-01-01T00:00:00Z&to=2026-01-01T06:00:01Z", "from"),
        ("/candles?market=coinbase:BTC-USD&from=2026-01-01T00:00:00", "from"),
        ("/candles?market=coinbase:BTC-USD&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("/signals?aftr_seq=1", "aftr_seq"),
        ("/signals?after_seq=-1", "after_seq"),
        ("/signals?after_seq=1", "after_seq"),
        ("/signals?after_seq=0&epoch=7", "epoch"),
        ("/signals?limit=1e9", "limit"),
        ("/deliveries?state=lost", "state"),
        ("/rules?after=7", "after"),
    ],
)
async def test_bad_queries_name_the_field(ann: Api, path: str, field: str) -> None:
    status, problem = await ann("GET", path)
    assert (status, problem["field"]) == (422, field)


async def test_roles_decide(world: World, http: aiohttp.ClientSession, ann: Api) -> None:
    _, key = await world.account("vic", Role.VIEWER)
    viewer = Api(world, http, key)
    _, key = await world.account("root", Role.ADMIN)
    admin = Api(world, http, key)
    assert (await viewer("POST", "/rules", RULE))[0] == 403
    assert (await viewer("GET", "/rules"))[0] == 200
    assert (await ann("GET", "/users"))[0] == 403
    _, answer = await admin("GET", "/users")
    assert [one["name"] for one in answer["users"]] == ["ann", "vic", "root"]
    assert (await viewer("GET", "/me"))[1]["role"] == "viewer"


async def test_requests_that_cannot_be_served(world: World, ann: Api) -> None:
    headers = {"Content-Type": "text/plain"}
    cases: list[tuple[str, str, dict[str, Any], int]] = [
        ("GET", "/nothing", {}, 404),
        ("PATCH", "/rules", {}, 405),
        ("POST", "/rules", {"data": b"{}", "headers": headers}, 415),
        ("GET", "/signals/7", {}, 404),
        ("GET", f"/signals/{uuid.uuid4()}", {}, 404),
    ]
    for method, path, options, expected in cases:
        assert (await ann(method, path, **options))[0] == expected, path
    large = {**RULE, "title": "x" * 70_000}
    assert (await ann("POST", "/rules", large))[0] == 413
    world.store.journal.down = True
    assert (await ann("GET", "/signals"))[0] == 503


async def test_a_slow_answer_ends_in_time(http: aiohttp.ClientSession) -> None:
    async with World(QUICK.model_copy(update={"handler_timeout": 0.05})).running() as world:
        _, key = await world.account("ann")

        async def head(_: uuid.UUID) -> None:
            await asyncio.sleep(5)

        world.store.journal.head = head  # type: ignore[assignment,method-assign]
        status, problem = await Api(world, http, key)("GET", "/signals")
        assert (status, problem["code"]) == (504, "timeout")


async def test_the_unforeseen_is_hidden(world: World, ann: Api) -> None:
    async def head(_: uuid.UUID) -> None:
        raise ZeroDivisionError("secret detail")

    world.store.journal.head = head  # type: ignore[assignment,method-assign]
    status, problem = await ann("GET", "/signals")
    assert status == 500
    assert "secret" not in json.dumps(problem)


async def test_health_and_status(world: World, http: aiohttp.ClientSession) -> None:
    async def get(path: str) -> tuple[int, str]:
        async with http.get(world.base + path) as answer:
            return answer.status, await answer.text()

    assert (await get("/healthz"))[0] == 200
    assert (await get("/readyz"))[0] == 200
    world.engine.problem = "stuck"
    status, text = await get("/readyz")
    assert (status, json.loads(text)["troubles"]) == (503, {"evaluation": "stuck"})
    facts = json.loads((await get("/status"))[1])
    assert facts["parts"]["evaluation"] == {"trouble": "stuck", "cursor": 5}
    assert facts["parts"]["gateway"]["markets"] == 3
    _, metrics = await get("/metrics")
    assert 'pricewatch_evaluation_ticks_total{venue="coinbase"} 12.0' in metrics
    assert "pricewatch_evaluation_lag_seconds 0.5" in metrics
    assert "pricewatch_gateway_sessions 0.0" in metrics


async def test_ready_says_when_the_database_is_away(http: aiohttp.ClientSession) -> None:
    async with World(QUICK.model_copy(update={"ready_timeout": 0.05})).running() as world:

        async def get(_: uuid.UUID) -> None:
            await asyncio.sleep(5)

        world.store.accounts.get = get  # type: ignore[assignment,method-assign]
        async with http.get(f"{world.base}/readyz") as answer:
            assert answer.status == 503
            assert "did not answer" in (await answer.json())["troubles"]["database"]
        async with http.get(f"{world.base}/healthz") as answer:
            assert answer.status == 200


async def test_status_may_need_a_key(http: aiohttp.ClientSession) -> None:
    async with World(QUICK.model_copy(update={"open_status": False})).running() as world:
        _, key = await world.account("ann")
        for path in ("/status", "/metrics"):
            async with http.get(world.base + path) as answer:
                assert answer.status == 401
            async with http.get(world.base + path, headers={"X-API-Key": key}) as answer:
                assert answer.status == 200


async def test_connections_without_a_request_are_closed() -> None:
    async with World(QUICK.model_copy(update={"head_timeout": 0.1})).running() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.gateway.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        async with asyncio.timeout(18):
            assert await reader.read() == b""
        writer.close()


def test_the_gateway_is_what_the_stages_hand_to(world: World) -> None:
    tape: PriceTape = world.gateway
    sink: SignalSink = world.gateway
    part: Part = world.gateway
    assert {id(tape), id(sink)} == {id(part)}
