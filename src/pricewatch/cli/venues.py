"""Venues: simulated, replayed, recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter
from pydantic import BaseModel, ValidationError

from pricewatch.cli.output import ConfigFile, ExitCode, emit, settings_of
from pricewatch.domain.errors import Invalid

_Model = TypeVar("_Model", bound=BaseModel)


async def simulate(
    *,
    seed: Annotated[int, Parameter(help="The market's seed.")] = 1,
    rate: Annotated[float, Parameter(help="Trades a second and market.")] = 5.0,
    host: str = "127.0.0.1",
    ws_port: Annotated[int, Parameter(help="WebSocket port; 0 takes a free one.")] = 0,
    rest_port: Annotated[int, Parameter(help="REST port; 0 takes a free one.")] = 0,
) -> int:
    """Serve the venues' wire protocols on loopback from a seeded market; addresses go to stdout as JSON."""
    from pricewatch.app.clock import SystemClock
    from pricewatch.simulator.entry import simulate as serve
    from pricewatch.simulator.settings import SimulatorSettings

    settings = _checked(
        SimulatorSettings, {"seed": seed, "rate": rate, "host": host, "ws_port": ws_port, "rest_port": rest_port}
    )
    await serve(settings, clock=SystemClock(), ready=lambda addresses: emit(addresses._asdict()))
    return ExitCode.OK


async def replay(
    *files: Path,
    speed: Annotated[str, Parameter(help="1 for true speed, 10 for ten times, max for as fast as it goes.")] = "1",
    mode: Annotated[str, Parameter(help="pause: wait while nobody is connected; runon: go on regardless.")] = "pause",
    host: str = "127.0.0.1",
    ws_port: int = 0,
    rest_port: int = 0,
) -> int:
    """Serve recorded captures through the same servers, REST history included; addresses go to stdout as JSON."""
    from pricewatch.app.clock import SystemClock
    from pricewatch.simulator.entry import replay as serve
    from pricewatch.simulator.settings import SimulatorSettings

    settings = _checked(
        SimulatorSettings, {"host": host, "ws_port": ws_port, "rest_port": rest_port, "speed": speed, "mode": mode}
    )
    await serve(files, settings, clock=SystemClock(), ready=lambda addresses: emit(addresses._asdict()))
    return ExitCode.OK


async def record(
    folder: Path,
    *,
    for_: Annotated[str | None, Parameter(name="--for", help="Stop after this long.")] = None,
    config: ConfigFile = None,
) -> int:
    """Write what the configured venues send into capture files, unchanged, until interrupted."""
    from pricewatch.app.recording import record as write
    from pricewatch.domain.time import parse_span

    span = parse_span(for_, field="--for") if for_ else None
    emit(await write(settings_of(config), folder, span))
    return ExitCode.OK


def _checked(model: type[_Model], options: dict[str, Any]) -> _Model:
    """The settings from options; raises `Invalid` that names the wrong one."""
    try:
        return model.model_validate(options)
    except ValidationError as error:
        problem = error.errors()[0]
        option = str(problem["loc"][0]).replace("_", "-")
        raise Invalid(f"--{option}", f"{problem['msg']} (given: {problem['input']!r})") from error
