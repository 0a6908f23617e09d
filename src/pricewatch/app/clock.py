"""The machine's wall clock."""

from __future__ import annotations

import time


class SystemClock:
    """Wall clock in integer microseconds since 1970, UTC."""

    def now(self) -> int:
        """The present instant."""
        return time.time_ns() // 1_000
