from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from tests.gateway.gateway_world import Client, World

Connect = Callable[..., Awaitable[Client]]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World().running() as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def connect(http: aiohttp.ClientSession) -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        async def connect(world: World, key: str) -> Client:
            headers = {"Authorization": f"Bearer {key}"}
            socket = await http.ws_connect(f"{world.base}/ws/v1", headers=headers, autoping=True)
            stack.push_async_callback(socket.close)
            client = Client(socket)
            assert (await client.next())["type"] == "welcome"
            return client

        yield connect
