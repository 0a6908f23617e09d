"""Frames as other implementations read them, and deflate as clients negotiate it."""

from __future__ import annotations

import asyncio
import json
import os
import zlib
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.gateway_world import BTC, QUICK, Client, World
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from pricewatch.gateway.feed.framing import Message, framed, payloads

LONG = json.dumps([{"market": "coinbase:BTC-USD", "price": str(number)} for number in range(200)]).encode()


@settings(deadline=None)  # a loaded machine is no failure
@given(st.lists(st.binary(max_size=300), max_size=5))
def test_what_is_framed_is_found_again(given_payloads: list[bytes]) -> None:
    assert payloads(b"".join(map(framed, given_payloads))) == given_payloads


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_every_length_is_found_again(size: int) -> None:
    assert payloads(framed(bytes(size)) + framed(b"x")) == [bytes(size), b"x"]


def test_deflated_frames_inflate_without_a_context() -> None:
    packed = Message(framed(LONG) * 2, 2).deflated()
    assert len(packed) < len(LONG)
    (first, second) = payloads(packed)
    assert packed[0] == 0xC1
    for one in (first, second):
        assert zlib.decompressobj(-12).decompress(one + b"\x00\x00\xff\xff") == LONG


def test_what_does_not_shrink_stays_as_it_is() -> None:
    for payload in (b"{}", os.urandom(500)):
        assert Message(framed(payload)).deflated() == framed(payload)


async def exchange(world: World, key: str, **how: Any) -> tuple[list[dict[str, Any]], str]:
    """Snapshot and signals as the other WebSocket library reads them, and what was negotiated."""
    url = f"ws://127.0.0.1:{world.gateway.port}/ws/v1"
    async with connect(url, additional_headers={"X-API-Key": key}, **how) as socket, asyncio.timeout(20):
        assert socket.response is not None
        negotiated = socket.response.headers.get("Sec-WebSocket-Extensions", "")
        await socket.send('{"method":"subscribe","params":{"channel":"signals","symbols":["*"]},"req_id":1}')
        frames: list[dict[str, Any]] = []
        while sum(frame["type"] == "signal" for frame in frames) < 3:
            frames.append(json.loads(await socket.recv()))
            if frames[-1]["type"] == "snapshot":
                account = next(iter(world.gateway._hub.links)).identity.account
                await world.emit(account, 1, BTC)
                await world.emit(account, 2, BTC)
    return frames, negotiated


@pytest.mark.parametrize(
    ("how", "offered"),
    [
        ({"compression": None}, ""),
        ({"compression": "deflate"}, "permessage-deflate"),
        ({"extensions": [ClientPerMessageDeflateFactory(server_max_window_bits=9)]}, "permessage-deflate"),
        ({"extensions": [ClientPerMessageDeflateFactory(server_no_context_takeover=True)]}, "permessage-deflate"),
    ],
)
async def test_any_negotiation_is_read_alike(world: World, how: dict[str, Any], offered: str) -> None:
    _, key = await world.account("ann")
    frames, negotiated = await exchange(world, key, **how)
    assert offered in negotiated
    assert bool(negotiated) is bool(offered)
    assert [frame["prev"] for frame in frames if frame["type"] == "signal"] == [0, 1, 2]


async def test_browsers_windows_and_ours_are_both_read(world: World, http: aiohttp.ClientSession) -> None:
    account, key = await world.account("ann")
    await world.emit(account, 30)
    async with http.ws_connect(f"{world.base}/ws/v1", headers={"X-API-Key": key}, compress=15) as socket:
        client = Client(socket)
        assert socket.compress == 15
        snapshot = await client.subscribe("signals", "*")
        assert len(snapshot["data"]) == 30
        await client.say("ping")


async def test_deflate_can_be_turned_off(http: aiohttp.ClientSession) -> None:
    async with World(QUICK.model_copy(update={"deflate": False})).running() as world:
        _, key = await world.account("ann")
        async with http.ws_connect(f"{world.base}/ws/v1", headers={"X-API-Key": key}, compress=15) as socket:
            assert socket.compress == 0
