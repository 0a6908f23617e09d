"""Passwords, sessions, scoped keys and tickets, as browsers and bots see them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from tests.gateway.gateway_world import QUICK, Client, World

from pricewatch.accounts.passwords import Passwords
from pricewatch.domain.account import Account, Role
from pricewatch.domain.errors import Unavailable
from pricewatch.domain.time import rfc3339
from pricewatch.gateway.auth import COOKIE
from pricewatch.gateway.feed.codes import Close

WORD = "correct horse battery"
RULE = {"title": "BTC above 70k", "symbols": ["BTC-USD"], "when": {"type": "above", "level": "70000"}}


class Browser:
    """A page of the service's own origin."""

    def __init__(self, world: World, http: aiohttp.ClientSession) -> None:
        self._world = world
        self.http = http

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        sent = {"Origin": self._world.base, **{name.replace("_", "-"): text for name, text in headers.items()}}
        url = f"{self._world.base}/api/v1{path}"
        async with self.http.request(method, url, json=body, headers=sent) as answer:
            return answer.status, await answer.json(content_type=None) if answer.status != 204 else None

    async def log_in(self, name: str, password: str) -> int:
        return (await self("POST", "/session", {"name": name, "password": password}))[0]

    async def socket(self, *protocols: str) -> Client:
        headers = {"Origin": self._world.base}
        return Client(await self.http.ws_connect(f"{self._world.base}/ws/v1", headers=headers, protocols=protocols))


@pytest.fixture
async def browser(world: World) -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield Browser(world, http)


@pytest.fixture
async def root(world: World) -> AsyncIterator[Browser]:
    _, key = await world.account("root", Role.ADMIN)
    async with aiohttp.ClientSession(headers={"X-API-Key": key}) as http:
        yield Browser(world, http)


async def known(world: World, name: str, role: Role = Role.USER) -> Account:
    account, _ = await world.account(name, role)
    hashed = await world.gateway._routes._passwords.hash(WORD)
    await world.store.accounts.set_password(account.id, hashed)
    return account


async def test_a_name_and_a_password_let_in(world: World, browser: Browser) -> None:
    await known(world, "ann")
    assert (await browser("GET", "/session"))[1] == {"account": None}
    assert await browser.log_in("ann", WORD) == 200
    assert (await browser("GET", "/session"))[1]["account"]["name"] == "ann"
    assert (await browser("POST", "/rules", RULE))[0] == 201
    [session] = (await browser("GET", "/sessions"))[1]["sessions"]
    assert (session["current"], session["agent"][:7]) == (True, "Python/")
    cookie = next(one for one in browser.http.cookie_jar if one.key == COOKIE)
    stored = [one.digest for one in world.store.accounts.sessions.held.values()]
    assert cookie.value.encode() not in stored[0]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert (await browser("DELETE", "/session"))[0] == 204
    assert (await browser("GET", "/me"))[0] == 401
    assert world.store.accounts.sessions.held == {}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "and not both"),
        ({"name": "ann"}, "and not both"),
        ({"name": "ann", "password": "x", "key": "pw_x"}, "and not both"),
        ({"name": "ann", "passwort": "x"}, "passwort"),
        ({"name": 5, "password": "x"}, "Expected `str | null`, got `int`"),
        ({"name": "ann", "password": "x" * 3_000}, "length"),
    ],
)
async def test_logins_that_say_the_wrong_things(browser: Browser, body: Any, says: str) -> None:
    status, problem = await browser("POST", "/session", body)
    assert status == 422
    assert says in problem["detail"] + problem.get("field", "")


async def test_a_wrong_name_is_answered_as_a_wrong_password_is(world: World, browser: Browser) -> None:
    await known(world, "ann")
    await world.account("bob")
    answers = [
        await browser("POST", "/session", {"name": name, "password": "wrong horse battery"})
        for name in ("ann", "bob", "nobody", "no\0body")
    ]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 401
    verified: list[str | None] = []
    hasher = world.gateway._routes._passwords
    verify = hasher.verify

    async def count(hashed: str | None, password: str) -> bool:
        verified.append(hashed)
        return await verify(hashed, password)

    hasher.verify = count  # type: ignore[method-assign]
    for name in ("ann", "nobody"):
        await browser.log_in(name, "wrong horse battery")
    assert [one is None for one in verified] == [False, True]


async def test_tries_for_a_name_are_counted_whoever_makes_them(world: World, browser: Browser) -> None:
    await known(world, "ann")
    for name in ("ann", "nobody"):
        answers = []
        for _ in range(QUICK.name_attempts + 1):
            world.clock.advance(7)  # not too fast for the address
            answers.append(await browser.log_in(name, "wrong horse battery"))
        assert answers == [401] * QUICK.name_attempts + [429]
    status, problem = await browser("POST", "/session", {"name": "ann", "password": WORD})
    assert (status, problem["code"]) == (429, "login_throttled")
    world.clock.advance(QUICK.name_window)
    assert await browser.log_in("ann", WORD) == 200


async def test_who_is_right_begins_anew(world: World, browser: Browser) -> None:
    await known(world, "ann")
    for _ in range(3):
        for _ in range(QUICK.name_attempts - 1):
            world.clock.advance(7)
            assert await browser.log_in("ann", "wrong horse battery") == 401
        world.clock.advance(7)
        assert await browser.log_in("ann", WORD) == 200


async def test_a_crowd_is_sent_away_for_a_moment(world: World, browser: Browser) -> None:
    await known(world, "ann")

    async def busy(*_: object) -> bool:
        raise Unavailable("too many log in at once")

    world.gateway._routes._passwords.verify = busy  # type: ignore[assignment,method-assign]
    status, problem = await browser("POST", "/session", {"name": "ann", "password": WORD})
    assert (status, problem["code"]) == (503, "login_busy")
    world.gateway._routes._passwords.hash = busy  # type: ignore[assignment,method-assign]
    _, key = await world.account("bob")
    status, problem = await browser("PUT", "/me/password", {"new": WORD}, X_API_Key=key)
    assert (status, problem["code"]) == (503, "login_busy")


async def test_an_old_hash_is_made_better_at_the_next_login(world: World, browser: Browser) -> None:
    account, _ = await world.account("ann")
    weak = Passwords(memory=32, rounds=1)
    await world.store.accounts.set_password(account.id, await weak.hash(WORD))
    weak.close()
    assert await browser.log_in("ann", WORD) == 200
    found = await world.store.accounts.password("ann")
    assert found is not None
    assert "m=64" in str(found[1])
    assert (await browser("GET", "/me"))[0] == 200


async def test_a_changed_password_ends_other_sessions_and_their_sockets(world: World, browser: Browser) -> None:
    await known(world, "ann")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        other = Browser(world, http)
        assert (await browser.log_in("ann", WORD), await other.log_in("ann", WORD)) == (200, 200)
        mine, his = await browser.socket(), await other.socket()
        assert [(await one.next())["type"] for one in (mine, his)] == ["welcome"] * 2
        status, problem = await browser("PUT", "/me/password", {"current": "wrong", "new": "another long word"})
        assert (status, problem["field"]) == (422, "current")
        status, problem = await browser("PUT", "/me/password", {"current": WORD, "new": "short"})
        assert (status, problem["field"]) == (422, "password")
        assert (await browser("PUT", "/me/password", {"current": WORD, "new": "another long word"}))[0] == 204
        assert await his.close_code() == Close.KEY_REVOKED
        assert (await browser("GET", "/me"))[0] == 200
        assert (await other("GET", "/me"))[0] == 401
        assert not mine.socket.closed
        assert await other.log_in("ann", "another long word") == 200


async def test_a_session_is_ended_from_another(world: World, browser: Browser) -> None:
    await known(world, "ann")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        other = Browser(world, http)
        assert (await browser.log_in("ann", WORD), await other.log_in("ann", WORD)) == (200, 200)
        sessions = (await browser("GET", "/sessions?limit=1"))[1]
        assert len(sessions["sessions"]) == 1
        [second] = (await browser("GET", f"/sessions?cursor={sessions['next']}"))[1]["sessions"]
        assert not second["current"]
        assert (await browser("DELETE", f"/sessions/{second['id']}"))[0] == 204
        assert (await other("GET", "/me"))[0] == 401
        assert (await browser("GET", "/me"))[0] == 200


async def test_keys_are_made_used_and_revoked(world: World, browser: Browser) -> None:
    await known(world, "ann")
    await browser.log_in("ann", WORD)
    until = rfc3339(world.clock.now() + 3_600_000_000)
    status, made = await browser("POST", "/keys", {"title": "bot", "scopes": ["read", "write"], "expires": until})
    assert (status, made["title"], made["scopes"], made["expires"]) == (201, "bot", ["read", "write"], until)
    key = made["key"]
    async with aiohttp.ClientSession(headers={"X-API-Key": key}) as http:
        bot = Browser(world, http)
        assert (await bot("POST", "/rules", RULE))[0] == 201
        socket = await bot.socket()
        assert (await socket.next())["type"] == "welcome"
        listed = (await browser("GET", "/keys"))[1]["keys"]
        assert [(one["id"], one["key"]) for one in listed][1:] == [(made["id"], None)]
        assert listed[1]["used"] == rfc3339(world.clock.now())
        assert key not in str(listed)
        assert (await browser("DELETE", f"/keys/{made['id']}"))[0] == 204
        assert await socket.close_code() == Close.KEY_REVOKED
        assert (await bot("GET", "/me"))[0] == 401
    actions = [entry["action"] for entry in (await browser("GET", "/audit"))[1]["entries"]]
    assert actions[:2] == ["key.revoke", "key.create"]


async def test_a_key_may_no_more_than_its_scopes(world: World, browser: Browser) -> None:
    await known(world, "ann")
    await browser.log_in("ann", WORD)
    reader = (await browser("POST", "/keys", {}))[1]
    assert reader["scopes"] == ["read"]
    async with aiohttp.ClientSession(headers={"X-API-Key": reader["key"]}) as http:
        bot = Browser(world, http)
        assert (await bot("GET", "/rules"))[0] == 200
        for method, path, body in (
            ("POST", "/rules", RULE),
            ("POST", "/keys", {}),
            ("DELETE", f"/keys/{reader['id']}", None),
            ("PUT", "/me/password", {"new": "a new long word"}),
        ):
            status, problem = await bot(method, path, body)
            assert (status, problem["code"]) in {(403, "scope_missing"), (403, "read_only_key")}
        assert (await bot("POST", "/tickets"))[0] == 201
        # A browser that came in with this key may no more than it, and goes with it.
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as jar:
            other = Browser(world, jar)
            assert (await other("POST", "/session", {"key": reader["key"]}))[0] == 200
            assert (await other("POST", "/rules", RULE))[0] == 403
            await browser("DELETE", f"/keys/{reader['id']}")
            assert (await other("GET", "/me"))[0] == 401


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["admin"]}, "scopes"),
        ({"scopes": ["fly"]}, "scopes[0]"),
        ({"scopes": []}, "scopes"),
        ({"title": "x\0"}, "title"),
        ({"title": "x" * 101}, "title"),
        ({"expires": "tomorrow"}, "expires"),
        ({"expires": "2020-01-01T00:00:00Z"}, "expires"),
        ({"expires": "2030-01-01T00:00:00"}, "expires"),
        ({"expire": "2030-01-01T00:00:00Z"}, "expire"),
    ],
)
async def test_keys_that_are_not_made(world: World, browser: Browser, body: Any, field: str) -> None:
    await known(world, "ann")
    await browser.log_in("ann", WORD)
    status, problem = await browser("POST", "/keys", body)
    assert (status, problem["field"]) == (422, field)
    assert problem["detail"]


async def test_a_key_that_may_not_look_opens_no_feed(world: World, browser: Browser) -> None:
    await known(world, "ann")
    await browser.log_in("ann", WORD)
    key = (await browser("POST", "/keys", {"scopes": ["write"]}))[1]["key"]
    async with aiohttp.ClientSession(headers={"X-API-Key": key}) as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await Browser(world, http).socket()
        assert refused.value.status == 403


async def test_a_viewer_has_keys_that_look(world: World, browser: Browser) -> None:
    await known(world, "vic", Role.VIEWER)
    await browser.log_in("vic", WORD)
    assert (await browser("POST", "/keys", {"scopes": ["read"]}))[0] == 201
    assert (await browser("POST", "/keys", {"scopes": ["write"]}))[0] == 422
    status, problem = await browser("POST", "/rules", RULE)
    assert (status, problem["code"]) == (403, "read_only")


async def test_a_ticket_opens_one_socket(world: World, browser: Browser) -> None:
    await known(world, "ann")
    await browser.log_in("ann", WORD)
    ticket = (await browser("POST", "/tickets"))[1]["ticket"]
    browser.http.cookie_jar.clear()
    client = await browser.socket("pricewatch.v1", f"ticket.{ticket}")
    assert client.socket.protocol == "pricewatch.v1"
    assert (await client.next())["type"] == "welcome"
    for word in (ticket, "pwt_wrong"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.socket("pricewatch.v1", f"ticket.{word}")
        assert refused.value.status == 401
    # It lives as long as the session it was made with.
    session = next(iter(world.store.accounts.sessions.held.values()))
    await world.store.accounts.sessions.end(session.account_id, session.id)
    assert await client.close_code() == Close.KEY_REVOKED


async def test_a_ticket_counts_for_30_seconds_and_not_for_rest(world: World, http: aiohttp.ClientSession) -> None:
    _, key = await world.account("ann")
    bot = Browser(world, aiohttp.ClientSession(headers={"X-API-Key": key}))
    made = (await bot("POST", "/tickets"))[1]
    assert made["expires"] == rfc3339(world.clock.now() + 30_000_000)
    stranger = Browser(world, http)
    assert (await stranger("GET", "/me", Sec_WebSocket_Protocol=f"ticket.{made['ticket']}"))[0] == 401
    world.clock.advance(30)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await stranger.socket("pricewatch.v1", f"ticket.{made['ticket']}")
    assert refused.value.status == 401
    async with bot.http.get(f"{world.base}/api/v1/me?ticket={made['ticket']}") as answer:
        assert answer.status == 400
    await bot.http.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_foreign_pages_write_nothing_whatever_they_know(world: World, method: str) -> None:
    _, key = await world.account("ann")
    async with aiohttp.ClientSession(headers={"X-API-Key": key, "Origin": "https://evil.example"}) as http:
        for path in ("/rules", "/session", "/keys"):
            async with http.request(method, f"{world.base}/api/v1{path}", json={}) as answer:
                assert answer.status in {403, 405}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{world.base}/ws/v1")
        assert refused.value.status == 403
        async with http.get(f"{world.base}/api/v1/me") as answer:
            assert answer.status == 200
            assert "Access-Control-Allow-Origin" not in answer.headers


async def test_administrators_make_change_and_erase_users(world: World, root: Browser, browser: Browser) -> None:
    status, bob = await root("POST", "/users", {"name": "bob", "email": "bob@example.org", "password": WORD})
    assert (status, bob["name"], bob["role"], bob["disabled"]) == (201, "bob", "user", None)
    path = f"/users/{bob['id']}"
    assert await browser.log_in("bob", WORD) == 200
    assert (await browser("GET", path))[0] == 403
    assert (await browser("POST", "/rules", RULE))[0] == 201
    assert (await root("PATCH", path, {"role": "viewer"}))[1]["role"] == "viewer"
    assert (await browser("POST", "/rules", RULE))[0] == 403
    socket = await browser.socket()
    assert (await root("PATCH", path, {"disabled": True}))[1]["disabled"] == rfc3339(world.clock.now())
    assert await socket.close_code() == Close.KEY_REVOKED
    assert (await browser("GET", "/me"))[0] == 401
    assert await browser.log_in("bob", WORD) == 401
    await root("PATCH", path, {"disabled": False, "password": "another long word", "email": ""})
    assert (await root("GET", path))[1]["email"] == ""
    assert await browser.log_in("bob", "another long word") == 200
    assert (await root("DELETE", path))[0] == 204
    assert (await browser("GET", "/me"))[0] == 401
    assert [(await root(method, path, {}))[0] for method in ("GET", "PATCH", "DELETE")] == [404] * 3
    assert world.changes == 2
    entries = (await root("GET", f"/audit?account={bob['id']}"))[1]["entries"]
    assert entries[0]["action"] == "user.erase"
    assert "bob" not in str(entries)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "root"}, "name"),
        ({"name": "two words"}, "name"),
        ({"name": ""}, "name"),
        ({}, "name"),
        ({"name": "bob", "email": "nobody"}, "email"),
        ({"name": "bob", "role": "king"}, "role"),
        ({"name": "bob", "password": "short"}, "password"),
        ({"name": "bob", "size": 5}, "size"),
    ],
)
async def test_users_that_are_not_made(root: Browser, body: Any, field: str) -> None:
    status, problem = await root("POST", "/users", body)
    assert (status, problem["field"]) == (422, field)
    assert "regex" not in problem["detail"]
    assert len((await root("GET", "/users"))[1]["users"]) == 1


async def test_the_last_administrator_stays(root: Browser) -> None:
    me = (await root("GET", "/me"))[1]["id"]
    for change in ({"role": "user"}, {"disabled": True}):
        status, problem = await root("PATCH", f"/users/{me}", change)
        assert (status, "last administrator" in problem["detail"]) == (422, True)
    assert (await root("DELETE", f"/users/{me}"))[0] == 422


async def test_one_sees_what_one_did_and_an_administrator_all(world: World, root: Browser, browser: Browser) -> None:
    ann = await known(world, "ann")
    await browser.log_in("ann", WORD)
    mine = (await browser("GET", "/audit"))[1]["entries"]
    assert [entry["action"] for entry in mine] == ["session.begin", "password.set", "key.create", "user.create"]
    everything = (await root("GET", "/audit?limit=2"))[1]
    more = (await root("GET", f"/audit?limit=500&cursor={everything['next']}"))[1]
    assert more["next"] is None
    assert len(everything["entries"] + more["entries"]) == len(mine) + 2
    assert (await root("GET", f"/audit?account={ann.id}"))[1]["entries"] == mine
    assert (await browser("GET", f"/audit?account={ann.id}"))[1]["entries"] == mine
    other = (await root("GET", "/me"))[1]["id"]
    assert (await browser("GET", f"/audit?account={other}"))[0] == 403
    assert (await browser("GET", "/audit?account=me"))[0] == 422


async def test_a_key_that_expires_closes_its_socket(world: World) -> None:
    account, _ = await world.account("ann")
    key = await world.key(account, expires=world.clock.now() + 5_000_000)
    async with aiohttp.ClientSession(headers={"X-API-Key": key}) as http:
        client = await Browser(world, http).socket()
        world.clock.advance(5)
        assert await client.close_code() == Close.KEY_REVOKED


async def test_what_has_expired_is_forgotten(browser: Browser) -> None:
    settings = QUICK.model_copy(update={"forget_interval": 0.05})
    async with World(settings).running() as world:
        await known(world, "ann")
        async with aiohttp.ClientSession() as http:
            assert await Browser(world, http).log_in("ann", WORD) == 200
        world.clock.advance(settings.session_lifetime)
        async with asyncio.timeout(30):
            while world.store.accounts.sessions.held:
                await asyncio.sleep(0.01)

        async def away(_: int) -> None:
            raise Unavailable("away")

        world.store.accounts.sessions.forget_expired = away  # type: ignore[assignment,method-assign]
        await world.gateway._routes.forget()
