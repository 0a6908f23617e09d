"""Taking one's data along, and leaving nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from pricewatch.cli.output import ConfigFile, ExitCode, emit_text, say, settings_of
from pricewatch.domain.errors import Invalid


async def export(name: str, file: Path | None = None, *, config: ConfigFile = None) -> int:
    """Write all that is stored of an account to a file (or stdout), a JSON document a line. No secrets are in it."""
    from pricewatch.app.wiring import open_store

    async with open_store(settings_of(config)) as store:
        account = await store.owner(name)
        lines = 0
        out = file.open("wb") if file is not None else None
        try:
            async for kind, what in store.records.dossiers.export(account):
                line = msgspec.json.encode({"kind": kind, **what}) + b"\n"
                lines += 1
                if out is not None:
                    out.write(line)
                else:
                    emit_text(line.decode())
        finally:
            if out is not None:
                out.close()
    say(f"{lines} documents of {name}" + (f" in {file}" if file else ""))
    return ExitCode.OK


async def erase(
    name: str,
    *,
    yes: Annotated[bool, Parameter(negative=(), help="Do not ask; there is no way back.")] = False,
    config: ConfigFile = None,
) -> int:
    """Erase an account: rules, signals, deliveries, keys, sessions, watchlists. There is no way back."""
    from pricewatch.app.wiring import open_store
    from pricewatch.gateway.rest.users import let_go

    if not yes:
        raise Invalid("--yes", f"erasing {name} cannot be undone: 'pricewatch user export' first, then add --yes")
    async with open_store(settings_of(config)) as store:
        account = await store.owner(name)
        count = await let_go(store.rules, account.id, lambda: None)
        await store.records.dossiers.erase(account.id)
    say(f"{name} and {count} rules are gone")
    return ExitCode.OK
