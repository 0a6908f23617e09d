"""The published protocol against frames of a live session, and the documented codes against the published ones."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import msgspec
import pytest
from tests.gateway.gateway_world import Client, World

from pricewatch.domain.time import SECOND, rfc3339
from pricewatch.gateway.feed.asyncapi import FRAMES, document
from pricewatch.gateway.feed.codes import CLOSES, ERRORS
from pricewatch.wire.feed import Request

Connect = Callable[[World, str], Awaitable[Client]]
DOCS = Path(__file__).resolve().parents[2] / "docs" / "feed.md"


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A field that is not published is an error here, though not for clients."""
    closed = copy.deepcopy(schema)
    for one in closed["components"]["schemas"].values():
        if one.get("type") == "object" and "properties" in one:
            one["additionalProperties"] = False
    return closed


def validator(name: str) -> jsonschema.Draft202012Validator:
    whole = strict(document())
    return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": whole["components"]})


def kinds_of(frame: dict[str, Any]) -> list[str]:
    """The published messages that a frame is one of."""
    return [one.__name__ for one in FRAMES if validator(one.__name__).is_valid(frame)]


async def session(world: World, http: aiohttp.ClientSession) -> list[dict[str, Any]]:
    """Everything that can be heard."""
    account, key = await world.account("ann")
    await world.emit(account, 2)
    world.trade(70_000.1)
    world.quote(69_999, 70_001)
    start = world.clock.now()
    world.clock.advance(1)
    async with http.ws_connect(f"{world.base}/ws/v1", headers={"X-API-Key": key}) as socket:
        client = Client(socket)
        await client.until("welcome")
        await client.say("subscribe", channel="status")
        await client.until("status")
        await client.subscribe("ticker", "BTC-USD")
        world.trade(70_000.2)
        await client.until("ticker")
        await client.say("subscribe", channel="ticker", symbols=["BTC-UDS"])
        await client.until("error")
        await client.say("unsubscribe", channel="ticker", symbols=["BTC-USD"])
        await client.until("unsubscribed")
        await client.say("ping")
        await client.until("pong")
        await client.subscribe("candles", "BTC-USD")
        world.trade(70_000.3)
        await client.until("candles")
        await client.subscribe("features", "BTC-USD")
        world.trade(70_000.4)
        await client.until("features")
        place = (await client.subscribe("signals", "*"))["newest"]
        await world.emit(account)
        await client.until("signal")
        await client.say("unsubscribe", channel="signals")
        await client.subscribe("signals", "*", after={**place, "seq": 0})
        await client.until("caught_up")
        await client.say("unsubscribe", channel="signals")
        await client.subscribe("signals", "*", **{"from": rfc3339(start), "to": rfc3339(start + SECOND)})
        await client.until("replay_done")
        await client.subscribe("signals", "*", after={"epoch": 5, "seq": 7})
        await client.say("subscribe", channel="signals", symbols=["*"], consumer="bot", start="oldest")
        frame = await client.until("signal", consumer="bot")
        await client.say("ack", consumer="bot", seqs=[frame["seq"], 99])
        await client.until("settled")
        await client.until("heartbeat")
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(world.gateway._say_goodbye())
            await client.until("going_away")
            await leaving
    return client.seen


async def test_every_frame_is_as_published_and_all_that_is_published_is_heard(
    world: World, http: aiohttp.ClientSession
) -> None:
    heard: set[str] = set()
    for frame in await session(world, http):
        kinds = kinds_of(frame)
        assert len(kinds) == 1, (kinds, frame)
        heard.update(kinds)
    assert heard == {one.__name__ for one in FRAMES}


async def test_it_is_served_to_anybody(world: World, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{world.base}/asyncapi.json") as answer:
        assert answer.status == 200
        served = await answer.json()
    assert served == json.loads(msgspec.json.encode(document()))
    assert (served["asyncapi"], served["channels"]["feed"]["address"]) == ("3.0.0", "/ws/v1")


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        here = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return here + [found for value in node.values() for found in references(value)]
    return [found for value in node for found in references(value)] if isinstance(node, list) else []


def test_every_reference_leads_somewhere() -> None:
    found = references(document())
    assert len(found) > 30
    for reference in found:
        at: Any = document()
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]


def test_examples_are_requests() -> None:
    for example in document()["components"]["messages"]["Request"]["examples"]:
        validator("Request").validate(example["payload"])
        msgspec.convert(example["payload"], Request)


@pytest.mark.parametrize("payload", [{}, {"method": 5}, {"method": "ping", "extra": 1}])
def test_what_is_no_request_is_none_by_the_schema_either(payload: dict[str, Any]) -> None:
    assert not validator("Request").is_valid(payload)


def test_the_documented_codes_are_the_published_ones() -> None:
    text = DOCS.read_text(encoding="utf-8")
    published = document()
    for code, meaning in ERRORS.items():
        assert f"| `{code}` | {meaning.text} | {'yes' if meaning.retry else 'no'} |" in text
        assert published["x-error-codes"][code.value] == {"meaning": meaning.text, "retry": meaning.retry}
    for close, meaning in CLOSES.items():
        assert f"| {close.value} | {meaning.text} | {'yes' if meaning.retry else 'no'} |" in text
        assert published["x-close-codes"][str(close.value)] == {"meaning": meaning.text, "retry": meaning.retry}
