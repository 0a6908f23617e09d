from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs
from tests.ingest.conftest import NOW, StillClock

from pricewatch.exchanges.base import Instrument
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.ingest.instruments import Directory, Lists, VenueList
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.ingest.stayaway import StayAway
from pricewatch.ingest.worker import listings

DAY = 86_400_000_000


class ListingVenue:
    """Coinbase's list of products, and its moods."""

    def __init__(self) -> None:
        self.products = ["BTC-USD", "BTC-USDT", "ETH-USD"]
        self.shut: list[str] = []
        self.status = 200
        self.silent = False
        self.asked = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/products", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.silent:
            await asyncio.Event().wait()
        rows = [
            {
                "id": name,
                "base_currency": name.partition("-")[0],
                "quote_currency": name.partition("-")[2],
                "status": "delisted" if name in self.shut else "online",
            }
            for name in self.products
        ]
        return web.json_response(rows, status=self.status, headers={"Retry-After": "7"} if self.status == 429 else {})


class World:
    def __init__(self, venue: ListingVenue, url: str, folder: Path) -> None:
        self.venue = venue
        self.url = url
        self.clock = StillClock()
        self.lists = Lists(folder / "instruments")
        self.away = folder / "stay_away.json"

    def settings(self, *symbols: str, common: dict[str, Any] | None = None, **changes: Any) -> IngestSettings:
        venue = VenueSettings(**({"symbols": symbols, "rest_url": self.url} | changes))
        return IngestSettings(venues={"coinbase": venue}, **(common or {}))

    async def directory(self, *symbols: str, **changes: Any) -> Directory:
        self.last = self.settings(*symbols, **changes)
        directory = Directory(self.lists, self.clock, StayAway(self.away, self.clock))
        await directory.look_up(self.last)
        return directory

    def natives(self, directory: Directory) -> dict[str, str]:
        return {one.symbol: one.native for one in listings(self.last, directory)}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    venue = ListingVenue()
    server = TestServer(venue.app())
    await server.start_server()
    yield World(venue, f"http://{server.host}:{server.port}", tmp_path)
    await server.close()


def status(directory: Directory) -> Any:
    return json.loads(json.dumps(directory.status()))["venues"]["coinbase"]


async def test_the_list_is_asked_for_once_and_kept(world: World) -> None:
    first = await world.directory("BTC-USD", "ETH-USD")
    assert world.natives(first) == {"BTC-USD": "BTC-USD", "ETH-USD": "ETH-USD"}
    assert status(first)["source"] == "venue"
    assert status(first)["listed"] == 3
    second = await world.directory("BTC-USD")
    assert (world.venue.asked, status(second)["source"]) == (1, "kept")
    assert {sample.name: sample.value for sample in second.samples()}["unknown"] == 0
    assert second.trouble() is None


async def test_native_names_come_from_the_list(world: World) -> None:
    instruments = (Instrument("Bitcoin/Dollar", "BTC-USD"),)
    world.lists.write(VenueList("coinbase", world.url, NOW, instruments))
    assert world.natives(await world.directory("BTC-USD")) == {"BTC-USD": "Bitcoin/Dollar"}


async def test_an_old_list_is_asked_for_again_and_a_young_one_too_when_a_symbol_is_missing(world: World) -> None:
    await world.directory("BTC-USD")
    world.clock.instant += DAY - 10_000_000
    await world.directory("BTC-USD")
    assert world.venue.asked == 1
    world.clock.instant += 20_000_000
    await world.directory("BTC-USD")
    assert world.venue.asked == 2
    world.venue.products.append("SOL-USD")
    found = await world.directory("BTC-USD", "SOL-USD")
    assert world.venue.asked == 3
    assert found.native("coinbase", "SOL-USD") == "SOL-USD"
    world.clock.instant -= 30 * DAY
    await world.directory("BTC-USD")
    assert world.venue.asked == 4


async def test_a_symbol_the_venue_does_not_have_is_left_out_with_a_hint_and_the_others_go_on(world: World) -> None:
    with capture_logs() as logs:
        directory = await world.directory("BTC-USDX", "ETH-USD", "QQQQ-ZZZZ")
    assert world.natives(directory) == {"ETH-USD": "ETH-USD"}
    says = "coinbase has no 'BTC-USDX'; did you mean 'BTC-USD', 'BTC-USDT'?"
    none = "coinbase has no 'QQQQ-ZZZZ'; 'pricewatch markets coinbase' lists what it has"
    assert status(directory)["unknown"] == {"BTC-USDX": says, "QQQQ-ZZZZ": none}
    assert [entry["says"] for entry in logs if entry["event"] == "market.unknown"] == [says, none]
    assert {sample.name: sample.value for sample in directory.samples()}["unknown"] == 2


async def test_a_venue_that_is_away_is_answered_from_the_old_list_and_an_unlisted_symbol_is_asked_for_all_the_same(
    world: World,
) -> None:
    await world.directory("BTC-USD")
    world.venue.status = 503
    world.clock.instant += 3 * DAY
    directory = await world.directory("BTC-USD", "SOL-USD")
    assert world.natives(directory) == {"BTC-USD": "BTC-USD", "SOL-USD": "SOL-USD"}
    told = status(directory)
    assert told["source"] == "kept"
    assert "HTTP 503" in told["trouble"]
    assert told["unknown"]["SOL-USD"].startswith("coinbase has no 'SOL-USD'")


@pytest.mark.parametrize("mood", ["refuses", "fails", "is limited", "is silent", "lists nothing", "is gone"])
async def test_without_any_list_symbols_are_taken_as_written(world: World, mood: str) -> None:
    common = {"instruments_timeout": 0.2} if mood == "is silent" else {}
    world.venue.status = {"refuses": 404, "fails": 500, "is limited": 429}.get(mood, 200)
    world.venue.silent = mood == "is silent"
    if mood == "lists nothing":
        world.venue.products = []
    if mood == "is gone":
        world.url = "http://127.0.0.1:9"
    directory = await world.directory("BTC-USDX", common=common)
    assert world.natives(directory) == {"BTC-USDX": "BTC-USDX"}
    assert status(directory)["source"] == "none"
    assert status(directory)["trouble"]
    assert [sample.name for sample in directory.samples()] == ["unknown"]


async def test_a_market_that_was_listed_once_is_no_misspelling(world: World) -> None:
    await world.directory("BTC-USD")
    world.venue.products.remove("ETH-USD")
    world.venue.shut = ["BTC-USDT"]
    with capture_logs() as logs:
        directory = await world.directory("BTC-USD", "ETH-USD", "BTC-USDT", common={"instruments_max_age": 0})
    assert set(world.natives(directory)) == {"BTC-USD", "ETH-USD", "BTC-USDT"}
    assert status(directory)["not_trading"] == ["ETH-USD", "BTC-USDT"]
    assert status(directory)["unknown"] == {}
    assert [entry["symbol"] for entry in logs if entry["event"] == "market.not_trading"] == ["ETH-USD", "BTC-USDT"]


async def test_another_address_has_another_list(world: World) -> None:
    world.lists.write(VenueList("coinbase", "https://elsewhere", NOW, (Instrument("X", "BTC-USD"),)))
    directory = await world.directory("BTC-USD")
    assert (world.venue.asked, world.natives(directory)) == (1, {"BTC-USD": "BTC-USD"})


async def test_nothing_is_asked_where_nobody_wants_to_know(world: World) -> None:
    for directory in (
        await world.directory("BTC-USDX", instruments=False),
        await world.directory("BTC-USDX", enabled=False),
        await world.directory(),
    ):
        assert directory.status() == {"venues": {}}
    assert world.venue.asked == 0
    directory = await world.directory("BTC-USDX", instruments=False)
    assert world.natives(directory) == {"BTC-USDX": "BTC-USDX"}


async def test_a_file_that_cannot_be_read_is_no_list(world: World, tmp_path: Path) -> None:
    await world.directory("BTC-USD")
    (tmp_path / "instruments/coinbase.json").write_text('{"venue":"coin')
    assert world.lists.read("coinbase", world.url) is None
    await world.directory("BTC-USD")
    assert world.venue.asked == 2
    assert [path.name for path in (tmp_path / "instruments").iterdir()] == ["coinbase.json"]


async def test_a_folder_that_takes_nothing_costs_the_kept_list_only(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    world.lists = Lists(tmp_path / "file")
    with capture_logs() as logs:
        directory = await world.directory("BTC-USD")
    assert status(directory)["source"] == "venue"
    assert {"instruments.not_kept", "instruments.unreadable"} == {entry["event"] for entry in logs}


async def test_every_page_of_a_list_is_asked_for_at_the_venues_pace(world: World) -> None:
    asked: list[str] = []

    async def page(request: web.Request) -> web.Response:
        asked.append(request.query["kind"])
        names = {"future": ["BTC-PERPETUAL", "BTC_USDC-PERPETUAL"], "spot": ["BTC_USDC"]}[request.query["kind"]]
        return web.json_response({"result": [{"instrument_name": name} for name in names]})

    app = web.Application()
    app.router.add_get("/public/get_instruments", page)
    server = TestServer(app)
    await server.start_server()
    venue = VenueSettings(
        symbols=("BTC-PERPETUAL", "BTC-USDC"), rest_url=f"http://{server.host}:{server.port}", history_interval=0.01
    )
    world.last = IngestSettings(venues={"deribit": venue})
    directory = Directory(world.lists, world.clock, StayAway(None, world.clock))
    await directory.look_up(world.last)
    await server.close()
    assert asked == ["future", "spot"]
    assert world.natives(directory) == {"BTC-PERPETUAL": "BTC-PERPETUAL", "BTC-USDC": "BTC_USDC"}


async def test_a_venue_without_a_list_judges_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EXCHANGES["coinbase"], "instrument_requests", lambda self: [])
    directory = await world.directory("BTC-USDX")
    assert world.natives(directory) == {"BTC-USDX": "BTC-USDX"}


async def test_a_venue_that_wants_to_be_left_alone_is_not_asked_even_after_a_restart(world: World) -> None:
    world.venue.status = 429
    await world.directory("BTC-USD")
    assert world.venue.asked == 1
    world.venue.status = 200
    directory = await world.directory("BTC-USD")
    assert world.venue.asked == 1
    assert "wants to be left alone for another 7 s" in status(directory)["trouble"]
    assert world.natives(directory) == {"BTC-USD": "BTC-USD"}
    world.clock.instant += 8_000_000
    await world.directory("BTC-USD")
    assert world.venue.asked == 2


async def test_it_is_asked_again_for_other_symbols_and_forgets_who_is_left(world: World) -> None:
    directory = await world.directory("BTC-USDX")
    world.last = world.settings("BTC-USD", "QQQQ-ZZZZ")
    await directory.look_up(world.last)
    assert set(status(directory)["unknown"]) == {"QQQQ-ZZZZ"}
    assert world.natives(directory) == {"BTC-USD": "BTC-USD"}
    world.last = world.settings("BTC-USD", enabled=False)
    await directory.look_up(world.last)
    assert directory.status() == {"venues": {}}
