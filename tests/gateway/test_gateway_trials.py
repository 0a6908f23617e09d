from __future__ import annotations

import json
import uuid

import pytest
from tests.gateway.gateway_world import World, until
from tests.gateway.test_gateway_rest import RULE, Api

from pricewatch.delivery.wording import headline
from pricewatch.domain.market import Market

MAILED = {**RULE, "policy": {"channels": ["email"]}}


@pytest.fixture
async def ann(world: World, http: object) -> Api:
    _, key = await world.account("ann")
    return Api(world, http, key)  # type: ignore[arg-type]


async def test_a_test_reaches_its_owner_and_is_in_no_feed(world: World, ann: Api) -> None:
    _, rule = await ann("POST", "/rules", MAILED)
    world.trade(70_000.5)
    status, trial = await ann("POST", f"/rules/{rule['id']}/test")
    assert (status, trial["market"]) == (202, "coinbase:BTC-USD")
    [owed] = trial["deliveries"]
    assert (owed["target"], owed["state"]) == ("ann@example.org", "queued")
    assert (await ann("GET", "/signals"))[1]["signals"] == []
    assert (await ann("GET", f"/signals/{trial['signal_id']}"))[0] == 404
    [claimed] = await world.store.outbox.claim("email", limit=5, lease=5)
    assert claimed.signal.title == "Test: BTC above 70k"
    assert headline(claimed.signal, now=claimed.signal.at).startswith("BTC-USD test: 70,000.5 (coinbase)")
    world.clock.advance(1)
    assert (await ann("POST", f"/rules/{rule['id']}/test"))[1]["signal_id"] != trial["signal_id"]


async def test_a_rule_without_channels_owes_nothing(world: World, ann: Api) -> None:
    _, rule = await ann("POST", "/rules", RULE)
    assert (await ann("POST", f"/rules/{rule['id']}/test"))[1]["deliveries"] == []
    assert (await ann("POST", f"/rules/{uuid.uuid4()}/test"))[0] == 404


async def test_a_rule_of_markets_nobody_hears(world: World, ann: Api) -> None:
    me = uuid.UUID((await ann("GET", "/me"))[1]["id"])
    stored = await world.store.rules.create(me, json.dumps({**MAILED, "venues": ["bitstamp"]}).encode())
    rule = {"id": str(stored.id)}
    status, problem = await ann("POST", f"/rules/{rule['id']}/test")
    assert (status, problem["field"]) == (422, "symbols")
    world.shelf.listed.append(Market(9, "bitstamp", "BTC-USD", "btcusd"))
    await until(lambda: world.gateway._board.market("bitstamp:BTC-USD"))
    assert (await ann("POST", f"/rules/{rule['id']}/test"))[0] == 202


async def test_rules_over_a_watchlist(world: World, ann: Api) -> None:
    listed = {**MAILED, "symbols": {"watchlist": "majors"}}
    status, problem = await ann("POST", "/rules", listed)
    assert (status, problem["field"]) == (422, "symbols.watchlist")
    assert problem["detail"].endswith("yours: none yet")
    _, made = await ann("POST", "/watchlists", {"name": "majors", "symbols": []})
    assert (await ann("POST", "/rules", {**listed, "symbols": {"watchlist": "minors"}}))[1]["detail"].endswith("majors")
    _, rule = await ann("POST", "/rules", listed)
    told = world.changes
    assert (await ann("POST", f"/rules/{rule['id']}/test"))[0] == 422
    await ann("PUT", f"/watchlists/{made['id']}", {"name": "majors", "symbols": ["ETH-USD", "ETH-USD"]})
    assert (await ann("GET", f"/watchlists/{made['id']}"))[1]["symbols"] == ["ETH-USD"]
    assert (await ann("POST", f"/rules/{rule['id']}/test"))[1]["market"] == "coinbase:ETH-USD"
    for method, body in (("DELETE", None), ("PUT", {"name": "minors", "symbols": []})):
        status, problem = await ann(method, f"/watchlists/{made['id']}", body)
        assert (status, problem["code"], rule["id"] in problem["detail"]) == (409, "in_use", True)
    await ann("DELETE", f"/rules/{rule['id']}")
    assert (await ann("PUT", f"/watchlists/{made['id']}", {"name": "minors", "symbols": []}))[0] == 200
    assert (await ann("DELETE", f"/watchlists/{made['id']}"))[0] == 204
    assert world.changes == told + 4


async def test_mail_is_taken_away_by_its_owner(world: World, ann: Api) -> None:
    status, page = await ann("GET", "/channels")
    [mail] = page["channels"]
    assert status == 200
    assert {name: word for name, word in mail.items() if word is not None} == {
        "channel": "email",
        "target": "ann@example.org",
        "state": "confirmed",
    }
    assert (await ann("DELETE", "/channels/email"))[0] == 204
    assert (await ann("GET", "/channels"))[1]["channels"] == []
    assert (await ann("GET", "/me"))[1]["email"] == ""
    assert (await ann("DELETE", "/channels/email"))[0] == 404
    _, rule = await ann("POST", "/rules", MAILED)
    assert (await ann("POST", f"/rules/{rule['id']}/test"))[1]["deliveries"] == []
