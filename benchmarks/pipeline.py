"""`pipeline` and `latency`: the whole service under load, beside the bare client library and the naive reference."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import msgspec

from benchmarks import rig
from benchmarks.naive import NaiveRule, NaiveService
from benchmarks.rig import Load, Outcome
from benchmarks.source import made
from pricewatch.simulator.registry import listed
from pricewatch.store.embedded import EmbeddedPostgres
from pricewatch.store.settings import EmbeddedSettings

Say = Callable[[str], None]
LATENCY_HEAD = [
    "trades/s",
    "signals",
    "written p50",
    "written p99",
    "read p50",
    "read p99",
    "fsync p99",
    "waited for a core",
]
HEAD = ["", "figure"]
_LIBRARIES = ("websockets", "aiohttp")


def _load(*, quick: bool, rate: float) -> Load:
    if quick:
        return Load(rate=200, markets=4, rules=60, crossings=40, subscribers=5, warm_up=0.5, span=2)
    return Load(rate=rate)


def run_latency(*, quick: bool, say: Say) -> list[list[str]]:
    """Rows by rate: from frame received to signal committed and written to every socket."""
    rows = []
    for rate in (1_000.0, 10_000.0):
        # Fewer trades of the same markets: their prices, and so their signals, move as fast.
        found = rig.run(msgspec.structs.replace(_load(quick=quick, rate=rate), span=2 if quick else 30), say)
        rows.append(
            [
                f"{found.rate:,.0f}",
                f"{found.signals}",
                *(f"{value:.1f} ms" for value in (*found.written, *found.read, found.fsync)),
                f"{found.starved:.1f} %",
            ]
        )
    return rows


def run(*, quick: bool, say: Say) -> list[list[str]]:
    """Rows: what, figure."""
    load = _load(quick=quick, rate=10_000.0)
    found = rig.run(load, say)
    say("the bare client library")
    with tempfile.TemporaryDirectory(prefix="pw-bench-") as folder:
        bare = {library: _bare(load, library, Path(folder)) for library in _LIBRARIES}
        most = {library: rig.child_json(["-m", "benchmarks.bare", library, "", "2"]) for library in _LIBRARIES}
    say("the naive reference")
    naive = asyncio.run(_naive(load, 20 if quick else 300))
    return _rows(load, found, bare, most, naive)


def _rows(
    load: Load, found: Outcome, bare: dict[str, dict[str, float]], most: dict[str, dict[str, float]], naive: float
) -> list[list[str]]:
    ours = 10_000 * found.service / found.rate
    per_second = found.signals / load.span
    rows = [
        ["load", f"{load.markets} markets, {load.rules:,} rules each, {load.subscribers} subscribers, {load.span:g} s"],
        ["trades/s received", f"{found.rate:,.0f}"],
        [
            "trades received / stored / duplicates / rejected / holes",
            f"{found.received:,} / {found.stored:,} / {found.duplicates} / {found.rejected} / {found.gaps}",
        ],
        ["signals", f"{found.signals:,} ({per_second:.0f}/s), all read by all: {'yes' if found.complete else 'NO'}"],
        ["service, of one core", f"{found.service:.1f} % ({ours:.1f} µs a trade)"],
        ["PostgreSQL, of one core", f"{found.postgres:.1f} %"],
        ["simulator, of one core", f"{found.simulator:.1f} %"],
        ["frame received to signal written to all, p50 / p99", _pair(found.written)],
        ["frame received to signal read in another process, p50 / p99", _pair(found.read)],
        ["event loop late, mean / worst; times over 50 ms", f"{_pair(found.late)}; {found.stalls}"],
        ["service waited for a core, of the time", f"{found.starved:.1f} %"],
        ["fsync p99 of the disk", f"{found.fsync:.1f} ms"],
        ["memory, service / PostgreSQL", f"{found.memory:.0f} MiB / {found.postgres_memory:.0f} MiB"],
        ["bulk load of the rules / start until all are taken up", f"{found.loading:.1f} s / {found.starting:.1f} s"],
    ]
    for library, alone in bare.items():
        one = 10_000 * alone["cpu"] / alone["rate"]
        rows.append(
            [
                f"bare {library} loop, same frames",
                (
                    f"{alone['cpu']:.1f} % at {alone['rate']:,.0f}/s ({one:.1f} µs a frame); "
                    f"the service takes {ours / one:.1f} times that; at most {most[library]['rate']:,.0f}/s"
                ),
            ]
        )
    rows.append(
        ["naive reference, same markets and rules", f"{naive:,.0f} µs of CPU a trade: {naive / ours:,.0f} times ours"]
    )
    return rows


def _pair(values: tuple[float, float]) -> str:
    return f"{values[0]:.1f} ms / {values[1]:.1f} ms"


def _bare(load: Load, library: str, folder: Path) -> dict[str, float]:
    """The simulator again, and nothing but the client library behind it."""
    with rig.simulated(load, folder) as (venues, _):
        names = "/".join(f"{symbol.replace('-', '').lower()}@trade" for symbol in rig.symbols(load.markets))
        url = f"{venues['ws']}/binance/stream?streams={names}"
        return rig.child_json(["-m", "benchmarks.bare", library, url, str(min(load.span, 10))])


async def _naive(load: Load, count: int) -> float:
    """µs of CPU a trade of the naive reference, with its rules, its INSERTs and the same server."""
    names = rig.symbols(load.markets)
    frames = [frame.decode() for frame in made("binance", count, tuple(names)).frames]
    rules = [
        NaiveRule(rule, f"binance:{name}", json.loads(document)["when"]["level"])
        for name, (rule, document) in zip(
            (name for name in names for _ in range(load.rules)), rig.rules(load), strict=True
        )
    ]
    markets = {listed("binance", name).native: f"binance:{name}" for name in names}
    with tempfile.TemporaryDirectory(prefix="pw-bench-") as folder:
        Path(folder).chmod(0o711)  # noqa: ASYNC240 - nothing else runs here
        server = EmbeddedPostgres(Path(folder) / "postgres", EmbeddedSettings())
        await server.start()
        try:
            async with asyncpg.create_pool(server.url(), min_size=1, max_size=1) as pool:
                await pool.execute(
                    "CREATE TABLE naive_trade (market text, id bigint, at bigint, price numeric, size numeric,"
                    " PRIMARY KEY (market, id))"
                )
                service = NaiveService(rules, pool, markets)
                began = time.process_time()
                for frame in frames:
                    await service.feed(frame)
                    await service.work(1)
                return 1e6 * (time.process_time() - began) / len(frames)
        finally:
            await server.stop()
