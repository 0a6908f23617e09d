"""Has everything been started? What `/readyz` must not be silent about while the other parts are still to come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from pricewatch.telemetry.metrics import Sample


class Startup:
    """In trouble until `done` is set (a `Part`)."""

    name = "startup"

    def __init__(self, done: asyncio.Event) -> None:
        self._done = done

    def status(self) -> Mapping[str, Any]:
        """One fact."""
        return {"done": self._done.is_set()}

    def trouble(self) -> str | None:
        """Parts that are not there yet cannot say so themselves."""
        return None if self._done.is_set() else "the service is still starting"

    def samples(self) -> Iterable[Sample]:
        """The same fact."""
        yield Sample("done", int(self._done.is_set()), "gauge", help="Whether everything has been started")
