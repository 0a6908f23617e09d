"""`python -m pricewatch.simulator --json '{…settings…}' [FILE…]`: the simulator as a child process.

Prints one line of JSON with its addresses. Ends on SIGTERM, on SIGINT, when a pipe on stdin ends, or with its parent.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import signal
import stat
import sys
import time
from pathlib import Path

import msgspec
from pydantic import ValidationError

from pricewatch.domain.errors import PricewatchError
from pricewatch.simulator.entry import replay, simulate
from pricewatch.simulator.server import Addresses
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.telemetry.logs import configure
from pricewatch.telemetry.settings import LogSettings

_PR_SET_PDEATHSIG = 1


class _WallClock:
    def now(self) -> int:
        return time.time_ns() // 1_000


def _announce(addresses: Addresses) -> None:
    sys.stdout.write(msgspec.json.encode(addresses._asdict()).decode() + "\n")
    sys.stdout.flush()


def _die_with_parent() -> None:
    """Ask Linux for a SIGTERM when the thread that started us ends; other systems rely on stdin."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(1)


def _watch_stdin(stop: asyncio.Event) -> None:
    """A pipe on stdin that ends means nobody needs us any more; /dev/null and terminals mean nothing."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(0, 4_096):
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, readable)


async def _run(settings: SimulatorSettings, files: list[Path]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _watch_stdin(stop)
    clock = _WallClock()
    async with asyncio.TaskGroup() as group:
        work = replay(files, settings, clock=clock, ready=_announce) if files else None
        server = group.create_task(work or simulate(settings, clock=clock, ready=_announce), name="simulator")
        waiting = group.create_task(stop.wait(), name="simulator.stop")
        await asyncio.wait((server, waiting), return_when=asyncio.FIRST_COMPLETED)
        server.cancel()
        waiting.cancel()


def main() -> int:
    """Serve until told to stop; 2 for wrong settings or files."""
    parser = argparse.ArgumentParser(prog="pricewatch.simulator", description="Simulated venues on loopback.")
    parser.add_argument("--json", default="{}", help="settings of the simulator as a JSON object")
    parser.add_argument("files", nargs="*", type=Path, help="captures to replay instead of simulating")
    options = parser.parse_args()
    try:
        settings = SimulatorSettings.model_validate_json(options.json)
    except ValidationError as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    configure(LogSettings(), sys.stderr)  # stdout is for the addresses alone
    _die_with_parent()
    code = 0
    try:
        asyncio.run(_run(settings, options.files))
    except* PricewatchError as group:  # what is raised in here is wrapped again by Python 3.11.2, exits too
        sys.stderr.write("".join(f"{exc}\n" for exc in group.exceptions))
        code = 2
    return code


if __name__ == "__main__":
    sys.exit(main())
