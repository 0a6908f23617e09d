"""What a venue has: markets."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from pricewatch.cli.output import AsJson, ConfigFile, ExitCode, emit, emit_table, say, settings_of
from pricewatch.domain.time import rfc3339


async def markets(
    venue: str,
    text: str = "",
    *,
    anew: Annotated[bool, Parameter(negative=(), help="Ask the venue even if its kept list is young.")] = False,
    config: ConfigFile = None,
    json: AsJson = False,
) -> int:
    """List the markets of a venue (those with TEXT in their name): from the kept list while it is young, else asked."""
    from pricewatch.app.markets import listed, matching

    found, trouble = await listed(settings_of(config), venue, anew=anew)
    rows = matching(venue, found.instruments, text)
    if trouble:
        say(f"{trouble}; this is its list of {rfc3339(found.asked)[:16]}Z")
    if json:
        emit([{"symbol": one.symbol, "native": one.native, "trading": one.active} for one in rows])
    else:
        emit_table(
            ["symbol", f"at {venue}", "trading"],
            [(one.symbol, one.native, "yes" if one.active else "no") for one in rows],
        )
    return ExitCode.OK
