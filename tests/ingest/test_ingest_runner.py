from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pricewatch.domain.market import Market

Wait = Callable[..., Awaitable[None]]
House = Any


class Waits:
    """Waits that are written down and hardly happen."""

    def __init__(self) -> None:
        self.spans: list[float] = []

    async def __call__(self, seconds: float) -> None:
        if seconds >= 3600:
            await asyncio.Event().wait()
        if seconds >= 1:  # shorter ones keep the venue's pace within a connection
            self.spans.append(seconds)
        await asyncio.sleep(0.001)


async def test_a_dropped_connection_is_replaced_and_its_hole_refilled(house: House, wait: Wait) -> None:
    async with house.listening():
        await house.venue.trade(1)
        await wait(lambda: house.sink.keys == [1])
        house.venue.drop()
        await house.venue.trade(2, send=False)
        await wait(lambda: house.venue.opened == 2 and house.settled())
        await house.venue.trade(3)
        await wait(lambda: house.sink.keys == [1, 2, 3])
    assert house.counters().reconnects == 1
    assert not house.gaps.declared


async def test_accept_and_close_does_not_spin(house: House, wait: Wait, during: Callable[[Any], Any]) -> None:
    house.venue.close_at_once = True
    waits = Waits()
    ingest = house.make(pause=waits, backoff_base=1.0, backoff_cap=8.0, attempts=6, attempts_window=600.0)
    async with during(ingest):
        await wait(lambda: len(waits.spans) >= 6)
        assert ingest.trouble().startswith("no venue is connected: coinbase.1: ")
    assert waits.spans[:5] == [2.0, 4.0, 8.0, 8.0, 8.0]
    assert waits.spans[5] > 590


async def test_told_to_stay_away(house: House, wait: Wait, during: Callable[[Any], Any]) -> None:
    house.venue.refuse = [(429, {"Retry-After": "7200"})]
    ingest = house.make()
    async with during(ingest):
        await wait(lambda: house.venue.opened == 1 and "429" in (ingest.trouble() or ""))
        assert ingest.venues[0].distance.opening.away > 7000
        assert ingest.venues[0].distance.asking.away == 0


@pytest.mark.parametrize("status", [403, 500])
async def test_a_refused_handshake_is_tried_again(house: House, status: int) -> None:
    house.venue.refuse = [(status, {})]
    async with house.listening():
        assert house.venue.opened == 2


async def test_silence_is_a_reason_to_reconnect(house: House, wait: Wait) -> None:
    async with house.listening(idle_timeout=0.2):
        await wait(lambda: house.venue.opened == 2)


async def test_an_unknown_symbol_is_isolated(house: House, wait: Wait) -> None:
    house.markets = [Market(n, "coinbase", s, s) for n, s in enumerate(("BTC-USD", "NO-USD", "ETH-USD"), 1)]
    async with house.listening(subscribe_timeout=5.0) as ingest:
        await house.venue.trade(1, "BTC-USD")
        await house.venue.trade(1, "ETH-USD")
        await wait(lambda: house.sink.keys == [1, 1])
        refused = ingest.status()["venues"]["coinbase"]["refused"]
        assert set(refused) == {"NO-USD heartbeat", "NO-USD matches", "NO-USD ticker"}
        asked = len(house.venue.subscribed)
        house.venue.drop()
        await wait(lambda: house.venue.opened == 2 and house.settled())
        assert house.venue.subscribed[asked]["product_ids"] == ["BTC-USD", "ETH-USD"]


async def test_a_refused_symbol_gets_another_chance(house: House, wait: Wait) -> None:
    house.markets = [Market(n, "coinbase", s, s) for n, s in enumerate(("BTC-USD", "NO-USD"), 1)]
    async with house.listening(refused_retry=0.001) as ingest:
        await wait(lambda: bool(ingest.venues[0].venue.refused))
        house.venue.known = frozenset({"BTC-USD", "NO-USD"})
        house.venue.drop()
        await wait(lambda: house.venue.opened == 2 and house.settled())
        assert not ingest.venues[0].venue.refused


async def test_an_unanswered_subscription_is_asked_for_again(
    house: House, wait: Wait, during: Callable[[Any], Any]
) -> None:
    house.venue.mute = True
    ingest = house.make(subscribe_timeout=0.05)
    async with during(ingest):
        await wait(lambda: len(house.venue.subscribed) == 2)
        status = ingest.status()["venues"]["coinbase"]
        assert status["connections"][0]["unconfirmed"] == ["BTC-USD"]
        house.venue.mute = False
        await wait(house.settled)


async def test_an_old_connection_goes_once_the_new_one_stands(house: House, wait: Wait) -> None:
    async with house.listening(rotate_after=0.3):
        key = 0
        while house.venue.opened < 3:
            key += 1
            await house.venue.trade(key)
            await asyncio.sleep(0.01)
        await wait(lambda: len(house.sink.trades) == key)
    assert house.sink.keys == list(range(1, key + 1))
    assert house.counters().reconnects == 0
    assert not house.gaps.declared


async def test_what_the_venue_says_is_shown(house: House, wait: Wait) -> None:
    async with house.listening() as ingest:
        await house.venue.send({"type": "error", "message": "maintenance at noon"})
        await wait(lambda: ingest.status()["venues"]["coinbase"]["notice"] == "maintenance at noon")


async def test_a_clock_that_is_ahead_is_measured(house: House, wait: Wait) -> None:
    ahead = "2027-01-15T08:00:09Z"
    async with house.listening() as ingest:
        for key in range(1, 65):
            await house.venue.trade(key, time=ahead)
        await wait(lambda: house.counters().rejected["ahead"] == 64)
        await house.venue.trade(65, time=ahead)
        await wait(lambda: house.sink.keys == [65])
        assert 8.9 < ingest.status()["venues"]["coinbase"]["skew_seconds"] < 9.1
        assert "skew_seconds" in {sample.name for sample in ingest.samples()}
