"""`pipeline` and `latency`: the whole service under load, beside the bare client library and the naive reference."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import asyncpg
import msgspec

from benchmarks import rig
from benchmarks.machine import median
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


def _load(*, quick: bool, rate: float, step_back: int) -> Load:
    if quick:
        return Load(
            rate=200, markets=4, rules=60, crossings=40, subscribers=5, warm_up=0.5, span=2, step_back=step_back
        )
    return Load(rate=rate, step_back=step_back)


def run_latency(*, quick: bool, runs: int, step_back: int, say: Say) -> list[list[str]]:
    """Rows by rate: from frame received to signal committed and written to every socket; medians of the runs."""
    rows = []
    for rate in (1_000.0, 10_000.0):
        # Fewer trades of the same markets: their prices, and so their signals, move as fast.
        load = msgspec.structs.replace(_load(quick=quick, rate=rate, step_back=step_back), span=2 if quick else 30)
        found = [rig.run(load, say) for _ in range(runs)]
        rows.append(
            [
                f"{median([one.rate for one in found]):,.0f}",
                f"{median([one.signals for one in found]):.0f}",
                *(_over(found, partial(_part, "written", at), "{:.1f} ms") for at in (0, 1)),
                *(_over(found, partial(_part, "read", at), "{:.1f} ms") for at in (0, 1)),
                _over(found, lambda one: one.fsync, "{:.1f} ms"),
                _over(found, lambda one: one.starved, "{:.1f} %"),
            ]
        )
    return rows


def _part(name: str, at: int, outcome: Outcome) -> float:
    value: float = getattr(outcome, name)[at]
    return value


def _over(found: list[Outcome], figure: Callable[[Outcome], float], form: str) -> str:
    """The median of the runs, and how far they lie apart."""
    values = [figure(one) for one in found]
    if len(values) == 1:
        return form.format(values[0])
    return f"{form.format(median(values))} ({form.format(min(values))} to {form.format(max(values))})"


def run(*, quick: bool, runs: int, step_back: int, say: Say) -> list[list[str]]:
    """Rows: what, figure."""
    load = _load(quick=quick, rate=10_000.0, step_back=step_back)
    found = []
    for number in range(1, runs + 1):
        say(f"run {number} of {runs}")
        found.append(rig.run(load, say))
    say("the bare client library")
    with tempfile.TemporaryDirectory(prefix="pw-bench-") as folder:
        bare = {library: _bare(load, library, Path(folder)) for library in _LIBRARIES}
        most = {library: rig.child_json(["-m", "benchmarks.bare", library, "", "2"]) for library in _LIBRARIES}
    say("the naive reference")
    naive = asyncio.run(_naive(load, 20 if quick else 300))
    return _rows(load, found, bare, most, naive)


def _rows(
    load: Load,
    found: list[Outcome],
    bare: dict[str, dict[str, float]],
    most: dict[str, dict[str, float]],
    naive: float,
) -> list[list[str]]:
    ours = median([_micros(one) for one in found])
    shape = f"{load.markets} markets, {load.rules:,} rules each, {load.subscribers} subscribers, {load.span:g} s"

    def row(what: str, figure: Callable[[Outcome], float], form: str) -> list[str]:
        return [what, _over(found, figure, form)]

    rows = [
        ["load", f"{shape}; {len(found)} {'run' if len(found) == 1 else 'runs: median (least to most)'}"],
        [
            "simulator and subscribers",
            f"{load.step_back} steps nicer than the service" if load.step_back else "as the service",
        ],
        row("trades/s received", lambda one: one.rate, "{:,.0f}"),
        [
            "trades received / stored / duplicates / rejected / holes, all runs",
            " / ".join(
                f"{sum(getattr(one, name) for one in found):,}"
                for name in ("received", "stored", "duplicates", "rejected", "gaps")
            ),
        ],
        [
            "signals a second; all read by all",
            (
                f"{_over(found, lambda one: one.signals / load.span, '{:.0f}')}; "
                f"{'yes' if all(one.complete for one in found) else 'NO'}"
            ),
        ],
        row("service, of one core", lambda one: one.service, "{:.1f} %"),
        row("the same, a trade", _micros, "{:.1f} µs"),
        row("PostgreSQL, of one core", lambda one: one.postgres, "{:.1f} %"),
        row("simulator, of one core", lambda one: one.simulator, "{:.1f} %"),
        row("subscribers, of one core", lambda one: one.subscribers, "{:.1f} %"),
        *(
            row(f"frame received to signal written to all, {name}", partial(_part, "written", at), "{:.1f} ms")
            for at, name in enumerate(("p50", "p99", "worst"))
        ),
        *(
            row(f"frame received to signal read in another process, {name}", partial(_part, "read", at), "{:.1f} ms")
            for at, name in enumerate(("p50", "p99"))
        ),
        row("event loop late, mean", partial(_part, "late", 0), "{:.1f} ms"),
        row("event loop late, worst", partial(_part, "late", 1), "{:.1f} ms"),
        row("times over 50 ms", lambda one: one.stalls, "{:.0f}"),
        row("late but for waits for a core, worst", partial(_part, "own", 0), "{:.1f} ms"),
        row("times over 50 ms", partial(_part, "own", 1), "{:.0f}"),
        row("service waited for a core, of the time", lambda one: one.starved, "{:.1f} %"),
        row("stolen from the machine, of its core time", lambda one: one.stolen, "{:.1f} %"),
        row("fsync p99 of the disk", lambda one: one.fsync, "{:.1f} ms"),
        row("memory, service", lambda one: one.memory, "{:.0f} MiB"),
        row("memory, PostgreSQL", lambda one: one.postgres_memory, "{:.0f} MiB"),
        row("bulk load of the rules", lambda one: one.loading, "{:.1f} s"),
        row("start until all are taken up", lambda one: one.starting, "{:.1f} s"),
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


def _micros(one: Outcome) -> float:
    return 10_000 * one.service / one.rate


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
