"""`python -m benchmarks.month [--trades N]`: a month of generated trades in PostgreSQL, and previews over it.

Apart from `make bench`, for it fills some ten gigabytes of disk and takes minutes. `--trades 500000` is a smoke run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe, median
from pricewatch.app.clock import SystemClock
from pricewatch.backtest.process import prepare_memory
from pricewatch.backtest.replay import Replay
from pricewatch.backtest.settings import PreviewSettings
from pricewatch.domain.time import DAY, MINUTE, from_datetime, rfc3339
from pricewatch.engine.settings import EngineSettings
from pricewatch.ports.preview import Answer, Question
from pricewatch.ports.ticks import Listing
from pricewatch.store.catalog import PostgresCatalog
from pricewatch.store.copyrows import EPOCH_2000, HEADER, TRADES, TRAILER
from pricewatch.store.embedded import EmbeddedPostgres
from pricewatch.store.history import PostgresHistory
from pricewatch.store.migrate import migrate
from pricewatch.store.models import PostgresModelStore
from pricewatch.store.past import PostgresPast
from pricewatch.store.pool import Connection, Database
from pricewatch.store.settings import EmbeddedSettings, StoreSettings
from pricewatch.telemetry.logs import configure
from pricewatch.telemetry.settings import LogSettings

MARKETS = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD")
SHARES = (0.5, 0.2, 0.15, 0.1, 0.05)
DAYS = 30
CHUNK = 250_000
COLUMNS = (
    ("ts", "i8"), ("seen", "i8"), ("market", "i4"), ("price", "f8"), ("size", "f8"), ("side", "i2"), ("key", "i8"),
    ("received", "i8"), ("flags", "i2"),
)  # fmt: skip
ROW = np.dtype(
    [("count", ">i2")]
    + [piece for name, kind in COLUMNS for piece in ((f"length_{name}", ">i4"), (name, f">{kind}"))]
    + [("ref", ">i4")]
)


def day_of(
    rng: np.random.Generator, market: int, count: int, start: int, price: float, key: int
) -> tuple[bytes, float]:
    """One market's day as COPY rows: a random walk with the volatility of a busy coin, some 3 % a day."""
    at = np.sort(rng.integers(0, DAY, count)) + start
    steps = rng.standard_normal(count) * (0.03 / np.sqrt(count))
    prices = np.round(price * np.exp(np.cumsum(steps)), 2)
    rows = np.empty(count, ROW)
    rows["count"] = 10
    for name, kind in COLUMNS:
        rows[f"length_{name}"] = int(kind[1:])
    rows["ts"] = at - EPOCH_2000
    rows["seen"] = at + 20_000 + rng.integers(0, 30_000, count)
    rows["market"] = market
    rows["price"] = prices
    rows["size"] = np.round(rng.exponential(0.2, count), 6)
    rows["side"] = rng.choice([-1, 1], count)
    rows["key"] = np.arange(key, key + count)
    rows["received"] = rows["seen"] - EPOCH_2000
    rows["flags"] = 0
    rows["ref"] = -1
    return rows.tobytes(), float(prices[-1])


async def fill(database: Database, ids: Sequence[int], trades: int, end: int) -> None:
    """COPY day by day, all markets side by side as a live service would have left them."""
    rng = np.random.default_rng(1)
    prices, keys = [65_000.0, 3_000.0, 150.0, 0.6 * 100, 0.5 * 100], [1] * len(ids)
    for day in range(DAYS):
        start = end - (DAYS - day) * DAY
        dates = sorted({rfc3339(start)[:10], rfc3339(start + DAY)[:10]})
        await database.fetchval("SELECT make_days('trade', $1::text[]::date[])", dates)
        chunks = []
        for number, market in enumerate(ids):
            count = round(trades * SHARES[number] / DAYS)
            payload, prices[number] = day_of(rng, market, count, start, prices[number], keys[number])
            keys[number] += count
            chunks.append(payload)
        for piece in interleaved(chunks):
            await database.call(lambda connection, piece=piece: copy(connection, piece), within=300)
        sys.stderr.write(f"... day {day + 1} of {DAYS}\n")


def interleaved(chunks: Sequence[bytes]) -> Iterator[bytes]:
    """Pieces of every market in turn, in order of time."""
    pieces = max(1, max(map(len, chunks)) // ROW.itemsize // CHUNK)
    for piece in range(pieces):
        for chunk in chunks:
            rows = len(chunk) // ROW.itemsize
            low, high = rows * piece // pieces, rows * (piece + 1) // pieces
            yield chunk[low * ROW.itemsize : high * ROW.itemsize]


async def copy(connection: Connection, piece: bytes) -> None:
    async def source() -> Any:
        yield HEADER + piece + TRAILER

    await connection.copy_to_table(TRADES.name, source=source(), columns=list(TRADES.columns), format="binary")


async def roll_up(database: Database, end: int) -> None:
    """Candles hour by hour, as the service makes them."""

    def hour(connection: Connection, at: int) -> Any:
        return connection.execute(f"SELECT ohlcv_rollup('{rfc3339(at)}', '{rfc3339(at + DAY // 24)}')")

    for at in range(end - DAYS * DAY, end + DAY, DAY // 24):
        await database.call(lambda connection, at=at: hour(connection, at), within=300)
    newest = await database.call(lambda connection: connection.fetchval("SELECT max(seen) FROM trade"), within=300)
    await database.execute("UPDATE candle_cursor SET seen = $1", newest)
    await database.execute("INSERT INTO shard (shard, owner, term, cursor_seen) VALUES (0, '', 0, $1)", newest)


RULES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("above, 3 % over the middle", {"type": "above", "level": 1.03}, {}),
    ("above, at the middle", {"type": "above", "level": 1.0}, {}),
    ("below, for 5 min, cooldown 1 h", {"type": "below", "level": 0.99}, {"for": "5m", "cooldown": "1h"}),
    ("crosses up, hysteresis 1 %", {"type": "crosses", "level": 1.0, "direction": "up"}, {"hysteresis": "1%"}),
    ("channel, exit of ±2 %", {"type": "channel", "lower": 0.98, "upper": 1.02, "direction": "exit"}, {}),
]


def document(when: dict[str, Any], policy: dict[str, Any], middle: float, symbols: Any) -> bytes:
    """Levels are told as shares of the middle price."""
    scaled = {key: f"{value * middle:.2f}" if isinstance(value, float) else value for key, value in when.items()}
    return json.dumps({"title": "bench", "symbols": symbols, "when": scaled, "policy": policy}).encode()


async def ask(preview: Replay, text: bytes, end: int) -> Answer:
    return await preview.run(Question(document=text, start=end - DAYS * DAY, end=end))


def processor(postgres: int) -> float:
    """Seconds of processor time this process and the server's have taken so far."""
    ticks = 0
    for child in Path(f"/proc/{postgres}/task/{postgres}/children").read_text().split():
        words = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        ticks += int(words[11]) + int(words[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


async def measure(past: PostgresPast, end: int, postgres: int, *, check: bool) -> None:
    prepare_memory()  # as the process does that works on previews
    preview = Replay(past, PreviewSettings(), EngineSettings())
    market = next(one for one in await past.markets() if one.symbol == MARKETS[0])
    candles = await past.candles(market.id, end - DAYS * DAY, end)
    middle = median([one.close for one in candles])
    print("\n| rule | first, s | then, s | of it processor | fired | trades read | of |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, when, policy in RULES:
        text = document(when, policy, middle, [market.symbol])
        began = processor(postgres)
        answers = [await ask(preview, text, end) for _ in range(4)]
        busy = (processor(postgres) - began) / len(answers)
        took = [answer.seconds for answer in answers]
        fired = sum(one.direction == "fired" for one in answers[0].signals)
        of = sum(one.trades for one in candles)
        times = f"{took[0]:.2f} | {median(took[1:]):.2f} | {busy:.2f}"
        print(f"| {name} | {times} | {fired} | {answers[0].trades:,} | {of:,} |", flush=True)
    if check:
        text = document(*RULES[1][1:], middle, [market.symbol])
        quick = await ask(preview, text, end)
        began = time.perf_counter()
        whole = await ask(preview, text.replace(b'"policy": {', b'"policy": {"suspect": true'), end)
        same = [(a.cause, a.direction) for a in quick.signals] == [(b.cause, b.direction) for b in whole.signals]
        rate = whole.trades / (time.perf_counter() - began)
        print(f"\nread whole: {whole.trades:,} trades, {rate:,.0f} a second; the same signals: {same}")


async def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.month", description=__doc__)
    parser.add_argument("--trades", type=int, default=50_000_000)
    parser.add_argument("--check", action="store_true", help="read one rule's month whole as well: minutes")
    parser.add_argument("--folder", type=Path, help="keep the month there, and use it again")
    options = parser.parse_args(words)
    print(describe())
    with tempfile.TemporaryDirectory(prefix="pw-month-") as name:
        folder = options.folder or Path(name)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711)
        server = EmbeddedPostgres(folder, EmbeddedSettings())
        await server.start()
        try:
            settings = StoreSettings(call_timeout=300)
            async with Database(server.url(), settings) as database, database.for_ticks(2, by_index=True) as pool:
                await migrate(database)
                await over(database, pool, options.trades, server.pid or 0, check=options.check)
        finally:
            await server.stop()


async def over(database: Database, pool: Database, trades: int, postgres: int, *, check: bool) -> None:
    catalog = PostgresCatalog(database)
    markets = await catalog.register([Listing("coinbase", name, name, 1) for name in MARKETS])
    if not await database.fetchval("SELECT count(*) FROM shard"):
        began = time.perf_counter()
        end = (SystemClock().now() // DAY) * DAY
        await fill(database, [market.id for market in markets], trades, end)
        copied = time.perf_counter() - began
        await database.call(lambda connection: connection.execute("VACUUM ANALYZE trade"), within=3_600)
        await roll_up(database, end)
        sys.stderr.write(f"... copied in {copied:.0f} s\n")
    size = await database.fetchval("SELECT pg_size_pretty(pg_database_size(current_database()))")
    whole = await database.call(lambda c: c.fetchval("SELECT sum(trades) FROM candle_1m"), within=600)
    print(f"{whole:,} trades of {len(markets)} markets in {DAYS} days, {size}")
    past = PostgresPast(pool, PostgresHistory(pool, catalog.steps), PostgresModelStore(database))
    newest = await database.fetchval("SELECT max(bucket) FROM candle_1m")
    await measure(past, from_datetime(newest) + MINUTE, postgres, check=check)


if __name__ == "__main__":
    configure(LogSettings(level="warning"))
    asyncio.run(main(sys.argv[1:]))
