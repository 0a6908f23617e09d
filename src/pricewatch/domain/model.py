"""What training leaves behind and what the engine reads: plain numbers with an age."""

from __future__ import annotations

import uuid

import msgspec


class Snapshot(msgspec.Struct, frozen=True):
    """An online model's state as of `seen`; `payload` is finite numbers only, in the model's own schema."""

    market: int
    model: str
    schema: int
    seen: int
    payload: bytes


class ForecastRow(msgspec.Struct, frozen=True, gc=False):
    """The band expected for `[at, at + step)`."""

    at: int
    centre: float
    lower: float
    upper: float


class Forecast(msgspec.Struct, frozen=True):
    """One version of one market's baseline: rows in order of time, and until when they may be used."""

    version: uuid.UUID
    market: int
    model: str
    """`prophet`"""
    trained_from: int
    trained_to: int
    rows_used: int
    level: float
    """Nominal coverage of the band, for example 0.95."""
    step: int
    """Microseconds a row covers."""
    expires: int
    """Event time from which the band is not used any more."""
    rows: list[ForecastRow]


class Activation(msgspec.Struct, frozen=True):
    """From `from_seen` on the engine used this version: an input with a place in the order."""

    market: int
    version: uuid.UUID
    from_seen: int


class BarScore(msgspec.Struct, frozen=True, gc=False):
    """The highest anomaly score seen in one minute of one market."""

    market: int
    at: int
    score: float
    model: str
    seen: int
