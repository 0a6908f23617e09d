"""A clock that moves when told."""

from __future__ import annotations

from pricewatch.domain.time import SECOND


class ManualClock:
    """Keeps `ports.clock.Clock`."""

    def __init__(self, start: int = 1_700_000_000 * SECOND) -> None:
        self._now = start

    def now(self) -> int:
        """The same instant until `advance`."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += round(seconds * SECOND)
