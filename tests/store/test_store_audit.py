"""Holes nobody declared are found in what is stored, declared once, and told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.conftest import QUICK

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Trade
from pricewatch.domain.time import HOUR, MINUTE, SECOND
from pricewatch.ports.ticks import UNKNOWN_KEYS, Closed, Gap
from pricewatch.store.audit import OVERLAP, Auditor, Span, without
from pricewatch.store.catalog import PostgresCatalog
from pricewatch.store.gaps import PostgresGapLedger
from pricewatch.store.pool import Database
from pricewatch.store.settings import TickSettings
from pricewatch.store.system import PostgresSystemFeed
from pricewatch.store.writer import TickStore
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.ticks import MemoryGapLedger

MILLIS, MICROS, HASHED = 1, 2, 3
START = 1_699_990_000 * SECOND


class Bench:
    """An auditor over a real store, looked with by hand."""

    def __init__(self, database: Database, writer: TickStore) -> None:
        self.clock = ManualClock()
        self.writer = writer
        self.ledger = PostgresGapLedger(database, PostgresSystemFeed(database, self.clock))
        self.found: list[tuple[int, Gap]] = []
        self.auditor = Auditor(
            database,
            TickSettings(audit_settle=10.0, audit_interval=0.01),
            clock=self.clock,
            ledger=self.ledger,
            writer=writer,
            consecutive=lambda: [MILLIS, MICROS],
            found=lambda number, gap: self.found.append((number, gap)),
        )
        self.seen = START

    async def store(self, *keys: int, market: int = MICROS, apart: int = SECOND, ref: bool = False) -> None:
        for key in keys:
            self.seen += 1
            at = START + key * apart
            name = f"r{key}" if ref else None
            self.writer.trade(Trade(market, at, 1.0, 1.0, 0, key, at, 0, name), self.seen)
        await self.writer.drain()

    def holes(self) -> list[tuple[int, int, int]]:
        return [(gap.market, gap.first_key, gap.last_key) for _, gap in self.found]


@pytest.fixture
async def bench(database: Database, tick_store: TickStore) -> Bench:
    return Bench(database, tick_store)


class NoLedger(MemoryGapLedger):
    """One that is away."""

    async def declare(self, gap: Gap, *, opened_seen: int) -> int:
        raise Unavailable(f"no ledger for {gap} at {opened_seen}")


async def look(bench: Bench) -> None:
    async with bench.auditor._database:
        await bench.auditor.look()


LATER = range(200, 300)


@pytest.mark.postgres
async def test_an_undeclared_hole_is_declared_once(bench: Bench) -> None:
    await bench.store(1, 2, 3, 7, 8, 12, *range(13, 100), *LATER)
    for number in range(50):
        await bench.store(5_000 + 3 * number, market=HASHED, ref=True)
    hole = Gap(MICROS, 100, 199, START, START + 1, "trade ids jumped")
    await bench.ledger.declare(hole, opened_seen=5)
    for _ in range(3):
        await look(bench)
    assert bench.holes() == [(MICROS, 4, 6), (MICROS, 9, 11)]
    gap = bench.found[0][1]
    assert (gap.from_at, gap.to_at) == (START + 3 * SECOND, START + 7 * SECOND)
    assert [number for number, _ in await bench.ledger.open_gaps()] == [1, *(number for number, _ in bench.found)]
    assert bench.auditor.status() == {"looks": 3, "declared": 2}


@pytest.mark.postgres
async def test_what_is_partly_declared_or_patched_is_declared_in_part(bench: Bench) -> None:
    await bench.store(1, *LATER)
    for number, (first, last) in enumerate([(10, 19), (30, 39), (50, 59)]):
        gap = Gap(MICROS, first, last, START, START + 1, "x")
        declared = await bench.ledger.declare(gap, opened_seen=number)
        if number:
            await bench.ledger.close(declared, closed_seen=9, how=Closed.CANDLES if number == 1 else Closed.FILLED)
    await look(bench)
    assert bench.holes() == [(MICROS, 2, 9), (MICROS, 20, 29), (MICROS, 40, 199)]


@pytest.mark.postgres
async def test_the_newest_and_what_still_waits_is_left_alone(bench: Bench) -> None:
    await bench.store(1, 2, 5, 6)
    await look(bench)
    assert bench.holes() == [], "nearer to the end than ids may be out of order"
    bench.writer.trade(Trade(MICROS, START, 1.0, 1.0, 0, 3, START), bench.seen + 50)
    await bench.store(*range(7, 9))
    bench.writer.trade(Trade(MICROS, START + 400 * SECOND, 1.0, 1.0, 0, 400, START), bench.seen + 60)
    await look(bench)
    assert bench.auditor.status()["looks"] == 1, "something waits in the spool"
    bench.seen += 100
    await bench.store(*range(200, 300))
    await look(bench)
    assert bench.holes() == [(MICROS, 4, 4), (MICROS, 9, 199)]


@pytest.mark.postgres
async def test_ids_out_of_order_and_long_stretches_are_no_holes(bench: Bench) -> None:
    keys = [key ^ 1 for key in range(2, 1_500)]
    await bench.store(*keys, apart=10 * SECOND)
    await look(bench)
    await bench.store(*range(1_500, 1_600), apart=10 * SECOND)
    await look(bench)
    assert bench.holes() == []
    assert 1_500 * 10 * SECOND > 3 * HOUR > OVERLAP == MINUTE


@pytest.mark.postgres
async def test_it_goes_on_after_a_restart_where_it_was(database: Database, bench: Bench) -> None:
    await bench.store(1, 5, *range(6, 100))
    await look(bench)
    again = Bench(database, bench.writer)
    again.seen = bench.seen
    await again.store(*range(104, 300))
    await look(again)
    assert (bench.holes(), again.holes()) == ([(MICROS, 2, 4)], [(MICROS, 100, 103)])


@pytest.mark.postgres
async def test_what_the_spool_gave_up_is_declared(database: Database, catalog: PostgresCatalog, tmp_path: Path) -> None:
    settings = QUICK.model_copy(update={"spool_cap": 1 << 16, "segment_size": 1 << 13})
    writer = TickStore(database, tmp_path / "small", settings, steps=catalog.steps)
    await writer.open()
    bench = Bench(database, writer)
    for number in range(3_000):
        at = START + number * SECOND
        writer.trade(Trade(MICROS, at, 1.0, 1.0, 0, number + 1, at), START + 2 * number)
        writer.trade(Trade(HASHED, at, 1.0, 1.0, 0, number * 977, at, 0, f"r{number}"), START + 2 * number + 1)
        if number % 10 == 9:
            writer.spool()
    await writer.recover()
    await writer.drain()
    dropped = int(writer.status()["dropped"])
    assert dropped > 1_000
    bench.clock.advance(100_000)
    await look(bench)
    stored = await database.fetchval("SELECT count(*) FROM trade WHERE instrument_id = $1", MICROS)
    lost = [gap for _, gap in bench.found if gap.is_keyless]
    assert [(gap.market, gap.first_key, gap.last_key, gap.from_at) for gap in lost] == [
        (market, *UNKNOWN_KEYS, START) for market in (MICROS, HASHED)
    ]
    holes = [gap for _, gap in bench.found if not gap.is_keyless]
    first = await database.fetchval("SELECT min(trade_id) FROM trade WHERE instrument_id = $1", MICROS)
    assert stored + first - 1 + sum(gap.last_key - gap.first_key + 1 for gap in holes) == 3_000
    assert writer.take_losses() == {}
    await writer.close()


@pytest.mark.postgres
async def test_while_the_ledger_is_away_nothing_is_forgotten(bench: Bench) -> None:
    await bench.store(1, market=MILLIS)
    bench.writer.put_back({HASHED: (5, 9), MILLIS: (START + 9 * SECOND, START + 10 * SECOND)})
    bench.writer.put_back({HASHED: (3, 7)})

    ledger, bench.auditor._ledger = bench.auditor._ledger, NoLedger()
    with pytest.raises(Unavailable):
        await look(bench)
    bench.auditor._ledger = ledger
    await look(bench)
    assert [(gap.market, gap.from_at, gap.to_at) for _, gap in bench.found] == [(HASHED, 3, 9)]


@pytest.mark.postgres
async def test_it_looks_again_and_again_until_it_is_stopped(bench: Bench) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bench.auditor.run())
        async with asyncio.timeout(30):
            while bench.auditor.looks < 3:
                await asyncio.sleep(0.005)
        task.cancel()
    assert bench.auditor.trouble() is None
    assert {one.name for one in bench.auditor.samples()} == {"looks", "holes_declared"}


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8)), max_size=8), st.integers(0, 30), st.integers(0, 12))
def test_without_leaves_exactly_what_nobody_covers(known: list[tuple[int, int]], first: int, length: int) -> None:
    covered: list[Span] = [(begin, begin + more) for begin, more in known]
    hole = (first, first + length)
    left = without(hole, covered)
    numbers = [key for begin, end in left for key in range(begin, end + 1)]
    assert numbers == [
        key for key in range(hole[0], hole[1] + 1) if not any(begin <= key <= end for begin, end in covered)
    ]
