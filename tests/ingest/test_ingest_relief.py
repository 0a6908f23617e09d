"""Storage or the bus takes no more: reading waits, then only the extremes are kept; memory stays bounded."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ingest.conftest import running, until
from tests.ingest.toy import odd
from tests.ingest.toyhouse import NOW, ToyHouse, markets, toy_house

from pricewatch.domain.market import Trade
from pricewatch.ingest.shed import Shed
from pricewatch.ports.ticks import UNKNOWN_KEYS


class Stalled:
    """A backlog that tests fill and empty."""

    def __init__(self) -> None:
        self._room = asyncio.Event()
        self._room.set()

    def fill(self) -> None:
        self._room.clear()

    def empty(self) -> None:
        self._room.set()

    def is_full(self) -> bool:
        return not self._room.is_set()

    async def eased(self) -> None:
        await self._room.wait()


def reading(house: ToyHouse) -> str:
    assert house.ingest is not None
    word: Any = house.ingest.status()["venues"]["toy"]["reading"]
    return str(word)


async def test_reading_waits_for_room_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    backlog = Stalled()
    async with toy_house(monkeypatch) as house, house.listening(backlog=backlog, common={"pause_limit": 60.0}):
        await house.say(house.venue.trade(1))
        backlog.fill()
        await house.venue.send(*(house.venue.trade(key) for key in range(2, 500)))
        await until(lambda: reading(house) == "paused")
        frames = house.counters.frames
        await asyncio.sleep(0.1)
        assert house.counters.frames == frames
        backlog.empty()
        await until(lambda: house.sink.keys == list(range(1, 500)))
        assert reading(house) == "on"
        assert house.counters.pauses == 1
    assert not house.gaps.declared


async def test_a_pause_is_not_the_venues_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    backlog = Stalled()
    async with (
        toy_house(monkeypatch) as house,
        house.listening(backlog=backlog, idle_timeout=0.2, common={"pause_limit": 60.0}),
    ):
        backlog.fill()
        await house.venue.send(house.venue.trade(1))
        await until(lambda: reading(house) == "paused")
        await asyncio.sleep(0.5)
        assert house.counters.reconnects == 0
        backlog.empty()
        await until(lambda: house.sink.keys == [1])


async def test_when_it_lasts_the_extremes_are_kept_and_the_rest_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    backlog = Stalled()
    prices = {5: 90.0, 300: 120.0}
    async with (
        toy_house(monkeypatch) as house,
        house.listening(2, backlog=backlog, history=False, common={"pause_limit": 0.0}) as ingest,
    ):
        await house.say(house.venue.trade(1))
        backlog.fill()
        await house.venue.send({"type": "other"})
        await until(lambda: reading(house) == "shedding")
        for key in range(2, 500):
            await house.venue.send(house.venue.trade(key, price=prices.get(key, 100.0)))
        await house.venue.send(house.venue.trade(500, price=-1.0))
        await until(lambda: house.counters.shed == 498)
        assert house.sink.keys == [1]
        await ingest.add(markets(3), {})  # one more market meanwhile: treated alike
        await until(lambda: not ingest.venues[0].venue.feeds[3].is_blind)
        await house.venue.send(house.venue.trade(7, "SOL-USD"))
        await until(lambda: house.counters.shed == 499)
        backlog.empty()
        await until(lambda: len(house.sink.keys) == 5)
        assert [(trade.key, trade.price) for trade in house.sink.trades if trade.market == 1] == [
            (1, 100.0),
            (5, 90.0),
            (300, 120.0),
            (499, 100.0),
        ]
        await until(lambda: len(house.gaps.declared) == 3)
        missing = {(gap.first_key, gap.last_key) for gap in house.gaps.declared.values()}
        assert missing == {(2, 4), (6, 299), (301, 498)}
        assert house.counters.shed == 495
        await house.say(house.venue.trade(501))
        assert reading(house) == "on"


async def test_what_was_left_out_is_refilled(monkeypatch: pytest.MonkeyPatch) -> None:
    backlog = Stalled()
    async with (
        toy_house(monkeypatch) as house,
        house.listening(backlog=backlog, common={"pause_limit": 0.0}),
    ):
        backlog.fill()
        await house.venue.send({"type": "other"})
        await until(lambda: reading(house) == "shedding")
        await house.venue.send(*(house.venue.trade(key) for key in range(1, 100)))
        await until(lambda: house.counters.shed == 99)
        backlog.empty()
        await until(lambda: sorted(house.sink.keys) == list(range(1, 100)))


async def test_where_ids_do_not_count_the_time_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    backlog = Stalled()
    async with (
        toy_house(monkeypatch, odd(consecutive=False, has_history=False)) as house,
        house.listening(backlog=backlog, common={"pause_limit": 0.0}),
    ):
        backlog.fill()
        await house.venue.send({"type": "other"})
        await until(lambda: reading(house) == "shedding")
        await house.venue.send(*(house.venue.trade(1000 - key, at=NOW + key) for key in range(1, 100)))
        await until(lambda: house.counters.shed == 99)
        backlog.empty()
        await until(lambda: len(house.gaps.declared) == 1)
        (gap,) = house.gaps.declared.values()
        assert (gap.first_key, gap.last_key) == UNKNOWN_KEYS
        assert (gap.from_at, gap.to_at) == (NOW + 1, NOW + 99)


@pytest.mark.parametrize("patience", [0.0, 60.0], ids=["shedding", "paused"])
async def test_memory_stays_bounded_while_storage_stands(monkeypatch: pytest.MonkeyPatch, patience: float) -> None:
    backlog = Stalled()
    padding = "x" * 200
    async with toy_house(monkeypatch) as house:
        ingest = house.make(markets(1), backlog=backlog, history=False, common={"pause_limit": patience})
        async with running(ingest):
            await until(house.settled)
            backlog.fill()
            frames = [house.venue.trade(key, padding=padding) for key in range(1, 10_001)]
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(house.venue.send(*frames))
                if patience:
                    await until(lambda: reading(house) == "paused")
                    await asyncio.sleep(0.5)
                else:
                    await until(lambda: house.counters.shed > 9_500)
                grown = tracemalloc.get_traced_memory()[0] - before
                tracemalloc.stop()
                sending.cancel()
            backlog.empty()
            await until(lambda: reading(house) == "on")
        assert grown < 3_000_000, f"{grown} bytes for 10,000 frames of about 300 bytes"


def trade(place: int, price: float) -> Trade:
    return Trade(1, NOW + place, price, 1.0, 1, place, NOW)


@given(st.lists(st.floats(1, 1000), max_size=30))
def test_the_extremes_and_the_end_are_kept_in_order(prices: list[float]) -> None:
    shed = Shed()
    for place, price in enumerate(prices):
        shed.note(trade(place, price))
    kept = shed.kept()
    assert [one.key for one in kept] == sorted({one.key for one in kept})
    assert len(kept) <= 3
    if prices:
        assert {min(prices), max(prices), prices[-1]} == {one.price for one in kept}
        assert shed.span == (NOW, NOW + len(prices) - 1)
    else:
        assert shed.span is None
