from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Page, async_playwright, expect
from tests.conftest import missing
from tests.gateway.gateway_world import Client, World

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
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


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    if not CHROMIUM.exists():
        missing(f"there is no Chromium at {CHROMIUM}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        expect.set_options(timeout=20_000)
        yield await browser.new_page(viewport={"width": 1280, "height": 800}, timezone_id="Europe/Berlin")
        await browser.close()
