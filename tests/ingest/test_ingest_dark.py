"""Venues whose trade ids do not count: what a silence may have hidden is looked for by its time, or declared."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.ingest.conftest import running, until
from tests.ingest.toy import odd
from tests.ingest.toyhouse import NOW, ToyHouse, markets, toy_house

from pricewatch.domain.market import Flag
from pricewatch.domain.time import MINUTE, SECOND
from pricewatch.ports.ticks import UNKNOWN_KEYS, Closed, Gap, Mark, Sequenced

HASHED = odd(consecutive=False)
MUTE = odd(consecutive=False, has_history=False)
KEYS = [901, 17, 350, 4, 88, 620]
"""Ids that do not count."""


def at(place: int) -> int:
    return NOW - 5 * SECOND + place * 1000


async def lose(house: ToyHouse) -> None:
    """The connection breaks and comes back."""
    before = len(house.venue.heard)
    house.venue.drop()
    await until(lambda: len(house.venue.heard) == before + 1 and house.settled())


async def test_what_a_broken_connection_hid_is_found_by_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, HASHED) as house, house.listening():
        await house.say(house.venue.trade(KEYS[0], at=at(0)))
        await house.say(house.venue.trade(KEYS[1], at=at(1)))
        house.venue.trade(KEYS[2], at=at(2))
        house.venue.trade(KEYS[3], at=at(3))
        await lose(house)
        await until(lambda: house.sink.keys == KEYS[:4])
        await house.say(house.venue.trade(KEYS[4], at=at(4)))
        asked = len(house.venue.asked)
        await until(lambda: len(house.venue.asked) > asked or asked >= 2)  # the second look
        await house.say(house.venue.tape[4])
        assert house.sink.keys == KEYS[:5]
        assert [trade.flags for trade in house.sink.trades] == [0, 0, Flag.LATE, Flag.LATE, 0]
    assert not house.gaps.declared


async def test_live_trades_wait_for_what_came_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, HASHED) as house, house.listening(history_interval=0.4, gap_hold=30.0):
        await house.say(house.venue.trade(KEYS[0], at=at(0)))
        house.venue.trade(KEYS[1], at=at(1))
        await lose(house)
        live = house.venue.trade(KEYS[2], at=at(2))
        await house.venue.send(live)
        await until(lambda: len(house.sink.keys) == 3)
        assert house.sink.keys == KEYS[:3]


async def test_a_history_that_lags_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, HASHED) as house, house.listening(reconcile_after=0.2):
        await house.say(house.venue.trade(KEYS[0], at=at(0)))
        await lose(house)
        await until(lambda: len(house.venue.asked) == 1)
        house.venue.trade(KEYS[1], at=at(1))
        await until(lambda: house.sink.keys == KEYS[:2])
    assert not house.gaps.declared


async def test_a_history_that_does_not_reach_back_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, HASHED) as house, house.listening(refill_deadline=0.1):
        await house.say(house.venue.trade(KEYS[0], at=at(0)))
        house.venue.tape.clear()
        house.venue.trade(KEYS[2], at=at(2))
        await lose(house)
        await until(lambda: house.sink.keys == [KEYS[0], KEYS[2]] and len(house.gaps.declared) == 1)
        (gap,) = house.gaps.declared.values()
        assert (gap.first_key, gap.last_key) == UNKNOWN_KEYS
        assert gap.reason == "no connection"
        assert gap.from_at < gap.to_at
    assert not house.gaps.closed


async def test_history_away_declares_the_time_and_fills_it_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, HASHED) as house, house.listening(gap_hold=0.1):
        await house.say(house.venue.trade(KEYS[0], at=at(0)))
        house.venue.trade(KEYS[1], at=at(1))
        house.venue.rest_refuse = [(500, {})] * 3
        await lose(house)
        await until(lambda: house.gaps.closed == [1])
        assert house.gaps.how[1] is Closed.FILLED
        assert house.sink.keys == KEYS[:2]


async def test_a_history_that_refuses_leaves_the_time_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, HASHED) as house, house.listening(gap_hold=0.1, refill_deadline=0.05):
        await house.say(house.venue.trade(KEYS[0], at=at(0)))
        house.venue.rest_refuse = [(403, {})] * 50
        await lose(house)
        await until(lambda: len(house.gaps.declared) == 1)
        asked = len(house.venue.asked)
        await until(lambda: len(house.venue.asked) > asked)
    assert not house.gaps.closed


async def test_a_history_that_does_not_reach_back_ends_in_candles(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pause(_: float) -> None:
        await asyncio.sleep(0)

    async with toy_house(monkeypatch, HASHED) as house:
        house.venue.candles = [NOW // MINUTE * MINUTE]
        async with house.listening(pause=pause, gap_hold=0.1, refill_deadline=0.2):
            await house.say(house.venue.trade(KEYS[0], at=at(0)))
            house.venue.tape.clear()
            await lose(house)
            await until(lambda: house.gaps.closed == [1])
            assert house.gaps.how[1] is Closed.CANDLES


async def test_a_slow_history_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = odd(consecutive=False, history_interval=0.3)
    async with toy_house(monkeypatch, kind) as house, house.listening(gap_hold=0.05, history_interval=None) as ingest:
        await house.say(house.venue.trade(KEYS[0], at=at(0)))
        await ingest.venues[0].distance.asking.turn()
        await lose(house)
        await until(lambda: len(house.gaps.declared) == 1)
        await until(lambda: house.gaps.closed == [1])


async def test_the_venues_own_counter_opens_a_dark_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, HASHED) as house, house.listening(2):
        await house.say(house.venue.trade(KEYS[0], at=at(0)))
        house.venue.trade(KEYS[1], at=at(1))
        await house.venue.send({"type": "lost", "names": ["BTC-USD"]}, {"type": "lost", "names": ["BTC-USD"]})
        await until(lambda: house.sink.keys == KEYS[:2])
        await until(lambda: house.counters.losses == 2)
        assert {body["name"] for _, body in house.venue.asked} == {"BTC-USD"}
        await house.venue.send({"type": "lost", "names": []})
        await until(lambda: {body["name"] for _, body in house.venue.asked} == {"BTC-USD", "ETH-USD"})


async def test_where_ids_count_the_counter_asks_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house, house.listening():
        await house.say(house.venue.trade(1))
        house.venue.trade(2)
        await house.venue.send({"type": "lost", "names": []}, {"type": "lost", "names": []})
        await until(lambda: house.sink.keys == [1, 2])
    assert not house.gaps.declared


async def test_without_trade_history_candles_close_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    async with toy_house(monkeypatch, MUTE) as house:
        minute = NOW // MINUTE * MINUTE
        house.venue.candles = [minute - MINUTE, minute, minute + MINUTE]
        async with house.listening(pause=pause):
            await house.say(house.venue.trade(KEYS[0], at=at(0)))
            house.venue.rest_refuse = [(500, {})]
            await lose(house)
            await until(lambda: house.gaps.closed == [1])
            assert house.gaps.how[1] is Closed.CANDLES
            assert {candle.at for candle in house.candles.candles} >= {minute}
            assert any(30 < wait <= 66 for wait in waits)  # the minute had to end first
    assert await house.gaps.patched_gaps() == list(house.gaps.declared.values())


@pytest.mark.parametrize("trouble", ["none given", "refused", "away"])
async def test_without_candles_either_it_stays_declared(monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    async def pause(_: float) -> None:
        await asyncio.sleep(0)

    async with toy_house(monkeypatch, MUTE) as house, house.listening(pause=pause, refill_deadline=0.05):
        await house.say(house.venue.trade(KEYS[0], at=at(0)))
        statuses = {"none given": [], "refused": [404], "away": [503] * 20}[trouble]
        house.venue.rest_refuse = [(status, {}) for status in statuses]
        await lose(house)
        await until(lambda: len(house.venue.asked) >= (3 if trouble == "away" else 1))
        await until(lambda: len(house.gaps.declared) == 1)
    assert not house.gaps.closed


async def test_ids_that_count_without_trade_history(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pause(_: float) -> None:
        await asyncio.sleep(0)

    async with toy_house(monkeypatch, odd(has_history=False)) as house:
        house.venue.candles = [NOW // MINUTE * MINUTE]
        async with house.listening(pause=pause):
            await house.say(house.venue.trade(1, at=NOW))
            await house.say(house.venue.trade(4, at=NOW + 1))
            await until(lambda: house.gaps.closed == [1])
            assert house.sink.keys == [1, 4]
            assert house.gaps.how[1] is Closed.CANDLES
        # The trades are missing for good: a restart declares them once more to nobody.
        house.sink.trades.clear()
        marks = {1: Mark(1, 4, NOW, ((2, 3),))}
        async with house.listening(pause=pause, marks=marks):
            await house.say(house.venue.trade(5, at=NOW + 2))
            await house.say(house.venue.trade(3, at=NOW))
            assert house.sink.keys == [5, 3]
        assert len(house.gaps.declared) == 1


async def test_a_restart_looks_from_the_last_stored_trade_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, HASHED) as house:
        for place, key in enumerate(KEYS):
            house.venue.trade(key, at=at(place))
        async with house.listening():  # heard for the first time: nothing is missing yet
            await house.say(house.venue.tape[0])
            await house.say(house.venue.tape[1])
        assert not house.venue.asked
        house.stored.rows = [Sequenced(number, trade) for number, trade in enumerate(house.sink.trades, 1)]
        house.gaps.declared[1] = Gap(1, *UNKNOWN_KEYS, at(-5), at(-4), "no connection")
        house.sink.trades.clear()
        async with house.listening(marks={1: Mark(1, max(KEYS[:2]), at(1), ((18, 900),))}):
            await until(lambda: house.sink.keys == KEYS[2:])
            await until(lambda: house.gaps.closed == [1] or len(house.venue.asked) > 2)
            await house.venue.send(house.venue.tape[0])
            await until(lambda: house.counters.duplicates >= 1)
            assert house.sink.keys == KEYS[2:]
    assert list(house.gaps.declared) == [1]


async def test_the_store_may_be_away(monkeypatch: pytest.MonkeyPatch) -> None:
    from pricewatch.domain.errors import Unavailable

    async with toy_house(monkeypatch, HASHED) as house, house.listening(gap_hold=0.1):
        await house.say(house.venue.trade(KEYS[0], at=at(0)))
        house.venue.trade(KEYS[1], at=at(1))
        known = house.stored.trades
        away = [Unavailable("no database")] * 3

        async def trades(*args: Any, **more: Any) -> Any:
            if away:
                raise away.pop()
            return await known(*args, **more)

        house.stored.trades = trades  # type: ignore[method-assign]
        await lose(house)
        await until(lambda: house.sink.keys == KEYS[:2] and house.gaps.closed == [1])


async def test_no_history_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, HASHED) as house:
        ingest = house.make(markets(1), history=False)
        async with running(ingest):
            await until(house.settled)
            await house.say(house.venue.trade(KEYS[0], at=at(0)))
            await lose(house)
            await until(lambda: len(house.gaps.declared) == 1)
        assert not house.venue.asked


async def test_a_flood_of_holes_is_declared_in_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house, house.listening(history=False):
        house.gaps.away = True
        await house.venue.send(*(house.venue.trade(2 * number) for number in range(1, 1001)))
        await until(lambda: len(house.sink.keys) == 1000)
        house.gaps.away = False
        missing = set(range(3, 2000, 2))

        def declared() -> set[int]:
            gaps = house.gaps.declared.values()
            return {key for gap in gaps for key in range(gap.first_key, gap.last_key + 1)}

        await until(lambda: declared() >= missing)
        assert len(house.gaps.declared) < 300
