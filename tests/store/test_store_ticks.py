from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import pytest

from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Candle, Flag, Trade
from pricewatch.domain.signal import FeedEntry
from pricewatch.domain.time import DAY, HOUR, MINUTE, SECOND
from pricewatch.domain.watch import SYSTEM
from pricewatch.ports.ticks import (
    UNKNOWN_KEYS,
    CandleImport,
    Catalog,
    Closed,
    Gap,
    GapBook,
    GapLedger,
    GapTotals,
    History,
    Listing,
    RecentTrades,
    Sequenced,
    TickLog,
    TickWriter,
)
from pricewatch.store.catalog import PostgresCatalog
from pricewatch.store.feedlog import PostgresFeedLog
from pricewatch.store.gaps import PostgresGapLedger
from pricewatch.store.history import PostgresHistory
from pricewatch.store.pool import Database
from pricewatch.store.system import PostgresSystemFeed
from pricewatch.store.ticklog import PostgresTickLog
from pricewatch.store.writer import TickStore
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.ticks import MemoryCatalog, MemoryGapLedger, MemoryTicks

START = 1_700_000_000_000_000 - 1_700_000_000_000_000 % DAY
MILLIS, MICROS, HASHED = 1, 2, 3


class Ledger(GapLedger, GapBook, Protocol):
    """What one keeper does for both ports."""


class Past(History, CandleImport, RecentTrades, Protocol):
    """What one keeper does for both ports."""


def trade(market: int, key: int, at: int, price: float = 100.0, **more: object) -> Trade:
    fields = {"size": 1.0, "side": 1, "received": at + 5, **more}
    return Trade(market=market, at=at, price=price, key=key, **fields)  # type: ignore[arg-type]


async def store(writer: TickWriter, trades: Sequence[Trade], *, first_seen: int = 1_000) -> list[Sequenced]:
    placed = [Sequenced(first_seen + place, one) for place, one in enumerate(trades)]
    for seen, one in placed:
        writer.trade(one, seen)
    writer.spool()
    await writer.drain()
    return placed


async def everything(
    log: TickLog, after: int = 0, *, upto: int | None = None, market: int | None = None
) -> list[Sequenced]:
    return [one async for batch in log.read(after, upto=upto, market=market) for one in batch]


class CatalogPromises:
    async def test_a_market_keeps_its_number(self, listed: Catalog) -> None:
        first = await listed.register([Listing("a", "X-Y", "xy", 1000), Listing("b", "X-Y", "X/Y")])
        again = await listed.register(
            [Listing("b", "X-Y", "X/Y"), Listing("c", "X-Y", "xy"), Listing("a", "X-Y", "xy", 1000)]
        )
        assert [again[0], again[2]] == [first[1], first[0]]
        assert len({market.id for market in (*first, *again)}) == 3
        assert await listed.markets() == sorted({*first, *again}, key=lambda market: market.id)

    async def test_a_new_native_name_is_taken_and_the_step_kept(self, listed: Catalog) -> None:
        [old] = await listed.register([Listing("a", "X-Y", "xy", 1000)])
        [new] = await listed.register([Listing("a", "X-Y", "x_y", 1)])
        assert (new.id, new.native, new.step) == (old.id, "x_y", 1000)

    async def test_nothing_is_fine(self, listed: Catalog) -> None:
        assert await listed.register([]) == []


class TestMemoryCatalog(CatalogPromises):
    @pytest.fixture
    def listed(self) -> Catalog:
        return MemoryCatalog()


@pytest.mark.postgres
class TestPostgresCatalog(CatalogPromises):
    @pytest.fixture
    def listed(self, database: Database) -> Catalog:
        return PostgresCatalog(database)


class TickLogPromises:
    async def test_what_was_stored_is_read_back_exactly(self, writer: TickWriter, log: TickLog) -> None:
        placed = await store(
            writer,
            [
                trade(MILLIS, 1_999, START + 5_000, 0.00000001, flags=int(Flag.SUSPECT)),
                trade(MILLIS, 2_000, START + 5_000, 123456.789, side=-1, size=0.0),
                trade(MICROS, 7, START + 5_001, flags=int(Flag.LATE | Flag.HISTORY)),
                trade(HASHED, 2**63 - 1, START + 3, ref="ab-\u00fc-1", side=0),
            ],
        )
        assert await everything(log) == placed

    async def test_it_reads_a_stretch_of_the_order(self, writer: TickWriter, log: TickLog) -> None:
        placed = await store(writer, [trade(MICROS + n % 2, n, START + n * SECOND) for n in range(50)])
        assert await everything(log, 1_009, upto=1_019) == placed[10:20]
        assert await everything(log, 1_009, upto=1_019, market=MICROS) == placed[10:20:2]
        assert await everything(log, 1_049) == []
        assert await everything(log, 5_000, upto=10) == []

    async def test_the_order_is_ours_not_the_venues(self, writer: TickWriter, log: TickLog) -> None:
        placed = await store(writer, [trade(MICROS, n, START - n * HOUR) for n in range(30)])
        assert await everything(log) == placed

    async def test_long_silences_and_bursts(self, writer: TickWriter, log: TickLog) -> None:
        placed = await store(writer, [trade(MICROS, n, START + n) for n in range(40)], first_seen=10)
        placed += await store(writer, [trade(MICROS, n, START + n) for n in range(40, 80)], first_seen=400 * DAY)
        assert await everything(log) == placed

    async def test_several_owners_may_give_the_same_place(self, writer: TickWriter, log: TickLog) -> None:
        for market in (MILLIS, MICROS, HASHED):
            await store(writer, [trade(market, n, START + n * 1_000) for n in range(20)], first_seen=100)
        found = await everything(log)
        assert len(found) == 60
        assert [one.seen for one in found] == sorted(one.seen for one in found)

    async def test_a_trade_is_stored_once(self, writer: TickWriter, log: TickLog) -> None:
        first = await store(writer, [trade(MICROS, n, START + n) for n in range(10)])
        await store(writer, [trade(MICROS, n, START + n) for n in range(5, 15)], first_seen=2_000)
        found = await everything(log)
        assert found[:10] == first
        assert [one.trade.key for one in found] == list(range(15))


class HistoryPromises:
    async def test_marks_tell_how_far_and_what_is_missing(self, writer: TickWriter, past: Past) -> None:
        keys = [10, 11, 12, 15, 16, 20]
        await store(writer, [trade(MILLIS, key, START + key * 1_000) for key in keys])
        await store(writer, [trade(HASHED, key * 977, START + key, ref=f"r{key}") for key in keys], first_seen=5_000)
        marks = await past.marks([MILLIS, MICROS, HASHED])
        assert set(marks) == {MILLIS, HASHED}
        assert (marks[MILLIS].key, marks[MILLIS].at) == (20, START + 20_000)
        assert marks[MILLIS].missing == ((13, 14), (17, 19))
        assert (marks[HASHED].at, marks[HASHED].missing) == (START + 20, ())

    async def test_marks_see_no_hole_where_their_view_ends_within_one_instant(
        self, writer: TickWriter, past: Past
    ) -> None:
        await store(writer, [trade(MILLIS, n, START + (n + 50) // 100 * 1_000) for n in range(1, 6_001)])
        assert (await past.marks([MILLIS]))[MILLIS].missing == ()

    async def test_last_is_the_newest_in_the_order(self, writer: TickWriter, past: Past) -> None:
        placed = await store(
            writer,
            [
                trade(MICROS, 1, START),
                trade(MILLIS, 1, START + 1_000),
                trade(MICROS, 2, START + 9),
                trade(MICROS, 3, START + 4),
                trade(HASHED, 1, START, flags=int(Flag.HISTORY)),
                trade(MICROS, 4, START + 9, flags=int(Flag.SUSPECT)),
            ],
        )
        assert await past.last(10**17) == {MILLIS: placed[1], MICROS: placed[3]}
        assert await past.last(placed[2].seen) == {MILLIS: placed[1], MICROS: placed[2]}
        assert await past.last(1) == {}

    async def test_recent_trades_come_in_our_order_with_their_flags(self, writer: TickWriter, past: Past) -> None:
        placed = await store(
            writer,
            [
                trade(MICROS, 3, START + 9),
                trade(MICROS, 1, START),
                trade(MICROS, 2, START + 5, flags=int(Flag.SUSPECT)),
                trade(MILLIS, 7, START),
            ],
        )
        assert await past.recent([MICROS, MILLIS, HASHED], 2) == {MICROS: [placed[0], placed[2]], MILLIS: [placed[3]]}
        assert await past.recent([], 2) == {}

    async def test_trades_of_a_stretch_of_time(self, writer: TickWriter, past: Past) -> None:
        placed = await store(writer, [trade(MILLIS, 999 + n, START + n // 2 * 1_000) for n in range(10)])
        found = await past.trades(MILLIS, START + 1_000, START + 3_000)
        assert {one.trade.key for one in found} == {one.trade.key for one in placed[2:6]}
        assert [one.trade.at for one in found] == sorted(one.trade.at for one in found)
        assert len(await past.trades(MILLIS, START, START + DAY, limit=3)) == 3
        assert await past.trades(MICROS, START, START + DAY) == []

    async def test_candles_open_and_close_with_the_right_trades(self, writer: TickWriter, past: Past) -> None:
        await store(
            writer,
            [
                trade(MILLIS, 1_998, START + 1_000, 10.0),
                trade(MILLIS, 2_001, START + 59_999_000, 14.0, size=2.0),
                trade(MILLIS, 1_999, START + 2_000, 12.0),
                trade(MILLIS, 2_000, START + 59_999_000, 13.0),
                trade(MILLIS, 2_002, START + MINUTE, 1e9, flags=int(Flag.SUSPECT)),
                trade(MILLIS, 2_003, START + HOUR, 20.0),
            ],
        )
        minutes = await past.candles(MILLIS, START, START + DAY, span=MINUTE)
        assert minutes == [
            Candle(MILLIS, START, 10.0, 14.0, 10.0, 14.0, 5.0, 4),
            Candle(MILLIS, START + HOUR, 20.0, 20.0, 20.0, 20.0, 1.0, 1),
        ]
        hours = await past.candles(MILLIS, START, START + DAY, span=HOUR)
        assert hours == [
            Candle(MILLIS, START, 10.0, 14.0, 10.0, 14.0, 5.0, 4),
            Candle(MILLIS, START + HOUR, 20.0, 20.0, 20.0, 20.0, 1.0, 1),
        ]
        seconds = await past.candles(MILLIS, START, START + MINUTE, span=SECOND)
        assert seconds == [
            Candle(MILLIS, START, 10.0, 12.0, 10.0, 12.0, 2.0, 2),
            Candle(MILLIS, START + 59 * SECOND, 13.0, 14.0, 13.0, 14.0, 3.0, 2),
        ]
        assert await past.candles(MILLIS, START + 1, START + 2 * MINUTE, span=SECOND, limit=1) == seconds[1:]
        assert await past.candles(MILLIS, START + 1, START + HOUR, span=HOUR) == []
        assert len(await past.candles(MILLIS, START, START + DAY, span=MINUTE, limit=1)) == 1

    async def test_venue_candles_fill_what_we_did_not_hear(self, writer: TickWriter, past: Past) -> None:
        await store(writer, [trade(MICROS, 1, START + HOUR + MINUTE, 50.0)])
        venue = [Candle(MICROS, START + n * MINUTE, 1.0, 3.0, 0.5, 2.0, 10.0, 4) for n in (0, 1, 60, 61, 62)]
        assert await past.import_candles(venue) == 5
        assert await past.import_candles([*venue, Candle(MICROS, START + 5 * MINUTE, 1, 1, 1, 1, 1)]) == 1
        minutes = await past.candles(MICROS, START + HOUR, START + DAY, span=MINUTE)
        assert [(one.at, one.close) for one in minutes] == [
            (START + HOUR, 2.0),
            (START + 61 * MINUTE, 50.0),
            (START + 62 * MINUTE, 2.0),
        ]
        first, second = await past.candles(MICROS, START, START + DAY, span=HOUR)
        assert (first.volume, first.trades) == (21.0, 8)
        assert (second.open, second.high, second.close, second.volume) == (1.0, 50.0, 2.0, 21.0)

    async def test_other_spans_are_refused(self, past: Past) -> None:
        with pytest.raises(Invalid):
            await past.candles(MICROS, 0, 1, span=5 * SECOND)


class TestMemoryTicks(TickLogPromises, HistoryPromises):
    @pytest.fixture
    def writer(self) -> MemoryTicks:
        return MemoryTicks()

    @pytest.fixture
    def log(self, writer: MemoryTicks) -> TickLog:
        return writer

    @pytest.fixture
    def past(self, writer: MemoryTicks) -> Past:
        return writer


@pytest.mark.postgres
class TestPostgresTicks(TickLogPromises, HistoryPromises):
    @pytest.fixture
    def writer(self, tick_store: TickStore) -> TickWriter:
        return tick_store

    @pytest.fixture
    def log(self, ticks_pool: Database, catalog: PostgresCatalog) -> TickLog:
        return PostgresTickLog(ticks_pool, catalog.steps, batch=7)

    @pytest.fixture
    def past(self, ticks_pool: Database, catalog: PostgresCatalog) -> Past:
        return PostgresHistory(ticks_pool, catalog.steps)


@pytest.mark.postgres
class TestPostgresAfterRollup(HistoryPromises):
    """The same, when the candle tables are up to date at every question."""

    @pytest.fixture
    def writer(self, tick_store: TickStore) -> TickWriter:
        return tick_store

    @pytest.fixture
    def past(self, ticks_pool: Database, catalog: PostgresCatalog) -> Past:
        class Rolled(PostgresHistory):
            async def candles(
                self, market: int, start: int, end: int, *, span: int, limit: int = 10_000
            ) -> list[Candle]:
                await ticks_pool.execute("SELECT ohlcv_rollup($1, $2)", START - DAY, START + DAY)
                await ticks_pool.execute("SELECT ohlcv_rollup($1, $2)", START + HOUR, START + HOUR + MINUTE)
                return await super().candles(market, start, end, span=span, limit=limit)

        return Rolled(ticks_pool, catalog.steps)


class GapLedgerPromises:
    async def test_a_hole_is_open_until_it_is_filled(self, ledger: Ledger) -> None:
        holes = [Gap(MICROS, 5, 9, START, START + 1, "disconnect"), Gap(HASHED, 1, 1, START, START, "sequence")]
        first, second = [await ledger.declare(gap, opened_seen=77) for gap in holes]
        assert await ledger.open_gaps() == [(first, holes[0]), (second, holes[1])]
        await ledger.close(first, closed_seen=99)
        await ledger.close(first, closed_seen=100, how=Closed.CANDLES)
        assert await ledger.open_gaps() == [(second, holes[1])]
        assert await ledger.patched_gaps() == []

    async def test_a_hole_declared_again_since_the_answer_was_lost_is_one(self, ledger: Ledger) -> None:
        hole = Gap(MICROS, 5, 9, START, START + 1, "disconnect")
        numbers = {await ledger.declare(hole, opened_seen=77) for _ in range(2)}
        assert len(numbers) == 1
        assert await ledger.declare(hole, opened_seen=78) not in numbers

    async def test_a_hole_of_unknown_trades_may_be_closed_by_candles(self, ledger: Ledger) -> None:
        holes = [Gap(HASHED, *UNKNOWN_KEYS, START + n, START + 9, "no connection") for n in range(2)]
        numbers = [await ledger.declare(gap, opened_seen=77) for gap in holes]
        assert all(gap.is_keyless for _, gap in await ledger.open_gaps())
        for number in numbers:
            await ledger.close(number, closed_seen=99, how=Closed.CANDLES)
        assert await ledger.open_gaps() == []
        assert await ledger.patched_gaps() == [holes[1], holes[0]]

    async def test_the_ledger_is_read_in_pages(self, ledger: Ledger) -> None:
        for number in range(7):
            await ledger.declare(Gap(1 + number % 2, 5, 9, START, START + 1, "x"), opened_seen=100 + number)
        rows = await ledger.page()
        first = rows[0].id
        assert [(row.id - first, row.gap.market, row.opened_seen) for row in rows] == [
            (number, 1 + number % 2, 100 + number) for number in range(7)
        ]
        await ledger.close(rows[2].id, closed_seen=300)
        await ledger.close(rows[4].id, closed_seen=400, how=Closed.CANDLES)

        async def numbers(**asked: Any) -> list[int]:
            return [row.id - first for row in await ledger.page(**asked)]

        assert await numbers(is_open=False) == [2, 4]
        assert await numbers(is_open=True, markets=[1]) == [0, 6]
        assert await numbers(since=105) == [5, 6]
        assert await numbers(limit=2) == [5, 6]
        assert await numbers(limit=2, before=first + 5) == [3, 4]
        assert await numbers(limit=2, after=first + 2) == [3, 4]
        assert await numbers(after=first + 6) == []
        assert await numbers(markets=[]) == []
        (closed,) = await ledger.page(is_open=False, limit=1)
        assert (closed.closed_seen, closed.how) == (400, Closed.CANDLES)
        assert await ledger.totals() == GapTotals(open=5, filled=1, candles=1, oldest=100)


class TestMemoryGapLedger(GapLedgerPromises):
    @pytest.fixture
    def ledger(self) -> Ledger:
        return MemoryGapLedger()


@pytest.mark.postgres
class TestPostgresGapLedger(GapLedgerPromises):
    @pytest.fixture
    def ledger(self, database: Database, catalog: PostgresCatalog) -> Ledger:
        return PostgresGapLedger(database, PostgresSystemFeed(database, ManualClock()))

    async def test_every_hole_is_told_with_its_commit_and_once(
        self, database: Database, catalog: PostgresCatalog
    ) -> None:
        class Told:
            def __init__(self) -> None:
                self.entries: list[FeedEntry] = []

            def committed(self, entries: Sequence[FeedEntry]) -> None:
                self.entries += entries

        ledger = PostgresGapLedger(database, PostgresSystemFeed(database, ManualClock()))
        ledger.sink = told = Told()
        number = await ledger.declare(Gap(MICROS, 5, 9, START, START + 1, "disconnect"), opened_seen=77)
        for _ in range(2):
            await ledger.close(number, closed_seen=99, how=Closed.CANDLES)
        await ledger.close(number + 1, closed_seen=99)
        assert [(one.seq, one.signal.scope, one.signal.direction, one.signal.seen) for one in told.entries] == [
            (1, "coinbase:BTC-USD", "fired", 77), (2, "coinbase:BTC-USD", "cleared", 99),
        ]  # fmt: skip
        assert [one.signal.cause for one in told.entries] == [f"gap:{number}"] * 2
        assert told.entries[1].signal.evidence["state"] == "candles"
        assert await PostgresFeedLog(database).read(SYSTEM, after_seq=0) == told.entries
