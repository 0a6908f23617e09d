"""What every command says in the same way: exit codes, complaints, tables, JSON."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from pricewatch.config import Settings, load

_WIDE = 200
ConfigFile = Annotated[Path | None, Parameter(name="--config", help="TOML file (default: pricewatch.toml if there).")]
AsJson = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON for programs.")]


class ExitCode(enum.IntEnum):
    """Stable: scripts may rely on them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIG = 3
    INPUT = 4
    UNAVAILABLE = 5
    REFUSED = 6
    INTERRUPTED = 130


def settings_of(path: Path | None) -> Settings:
    """The settings a command works with."""
    return load(path)


def complain(message: str, *, hint: str | None = None) -> None:
    """One clear message on stderr."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("[bold red]pricewatch:[/]", end=" ")
    console.print(message, markup=False)
    if hint:
        console.print(hint, style="dim", markup=False)


def say(message: str) -> None:
    """A line for people, on stderr."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(message, markup=False)


def emit(document: Mapping[str, Any] | Sequence[Any]) -> None:
    """One JSON document on stdout, on one line."""
    sys.stdout.write(json.dumps(document, default=str) + "\n")
    sys.stdout.flush()


def emit_text(text: str) -> None:
    """Text as it stands, on stdout."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def emit_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout."""
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    # A pipe or file has no width: nothing is cut there.
    Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE).print(table)
