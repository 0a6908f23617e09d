"""Ticks into the spool: a few milliseconds' worth at a time, so that a kill loses no more than those."""

from __future__ import annotations

import asyncio
import contextlib

from pricewatch.domain.errors import Unavailable
from pricewatch.ports.ticks import TickWriter


class Spooling:
    """What was written is spooled `interval` seconds after the first of it came."""

    def __init__(self, writer: TickWriter, interval: float) -> None:
        self.due = False
        """Whether it will be spooled without being asked."""
        self._writer = writer
        self._interval = interval

    def soon(self) -> None:
        """Something was written, and nothing is due yet."""
        self.due = True
        asyncio.get_running_loop().call_later(self._interval, self._now)

    def now(self) -> None:
        """A full disk is told by the writer's own status; the cursor then stands, for a commit spools first."""
        with contextlib.suppress(Unavailable):
            self._writer.spool()

    def _now(self) -> None:
        self.due = False
        self.now()
