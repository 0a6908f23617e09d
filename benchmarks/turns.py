"""`python -m benchmarks.turns`: what short turns do for a loop that shares its cores, both kinds side by side."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from pricewatch.app.prompt import prompt
from pricewatch.cli.output import emit_table

TICK = 0.001
"""Seconds between two wakings."""
WORK = 0.0002
"""Seconds of work at each."""
HEAD = ("turns", "wakings", "late p50 ms", "p90 ms", "p99 ms", "max ms")


def late(name: str, seconds: float, start: float) -> list[str]:
    """How late the work of each waking was done, from `start` (monotonic) on."""
    if name == "short":
        prompt()
    time.sleep(max(0.0, start - time.monotonic()))
    found = []
    while time.monotonic() < start + seconds:
        due = time.monotonic() + TICK
        time.sleep(TICK)
        began = time.perf_counter()
        while time.perf_counter() - began < WORK:
            pass
        found.append(1000 * max(0.0, time.monotonic() - due - WORK))
    found.sort()
    return [name, str(len(found)), *(f"{found[int(share * (len(found) - 1))]:.2f}" for share in (0.5, 0.9, 0.99, 1.0))]


def busy(seconds: float, start: float) -> None:
    """Wants a core all the time."""
    while time.monotonic() < start + seconds:
        pass


def measured(seconds: float, load: int) -> Sequence[Sequence[str]]:
    """A loop of each kind, at once, beside `load` processes of the same priority that want a core each."""
    with ProcessPoolExecutor(2 + load, mp_context=multiprocessing.get_context("spawn")) as pool:
        start = time.monotonic() + 10.0  # until then all have started, on a busy machine too
        hogs = [pool.submit(busy, seconds, start) for _ in range(load)]
        loops = [pool.submit(late, name, seconds, start) for name in ("usual", "short")]
        for hog in hogs:
            hog.result()
        return [loop.result() for loop in loops]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--load", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    emit_table(HEAD, measured(given.seconds, given.load))


if __name__ == "__main__":
    main()
