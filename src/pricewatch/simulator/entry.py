"""Simulate or replay until cancelled: what the command line and the demo call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import structlog

from pricewatch.ports.clock import Clock
from pricewatch.simulator.capture import load
from pricewatch.simulator.server import Addresses, SimulatorServer
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import Tape

log = structlog.get_logger(__name__)

Ready = Callable[[Addresses], None]

_DISCONNECTED = {
    "pause": "waits while no client is connected",
    "runon": "runs on while no client is connected; what passes is lost to sockets and told by REST",
}


def _nobody(addresses: Addresses) -> None:
    del addresses


async def simulate(settings: SimulatorSettings, *, clock: Clock, ready: Ready = _nobody) -> None:
    """Serve the seeded market; `ready` is called once both ports answer. Raises `ConfigError` or `Unavailable`."""
    await _serve(SimulatorServer(settings, clock=clock), ready)


async def replay(files: Iterable[Path], settings: SimulatorSettings, *, clock: Clock, ready: Ready = _nobody) -> None:
    """Serve captures as their venues; with `exit_at_end` returns after the last frame. Raises like `simulate`."""
    tapes: Sequence[Tape] = load(files, settings)
    log.info("replay.mode", mode=settings.mode, meaning=f"the tape {_DISCONNECTED[settings.mode]}")
    await _serve(SimulatorServer(settings, clock=clock, tapes=tapes), ready)


async def _serve(server: SimulatorServer, ready: Ready) -> None:
    ready(await server.start())
    try:
        await server.run()
    finally:
        await server.stop()
