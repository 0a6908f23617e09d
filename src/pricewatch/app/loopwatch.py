"""Is the event loop alive and prompt? The one thing `/healthz` asks."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pricewatch.telemetry.metrics import Sample


class LoopWatch:
    """Sleeps a little, over and over, and notes by how much it was late (a `Part`).

    Lateness is our own doing or the machine's: where the system says how long we waited for a core, that is told too.
    """

    name = "loop"

    def __init__(
        self,
        interval: float = 0.02,
        stall: float = 0.05,
        window: float = 60.0,
        waited: Callable[[], float] | None = None,
    ) -> None:
        """`window`: seconds that count as recent; `waited`: seconds this thread has waited for a core so far."""
        self._interval = interval
        self._stall = stall
        self._window = window
        self._waited = waited or core_wait()
        self._recent: deque[tuple[float, float, float]] = deque()
        self.worst = 0.0
        self.stalls = 0
        self.late = 0.0
        self.looks = 0

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        waited = self._waited()
        while True:
            due = loop.time() + self._interval
            await asyncio.sleep(self._interval)
            now = loop.time()
            before, waited = waited, self._waited()
            self._note(now, max(0.0, now - due), waited - before)

    def _note(self, now: float, late: float, waited: float) -> None:
        self.looks += 1
        self.late += late
        self.worst = max(self.worst, late)
        if late > self._stall:
            self.stalls += 1
        recent = self._recent
        recent.append((now, late, max(0.0, late - waited)))
        while recent[0][0] < now - self._window:
            recent.popleft()

    def reset(self) -> None:
        """Forget what starting up cost."""
        self.worst = self.late = 0.0
        self.stalls = self.looks = 0
        self._recent.clear()

    def status(self) -> Mapping[str, Any]:
        """Lateness in milliseconds, since the start and of late; `own`: what no wait for a core explains."""
        lates = [late for _, late, _ in self._recent]
        own = [own for _, _, own in self._recent]
        return {
            "mean_ms": _ms(self.late / self.looks) if self.looks else None,
            "worst_ms": _ms(self.worst),
            "stalls": self.stalls,
            "recent": {
                "seconds": self._window,
                "mean_ms": _ms(sum(lates) / len(lates)) if lates else None,
                "worst_ms": _ms(max(lates, default=0.0)),
                "stalls": sum(late > self._stall for late in lates),
                "own_worst_ms": _ms(max(own, default=0.0)),
                "own_stalls": sum(late > self._stall for late in own),
            },
        }

    def trouble(self) -> str | None:
        """A loop that can answer is alive."""
        return None

    def samples(self) -> Iterable[Sample]:
        """Counters of lateness."""
        yield Sample("stalls", self.stalls, help="Times the event loop was late by more than the stall limit")
        yield Sample("late_seconds", self.late, help="Seconds the event loop was late, summed")
        yield Sample("worst_seconds", self.worst, "gauge", help="Longest lateness of the event loop")


def core_wait(path: Path = Path("/proc/self/schedstat")) -> Callable[[], float]:
    """Seconds the main thread was ready to run but waited for a core, as Linux counts them; always 0 elsewhere."""
    if sys.platform != "linux" or not path.exists():
        return float
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # for as long as the process lives

    def waited() -> float:
        return int(os.pread(descriptor, 128, 0).split()[1]) / 1e9

    return waited


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)
