"""What stands before every endpoint: limits, quotas, answers that are repeated, and input that is refused."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import logging
import re
import shutil
import subprocess
import tempfile
import uuid
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from tests.conftest import missing
from tests.gateway.gateway_world import QUICK, World
from tests.gateway.postgres_world import GENEROUS, house

from pricewatch.domain.account import Account, Role
from pricewatch.domain.errors import Unavailable
from pricewatch.gateway.limits import RateLimits
from pricewatch.gateway.problems import Denied
from pricewatch.gateway.rest import cursor
from pricewatch.gateway.unreadable import Unreadable
from pricewatch.testing.clock import ManualClock

RULE = {"title": "BTC above 70k", "symbols": ["BTC-USD"], "when": {"type": "above", "level": "70000"}}


class Api:
    """Requests with one account's key."""

    def __init__(self, world: World, http: aiohttp.ClientSession) -> None:
        self._world = world
        self.http = http

    async def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any, Any]:
        url = f"{self._world.base}/api/v1{path}"
        if body is not None:
            options["json"] = body
        async with self.http.request(method, url, **options) as answer:
            text = await answer.text()
            if answer.status >= 400:
                assert answer.content_type == "application/problem+json", text
                assert json.loads(text)["detail"]
            return answer.status, json.loads(text) if text else None, answer.headers


@pytest.fixture
async def ann(world: World) -> AsyncIterator[Api]:
    _, key = await world.account("ann")
    async with aiohttp.ClientSession(headers={"X-API-Key": key}) as http:
        yield Api(world, http)


# -- limits -----------------------------------------------------------------------------------------------------------


async def test_requests_are_counted_and_the_answer_says_so() -> None:
    async with World(QUICK.model_copy(update={"read_limit": 3, "write_limit": 1})).running() as world:
        (_, key), (_, other) = await world.account("ann"), await world.account("bob")
        async with aiohttp.ClientSession(headers={"X-API-Key": key}) as http:
            ann = Api(world, http)
            for left in (2, 1, 0):
                status, _, headers = await ann("GET", "/rules")
                assert (status, headers["RateLimit"]) == (200, f'"read";r={left};t=60')
                assert headers["RateLimit-Policy"] == '"read";q=3;w=60'
            world.clock.advance(20)
            status, problem, headers = await ann("GET", "/rules")
            assert (status, problem["code"], headers["Retry-After"]) == (429, "rate_limited", "40")
            assert (await ann("POST", "/rules", RULE))[0] == 201
            status, _, headers = await ann("POST", "/rules", RULE)
            assert (status, headers["RateLimit"]) == (429, '"write";r=0;t=60')
            assert (await ann("GET", "/rules", headers={"X-API-Key": other}))[0] == 200
            world.clock.advance(40)
            assert (await ann("GET", "/rules"))[0] == 200


async def test_errors_say_what_is_left_too(ann: Api) -> None:
    status, _, headers = await ann("GET", f"/rules/{uuid.uuid4()}")
    assert (status, headers["RateLimit"]) == (404, f'"read";r={QUICK.read_limit - 1};t=60')


async def test_an_address_does_not_guess_for_ever(http: aiohttp.ClientSession) -> None:
    async with World(QUICK.model_copy(update={"anonymous_limit": 3})).running() as world:
        api = Api(world, http)
        assert [(await api("GET", "/rules"))[0] for _ in range(5)] == [401] * 3 + [429] * 2
        _, key = await world.account("ann")
        assert (await api("GET", "/rules", headers={"X-API-Key": key}))[0] == 200


@pytest.mark.parametrize(("proxies", "expected"), [(0, [401, 401, 429]), (1, [401, 401, 401]), (2, [401, 401, 429])])
async def test_behind_proxies_the_address_is_the_one_they_saw(
    http: aiohttp.ClientSession, proxies: int, expected: list[int]
) -> None:
    async with World(QUICK.model_copy(update={"anonymous_limit": 2, "proxies": proxies})).running() as world:
        api = Api(world, http)
        answers = []
        for number in range(3):
            hops = f"10.9.9.{number}, 10.0.0.1, 10.0.1.{number}"
            answers.append((await api("GET", "/rules", headers={"X-Forwarded-For": hops}))[0])
        assert answers == expected
        assert (await api("GET", "/rules"))[0] in {401, 429}


async def test_counts_in_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pricewatch.gateway.limits._MOST_KEPT", 5)
    clock = ManualClock()
    limits = RateLimits(QUICK, clock)
    for number in range(20):
        await limits.spend("read", str(number))
    storage: Any = limits._own.storage
    assert len(storage._counts) == 5
    assert await storage.check()
    assert await storage.get_expiry("nobody") == clock.now() / 1e6
    assert (await storage.reset(), len(storage._counts)) == (5, 0)


@pytest.fixture
def redis_url() -> Iterator[str]:
    binary = shutil.which("redis-server")
    if binary is None:
        missing("there is no redis-server on the PATH")
    folder = Path(tempfile.mkdtemp(prefix="pw-"))
    path = folder / "r.sock"
    options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no"]
    server = subprocess.Popen([binary, *options], cwd=folder, stdout=subprocess.DEVNULL)
    yield f"unix://{path}"
    server.terminate()
    server.wait()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.redis
async def test_gateways_count_together_in_redis_and_alone_without(redis_url: str) -> None:
    settings, clock = QUICK.model_copy(update={"read_limit": 4}), ManualClock()
    one, two = (RateLimits(settings, clock, redis=redis_url) for _ in range(2))
    async with asyncio.timeout(30):
        while True:  # until the server listens
            await one.forgive("read", "ann")
            if not one._is_away:
                break
            one._is_away = False
            await asyncio.sleep(0.02)
    assert [(await limits.spend("read", "ann")).left for limits in (one, two, one)] == [3, 2, 1]
    await one.forgive("read", "ann")
    assert (await two.spend("read", "ann")).left == 3
    for limits in (one, two):
        await limits.close()
    lost = RateLimits(settings, clock, redis="redis://127.0.0.1:1/0")
    assert [(await lost.spend("read", "ann")).left for _ in range(5)] == [3, 2, 1, 0, 0]
    await lost.forgive("read", "ann")
    assert (await lost.spend("read", "ann")).left == 3
    await lost.close()


# -- quotas -----------------------------------------------------------------------------------------------------------


async def test_one_may_have_so_many() -> None:
    quotas = {"max_rules": 1, "max_keys": 2, "max_watchlists": 1, "max_webhooks": 1}
    async with World(QUICK.model_copy(update=quotas)).running() as world:
        _, key = await world.account("ann")
        async with aiohttp.ClientSession(headers={"X-API-Key": key}) as http:
            ann = Api(world, http)
            hook = {"kind": "webhook", "url": "https://hooks.example.org/"}
            for path, body, what in (
                ("/rules", RULE, "rules"),
                ("/keys", {}, "keys"),
                ("/watchlists", {"name": "x", "symbols": []}, "watchlists"),
                ("/channels", hook, "webhooks"),
            ):
                status, made, _ = await ann("POST", path, body)
                assert status == 201
                status, problem, _ = await ann("POST", path, body)
                assert (status, problem["code"]) == (403, "over_quota")
                assert f"gateway.max_{what}" in problem["detail"]
                assert (await ann("DELETE", f"{path}/{made['id']}"))[0] == 204
                assert (await ann("POST", path, body))[0] == 201


# -- answers that are repeated ----------------------------------------------------------------------------------------


async def test_a_request_sent_twice_is_done_once(world: World, ann: Api) -> None:
    twice = {"headers": {"Idempotency-Key": "a-1"}}
    status, first, _ = await ann("POST", "/rules", RULE, **twice)
    again, second, headers = await ann("POST", "/rules", RULE, **twice)
    assert (status, again, headers["Idempotent-Replayed"]) == (201, 201, "true")
    assert first == second
    assert len((await ann("GET", "/rules"))[1]["rules"]) == 1
    status, problem, _ = await ann("POST", "/rules", {**RULE, "title": "another"}, **twice)
    assert (status, problem["code"]) == (422, "idempotency_mismatch")
    assert (await ann("POST", "/watchlists", {"name": "x", "symbols": []}, **twice))[0] == 422
    _, key = await world.account("bob")
    own = {"headers": {**twice["headers"], "X-API-Key": key}}
    assert (await ann("POST", "/rules", RULE, **own))[1]["id"] != first["id"]
    world.clock.advance(86_401)
    assert (await ann("POST", "/rules", RULE, **twice))[1]["id"] != first["id"]


async def test_of_two_at_the_same_time_one_waits(world: World, ann: Api) -> None:
    held = asyncio.Event()
    create = world.store.rules.create

    async def slow(*arguments: Any, **options: Any) -> Any:
        await held.wait()
        return await create(*arguments, **options)

    world.store.rules.create = slow  # type: ignore[method-assign]
    twice = {"headers": {"Idempotency-Key": "a-1"}}
    async with asyncio.TaskGroup() as group:
        first = group.create_task(ann("POST", "/rules", RULE, **twice))
        while not world.store.records.repeats._held:  # type: ignore[attr-defined]
            await asyncio.sleep(0.005)
        status, problem, headers = await ann("POST", "/rules", RULE, **twice)
        assert (status, problem["code"], headers["Retry-After"]) == (409, "in_progress", "1")
        held.set()
    assert first.result()[0] == 201


async def test_what_was_not_done_may_be_done_again(world: World, ann: Api) -> None:
    create = world.store.rules.create

    async def away(*_: Any, **__: Any) -> Any:
        raise Unavailable("away")

    world.store.rules.create = away  # type: ignore[method-assign]
    twice = {"headers": {"Idempotency-Key": "a-1"}}
    assert (await ann("POST", "/rules", RULE, **twice))[0] == 503
    world.store.rules.create = create  # type: ignore[method-assign]
    assert (await ann("POST", "/rules", RULE, **twice))[0] == 201


async def test_a_secret_is_not_repeated(ann: Api) -> None:
    twice = {"headers": {"Idempotency-Key": "a-1"}}
    status, made, _ = await ann("POST", "/keys", {}, **twice)
    assert status == 201
    status, problem, _ = await ann("POST", "/keys", {}, **twice)
    assert (status, problem["code"]) == (409, "shown_once")
    assert made["key"] not in str(problem)
    assert len((await ann("GET", "/keys"))[1]["keys"]) == 2


@pytest.mark.parametrize("key", ["", "two words", "x" * 201, "\xe4"])
async def test_keys_of_repetition_are_short_and_plain(ann: Api, key: str) -> None:
    status, problem, _ = await ann("POST", "/rules", RULE, headers={"Idempotency-Key": key})
    assert (status, problem["code"]) == (400, "bad_idempotency_key")


async def test_acts_without_a_document_are_repeated_too(world: World) -> None:
    account, key = await world.account("root", Role.ADMIN)
    await world.emit(account)
    outbox = world.store.outbox
    [delivery] = await outbox.claim("email", limit=1, lease=5)
    await outbox.dead(delivery, "550 no such user")
    async with aiohttp.ClientSession(headers={"X-API-Key": key}) as http:
        root = Api(world, http)
        [dead] = (await root("GET", "/dead-letters"))[1]["deliveries"]
        path, twice = f"/dead-letters/{dead['id']}/replay", {"headers": {"Idempotency-Key": "a-1"}}
        assert [(await root("POST", path, **twice))[0] for _ in range(2)] == [204, 204]
        assert (await root("POST", path))[0] == 404
        assert (await root("GET", "/audit"))[1]["entries"][0]["action"] == "delivery.replay"
        detail = (await root("GET", f"/deliveries/{dead['id']}"))[1]
        assert detail["attempts"][0]["reply"] == "550 no such user"
        assert detail["delivery"]["state"] == "queued"


@pytest.mark.postgres
async def test_whose_account_went_elsewhere_is_told_so(database_url: str) -> None:
    believing = GENEROUS.model_copy(update={"key_ttl": 600.0, "revocation_interval": 600.0})
    async with house(database_url, believing) as home, aiohttp.ClientSession() as http:
        account, key = await home.account("ann")
        http.headers["X-API-Key"] = key
        url = f"{home.base}/api/v1"
        async with http.get(f"{url}/me") as answer:
            assert answer.status == 200
        await home.store.records.dossiers.erase(account.id)  # as another gateway or the command line does
        lists = {"name": "majors", "symbols": ["BTC-USD"]}
        for path, body, more in (
            ("tickets", None, {}),
            ("keys", {"title": "x"}, {}),
            ("watchlists", lists, {"Idempotency-Key": "once"}),
        ):
            async with http.post(f"{url}/{path}", json=body, headers=more) as answer:
                assert answer.status in {401, 404}, await answer.text()
        async with http.ws_connect(f"{home.base}/ws/v1") as socket:
            message = await socket.receive(timeout=15)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4001)


@pytest.mark.postgres
async def test_who_is_erased_here_is_out_at_once(database_url: str) -> None:
    believing = GENEROUS.model_copy(update={"key_ttl": 600.0})
    async with house(database_url, believing) as home, aiohttp.ClientSession() as http:
        account, key = await home.account("ann")
        _, other = await home.account("bob")
        _, admin = await home.account("root", Role.ADMIN)
        url = f"{home.base}/api/v1"

        async def ask(method: str, path: str, as_: str) -> int:
            async with http.request(method, f"{url}/{path}", headers={"X-API-Key": as_}) as answer:
                return answer.status

        assert [await ask("GET", "me", one) for one in (key, other)] == [200, 200]
        assert await ask("DELETE", f"users/{account.id}", admin) == 204
        assert [await ask("GET", "me", one) for one in (key, other)] == [401, 200]


@pytest.mark.postgres
async def test_an_export_that_breaks_off_does_not_look_whole(database_url: str) -> None:
    async with house(database_url) as home:
        _, key = await home.account("ann")
        export = home.store.records.dossiers.export

        async def broken(whose: Account) -> AsyncIterator[tuple[str, dict[str, Any]]]:
            async for one in export(whose):
                yield one
                raise Unavailable("away")

        object.__setattr__(home.store.records.dossiers, "export", broken)
        async with aiohttp.ClientSession(headers={"X-API-Key": key}) as http:
            with pytest.raises(aiohttp.ClientError):
                async with http.get(f"{home.base}/api/v1/me/export") as answer:
                    await answer.read()


# -- input that is refused --------------------------------------------------------------------------------------------

BODIES: dict[str, tuple[bytes, int]] = {
    "unknown field": (b'{"name": "x", "symbols": [], "colour": "red"}', 422),
    "missing field": (b'{"name": "x"}', 422),
    "wrong type": (b'{"name": 5, "symbols": []}', 422),
    "wrong item": (b'{"name": "x", "symbols": ["BTC"]}', 422),
    "no object": (b"[]", 422),
    "nothing": (b"", 422),
    "NaN": (b'{"name": NaN, "symbols": []}', 422),
    "1e400": (b'{"name": 1e400, "symbols": []}', 422),
    "not UTF-8": (b'{"name": "\xff", "symbols": []}', 422),
    "lone surrogate": (b'{"name": "\\ud800", "symbols": []}', 422),
    "NUL": (b'{"name": "\\u0000", "symbols": []}', 422),
    "deep": (b'{"name": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", 422),
    "2 MiB": (b'{"name": "' + b"x" * 2_097_152 + b'", "symbols": []}', 413),
}


@pytest.mark.parametrize("case", BODIES)
async def test_documents_that_are_refused(ann: Api, case: str) -> None:
    body, expected = BODIES[case]
    headers = {"Content-Type": "application/json"}
    for method, path in (("POST", "/watchlists"), ("POST", "/rules"), ("POST", "/session"), ("POST", "/keys")):
        status, problem, _ = await ann(method, path, data=io.BytesIO(body), headers=headers)
        wanted = {expected} if path == "/watchlists" else {413, 422}
        assert status in wanted, (path, problem)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_small_packet_that_unpacks_to_much_is_refused(ann: Api, coding: str) -> None:
    bomb = b'{"name": "' + b" " * 100_000_000 + b'"}'
    packed = gzip.compress(bomb) if coding == "gzip" else zlib.compress(bomb)
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    status, problem, _ = await ann("POST", "/watchlists", data=packed, headers=headers)
    assert (status, problem["code"]) == (413, "too_large")
    small = gzip.compress(b'{"name": "x", "symbols": []}') if coding == "gzip" else zlib.compress(b"{}")
    assert (await ann("POST", "/watchlists", data=small, headers=headers))[0] in {201, 422}


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_what_is_not_packed_as_it_says(world: World, ann: Api, coding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    async with ann.http.post(f"{world.base}/api/v1/watchlists", data=b"{not packed}", headers=headers) as answer:
        assert answer.status == 400
    assert (await ann("GET", "/watchlists"))[1]["watchlists"] == []


LISTINGS = ["/rules", "/signals", "/deliveries", "/watchlists", "/keys", "/sessions", "/audit", "/gaps"]


@pytest.mark.parametrize("path", LISTINGS)
async def test_cursors_that_are_not_ours(ann: Api, path: str) -> None:
    own = cursor.write("elsewhere", str(uuid.uuid4()))
    forged = cursor.write(path.strip("/"), "x", -1)
    for text in ("x", "=", "%00", "AAAA", "9" * 400, own, own[:-2], forged, str(uuid.uuid4()), "é"):
        status, problem, _ = await ann("GET", path, params={"cursor": text})
        assert (status, problem["code"]) == (400, "bad_cursor"), text


@pytest.mark.parametrize("head", [b"Content-Encoding: gzip\r\n", b"Content-Encoding: br\r\n", b"no header\r\n"])
async def test_what_cannot_be_read_is_one_line_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture, head: bytes
) -> None:
    _, key = await world.account("ann")
    caplog.set_level(logging.INFO)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.gateway.port)
    writer.write(b"POST /api/v1/rules HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key.encode() + b"\r\n")
    writer.write(b"Content-Type: application/json\r\nContent-Length: 4\r\n" + head + b"\r\nnope")
    async with asyncio.timeout(15):
        assert b" 400 " in await reader.readline()
        writer.write_eof()
        await reader.read()
    writer.close()
    [record] = [one for one in caplog.records if one.name == "pricewatch.gateway.http"]
    assert (record.levelno, record.exc_info) == (logging.INFO, None)
    assert record.getMessage().startswith("gateway.unreadable_request: ")
    assert "400, message:" in record.getMessage()
    assert key not in caplog.text


def test_errors_of_ours_keep_their_traceback() -> None:
    error = ValueError("ours")
    record = logging.LogRecord("x", logging.ERROR, "", 0, "Unhandled", (), (ValueError, error, None))
    assert Unreadable().filter(record)
    assert (record.levelno, record.exc_info) == (logging.ERROR, (ValueError, error, None))


@pytest.mark.parametrize("path", ["/signals?after_seq=1&cursor=", "/gaps?after=1&cursor="])
async def test_a_cursor_says_it_all(ann: Api, path: str) -> None:
    listing = re.sub(r"\W", "", path.partition("?")[0])
    status, problem, _ = await ann("GET", path + cursor.write(listing, "after", 1))
    assert (status, problem["field"]) == (422, "cursor")


@pytest.mark.parametrize("path", [*LISTINGS, "/me", "/markets", "/ticks", "/users", "/session"])
async def test_misspelt_parameters_are_named(ann: Api, path: str) -> None:
    status, problem, _ = await ann("GET", path, params={"limmit": "5"})
    assert status in {422, 403}
    if status == 422:
        assert problem["field"] == "limmit"


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=-1", "limit=1e3", "limit=501", "limit=٣", "limit="])
async def test_limits_that_are_none(ann: Api, query: str) -> None:
    status, problem, _ = await ann("GET", f"/rules?{query}")
    assert (status, problem["field"]) == (422, "limit")


@pytest.mark.parametrize(
    "path", ["/rules/x", "/rules/6f1c1f5e-8b55-4c3c-9b0a-3c1f2f7f0001", "/signals/%00", "/watchlists/1", "/keys/\ud800"]
)
async def test_ids_that_are_nobodys(ann: Api, path: str) -> None:
    assert (await ann("GET", path))[0] in {404, 405}


async def test_keys_in_urls_are_refused_everywhere(world: World, ann: Api, http: aiohttp.ClientSession) -> None:
    for path in ("/", "/healthz", "/status", "/openapi.json", "/api/v1/session", "/api/v1/nothing", "/ws/v1"):
        for query in ("key=x", "api_key=x", "access_token=x", "password=x", "x=pw_1", "x=pwt_1"):
            async with http.get(f"{world.base}{path}?{query}") as answer:
                assert answer.status == 400
                assert (await answer.json(content_type=None))["code"] == "key_in_url"


def test_a_page_goes_on_where_the_last_one_has_gone() -> None:
    rows = [Account(uuid.UUID(int=number), "", "", Role.USER, created=number // 2) for number in range(6)]

    def walk(found: list[Account], text: str | None, wanted: int = 2) -> tuple[list[int], str | None]:
        url = "/x" if text is None else f"/x?cursor={text}"
        page, follow = cursor.page(make_mocked_request("GET", url), "x", found, wanted)
        return [one.id.int for one in page], follow

    first, after = walk(rows, None)
    assert (first, walk(rows, after)[0], walk([], None)) == ([0, 1], [2, 3], ([], None))
    assert walk([rows[0], *rows[2:]], after)[0] == [2, 3]
    assert walk(rows[:2], after) == ([], None)
    assert walk([], after) == ([], None)
    assert walk(rows, after, 4) == ([2, 3, 4, 5], None)


def test_a_cursor_comes_back_as_it_went() -> None:
    def request(text: str) -> web.Request:
        return make_mocked_request("GET", f"/x?cursor={text}")

    number = uuid.uuid4()
    assert cursor.read_id(request(cursor.write("a", number)), "a") == number
    assert cursor.read_number(request(cursor.write("a", 2**61)), "a") == 2**61
    assert cursor.read_number(make_mocked_request("GET", "/x"), "a") is None
    for place in (("a", -1), ("a", 2**63), ("a", 1.5), ("a",), ("a", 1, 2), ("b", 1), ("a", None)):
        with pytest.raises(Denied, match="no cursor"):
            cursor.read_number(request(cursor.write(*place)), "a")
