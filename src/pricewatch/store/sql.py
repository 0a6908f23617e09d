"""SQL lives in `queries/*.sql`, each statement under a line `-- name: what_it_does`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


def load(topic: str) -> Mapping[str, str]:
    """The statements of `queries/<topic>.sql` by name."""
    return parse(resources.files("pricewatch.store").joinpath("queries", f"{topic}.sql").read_text("utf-8"))


def parse(text: str) -> Mapping[str, str]:
    """The statements of one file; raises `ValueError` for a name given twice."""
    _, *pieces = _NAME.split(text)
    names, bodies = pieces[::2], pieces[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"a name is given twice among {', '.join(names)}")
    return {name: body.strip() for name, body in zip(names, bodies, strict=True)}
