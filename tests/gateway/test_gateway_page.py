from __future__ import annotations

import asyncio
import math
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Page, expect
from tests.gateway.gateway_world import BTC, ETH, KRAKEN, QUICK, World

from pricewatch.gateway.pages import POLICY


async def test_the_page_comes_with_its_policy(world: World, http: aiohttp.ClientSession) -> None:
    for path, kind in (("/", "text/html"), ("/app.js", "text/javascript"), ("/style.css", "text/css")):
        async with http.get(world.base + path) as answer:
            assert answer.status == 200
            assert answer.content_type == kind
            assert answer.headers["Content-Security-Policy"] == POLICY
            tag = answer.headers["ETag"]
        async with http.get(world.base + path, headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304


@pytest.mark.browser
async def test_the_live_page_shows_prices_and_signals(page: Page, tmp_path: Path) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    async with World(QUICK.model_copy(update={"heartbeat_interval": 0.5})).running() as world:
        account, key = await world.account("ann")
        await page.goto(world.base)
        await expect(page.get_by_label("Name")).to_be_focused()
        await page.screenshot(path=tmp_path / "login.png")
        await page.get_by_role("button", name="Use an API key instead").click()
        await page.get_by_label("API key").fill("pw_wrong")
        await page.keyboard.press("Enter")
        await expect(page.locator("#login-error")).to_contain_text("unknown")
        assert any("401" in one for one in complaints)
        complaints.clear()
        await page.get_by_label("API key").fill(key)
        await page.keyboard.press("Enter")
        await expect(page.locator("#link")).to_contain_text("Connected")
        for step in range(40):
            world.clock.advance(0.05)
            world.trade(round(70_000 + 40 * math.sin(step / 5) + step, 1), BTC)
            world.trade(3_512.25 - step / 8, ETH)
            world.trade(70_003.5 + step, KRAKEN)
            world.quote(70_010.4 + step, 70_012.6 + step)
            await asyncio.sleep(0.025)
        await expect(page.locator("#link")).to_have_attribute("data-state", "live")
        await expect(page.locator("#market-rows tr").first.locator(".price")).to_contain_text("70,0")
        await world.emit(account, 1)
        await world.emit(account, 1, ETH)
        await expect(page.locator(".signal")).to_have_count(2)
        await expect(page.locator(".signal .at-price").first).to_have_text("70,012.4")
        for scheme, width in (("light", 1280), ("dark", 1280), ("dark", 390)):
            await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            await asyncio.sleep(1.0 if width < 1000 else 0)
            await page.set_viewport_size({"width": width, "height": 800})
            await page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (scheme, width)
        world.clock.advance(120)
        await expect(page.locator("#link")).to_contain_text("blind")
        assert complaints == []


@pytest.mark.browser
async def test_the_live_page_resumes_after_a_restart(page: Page) -> None:
    first = World()
    account, _ = await first.account("ann")
    async with first.running():
        hashed = await first.gateway._routes._passwords.hash("correct horse battery")
        await first.store.accounts.set_password(account.id, hashed)
        await page.goto(first.base)
        await page.get_by_label("Name").fill("ann")
        await page.get_by_label("Password").fill("wrong horse battery")
        await page.keyboard.press("Enter")
        await expect(page.locator("#login-error")).to_contain_text("no account with this name and password")
        await page.get_by_label("Password").fill("correct horse battery")
        await page.keyboard.press("Enter")
        await first.emit(account, 2)
        await expect(page.locator(".signal")).to_have_count(2)
        # The connection is cut, not the service: the page must come back and catch up by itself.
        for link in list(first.gateway._hub.links):
            link.outlet._transport.abort()
        await first.emit(account, 3)
        await expect(page.locator(".signal")).to_have_count(5)
        await expect(page.locator("#link")).to_contain_text("waiting for prices", timeout=10_000)
    await expect(page.locator("#link")).to_have_attribute("data-state", "lost", timeout=10_000)
    await expect(page.locator("#alarm")).to_contain_text("Connection lost")
