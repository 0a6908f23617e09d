"""From a rule made over REST to a request at somebody's server, through the whole service."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.app.conftest import quick, running, simulated
from tests.delivery.endpoint import Receiver, status

from pricewatch.accounts.tokens import mint
from pricewatch.app.clock import SystemClock
from pricewatch.app.runtime import Service
from pricewatch.delivery.settings import DeliverySettings
from pricewatch.domain.account import Role

pytestmark = pytest.mark.postgres

LOCAL = {"http": True, "networks": ["127.0.0.0/8"]}
DELIVERY = DeliverySettings.model_validate(
    {"poll_interval": 0.05, "retry_first": 0.1, "retry_away": 0.1, "drain": 0.1, "webhook": LOCAL}
)
RULE = {
    "title": "BTC moves",
    "symbols": ["BTC-USD"],
    "when": {"type": "change", "window": "1s", "percent": "0.01%", "direction": "either"},
    "policy": {"channels": ["webhook:bot"]},
}


class Rest:
    """Requests to a service with one key."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def __call__(self, method: str, path: str, body: Any = None) -> Any:
        async with self._http.request(method, f"{self._url}/api/v1{path}", json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()


async def key_of_ann(service: Service) -> str:
    store = service.store
    account = await store.accounts.find("ann") or await store.accounts.create("ann", "", Role.USER)
    minted = mint(account.id, now=SystemClock().now())
    await store.accounts.add_key(minted.key)
    return minted.text


async def delivered(url: str, key: str) -> tuple[list[Any], list[Any]]:
    """Signals and deliveries, once all of these have arrived."""
    async with aiohttp.ClientSession(headers={"X-API-Key": key}) as http, asyncio.timeout(60):
        rest = Rest(http, url)
        while any(one["state"] != "sent" for one in (await rest("GET", "/deliveries?limit=500"))["deliveries"]):
            await asyncio.sleep(0.05)
        told = await rest("GET", "/signals?after_seq=0&limit=500")
        return told["signals"], (await rest("GET", "/deliveries?limit=500"))["deliveries"]


async def test_each_signal_arrives_under_its_id_also_over_a_restart(database_url: str, open_folder: Path) -> None:
    keys: list[str] = []

    async def prepare(service: Service) -> None:
        keys.append(await key_of_ann(service))

    async with Receiver().running() as receiver, simulated() as (venues, _):
        settings = quick(open_folder, database_url, venues, delivery=DELIVERY)
        async with running(settings, prepare=prepare) as run:
            await run.ready()
            async with aiohttp.ClientSession(headers={"X-API-Key": keys[0]}) as http:
                rest = Rest(http, run.url)
                hook = await rest("POST", "/channels", {"kind": "webhook", "name": "bot", "url": receiver.url})
                receiver.answers += [status(500), status(503)]
                await rest("POST", "/rules", RULE)
                await receiver.wait_for(4)
            receiver.usual = status(500)
            await receiver.wait_for(len(receiver.calls) + 1)
        receiver.usual = status(204)
        async with running(quick(open_folder, database_url, delivery=DELIVERY), prepare=prepare) as run:
            told, deliveries = await delivered(run.url, keys[1])
    secret = base64.b64decode(hook["secret"].removeprefix("whsec_"))
    assert all(call.signed_by(secret) for call in receiver.calls)
    bodies = {call.id: call.document for call in receiver.calls}
    assert all(bodies[call.id] == call.document for call in receiver.calls), "the same at every attempt"
    fired = {one["id"]: one for one in told if one["direction"] == "fired"}
    assert {one["data"]["id"]: one["data"] for one in bodies.values()} == fired
    assert {one["id"] for one in deliveries} == set(bodies)
