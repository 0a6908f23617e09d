from __future__ import annotations

import itertools
import random

import pytest

from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Candle
from pricewatch.domain.packed import packed
from pricewatch.domain.time import DAY, HOUR, MINUTE
from pricewatch.store.catalog import PostgresCatalog
from pricewatch.store.history import PostgresHistory
from pricewatch.store.packed import PostgresPackedHistory
from pricewatch.store.pool import Database

START = 1_700_000_000_000_000 - 1_700_000_000_000_000 % DAY
pytestmark = pytest.mark.postgres


def walk(market: int, start: int, minutes: int) -> list[Candle]:
    luck = random.Random(minutes)
    found = []
    for place in range(minutes):
        close = luck.uniform(90, 110)
        found.append(Candle(market, start + place * MINUTE, close, close + 1, close - 1, close, luck.random(), 3))
    return found


async def filled(ticks: Database, catalog: PostgresCatalog) -> tuple[PostgresHistory, PostgresPackedHistory]:
    """Venue candles from the second hour on, own minutes and hours of the first two hours, trades of a last minute."""
    history = PostgresHistory(ticks, catalog.steps)
    await history.import_candles(walk(1, START + HOUR + 30 * MINUTE, 150))
    await history.import_candles(walk(2, START, 90))
    own = [(one.at, one.open, one.high, one.low, one.close, one.volume) for one in walk(1, START, 100)]
    for at, *numbers in own:
        await ticks.execute("INSERT INTO candle_1m VALUES (1, $1, $2, $3, $4, $5, $6, 3)", at, *numbers)
    for at, *numbers in own[::60]:
        await ticks.execute("INSERT INTO candle_1h VALUES (1, $1, $2, $3, $4, $5, $6, 99)", at, *numbers)
    await ticks.execute("SELECT make_days('trade', ARRAY['2023-11-14']::date[])")
    for place, price in enumerate((50.0, 52.0, 51.0)):
        at = START + 100 * MINUTE + place * 1_000
        await ticks.execute(
            "INSERT INTO trade (ts, seen, instrument_id, price, size, side, trade_id, recv_ts, flags)"
            " VALUES ($1, $2, 1, $3, 1, 1, $2, $1, 0)",
            *(at, place + 1, price),
        )
    return history, PostgresPackedHistory(ticks, catalog.steps)


async def test_candles_are_the_ones_the_history_has(ticks_pool: Database, catalog: PostgresCatalog) -> None:
    history, columns = await filled(ticks_pool, catalog)
    spans = [(0, DAY), (-1, 97 * MINUTE), (2 * HOUR, 3 * HOUR), (DAY, 2 * DAY)]
    seen = 0
    for span, market, (start, end) in itertools.product((MINUTE, HOUR), (1, 2, 3), spans):
        expected = await history.candles(market, START + start, START + end, span=span)
        assert await columns.candles(market, START + start, START + end, span=span) == packed(expected)
        seen += len(expected)
    assert seen > 500
    with pytest.raises(Invalid, match="is not stored"):
        await columns.candles(1, 0, DAY, span=DAY)
