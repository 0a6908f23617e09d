"""Pages of what is stored: nothing twice, nothing left out, whatever the size of a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.gateway.gateway_world import BTC, World
from tests.gateway.postgres_world import house

from pricewatch.domain.market import Candle, Trade
from pricewatch.domain.time import DAY, MINUTE, rfc3339
from pricewatch.ports.ticks import Gap
from pricewatch.store.settings import TickSettings
from pricewatch.store.writer import TickStore


async def walk(http: aiohttp.ClientSession, url: str, listing: str, params: dict[str, str]) -> list[Any]:
    """All pages of a listing."""
    found: list[Any] = []
    params = dict(params)
    for _ in range(100):
        async with http.get(url, params=params) as answer:
            page = await answer.json()
            assert answer.status == 200, page
        assert len(page[listing]) <= int(params["limit"])
        found += page[listing]
        if page["next"] is None:
            return found
        params["cursor"] = page["next"]
    raise AssertionError("the pages do not end")


@pytest.mark.postgres
@pytest.mark.parametrize("size", [1, 2, 3, 50])
async def test_ticks_of_one_moment_are_not_parted(database_url: str, tmp_path: Path, size: int) -> None:
    async with house(database_url) as home:
        start = 1_700_000_000_000_000
        ticks = TickStore(
            home.store.database, tmp_path / "spool", TickSettings(fsync=False), steps=home.store.catalog.steps
        )
        await ticks.open()
        await ticks.recover()
        for number in range(12):
            at = start + (number // 5) * MINUTE
            ticks.trade(Trade(home.market.id, at, 70_000.5 + number, 0.25, 1, number + 1, at), at + number)
        ticks.spool()
        await ticks.drain()
        await ticks.close()
        _, key = await home.account("ann")
        span = {"from": rfc3339(start), "to": rfc3339(start + DAY), "market": "coinbase:BTC-USD", "limit": str(size)}
        async with aiohttp.ClientSession(headers={"X-API-Key": key}) as http:
            found = await walk(http, f"{home.base}/api/v1/ticks", "ticks", span)
            assert [one["trade_id"] for one in found] == [str(number + 1) for number in range(12)]
            assert found[0] | {"seen": ""} == {
                "at": rfc3339(start), "seen": "", "price": "70000.5", "size": "0.25", "side": "buy", "trade_id": "1",
                "suspect": False, "late": False,
            }  # fmt: skip
            async with http.get(f"{home.base}/api/v1/ticks", params={**span, "from": span["to"]}) as answer:
                assert (answer.status, (await answer.json(content_type=None))["field"]) == (422, "from")


async def test_gaps_candles_and_signals_in_pages(world: World) -> None:
    account, key = await world.account("ann")
    for number in range(5):
        await world.gaps.declare(Gap(BTC.id, number, number, 1, 2, "test"), opened_seen=number)
    await world.emit(account, 5)
    now = world.clock.now() - world.clock.now() % MINUTE
    world.shelf.bars = [Candle(BTC.id, now - number * MINUTE, 1.0, 2.0, 0.5, 1.5, 3.0) for number in range(5, 0, -1)]
    async with aiohttp.ClientSession(headers={"X-API-Key": key}) as http:
        base = f"{world.base}/api/v1"
        newest = await walk(http, f"{base}/gaps", "gaps", {"limit": "2"})
        async with http.get(f"{base}/gaps", params={"limit": "2", "after": "0"}) as answer:
            first = await answer.json()
        later = await walk(http, f"{base}/gaps", "gaps", {"limit": "2", "cursor": first["next"]})
        assert [one["first_key"] for one in first["gaps"] + later] == list("01234")
        assert sorted(one["first_key"] for one in newest) == list("01234")
        candles = await walk(http, f"{base}/candles", "candles", {"limit": "2", "market": "coinbase:BTC-USD"})
        assert [one["at"] for one in candles] == [rfc3339(one.at) for one in world.shelf.bars]
        signals = await walk(http, f"{base}/signals", "signals", {"limit": "2"})
        assert sorted(one["seq"] for one in signals) == [1, 2, 3, 4, 5]
        async with http.get(f"{base}/signals", params={"limit": "2", "after_seq": "1"}) as answer:
            page = await answer.json()
        rest = await walk(http, f"{base}/signals", "signals", {"limit": "2", "cursor": page["next"]})
        assert [one["seq"] for one in page["signals"] + rest] == [2, 3, 4, 5]
        async with http.get(f"{base}/gaps?open=perhaps") as answer:
            assert answer.status == 422
        async with http.get(f"{base}/gaps?symbol=BTC-UDS") as answer:
            assert "did you mean BTC-USD" in (await answer.json(content_type=None))["detail"]


async def test_words_on_a_signal(world: World) -> None:
    account, key = await world.account("ann")
    [entry] = await world.emit(account)
    async with aiohttp.ClientSession(headers={"X-API-Key": key}) as http:
        base = f"{world.base}/api/v1/signals/{entry.signal.id}"

        async def ask(method: str, path: str, body: Any = None) -> Any:
            async with http.request(method, base + path, json=body) as answer:
                assert answer.status == 200
                return await answer.json()

        nothing = {"signal_id": str(entry.signal.id), "acknowledged": None, "feedback": None}
        assert await ask("GET", "/verdict") == nothing
        seen = rfc3339(world.clock.now())
        assert await ask("POST", "/ack") == {**nothing, "acknowledged": seen}
        world.clock.advance(1)
        assert await ask("POST", "/ack") == {**nothing, "acknowledged": seen}
        assert (await ask("PUT", "/feedback", {"feedback": "noise"}))["feedback"] == "noise"
        assert await ask("PUT", "/feedback", {"feedback": None}) == {**nothing, "acknowledged": seen}
        [owed] = (await ask("GET", "/deliveries"))["deliveries"]
        assert owed["signal_id"] == str(entry.signal.id)


async def test_a_page_may_ask_who_it_is_with_what_has_ended(world: World, http: aiohttp.ClientSession) -> None:
    url = f"{world.base}/api/v1/session"
    async with http.get(url, headers={"X-API-Key": "pw_wrong"}) as answer:
        assert (answer.status, await answer.json()) == (200, {"account": None})
    async with http.delete(url, headers={"Cookie": "pricewatch_session=wrong"}) as answer:
        assert answer.status == 204
    async with http.delete(url) as answer:
        assert answer.status == 204
