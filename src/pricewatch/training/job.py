"""What goes to a fit process and what comes back: plain numbers, and nothing heavy to import."""

from __future__ import annotations

from typing import Any

import msgspec

from pricewatch.domain.packed import Packed


class Job(msgspec.Struct, frozen=True):
    """One market's candles for one kind of baseline, and what is asked."""

    kind: str
    candles: Packed
    span: int
    """Microseconds a candle covers."""
    until: int
    """Candles from here on are not closed yet."""
    least: int
    most: int
    """Rows a fit needs, and takes."""
    reach: int
    """Microseconds ahead for which rows are wanted."""
    levels: list[float]
    """Nominal coverages of the bands wanted; versions are compared over all of them."""
    champion: bytes = b""
    """The artefact of the version in use, already verified; empty where there is none."""
    pinned: bool = False
    """Whether an operator chose the version in use: then it stays, however good the new fit is."""
    half_life: float | None = None
    """Rows after which one counts half in the starting point, where it is not the kind's own."""
    least_half: float = 0.0
    """Least half-width of a band, as a difference of logarithms."""


class Fitted(msgspec.Struct, frozen=True):
    """A new version, and the rows of whichever version is the better one."""

    artefact: bytes
    metrics: dict[str, Any]
    """Of the new version on the held-out window."""
    rival_metrics: dict[str, Any] | None
    """Of the version in use, on the same window."""
    won: bool
    """Whether the new version is at least as good (and nothing is pinned): then the rows are its own."""
    parameters: dict[str, Any]
    libraries: dict[str, str]
    trained_from: int
    trained_to: int
    """End of the rows the new version was fitted to; what came after was only used to measure it."""
    rows_used: int
    unit: str
    step: int
    origin: int
    """End of the last row: the rows below begin here."""
    naive: float
    """The last value: what the random walk foretells for every row."""
    centre: list[float]
    lower: list[list[float]]
    upper: list[list[float]]
    """One list a level."""
    status: str
    note: str
    refused: str = ""
    """Why the artefact in use could not be read; then the new version had no rival."""


class Failed(msgspec.Struct, frozen=True):
    """No version: nothing changes but a counter."""

    reason: str
    status: str = "failed"
    """The candles' fault: `empty short constant spiking sparse`; else `failed killed died memory`."""
