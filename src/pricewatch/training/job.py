"""What goes to a fit process and what comes back: plain numbers, and nothing heavy to import."""

from __future__ import annotations

import msgspec


class Job(msgspec.Struct, frozen=True):
    """One market's rows for one kind of baseline: instants in µs ascending, logarithms, and what is asked."""

    kind: str
    at: list[int]
    value: list[float]
    steps: int
    """Rows wanted after the last one."""
    step: int
    """Microseconds a row covers."""
    levels: list[float]
    """Nominal coverages of the bands wanted; versions are compared at the first."""
    champion: bytes = b""
    """The artefact of the version in use, already verified; empty where there is none."""
    pinned: bool = False
    """Whether an operator chose the version in use: then it stays, however good the new fit is."""
    half_life: float | None = None
    """Rows after which one counts half in the starting point, where it is not the kind's own."""


class HorizonFigures(msgspec.Struct, frozen=True):
    """How forecasts of one distance did on held-out rows."""

    steps: int
    rows: int
    mae: float
    mae_naive: float
    mae_level: float
    coverage: float
    interval_score: float
    interval_score_naive: float


class Figures(msgspec.Struct, frozen=True):
    """One version on the held-out window."""

    held_from: int
    held_to: int
    level: float
    loss: float
    """Interval score by that of the naive band, mean over the distances: the lower the better."""
    horizons: list[HorizonFigures]


class Fitted(msgspec.Struct, frozen=True):
    """A new version, and the rows of whichever version is the better one."""

    artefact: bytes
    figures: Figures
    champion: Figures | None
    """The version in use, on the same window."""
    won: bool
    """Whether the new version is at least as good (and nothing is pinned): then the rows are its own."""
    trained_to: int
    """End of the rows the new version was fitted to; what came after was only used to measure it."""
    rows_used: int
    libraries: dict[str, str]
    centre: list[float]
    naive: float
    """The last value: what the naive forecast says for every row."""
    half: list[list[float]]
    """Half-widths, one list a level."""


class Failed(msgspec.Struct, frozen=True):
    """The fit raised: nothing changes but a counter."""

    reason: str
