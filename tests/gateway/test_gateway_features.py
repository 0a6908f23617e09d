"""The channel `features`."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from tests.gateway.gateway_world import BTC, ETH, KRAKEN, Client, World, closed_minute, until
from tests.gateway.test_gateway_rest import Api

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Candle, Quote
from pricewatch.domain.model import Forecast, ForecastRow
from pricewatch.domain.time import MINUTE

Connect = Callable[[World, str], Awaitable[Client]]


async def test_what_is_known_then_what_changes(world: World, connect: Connect) -> None:
    _, key = await world.account("ann")
    now = world.clock.now()
    minute = now - now % MINUTE
    world.shelf.bars = [Candle(1, minute - 2 * MINUTE, 1.0, 2.0, 0.5, 50.0, 1.0, 4)]
    world.shelf.scores[1, minute - MINUTE] = 0.75
    rows = [ForecastRow(minute, 100.0, 90.0, 110.0)]
    world.shelf.forecasts[1] = Forecast(uuid.UUID(int=4), 1, "prophet", 0, 0, 9, 0.95, MINUTE, now + MINUTE, rows)
    world.trade(100.0)
    world.gateway._board.quote(Quote(1, now, 99.0, 1.0, 101.0, 1.0, now), now)
    await world.shelf.judged.save_features({1: closed_minute(minute - MINUTE)})
    age = (now - minute) / 1e6
    client = await connect(world, key)
    snapshot = await client.subscribe("features", "coinbase:BTC-USD", "ETH-USD")
    first, second = snapshot["data"]
    minute_known, band = first["minute"], first["minute"]["bands"][0]
    assert (minute_known["close"], minute_known["age"], minute_known["parts"]["trend"]) == ("100", age, None)
    assert (band["level"], band["horizon"], band["upper"], band["coverage"]) == (0.95, "1h", "105", 0.952)
    assert (first["spread"], second["spread"], second["minute"]) == (pytest.approx(2.0), None, None)
    assert (first["market"], first["price"], first["returns"]["1m"], first["score"]) == (BTC.key, "100", 1.0, 0.75)
    assert (first["band"]["upper"], first["band"]["model"]) == (110.0, "prophet")
    assert (second["market"], second["price"], second["band"]) == (ETH.key, None, None)
    world.trade(75.0)
    frame = await client.until("features")
    while frame["data"][0]["price"] != "75":
        frame = await client.until("features")
    assert (frame["data"][0]["market"], frame["data"][0]["returns"]["1m"]) == (BTC.key, 0.5)


async def test_it_waits_for_the_database(world: World, connect: Connect) -> None:
    _, key = await world.account("ann")
    client = await connect(world, key)
    candles, down = world.shelf.candles, [True]

    async def unsure(*args: Any, **more: Any) -> list[Candle]:
        if down:
            raise Unavailable("away")
        return await candles(*args, **more)

    world.shelf.candles = unsure  # type: ignore[method-assign]
    await client.say("subscribe", channel="features", symbols=["BTC-USD"])
    await client.until("subscribed")
    await client.until("heartbeat")
    down.clear()
    assert len((await client.until("snapshot", channel="features"))["data"]) == 2
    await client.say("unsubscribe", channel="features")
    await client.until("unsubscribed")
    await until(lambda: not len(world.gateway._features.seats))


async def test_a_program_may_ask_once(world: World, http: aiohttp.ClientSession) -> None:
    _, key = await world.account("ann")
    now = world.clock.now()
    await world.shelf.judged.save_features({1: closed_minute(now - now % MINUTE - MINUTE)})
    world.trade(100.0)
    api = Api(world, http, key)
    status, page = await api("GET", "/features?symbols=btc-usd")
    assert status == 200
    assert [(one["market"], one["price"]) for one in page["features"]] == [(BTC.key, "100"), (KRAKEN.key, None)]
    assert page["features"][0]["minute"]["bands"][0]["lower"] == "95.5"
    (only,) = (await api("GET", "/features?symbols=coinbase:ETH-USD,"))[1]["features"]
    assert (only["market"], only["minute"]) == (ETH.key, None)
    assert len((await api("GET", "/features?symbols=*"))[1]["features"]) == 3


@pytest.mark.parametrize(
    ("query", "fix"),
    [
        ("", "write for example symbols=BTC-USD"),
        ("?symbols=BTC-UDS", "did you mean BTC-USD"),
        ("?symbols=moon:Q", "no market 'moon:Q'"),
        ("?symbols=,", "0 markets; name 1 to 100"),
        ("?symbols=BTC-USD&limit=3", "known: symbols"),
    ],
)
async def test_a_program_is_told_what_to_ask(world: World, http: aiohttp.ClientSession, query: str, fix: str) -> None:
    _, key = await world.account("ann")
    status, problem = await Api(world, http, key)("GET", f"/features{query}")
    assert (status, fix in problem["detail"]) == (422, True), problem
