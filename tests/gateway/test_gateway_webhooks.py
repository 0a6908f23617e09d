from __future__ import annotations

import base64
import uuid
from typing import Any

import aiohttp
import pytest
from tests.gateway.gateway_world import World
from tests.gateway.test_gateway_rest import RULE, Api

from pricewatch.domain.account import Role
from pricewatch.ports.outbox import DeliveryState

URL = "https://hooks.example.org/a?token=hush"
WISH = {"kind": "webhook", "name": "bot", "url": URL}
HOUR = 3_600


@pytest.fixture
async def ann(world: World, http: aiohttp.ClientSession) -> Api:
    _, key = await world.account("ann")
    return Api(world, http, key)


@pytest.fixture
async def bob(world: World, http: aiohttp.ClientSession) -> Api:
    _, key = await world.account("bob")
    return Api(world, http, key)


async def made(ann: Api, **changes: Any) -> Any:
    status, hook = await ann("POST", "/channels", {**WISH, **changes})
    assert status == 201, hook
    return hook


async def test_made_with_a_secret_that_is_shown_once(world: World, ann: Api) -> None:
    hook = await made(ann)
    assert (hook["channel"], hook["target"], hook["state"], hook["name"]) == ("webhook", URL, "enabled", "bot")
    assert hook["secret"].startswith("whsec_")
    secret = base64.b64decode(hook["secret"].removeprefix("whsec_"))
    assert len(secret) == 32
    endpoint = await world.store.webhooks.endpoint(uuid.UUID(hook["id"]))
    assert endpoint is not None
    assert endpoint.secrets == (secret,)
    known = {**hook, "secret": None}
    assert await ann("GET", f"/channels/{hook['id']}") == (200, known)
    mail, listed = (await ann("GET", "/channels"))[1]["channels"]
    assert (mail["channel"], listed) == ("email", known)
    assert (await made(ann, name="other"))["secret"] != hook["secret"]


async def test_a_repeated_making_does_not_show_it_again(ann: Api) -> None:
    twice = {"headers": {"Idempotency-Key": "h-1"}}
    assert (await ann("POST", "/channels", WISH, **twice))[0] == 201
    status, problem = await ann("POST", "/channels", WISH, **twice)
    assert (status, problem["code"]) == (409, "shown_once")


async def test_without_a_name_it_has_its_hosts(ann: Api) -> None:
    _, hook = await ann("POST", "/channels", {"kind": "webhook", "url": URL})
    assert hook["name"] == "hooks.example.org"
    status, problem = await ann("POST", "/channels", {"kind": "webhook", "url": URL})
    assert (status, problem["field"]) == (422, "name")
    assert problem["detail"].endswith("give this one a name of its own")


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"url": "http://hooks.example.org/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://2130706433/"}, "url"),
        ({"url": "https://localhost/"}, "url"),
        ({"url": "https://ann:pw@hooks.example.org/"}, "url"),
        ({"url": "https://hooks.example.org:25/"}, "url"),
        ({"url": "ftp://hooks.example.org/"}, "url"),
        ({"name": "a b"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"kind": "sms"}, "kind"),
        ({"secret": "mine"}, "secret"),
    ],
)
async def test_what_is_wrong_is_named(ann: Api, wish: dict[str, Any], field: str) -> None:
    status, problem = await ann("POST", "/channels", {**WISH, **wish})
    assert (status, problem["field"]) == (422, field)
    assert "regex" not in problem["detail"]
    hook = await made(ann)
    if field in {"url", "name"}:
        status, problem = await ann("PATCH", f"/channels/{hook['id']}", wish)
        assert (status, problem["field"]) == (422, field)
        assert (await ann("GET", f"/channels/{hook['id']}"))[1] == {**hook, "secret": None}


async def test_changed_disabled_enabled_and_deleted(ann: Api) -> None:
    path = f"/channels/{(await made(ann))['id']}"
    status, moved = await ann("PATCH", path, {"name": "robot", "url": "https://other.example.org/"})
    assert (status, moved["name"], moved["target"], moved["secret"]) == (
        200,
        "robot",
        "https://other.example.org/",
        None,
    )
    _, off = await ann("PATCH", path, {"enabled": False})
    assert (off["state"], off["reason"], off["name"]) == ("disabled", "disabled by its owner", "robot")
    assert off["disabled"] is not None
    status, problem = await ann("POST", f"{path}/test")
    assert (status, problem["code"]) == (409, "disabled")
    _, on = await ann("PATCH", path, {"enabled": True})
    assert (on["state"], on["reason"], on["disabled"]) == ("enabled", None, None)
    assert (await ann("DELETE", path))[0] == 204
    assert (await ann("DELETE", path))[0] == 404
    assert (await ann("GET", path))[0] == 404


async def test_a_new_secret_beside_the_old_one_for_a_day(world: World, ann: Api) -> None:
    hook = await made(ann)
    status, rotated = await ann("POST", f"/channels/{hook['id']}/rotate")
    assert status == 200
    assert rotated["secret"] != hook["secret"]
    assert rotated["former_until"] is not None
    for hours, count in ((23.9, 2), (0.2, 1)):
        world.clock.advance(hours * HOUR)
        endpoint = await world.store.webhooks.endpoint(uuid.UUID(hook["id"]))
        assert endpoint is not None
        assert len(endpoint.secrets) == count
    assert (await ann("GET", f"/channels/{hook['id']}"))[1]["secret"] is None


async def test_a_test_goes_to_it_alone(world: World, ann: Api) -> None:
    hook, _ = await made(ann), await made(ann, name="other")
    status, trial = await ann("POST", f"/channels/{hook['id']}/test")
    assert (status, trial["market"]) == (202, "")
    [owed] = trial["deliveries"]
    assert (owed["channel"], owed["target"], owed["state"]) == ("webhook", hook["id"], "queued")
    [claimed] = await world.store.outbox.claim("webhook", limit=5, lease=5)
    assert (claimed.signal.kind, claimed.signal.title, claimed.entry) == ("test", "Test: bot", None)
    assert (await ann("GET", "/signals"))[1]["signals"] == []


async def test_a_rule_names_only_webhooks_there_are(world: World, ann: Api, bob: Api) -> None:
    await made(bob, name="his")
    named = {**RULE, "policy": {"channels": ["email", "webhook", "webhook:bot"]}}
    status, problem = await ann("POST", "/rules", named)
    assert (status, problem["field"]) == (422, "policy.channels[2]")
    assert problem["detail"].endswith("you have no webhook 'bot'; yours: none yet")
    hook = await made(ann)
    status, rule = await ann("POST", "/rules", named)
    assert status == 201
    _, trial = await ann("POST", f"/rules/{rule['id']}/test")
    assert sorted(one["channel"] for one in trial["deliveries"]) == ["email", "webhook"]
    assert {one["target"] for one in trial["deliveries"]} == {"ann@example.org", hook["id"]}
    status, problem = await ann("PUT", f"/rules/{rule['id']}", {**RULE, "policy": {"channels": ["webhook:his"]}})
    assert (status, problem["field"]) == (422, "policy.channels[0]")
    assert problem["detail"].endswith("yours: bot")
    assert world.changes == 1


@pytest.mark.parametrize("word", ["webhooks", "webhook:", "webhook:a b", "sms", "Webhook", ""])
async def test_a_word_that_is_no_channel_is_refused(ann: Api, word: str) -> None:
    status, problem = await ann("POST", "/rules", {**RULE, "policy": {"channels": [word]}})
    assert status == 422
    assert "is no channel; known: ['email', 'webhook', 'webhook:NAME']" in problem["detail"]


async def test_others_and_viewers_may_not(world: World, http: aiohttp.ClientSession, ann: Api, bob: Api) -> None:
    path = f"/channels/{(await made(ann))['id']}"
    for method, one in (
        ("GET", path),
        ("PATCH", path),
        ("DELETE", path),
        ("POST", f"{path}/rotate"),
        ("POST", f"{path}/test"),
    ):
        assert (await bob(method, one, {} if method == "PATCH" else None))[0] == 404
    assert len((await bob("GET", "/channels"))[1]["channels"]) == 1
    _, key = await world.account("viewer", Role.VIEWER)
    viewer = Api(world, http, key)
    assert (await viewer("POST", "/channels", WISH))[1]["code"] == "read_only"
    assert (await ann("GET", "/channels/email"))[0] == 404


async def test_everything_is_in_the_audit_log_and_the_export(ann: Api) -> None:
    hook = await made(ann)
    await ann("POST", f"/channels/{hook['id']}/rotate")
    entries = (await ann("GET", "/audit"))[1]["entries"]
    assert [one["action"] for one in entries if one["target"] == hook["id"]] == ["webhook.rotate", "webhook.create"]
    assert "hush" not in str(entries)
    assert "whsec" not in str(entries)


async def test_an_owner_has_his_deliveries_brought_again(world: World, ann: Api, bob: Api) -> None:
    hook = await made(ann)
    trial = (await ann("POST", f"/channels/{hook['id']}/test"))[1]
    [owed] = trial["deliveries"]
    path = f"/deliveries/{owed['id']}/replay"
    assert (await ann("POST", path))[0] == 404, "it is still on its way"
    [claimed] = await world.store.outbox.claim("webhook", limit=5, lease=5)
    await world.store.outbox.dead(claimed, "gave up")
    assert (await bob("POST", path))[0] == 404
    assert (await ann("POST", path))[0] == 204
    [claimed] = await world.store.outbox.claim("webhook", limit=5, lease=5)
    assert (str(claimed.id), claimed.attempts) == (owed["id"], 2)
    await world.store.outbox.sent(claimed, "204 after 3 ms")
    detail = (await ann("GET", f"/deliveries/{owed['id']}"))[1]
    assert [(one["outcome"], one["reply"]) for one in detail["attempts"]] == [
        ("dead", "gave up"),
        ("sent", "204 after 3 ms"),
    ]
    assert (await ann("POST", path))[0] == 204
    assert (await world.store.outbox.counts())[DeliveryState.QUEUED] == 1
    assert (await ann("GET", "/audit"))[1]["entries"][0]["action"] == "delivery.replay"
