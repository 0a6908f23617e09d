from __future__ import annotations

import uuid

import aiohttp
import pytest
from tests.gateway.gateway_world import QUICK, Client, World

from pricewatch.domain.account import Account
from pricewatch.domain.errors import Unavailable
from pricewatch.domain.time import SECOND
from pricewatch.gateway import credentials
from pricewatch.gateway.credentials import Identity, KeyRing
from pricewatch.gateway.feed.codes import Close


async def _status(http: aiohttp.ClientSession, url: str, **headers: str) -> int:
    async with http.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()}) as answer:
        return answer.status


async def test_only_valid_keys_get_in(world: World, http: aiohttp.ClientSession) -> None:
    account, key = await world.account("ann")
    url = f"{world.base}/api/v1/me"
    old = await world.key(account, expires=world.clock.now() + SECOND)
    assert await _status(http, url) == 401
    assert await _status(http, url, Authorization=f"Bearer {key}") == 200
    assert await _status(http, url, X_API_Key=old) == 200
    world.clock.advance(1)
    assert await _status(http, url, X_API_Key=old) == 401
    assert await _status(http, url, Authorization=f"Basic {key}") == 401
    assert await _status(http, url, X_API_Key="pw_00000000_" + "x" * 43) == 401
    assert await _status(http, url, X_API_Key="n\u00f6nsense") == 401
    stored = (await world.store.accounts.keys(account.id))[0]
    await world.store.accounts.revoke_key(account.id, stored.id, world.clock.now())
    assert await _status(http, url, X_API_Key=key) == 401


@pytest.mark.parametrize("query", ["key=abc", "api_key=abc", "token=abc", "x=pw_1234"])
async def test_a_key_in_the_url_is_refused(world: World, http: aiohttp.ClientSession, query: str) -> None:
    _, key = await world.account("ann")
    for path in ("/api/v1/me", "/ws/v1"):
        async with http.get(f"{world.base}{path}?{query}", headers={"X-API-Key": key}) as answer:
            assert answer.status == 400
            assert (await answer.json(content_type=None))["code"] == "key_in_url"


async def test_a_browser_logs_in_and_out(world: World) -> None:
    _, key = await world.account("ann")
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:
        session = f"{world.base}/api/v1/session"
        async with browser.get(session) as answer:
            assert await answer.json() == {"account": None}
        async with browser.post(session, json={"key": key}) as answer:
            assert answer.status == 200
            cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert key not in cookie
        async with browser.get(f"{world.base}/api/v1/me") as answer:
            assert (await answer.json())["name"] == "ann"
        own = {"Origin": world.base}
        async with browser.ws_connect(f"{world.base}/ws/v1", headers=own) as socket:
            client = Client(socket)
            assert (await client.next())["type"] == "welcome"
            async with browser.delete(session) as answer:
                assert answer.status == 204
            assert await client.close_code() == Close.KEY_REVOKED
        async with browser.get(f"{world.base}/api/v1/me") as answer:
            assert answer.status == 401


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "", "http://[", "http://127.0.0.1:1"])
async def test_foreign_pages_cannot_use_the_cookie(world: World, origin: str | None) -> None:
    _, key = await world.account("ann")
    headers = {} if origin is None else {"Origin": origin}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.post(f"{world.base}/api/v1/session", json={"key": key}) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.ws_connect(f"{world.base}/ws/v1", headers=headers)
        assert refused.value.status == 403
        async with browser.post(f"{world.base}/api/v1/rules", json={}, headers=headers) as answer:
            assert answer.status == 403


async def test_listed_origins_may(http: aiohttp.ClientSession) -> None:
    settings = QUICK.model_copy(update={"origins": ("https://prices.example.org",), "secure_cookie": True})
    async with World(settings).running() as world:
        _, key = await world.account("ann")
        async with http.post(f"{world.base}/api/v1/session", json={"key": key}) as answer:
            cookie = answer.headers["Set-Cookie"]
        assert "Secure" in cookie
        headers = {"Origin": "https://prices.example.org", "Cookie": cookie.split(";", maxsplit=1)[0]}
        async with http.ws_connect(f"{world.base}/ws/v1", headers=headers) as socket:
            assert (await socket.receive_json())["type"] == "welcome"


async def test_guessing_is_throttled(world: World, http: aiohttp.ClientSession) -> None:
    _, key = await world.account("ann")
    url = f"{world.base}/api/v1/session"
    answers = []
    for _ in range(12):
        async with http.post(url, json={"key": "pw_wrong"}) as answer:
            answers.append(answer.status)
    assert answers == [401] * 10 + [429] * 2
    async with http.post(url, json={"key": key}) as answer:
        assert answer.status == 429
    world.clock.advance(61)
    async with http.post(url, json={"key": key}) as answer:
        assert answer.status == 200
    async with http.post(url, json=["key"]) as answer:
        assert answer.status == 422


async def test_a_browser_session_ends_by_itself(world: World) -> None:
    _, key = await world.account("ann")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.post(f"{world.base}/api/v1/session", json={"key": key}) as answer:
            assert answer.status == 200
        world.clock.advance(QUICK.session_lifetime)
        async with browser.get(f"{world.base}/api/v1/me") as answer:
            assert answer.status == 401


async def test_known_keys_are_believed_while_the_store_is_away(world: World) -> None:
    account, key = await world.account("ann")
    settings = QUICK.model_copy(update={"key_ttl": 2.0})
    ring = KeyRing(world.store.accounts, world.store.accounts.sessions, settings, world.clock)

    async def owner(text: str) -> Account | None:
        known = await ring.key(text)
        return None if known is None else known.identity.account

    assert await owner(key) == account
    looked = world.store.accounts.by_digest

    async def away(_: bytes) -> None:
        raise Unavailable("away")

    world.store.accounts.by_digest = away  # type: ignore[assignment,method-assign]
    world.clock.advance(60)
    assert await owner(key) == account
    with pytest.raises(Unavailable):
        await owner("pw_00000000_" + "x" * 43)
    world.clock.advance(settings.key_grace)
    with pytest.raises(Unavailable):
        await owner(key)
    world.store.accounts.by_digest = looked  # type: ignore[method-assign]
    assert await owner(key) == account


async def test_memory_of_keys_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_CACHED", 3)
    ring = KeyRing(world.store.accounts, world.store.accounts.sessions, QUICK, world.clock)
    for _ in range(10):
        assert await ring.key("pw_00000000_" + uuid.uuid4().hex + "x" * 11) is None
    assert len(ring._cache) == 3


async def test_nobody_can_tell_means_everybody_stays(world: World) -> None:
    account, _ = await world.account("ann")
    ring = KeyRing(world.store.accounts, world.store.accounts.sessions, QUICK, world.clock)

    async def away(*_: object) -> None:
        raise Unavailable("away")

    world.store.accounts.standing = away  # type: ignore[assignment,method-assign]
    identity = Identity(account, b"digest", frozenset())
    assert await ring.standing([identity]) == {b"digest"}
    assert await ring.standing([]) == frozenset()
