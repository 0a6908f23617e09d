"""The channel `candles`: what is kept, what comes by, and that nothing of a minute is lost or counted twice."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.gateway_world import BTC, ETH, KRAKEN, Client, World, until

from pricewatch.domain.market import Candle, Flag, Trade
from pricewatch.domain.time import MINUTE, SECOND, rfc3339
from pricewatch.gateway.feed.bars import Bars, gathered
from pricewatch.ports.ticks import Sequenced

Connect = Callable[[World, str], Awaitable[Client]]
START = 1_700_000_040_000_000
"""The beginning of a minute."""


def printed(at: int, price: float, size: float = 1.0, market: int = 1, flags: int = 0) -> Trade:
    return Trade(market=market, at=at, price=price, size=size, side=1, key=at, received=at, flags=flags)


def test_minutes_close_once_with_all_that_was_printed() -> None:
    bars = Bars()
    bars.watch([1], START)
    for at, price in ((0, 5.0), (10, 7.0), (20, 4.0), (59, 6.0)):
        bars.trade(printed(START + at * SECOND, price))
    bars.trade(printed(START, 99.0, market=2))
    assert bars.take(START + MINUTE)[0] == []
    bars.trade(printed(START + MINUTE + 1, 8.0))
    bars.trade(printed(START + 58 * SECOND, 3.0))  # late, within the grace
    closed, changed = bars.take(START + MINUTE + SECOND)
    assert [one.candle() for one in closed] == [Candle(1, START, 5.0, 7.0, 3.0, 6.0, 5.0, 5)]
    assert [one.at for one in changed] == [START + MINUTE]
    bars.trade(printed(START + 59 * SECOND, 1.0))  # too late
    assert bars.take(START + MINUTE + SECOND) == ([], [])


def test_suspects_history_and_refills_are_not_live() -> None:
    bars = Bars()
    bars.watch([1], START)
    for flag in (Flag.SUSPECT, Flag.HISTORY, Flag.LATE):
        bars.trade(printed(START, 5.0, flags=int(flag)))
    assert bars.take(START) == ([], [])


def test_who_comes_in_mid_minute_has_a_part_of_it() -> None:
    bars = Bars()
    bars.watch([1], START + 30 * SECOND)
    bars.trade(printed(START + 31 * SECOND, 5.0))
    bars.watch([1, 2], START + 40 * SECOND)
    bars.trade(printed(START + MINUTE, 5.0))
    assert [one.is_partial for one in bars.take(START + MINUTE)[1]] == [True, False]
    bars.watch([2], START + MINUTE)
    bars.trade(printed(START + MINUTE, 5.0))
    assert bars.take(START + 9 * MINUTE) == ([], [])


@settings(deadline=None)  # a loaded machine is no failure
@given(st.lists(st.tuples(st.integers(0, 179), st.integers(1, 50)), min_size=1, max_size=60))
def test_any_order_within_a_minute_makes_the_same_candles(trades: list[tuple[int, int]]) -> None:
    made = [printed(START + at * SECOND + number, price) for number, (at, price) in enumerate(trades)]
    bars = Bars()
    bars.watch([1], START)
    random.Random(len(made)).shuffle(made)
    for trade in made:
        bars.trade(trade)
    closed, _ = bars.take(START + 9 * MINUTE)
    assert [bar.candle() for bar in closed] == [
        candle for at in range(0, 3 * MINUTE, MINUTE) if (candle := gathered(made, START + at)) is not None
    ]


async def joined(world: World, connect: Connect, *symbols: str) -> tuple[Client, dict[str, Any]]:
    _, key = await world.account("ann")
    client = await connect(world, key)
    return client, await client.subscribe("candles", *symbols)


async def test_a_snapshot_of_the_past_then_the_open_minute_then_its_end(world: World, connect: Connect) -> None:
    now = world.clock.now()
    world.clock.advance((MINUTE - now % MINUTE) / SECOND)  # to the beginning of a minute
    minute = world.clock.now()
    world.shelf.bars = [Candle(1, minute - back * MINUTE, 1.0, 2.0, 0.5, 1.5, 3.25, 4) for back in range(70, 0, -1)]
    world.shelf.printed = [Sequenced(1, printed(minute - MINUTE + 5, 9.5, 0.25))]
    client, snapshot = await joined(world, connect, "coinbase:BTC-USD")
    assert len(snapshot["data"]) == 59  # the minute before the last was printed in by nobody, as the trades tell
    assert snapshot["data"][-1] == {
        "market": "coinbase:BTC-USD", "at": rfc3339(minute - MINUTE), "open": "9.5", "high": "9.5", "low": "9.5",
        "close": "9.5", "volume": "0.25", "trades": 1, "closed": True, "partial": False,
    }  # fmt: skip
    world.trade(10.0)
    world.trade(99.0, ETH)
    world.trade(12.5)
    frame = await client.until("candles")
    while frame["data"][0]["trades"] < 2:
        frame = await client.until("candles")
    assert [(one["open"], one["close"], one["volume"], one["closed"]) for one in frame["data"]] == [
        ("10", "12.5", "1", False)
    ]
    world.clock.advance(61)
    frame = await client.until("candles")
    assert [(one["high"], one["closed"], one["partial"]) for one in frame["data"]] == [("12.5", True, False)]


async def test_a_minute_begun_before_is_counted_again_from_the_store(world: World, connect: Connect) -> None:
    now = world.clock.now()
    world.clock.advance((MINUTE - now % MINUTE) / SECOND + 30)
    minute = world.clock.now() - 30 * SECOND
    client, _ = await joined(world, connect, "BTC-USD")
    one = world.trade(10.0)
    two = world.trade(11.0, KRAKEN)
    frames = [await client.until("candles")]
    while {bar["market"] for frame in frames for bar in frame["data"]} < {"coinbase:BTC-USD", "kraken:BTC-USD"}:
        frames.append(await client.until("candles"))
    assert all(bar["partial"] for frame in frames for bar in frame["data"])
    early = printed(minute + SECOND, 7.0)
    world.shelf.printed = [Sequenced(1, early), Sequenced(2, one)]
    assert two.market == KRAKEN.id
    world.clock.advance(31)
    closed = {bar["market"]: bar for bar in (await client.until("candles"))["data"]}
    assert (closed["coinbase:BTC-USD"]["open"], closed["coinbase:BTC-USD"]["partial"]) == ("7", False)
    assert (closed["kraken:BTC-USD"]["open"], closed["kraken:BTC-USD"]["partial"]) == ("11", True)  # not stored yet


async def test_leaving_and_staying(world: World, connect: Connect) -> None:
    client, _ = await joined(world, connect, "*")
    await client.say("unsubscribe", channel="candles", symbols=["BTC-USD"])
    assert (await client.until("error"))["code"] == "not_subscribed"
    await client.say("unsubscribe", channel="candles")
    await client.until("unsubscribed")
    world.trade(10.0)
    await client.subscribe("candles", "ETH-USD")
    world.trade(11.0)
    world.trade(12.0, ETH)
    frame = await client.until("candles")
    assert [one["market"] for one in frame["data"]] == ["coinbase:ETH-USD"]
    await client.socket.close()
    await until(lambda: not len(world.gateway._candles.seats))


async def test_a_lagging_reader_gets_every_closed_minute_later(world: World, connect: Connect) -> None:
    client, _ = await joined(world, connect, "coinbase:BTC-USD")
    (link,) = world.gateway._hub.links
    outlet, is_idle = link.outlet, link.outlet.is_idle
    outlet.is_idle = lambda: False  # type: ignore[method-assign]
    opens = []
    for price in (10.0, 11.0, 12.0):
        world.trade(price)
        opens.append(rfc3339(world.clock.now() - world.clock.now() % MINUTE))
        await world.gateway._candles.flush()
        world.clock.advance(60)
    world.clock.advance(2)
    await world.gateway._candles.flush()
    outlet.is_idle = is_idle  # type: ignore[method-assign]
    frame = await client.until("candles")
    assert [(one["at"], one["closed"]) for one in frame["data"]] == [(at, True) for at in opens]
    assert frame["data"][0]["market"] == BTC.key
