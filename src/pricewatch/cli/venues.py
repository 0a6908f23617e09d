"""Venues: simulated, replayed, recorded."""

from __future__ import annotations

from collections.abc import Iterable
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
    market: Annotated[
        tuple[str, ...], Parameter(help="A market as venue:BASE-QUOTE, as often as wanted; default: a few.")
    ] = (),
    fault: Annotated[
        tuple[str, ...], Parameter(help="Trouble as name=value, for example drop=0.01 or mute=kraken:BTC-USD.")
    ] = (),
) -> int:
    """Serve the venues' wire protocols on loopback from a seeded market; addresses go to stdout as JSON.

    While it runs, POST to `/control/faults` (JSON), `/control/accident?kind=`, `/control/disconnect` or
    `/control/event` on the REST port to make trouble.
    """
    from pricewatch.app.clock import SystemClock
    from pricewatch.simulator.entry import simulate as serve
    from pricewatch.simulator.settings import FaultSettings, SimulatorSettings

    options: dict[str, Any] = {
        "seed": seed,
        "rate": rate,
        "host": host,
        "ws_port": ws_port,
        "rest_port": rest_port,
        "faults": _checked(FaultSettings, _faults(fault), option="fault"),
    }
    if market:
        options["markets"] = _markets(market)
    settings = _checked(SimulatorSettings, options)
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
    """Serve recorded captures (files, or folders of them) as their venues would, REST history included.

    Addresses go to stdout as JSON.
    """
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


def _markets(keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Symbols by venue."""
    found: dict[str, tuple[str, ...]] = {}
    for key in keys:
        venue, sign, symbol = key.partition(":")
        if not sign:
            raise Invalid("--market", f"{key[:80]!r} is not venue:BASE-QUOTE; write for example 'kraken:BTC-USD'")
        found[venue] = (*found.get(venue, ()), symbol)
    return found


def _faults(words: Iterable[str]) -> dict[str, Any]:
    """Values by name; a name given twice, or a comma, makes a list of markets."""
    found: dict[str, Any] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign:
            raise Invalid("--fault", f"{word[:80]!r} is not name=value; write for example 'drop=0.01'")
        if name in {"mute", "freeze"}:
            found[name] = (*found.get(name, ()), *value.split(","))
        else:
            found[name] = value
    return found


def _checked(model: type[_Model], options: dict[str, Any], *, option: str = "") -> _Model:
    """The settings from options; raises `Invalid` that names the wrong one (`option`: the one they all come from)."""
    try:
        return model.model_validate(options)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        name = option or place.replace("_", "-")
        detail = f"{place}: {problem['msg']}" if option and place else problem["msg"]
        raise Invalid(f"--{name}", f"{detail} (given: {problem['input']!r})") from error
