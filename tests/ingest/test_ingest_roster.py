"""Markets added and removed while others are listened to."""

from __future__ import annotations

import asyncio

import pytest
from tests.ingest.conftest import running, until
from tests.ingest.toy import odd
from tests.ingest.toyhouse import markets, toy_house

from pricewatch.domain.errors import Unavailable
from pricewatch.ports.ticks import Mark


async def test_a_market_is_added_to_the_connection_that_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house, house.listening(2) as ingest:
        await ingest.add(markets(3), {})
        await until(lambda: len(house.venue.said("subscribe")) == 2)
        assert house.venue.said("subscribe")[1]["names"] == ["SOL-USD"]
        await until(lambda: not ingest.venues[0].venue.feeds[3].is_blind)
        await house.say(house.venue.trade(1, "SOL-USD"))
        assert [trade.market for trade in house.sink.trades] == [3]
        assert len(house.venue.opened) == 1
        assert (3, False) in house.sink.sight
        await ingest.add(markets(3), {})
        assert len(ingest.venues[0].venue.feeds) == 3


async def test_without_room_there_is_one_new_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house, house.listening(2) as ingest:
        await ingest.add(markets(6), {})
        await until(lambda: len(house.venue.opened) == 2 and house.settled())
        assert [len(runner.markets) for runner in ingest.venues[0].runners] == [3, 3]
        for number, market in enumerate(markets(6), 1):
            await house.say(house.venue.trade(number, market.symbol))
        assert len(house.venue.opened) == 2
        assert house.counters.reconnects == 0


async def test_a_smaller_shard_than_the_venues_may_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house:
        async with house.listening(3, markets_per_connection=1):
            assert len(house.venue.opened) == 3
        async with house.listening(3, markets_per_connection=100):
            assert len(house.venue.opened) == 4


async def test_a_market_is_removed_and_its_trades_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house, house.listening(2) as ingest:
        await house.say(house.venue.trade(1, "ETH-USD"))
        ingest.remove([2])
        await until(lambda: len(house.venue.said("unsubscribe")) == 1)
        assert house.venue.said("unsubscribe")[0]["names"] == ["ETH-USD"]
        ignored = house.counters.ignored
        await house.venue.send(house.venue.trade(2, "ETH-USD"))
        await until(lambda: house.counters.ignored > ignored)
        await house.say(house.venue.trade(1, "BTC-USD"))
        assert len(house.venue.opened) == 1
        assert house.sink.sight[-1] == (2, False)
        # Room again, and from where it ended.
        await ingest.add(markets(2), {2: Mark(2, 2, house.venue.tape[1]["at"])})
        await until(lambda: not ingest.venues[0].venue.feeds[2].is_blind)
        await house.say(house.venue.trade(3, "ETH-USD"))
        assert len(house.venue.opened) == 1
        assert not house.gaps.declared


async def test_removing_hands_on_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house, house.listening(2, gap_hold=30.0, history_interval=30.0) as ingest:
        await ingest.venues[0].distance.asking.turn()
        await house.say(house.venue.trade(1))
        await house.say(house.venue.trade(3))
        assert house.sink.keys == [1]
        ingest.remove([1])
        assert house.sink.keys == [1, 3]


async def test_a_connection_without_markets_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, odd(markets_per_connection=1)) as house, house.listening(2) as ingest:
        assert len(house.venue.sockets) == 2
        ingest.remove([1])
        await until(lambda: len(house.venue.sockets) == 1)
        await ingest.add(markets(1), {})
        await until(lambda: len(house.venue.sockets) == 2 and house.settled())
        assert len({runner.name for runner in ingest.venues[0].runners}) == 2


async def test_markets_change_while_a_connection_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, odd(token=True)) as house:
        house.venue.hold = asyncio.Event()
        ingest = house.make(markets(2))
        async with running(ingest):
            await until(lambda: len(house.venue.asked) == 1)
            ingest.remove([2])
            await ingest.add(markets(3)[2:], {})
            house.venue.hold.set()
            await until(house.settled)
            assert house.venue.said("subscribe")[0]["names"] == ["BTC-USD", "SOL-USD"]
            assert not house.venue.said("unsubscribe")


async def test_a_venue_without_markets_gets_its_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house:
        ingest = house.make([])
        async with asyncio.TaskGroup() as group, running(ingest):
            adding = group.create_task(ingest.add(markets(1), {}))  # before the first turn of `run`
            await until(adding.done)
            await until(house.settled)
            await house.say(house.venue.trade(1))
            assert house.sink.keys == [1]


async def test_adding_waits_for_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house, house.listening(1) as ingest:
        house.gaps.away = True
        with pytest.raises(Unavailable):
            await house.gaps.open_gaps()
        async with asyncio.TaskGroup() as group:
            group.create_task(ingest.add(markets(2), {}))
            asked = house.gaps.asked
            await until(lambda: house.gaps.asked > asked)
            house.gaps.away = False
        assert set(ingest.venues[0].venue.feeds) == {1, 2}


async def test_a_market_removed_before_it_was_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, odd(consecutive=False)) as house, house.listening(1) as ingest:
        placed = asyncio.Event()

        async def trades(*_: object, **__: object) -> list[object]:
            await placed.wait()
            return []

        house.stored.trades = trades  # type: ignore[method-assign, assignment]
        async with asyncio.TaskGroup() as group:
            group.create_task(ingest.add(markets(2), {2: Mark(2, 1, 5)}))
            await until(lambda: 2 in ingest.venues[0].venue.feeds)
            ingest.remove([2])
            placed.set()
        assert [market.id for runner in ingest.venues[0].runners for market in runner.markets] == [1]
