"""`python -m benchmarks [NAME …] [--quick] [--runs N] [--step-back N]`: figures beside a reference of the same run."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import (
    captures,
    cost,
    decoding,
    endurance,
    evaluation,
    fanout,
    memory,
    models,
    peers,
    pipeline,
    training,
    worst,
)
from benchmarks.machine import describe, fsync_p99
from pricewatch.telemetry.logs import configure
from pricewatch.telemetry.settings import LogSettings

Table = tuple[str, list[str], list[list[str]]]


def _say(words: str) -> None:
    sys.stderr.write(f"... {words}\n")


def _captures(*, quick: bool) -> list[Table]:
    return [("captures: recordings read, beside a plain count", captures.HEAD, captures.run(quick=quick))]


def _frames(*, quick: bool) -> list[Table]:
    return [("frames: from a frame to a checked trade", decoding.HEAD, decoding.run(quick=quick))]


def _peers(*, quick: bool) -> list[Table]:
    return [("peers: frame to tick, beside cryptofeed and ccxt", peers.HEAD, peers.run(quick=quick))]


def _engine(*, quick: bool) -> list[Table]:
    return [
        ("engine: one trade, however many rules sleep", evaluation.HEAD, evaluation.run(quick=quick)),
        ("engine: the dearest trade of one rule", worst.HEAD, worst.run(quick=quick)),
        ("engine: beside the naive reference", evaluation.NAIVE_HEAD, evaluation.run_naive(quick=quick)),
    ]


def _models(*, quick: bool) -> list[Table]:
    return [("models: what a row, a minute and a market cost", models.HEAD, models.run(quick=quick))]


def _memory(*, quick: bool) -> list[Table]:
    return [("memory: what a market costs", memory.HEAD, memory.run(quick=quick, say=_say))]


def _cost(*, quick: bool) -> list[Table]:
    return [("cost: CPU by stage", cost.HEAD, cost.run(quick=quick, say=_say))]


def _latency(*, quick: bool, runs: int, step_back: int) -> list[Table]:
    rows = pipeline.run_latency(quick=quick, runs=runs, step_back=step_back, say=_say)
    return [("latency: frame received, signal durable, written to 100 sockets", pipeline.LATENCY_HEAD, rows)]


def _pipeline(*, quick: bool, runs: int, step_back: int) -> list[Table]:
    return [
        ("pipeline: everything on", pipeline.HEAD, pipeline.run(quick=quick, runs=runs, step_back=step_back, say=_say))
    ]


def _training(*, quick: bool) -> list[Table]:
    return [
        ("training: one refit in a warm process", training.REFIT_HEAD, training.run_refits(quick=quick)),
        (
            "training: the event loop while every market is refitted",
            training.LAG_HEAD,
            training.run_lag(quick=quick, say=_say),
        ),
    ]


def _fanout(*, quick: bool) -> list[Table]:
    return [("fanout: prices to many clients, beside websockets.broadcast", fanout.HEAD, fanout.run(quick=quick))]


def _feed(*, quick: bool) -> list[Table]:
    cuts, restarts, slow = endurance.run(quick=quick, say=_say)
    return [
        ("feed: connections cut at random", endurance.CUTS_HEAD, cuts),
        ("feed: rolling restarts", endurance.RESTARTS_HEAD, restarts),
        ("feed: beside clients that read nothing, or too little", endurance.SLOW_HEAD, slow),
    ]


BENCHMARKS: dict[str, Callable[..., list[Table]]] = {
    "captures": _captures,
    "frames": _frames,
    "peers": _peers,
    "engine": _engine,
    "models": _models,
    "cost": _cost,
    "fanout": _fanout,
    "feed": _feed,
    "latency": _latency,
    "memory": _memory,
    "pipeline": _pipeline,
    "training": _training,
}
REPEATED = frozenset({"latency", "pipeline"})
"""What depends on the machine's mood: these can be run several times."""


def _show(table: Table) -> None:
    title, head, rows = table
    print(f"\n### {title}\n")
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()


def main(words: Sequence[str]) -> None:
    """Print a table for each benchmark; there is no pass and no fail."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a smoke run: its figures mean nothing")
    parser.add_argument(
        "--runs", type=int, default=1, metavar="N", help=f"so many runs of {', '.join(sorted(REPEATED))}: medians"
    )
    parser.add_argument(
        "--step-back",
        type=int,
        default=10,
        metavar="N",
        help=f"{', '.join(sorted(REPEATED))}: simulator and subscribers run N steps nicer than the service; 0: as it",
    )
    options = parser.parse_args(words)
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if options.runs < 1:
        parser.error(f"--runs is {options.runs}: at least 1")
    print(describe())
    print(f"fsync p99: {fsync_p99(Path(tempfile.gettempdir())):.1f} ms")
    for name in options.names or list(BENCHMARKS):
        more = {"runs": options.runs, "step_back": options.step_back} if name in REPEATED else {}
        for table in BENCHMARKS[name](quick=options.quick, **more):
            _show(table)


if __name__ == "__main__":
    configure(LogSettings(level="warning"))
    main(sys.argv[1:])
