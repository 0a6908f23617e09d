"""What a part counts, as plain numbers read at scrape: nothing is formatted on the hot path."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Sample(NamedTuple):
    """One number of one part. `name` without prefix and without `_total`, in base units (seconds, bytes)."""

    name: str
    value: float
    kind: Literal["counter", "gauge"] = "counter"
    labels: tuple[tuple[str, str], ...] = ()
    help: str = ""
