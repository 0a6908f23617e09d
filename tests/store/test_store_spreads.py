from __future__ import annotations

import struct
from typing import Any

import pytest

from pricewatch.domain.packed import Packed
from pricewatch.domain.time import DAY, HOUR, MINUTE
from pricewatch.store.catalog import PostgresCatalog
from pricewatch.store.packed import PostgresPackedHistory
from pricewatch.store.pool import Database
from pricewatch.store.spreads import PostgresSpreads

START = 1_700_000_000_000_000 - 1_700_000_000_000_000 % DAY
pytestmark = pytest.mark.postgres


def hours(found: Packed) -> list[tuple[int, Any, int]]:
    """Where each begins, its mean spread, and of how many quotes."""
    assert found.high == found.low == found.close
    columns = zip("qdd", (found.at, found.close, found.volume), strict=True)
    numbers = [struct.unpack(f">{len(found)}{code}", column) for code, column in columns]
    return list(zip(*numbers, strict=True))


async def test_spreads_are_counted_by_hour_once(ticks_pool: Database, catalog: PostgresCatalog) -> None:
    spreads, columns = PostgresSpreads(ticks_pool), PostgresPackedHistory(ticks_pool, catalog.steps)
    await spreads.count_spreads(1, START)
    assert await columns.spreads(1, 0, START + 9 * DAY) == Packed()
    await ticks_pool.execute("SELECT make_days('quote', ARRAY['2023-11-14', '2023-11-15', '2023-11-16']::date[])")
    rows = [
        (START + 5 * MINUTE, 99.0, 101.0),
        (START + 50 * MINUTE, 99.5, 100.5),
        (START + DAY + 2 * HOUR, 99.9, 100.1),
        (START + DAY + 2 * HOUR + 1, 101.0, 99.0),
        (START + DAY + 5 * HOUR, 99.0, 101.0),
    ]
    for number, (at, bid, ask) in enumerate(rows):
        await ticks_pool.execute("INSERT INTO quote VALUES ($1, $2, 1, $3, 1, $4, 1, $1)", at, START + number, bid, ask)
    await spreads.count_spreads(1, START + DAY + 5 * HOUR + 10 * MINUTE)
    found = hours(await columns.spreads(1, START, START + 9 * DAY))
    assert found == [
        (START, pytest.approx(1.5), 2),
        (START + DAY + 2 * HOUR, pytest.approx(0.2), 1),
    ], "the open hour waits, and crossed quotes do not count"
    await spreads.count_spreads(1, START + DAY + 6 * HOUR)
    assert [at for at, *_ in hours(await columns.spreads(1, START + DAY, START + 2 * DAY))] == [
        START + DAY + 2 * HOUR,
        START + DAY + 5 * HOUR,
    ]
    assert await columns.spreads(2, START, START + 9 * DAY) == Packed()
