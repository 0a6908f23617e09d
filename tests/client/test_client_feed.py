"""The client follows a feed through everything that ends a connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from pricewatch.client.feed import Feed
from pricewatch.client.options import Options
from pricewatch.domain.errors import Refused

Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def server(handler: Handler, status: HTTPStatus | None = None) -> AsyncIterator[str]:
    def refuse(connection: ServerConnection, request: Request) -> Response | None:
        assert request.headers["Authorization"] == "Bearer key"
        return None if status is None else connection.respond(status, "no")

    async with serve(handler, "127.0.0.1", 0, process_request=refuse) as listening:
        yield f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}/ws/v1"


async def take(feed: Feed, count: int) -> list[dict[str, Any]]:
    frames = []
    async with asyncio.timeout(30):
        async for message in feed.messages():
            frames.append(message)
            if len(frames) == count:
                return frames
    raise AssertionError


def quick(url: str, *, forgive_after: float = 5.0, **how: Any) -> Feed:
    options = Options(pause_first=0.001, pause_cap=0.016, forgive_after=forgive_after)
    return Feed(url, "key", options=options, **how)


async def test_it_resumes_after_the_last_signal_it_has_handed_out() -> None:
    asked: list[dict[str, Any]] = []

    async def handle(socket: ServerConnection) -> None:
        asked.extend([json.loads(await socket.recv()) for _ in range(2)])
        seq = len(asked)
        await socket.send('{"type":"heartbeat","seq":99,"feeds":{}}')
        await socket.send(json.dumps({"type": "signal", "channel": "signals", "epoch": 7, "seq": seq, "data": {}}))
        await socket.close(1001, "bye")

    async with server(handle) as url:
        frames = await take(quick(url, symbols=["BTC-USD"]), 5)
    assert [frame["type"] for frame in frames] == ["heartbeat", "signal", "lost", "heartbeat", "signal"]
    assert frames[2]["reason"] == "closed: 1001 bye"
    params = [one["params"] for one in asked if one["params"]["channel"] == "signals"]
    assert params == [
        {"channel": "signals", "symbols": ["BTC-USD"]},
        {"channel": "signals", "symbols": ["BTC-USD"], "after": {"epoch": 7, "seq": 2}},
    ]


async def test_a_cut_connection_and_an_absent_server_are_lost_ones() -> None:
    async def handle(socket: ServerConnection) -> None:
        for _ in range(2):
            await socket.recv()
        await socket.send('{"type":"welcome"}')
        await asyncio.sleep(0.02)
        socket.transport.abort()

    async with server(handle) as url:
        feed = quick(url)
        assert [frame["type"] for frame in await take(feed, 3)] == ["welcome", "lost", "welcome"]
    assert (await take(feed, 2))[1]["type"] == "lost"


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND])
async def test_a_refused_key_is_never_tried_again(status: HTTPStatus) -> None:
    async def handle(socket: ServerConnection) -> None:
        raise AssertionError

    async with server(handle, status) as url:
        with pytest.raises(Refused, match=str(status.value)):
            await take(quick(url), 1)


async def test_a_busy_server_is_tried_again() -> None:
    async def handle(socket: ServerConnection) -> None:
        raise AssertionError

    async with server(handle, HTTPStatus.SERVICE_UNAVAILABLE) as url:
        assert [frame["reason"] for frame in await take(quick(url), 2)] == ["HTTP 503", "HTTP 503"]


@pytest.mark.parametrize("code", [4001, 4009, 1009])
async def test_a_revoked_key_ends_it_for_good(code: int) -> None:
    async def handle(socket: ServerConnection) -> None:
        await socket.close(code, "ended")

    async with server(handle) as url:
        with pytest.raises(Refused, match=f"{code} ended"):
            await take(quick(url), 1)


@pytest.mark.parametrize("frame", ["[]", "no json", b"\xff"])
async def test_a_server_that_speaks_otherwise_is_refused(frame: str | bytes) -> None:
    async def handle(socket: ServerConnection) -> None:
        await socket.send(frame)
        await socket.wait_closed()

    async with server(handle) as url:
        with pytest.raises(Refused, match="protocol"):
            await take(quick(url), 1)


async def test_a_server_that_hangs_up_at_once_is_not_hammered() -> None:
    async def handle(socket: ServerConnection) -> None:
        await socket.send('{"type":"welcome"}')
        await socket.close(4008)

    async with server(handle) as url:
        frames = await take(quick(url), 40)
        waits = [frame["retry_in"] for frame in frames if frame["type"] == "lost"]
        assert max(waits) > 0.002  # it grows though every connection brought a frame
        frames = await take(quick(url, forgive_after=0.0), 20)
        assert max(frame["retry_in"] for frame in frames if frame["type"] == "lost") <= 0.001


async def test_each_feed_resumes_at_its_own_place() -> None:
    asked: list[dict[str, Any]] = []

    async def handle(socket: ServerConnection) -> None:
        asked.extend([json.loads(await socket.recv())["params"] for _ in range(2)])
        await socket.send('{"type":"signal","channel":"signals","epoch":7,"seq":3,"data":{}}')
        await socket.send('{"type":"signal","channel":"system","epoch":1,"seq":9,"data":{}}')
        await socket.close()

    async with server(handle) as url:
        await take(quick(url, channels=["signals", "system"]), 6)
    assert [one.get("after") for one in asked[2:4]] == [{"epoch": 7, "seq": 3}, {"epoch": 1, "seq": 9}]


async def test_it_comes_back_when_the_server_said() -> None:
    async def handle(socket: ServerConnection) -> None:
        await socket.send('{"type":"welcome","limits":{"heartbeat_seconds":0.1}}')
        await socket.send('{"type":"going_away","reconnect_after":0.25}')
        await socket.close(1001)

    async with server(handle) as url:
        assert (await take(quick(url), 3))[2]["retry_in"] == 0.25


async def test_a_silent_server_is_lost() -> None:
    async def handle(socket: ServerConnection) -> None:
        await socket.send('{"type":"welcome","limits":{"heartbeat_seconds":0.1}}')
        await socket.wait_closed()

    async with server(handle) as url:
        assert (await take(quick(url), 2))[1]["reason"] == "not a word for 1 s"
