"""What training leaves behind and what the engine reads: plain numbers with an age."""

from __future__ import annotations

import enum
import uuid
from typing import Any

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
    source: uuid.UUID | None = None
    """The registered version the rows come from."""


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
    alarms: float | None = None
    """Alarms a week of a reader whom the minute alarms, once it is closed; None where nothing was unusual."""


class Drift(msgspec.Struct, frozen=True, gc=False):
    """A market has left what its models knew, as a closed minute showed."""

    market: int
    at: int
    """The minute's end, event time."""
    seen: int
    what: str
    """`ranges`: bars range further, or less far, than they did; `coverage`: its bands miss."""
    model: str


class Seal(msgspec.Struct, frozen=True):
    """Where an artefact lies, and how to tell that it is still ours."""

    name: str
    sha256: str
    mac: str
    """HMAC-SHA-256 of name and content, in hex."""
    size: int


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """A version as it is registered: what was fitted, on what, how well it did, and where it lies."""

    version: uuid.UUID
    market: int
    kind: str
    """`price`, `range`, `volume`, `spread` or `outlook`."""
    model: str
    """`prophet`"""
    trained_from: int
    trained_to: int
    rows_used: int
    step: int
    """Microseconds a row covers."""
    parameters: dict[str, Any]
    libraries: dict[str, str]
    metrics: dict[str, Any]
    """On the held-out window: `held_from`, `held_to`, `levels`, `loss`, and figures by distance."""
    rival: uuid.UUID | None
    """The version in use at that time."""
    rival_metrics: dict[str, Any] | None
    """The rival's, on the same window."""
    won: bool
    """Whether it was at least as good as its rival."""
    seal: Seal
    created: int
    place: int = 0
    """Its number in the registry, given by the store."""


class Pointer(msgspec.Struct, frozen=True):
    """Which version of a kind is in use on a market."""

    market: int
    kind: str
    version: uuid.UUID
    since: int
    pinned: bool = False
    """Chosen by an operator: no refit replaces it."""


class What(enum.StrEnum):
    """What can happen to a model."""

    PROMOTED = "promoted"
    """A refit was at least as good as the version in use, and replaced it."""
    KEPT = "kept"
    """A refit was worse, or the version in use is pinned."""
    CHOSEN = "chosen"
    """An operator chose a version."""
    ROLLED_BACK = "rolled_back"
    """An operator went back to the version before."""
    REFUSED = "refused"
    """An artefact was corrupted, foreign or unsigned."""
    FAILED = "failed"
    """A fit raised, hung, died, or had too little to go on."""


class ModelEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the models' audit log."""

    at: int
    what: What
    actor: str
    """An account's name, `command line`, or `training`."""
    market: int | None = None
    kind: str | None = None
    version: uuid.UUID | None = None
    previous: uuid.UUID | None = None
    """The version that was in use before."""
    detail: dict[str, Any] = {}
    id: int = 0
    """Its number in the log, given by the store."""


class OutlookRow(msgspec.Struct, frozen=True, gc=False):
    """What is expected of `[at, at + step)`; bands in the order of the outlook's levels."""

    at: int
    centre: float
    lower: list[float]
    upper: list[float]


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What one market's price, range or volume is expected to do, with bands from past misses."""

    market: int
    kind: str
    unit: str
    version: uuid.UUID
    model: str
    origin: int
    """End of the last row it starts from, µs."""
    step: int
    expires: int
    naive: float
    """The last value: what the random walk foretells for every row."""
    levels: list[float]
    """Nominal coverages, ascending."""
    rows: list[OutlookRow]
    metrics: dict[str, Any]
    """Of its version, on the held-out window."""
