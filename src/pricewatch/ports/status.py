"""What every long-lived part tells about itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from pricewatch.telemetry.metrics import Sample


class Part(Protocol):
    """A worker as `/status`, `/readyz` and `/metrics` see it."""

    name: str
    """`ingest`, `evaluation`, `store`, `delivery`, `training`, `gateway`: also the metric prefix."""

    def status(self) -> Mapping[str, Any]:
        """JSON-ready facts for `/status`."""
        ...

    def trouble(self) -> str | None:
        """Why this part cannot do its work now, in one line; None when it can."""
        ...

    def samples(self) -> Iterable[Sample]:
        """Its counters and gauges."""
        ...
