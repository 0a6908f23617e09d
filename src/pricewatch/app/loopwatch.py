"""Is the event loop alive and prompt? The one thing `/healthz` asks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from pricewatch.telemetry.metrics import Sample


class LoopWatch:
    """Sleeps a little, over and over, and notes by how much it was late (a `Part`)."""

    name = "loop"

    def __init__(self, interval: float = 0.02, stall: float = 0.05) -> None:
        self._interval = interval
        self._stall = stall
        self.worst = 0.0
        self.stalls = 0
        self.late = 0.0
        self.looks = 0

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._interval
            await asyncio.sleep(self._interval)
            late = max(0.0, loop.time() - due)
            self.looks += 1
            self.late += late
            self.worst = max(self.worst, late)
            if late > self._stall:
                self.stalls += 1

    def reset(self) -> None:
        """Forget what starting up cost."""
        self.worst = self.late = 0.0
        self.stalls = self.looks = 0

    def status(self) -> Mapping[str, Any]:
        """Lateness in milliseconds."""
        return {
            "mean_ms": round(1000 * self.late / self.looks, 3) if self.looks else None,
            "worst_ms": round(1000 * self.worst, 3),
            "stalls": self.stalls,
        }

    def trouble(self) -> str | None:
        """A loop that can answer is alive."""
        return None

    def samples(self) -> Iterable[Sample]:
        """Counters of lateness."""
        yield Sample("stalls", self.stalls, help="Times the event loop was late by more than the stall limit")
        yield Sample("late_seconds", self.late, help="Seconds the event loop was late, summed")
        yield Sample("worst_seconds", self.worst, "gauge", help="Longest lateness of the event loop")
