"""The channel `features`."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from tests.gateway.gateway_world import BTC, ETH, Client, World, until

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Candle
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
    client = await connect(world, key)
    snapshot = await client.subscribe("features", "coinbase:BTC-USD", "ETH-USD")
    first, second = snapshot["data"]
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
