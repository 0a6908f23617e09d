"""Time is handed in."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The wall clock, in integer microseconds since 1970, UTC."""

    def now(self) -> int:
        """The present instant."""
        ...
