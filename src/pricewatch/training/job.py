"""What goes to a fit process and what comes back: plain numbers, and nothing heavy to import."""

from __future__ import annotations

import msgspec


class Job(msgspec.Struct, frozen=True):
    """One market's closes: instants in µs ascending, and what is asked."""

    at: list[int]
    close: list[float]
    steps: int
    """Rows wanted after the last close."""
    step: int
    """Microseconds a row covers."""
    level: float
    anchor_half_life: float
    min_half_width: float


class Fitted(msgspec.Struct, frozen=True):
    """The band, one value a step, beginning with the step after the last close."""

    centre: list[float]
    lower: list[float]
    upper: list[float]


class Failed(msgspec.Struct, frozen=True):
    """The fit raised: nothing changes but a counter."""

    reason: str
