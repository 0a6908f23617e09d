from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pricewatch.domain.market import Flag, Market
from pricewatch.ports.ticks import Gap, Mark

Wait = Callable[..., Awaitable[None]]
House = Any


async def test_trades_and_quotes_come_through(house: House, wait: Wait) -> None:
    async with house.listening() as ingest:
        assert ingest.trouble() is None
        await house.venue.trade(1)
        await house.venue.trade(2)
        await house.venue.send(
            {
                "type": "ticker",
                "product_id": "BTC-USD",
                "best_bid": "1",
                "best_ask": "2",
                "time": "2026-01-01T00:00:00Z",
            }
        )
        await wait(lambda: house.sink.keys == [1, 2] and len(house.sink.quotes) == 1)
        status = ingest.status()["venues"]["coinbase"]
        assert status["connections"][0]["connected"]
        assert status["markets"]["BTC-USD"]["last_frame"].startswith("2027-")
        assert status["counters"]["offered"] == 2
        names = {sample.name for sample in ingest.samples()}
        assert {"received", "offered", "held", "connected", "last_frame_timestamp_seconds"} <= names
    assert ingest.trouble().startswith("no venue is connected")


async def test_duplicates_and_bad_frames_are_counted(house: House, wait: Wait) -> None:
    async with house.listening():
        await house.venue.trade(1)
        await house.venue.trade(1)
        await house.venue.trade(2, price="NaN")
        await house.venue.trade(2, price="[]")
        await house.venue.send("\0 noise")
        await house.venue.send({"type": "l2update"})
        await house.venue.trade(2)
        await wait(lambda: house.sink.keys == [1, 2])
        counters = house.counters()
        assert counters.duplicates == 1
        assert counters.rejected == {"price": 1, "malformed": 1}
        assert counters.bad_frames == 2
        assert counters.ignored == 1
    assert not house.gaps.declared


async def test_a_hole_is_refilled_before_what_follows(house: House, wait: Wait) -> None:
    async with house.listening():
        await house.venue.trade(1)
        for key in (2, 3):
            await house.venue.trade(key, send=False)
        await house.venue.trade(4)
        await house.venue.trade(5)
        await wait(lambda: len(house.sink.trades) == 5)
    assert house.sink.keys == [1, 2, 3, 4, 5]
    assert [bool(trade.flags & Flag.LATE) for trade in house.sink.trades] == [False, True, True, False, False]
    assert not house.gaps.declared
    assert house.counters().refilled == 2


async def test_history_down_declares_the_hole_and_fills_it_later(house: House, wait: Wait) -> None:
    house.venue.rest_status = 500
    async with house.listening(gap_hold=0.1) as ingest:
        await house.venue.trade(1)
        await house.venue.trade(2, send=False)
        await house.venue.trade(3)
        await wait(lambda: house.counters().received == 2)
        assert house.sink.keys == [1]
        assert ingest.status()["venues"]["coinbase"]["markets"]["BTC-USD"]["held"] == 1
        await wait(lambda: house.sink.keys == [1, 3] and bool(house.gaps.declared))
        (gap,) = house.gaps.declared.values()
        assert (gap.first_key, gap.last_key) == (2, 2)
        assert gap.from_at < gap.to_at
        house.venue.rest_status = 200
        await wait(lambda: house.gaps.closed == [1])
        assert house.sink.keys == [1, 3, 2]
        assert house.sink.trades[-1].flags == Flag.LATE
        assert ingest.status()["venues"]["coinbase"]["open_gaps"] == 0


async def test_a_venue_without_the_trades_leaves_the_hole_declared(house: House, wait: Wait) -> None:
    async with house.listening(gap_hold=0.05, refill_deadline=0.1):
        await house.venue.trade(1)
        await house.venue.trade(4)
        await wait(lambda: len(house.gaps.declared) == 1)
        asked = len(house.venue.rest_asked)
        await wait(lambda: len(house.venue.rest_asked) > asked)
    assert house.sink.keys == [1, 4]
    assert not house.gaps.closed


async def test_a_history_that_refuses_is_not_asked_again(house: House, wait: Wait) -> None:
    house.venue.rest_status = 404
    async with house.listening():
        await house.venue.trade(1)
        await house.venue.trade(4)
        await wait(lambda: house.sink.keys == [1, 4] and len(house.gaps.declared) == 1)
        await wait(lambda: len(house.venue.rest_asked) == 2)


async def test_no_history_declares_at_once(house: House, wait: Wait) -> None:
    async with house.listening(history=False):
        await house.venue.trade(1)
        await house.venue.trade(4)
        await wait(lambda: house.sink.keys == [1, 4] and len(house.gaps.declared) == 1)
    assert not house.venue.rest_asked


async def test_a_wild_jump_is_declared_and_does_not_blind_the_market(house: House, wait: Wait) -> None:
    async with house.listening():
        await house.venue.trade(1)
        await house.venue.trade(2**62, price="100")
        await house.venue.trade(2)
        await house.venue.trade(3)
        await wait(lambda: house.sink.keys == [1, 2**62, 2, 3] and len(house.gaps.declared) == 1)
    assert not house.venue.rest_asked


async def test_a_full_hold_is_released(house: House, wait: Wait) -> None:
    house.venue.rest_status = 500
    async with house.listening(gap_hold=30.0, gap_hold_trades=2):
        for key in (1, 3, 4, 5):
            await house.venue.trade(key)
        await wait(lambda: house.sink.keys == [1, 3, 4, 5])


async def test_stopping_hands_on_what_waits(house: House, wait: Wait) -> None:
    house.venue.rest_status = 500
    async with house.listening(gap_hold=30.0):
        await house.venue.trade(1)
        await house.venue.trade(3)
        await wait(lambda: house.counters().received == 2)
        assert house.sink.keys == [1]
    assert house.sink.keys == [1, 3]


async def test_the_ledger_may_be_away(house: House, wait: Wait) -> None:
    async with house.listening(history=False):
        house.gaps.away = True
        await house.venue.trade(1)
        await house.venue.trade(3)
        asked = house.gaps.asked
        await wait(lambda: house.gaps.asked > asked + 1)
        house.gaps.away = False
        await wait(lambda: len(house.gaps.declared) == 1)


async def test_a_restart_goes_on_where_the_store_ends(house: House, wait: Wait) -> None:
    for key in range(1, 8):
        await house.venue.trade(key, send=False)
    house.gaps.declared[1] = Gap(1, 2, 3, 10, 20, "before")
    marks = {1: Mark(1, 5, 1_799_999_999_000_000, ((2, 2), (4, 4)))}
    async with house.listening(marks=marks):
        await wait(lambda: set(house.sink.keys) == {2, 3, 4})
        await house.venue.trade(8)
        await wait(lambda: house.sink.keys[3:] == [6, 7, 8])
        await wait(lambda: sorted(house.gaps.closed) == [1, 2])
        await house.venue.trade(5)
        await wait(lambda: house.counters().duplicates == 1)
    assert {trade.key for trade in house.sink.trades if trade.flags & Flag.LATE} == {2, 3, 4, 6, 7}


async def test_start_waits_for_the_ledger(house: House, wait: Wait) -> None:
    house.gaps.away = True
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)
        house.gaps.away = len(waits) < 3
        await asyncio.sleep(0)

    async with house.listening(pause=pause, rotate_after=3600.0):
        pass
    assert waits[:3] == [0.2, 0.4, 0.8]


async def test_a_silent_market_is_compared_with_history(house: House, wait: Wait) -> None:
    for key in range(1, 8):
        await house.venue.trade(key, send=False)
    marks = {1: Mark(1, 5, 1_799_999_999_000_000)}
    house.venue.rest_status = 503
    async with house.listening(marks=marks, reconcile_after=0.05):
        await wait(lambda: len(house.venue.rest_asked) > 0)
        house.venue.rest_status = 200
        await wait(lambda: house.sink.keys == [6, 7])
    assert all(trade.flags == Flag.LATE for trade in house.sink.trades)


async def test_a_refusing_history_ends_the_comparison(house: House, wait: Wait) -> None:
    house.venue.rest_status = 403
    async with house.listening(marks={1: Mark(1, 5, 1_799_999_999_000_000)}, reconcile_after=0.01):
        await wait(lambda: len(house.venue.rest_asked) == 1)


async def test_the_heartbeat_tells_of_a_lost_last_trade(house: House, wait: Wait) -> None:
    async with house.listening():
        await house.venue.trade(1)
        await house.venue.trade(2, send=False)
        beat = {"type": "heartbeat", "product_id": "BTC-USD", "last_trade_id": 2}
        await house.venue.send(beat)
        await house.venue.send(beat)
        await wait(lambda: house.sink.keys == [1, 2])
        await house.venue.send({**beat, "product_id": "XXX-USD"})
        await house.venue.trade(3)
        await wait(lambda: house.sink.keys == [1, 2, 3])
    assert not house.gaps.declared


async def test_the_venues_last_trade_is_history_only_at_first(house: House, wait: Wait) -> None:
    async with house.listening():
        await house.venue.trade(1, type="last_match")
        await house.venue.trade(2)
        await house.venue.trade(3, type="last_match")
        await wait(lambda: house.sink.keys == [1, 2, 3])
    assert [trade.flags for trade in house.sink.trades] == [Flag.HISTORY, 0, 0]


async def test_candles_are_backfilled(house: House, wait: Wait) -> None:
    minute = house.clock.now() // 60_000_000 * 60
    house.venue.candle_rows = [
        [minute, 1, 4, 2, 3, 10],
        [minute - 60, 1, 4, 2, 3, 10],
        [minute - 120, 5, 4, 2, 3, 10],
    ]
    async with house.listening(common={"backfill_candles": 10}) as ingest:
        await wait(lambda: len(house.candles.candles) == 1)
        assert house.candles.candles[0].at == (minute - 60) * 1_000_000
        await wait(lambda: ingest.status()["venues"]["coinbase"]["candles"] == {"imported": 1, "failures": 0})


async def test_no_candles_are_no_reason_to_stop(house: House, wait: Wait) -> None:
    house.venue.rest_status = 500
    async with house.listening(common={"backfill_candles": 10}) as ingest:
        await wait(lambda: ingest.venues[0].candle_failures == 1)
        await house.venue.trade(1)
        await wait(lambda: house.sink.keys == [1])


async def test_markets_of_other_venues_are_left_alone(house: House, wait: Wait, during: Callable[[Any], Any]) -> None:
    house.markets = [Market(1, "kraken", "BTC-USD", "BTC/USD")]
    ingest = house.make()
    async with during(ingest):
        await wait(lambda: house.gaps.asked == 2)
    assert ingest.trouble() is None
    assert ingest.status()["venues"] == {}


async def test_trades_heard_and_lost_behind_us_are_asked_for_again(house: House, wait: Wait) -> None:
    async with house.listening() as ingest:
        for key in range(1, 6):
            await house.venue.trade(key)
        await wait(lambda: house.sink.keys == [1, 2, 3, 4, 5])
        feed = ingest.venues[0].venue.feeds[1]
        lost = Gap(1, 2, 3, feed.last_at - 10_000, feed.last_at, "not stored")
        number = await house.gaps.declare(lost, opened_seen=house.clock.now())
        ingest.reopen(number, Gap(99, 2, 3, 0, 1, "of a market not listened to"))
        ingest.reopen(number, lost)
        await wait(lambda: house.gaps.closed == [number])
        assert house.sink.keys == [1, 2, 3, 4, 5, 2, 3]
        assert [trade.flags for trade in house.sink.trades[5:]] == [Flag.LATE, Flag.LATE]
        house.sink.trades[5:] = []
        house.counters().offered -= 2
        house.counters().received -= 2
