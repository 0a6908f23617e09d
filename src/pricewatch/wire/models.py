"""Versions of baselines, what became of them, and what they foretell, as `/api/v1` says it. Fields are only added."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from pricewatch.domain.market import decimal_text
from pricewatch.domain.model import Baseline, ModelEvent, Outlook, Pointer
from pricewatch.domain.time import SECOND, rfc3339


class ArtefactDocument(msgspec.Struct, frozen=True):
    """Where a version lies; its signature is checked whenever it is read."""

    name: str
    sha256: str
    size: int


class BaselineDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A version; `metrics` and `rival_metrics` are of the same held-out window, errors as differences of logarithms."""

    version: uuid.UUID
    place: int
    market: str
    kind: str
    model: str
    created: str
    trained_from: str
    trained_to: str
    rows_used: int
    step_seconds: float
    parameters: dict[str, Any]
    libraries: dict[str, str]
    metrics: dict[str, Any]
    rival: uuid.UUID | None
    rival_metrics: dict[str, Any] | None
    won: bool
    in_use: bool
    pinned: bool
    artefact: ArtefactDocument


def baseline(market: str, one: Baseline, pointer: Pointer | None) -> BaselineDocument:
    """The public form of a version; `pointer` is that of its market and kind."""
    in_use = pointer is not None and pointer.version == one.version
    return BaselineDocument(
        version=one.version,
        place=one.place,
        market=market,
        kind=one.kind,
        model=one.model,
        created=rfc3339(one.created),
        trained_from=rfc3339(one.trained_from),
        trained_to=rfc3339(one.trained_to),
        rows_used=one.rows_used,
        step_seconds=one.step / SECOND,
        parameters=one.parameters,
        libraries=one.libraries,
        metrics=one.metrics,
        rival=one.rival,
        rival_metrics=one.rival_metrics,
        won=one.won,
        in_use=in_use,
        pinned=in_use and pointer is not None and pointer.pinned,
        artefact=ArtefactDocument(one.seal.name, one.seal.sha256, one.seal.size),
    )


class ModelEventDocument(msgspec.Struct, frozen=True):
    """One entry of the models' audit log."""

    id: int
    at: str
    what: str
    actor: str
    market: str | None
    kind: str | None
    version: uuid.UUID | None
    previous: uuid.UUID | None
    detail: dict[str, Any]


def event(market: str | None, one: ModelEvent) -> ModelEventDocument:
    """The public form of an entry."""
    return ModelEventDocument(
        id=one.id,
        at=rfc3339(one.at),
        what=one.what.value,
        actor=one.actor,
        market=market,
        kind=one.kind,
        version=one.version,
        previous=one.previous,
        detail=one.detail,
    )


class OutlookBand(msgspec.Struct, frozen=True):
    """What is expected of one step; prices and volumes as decimal text."""

    at: str
    centre: str
    lower: str
    upper: str


class Skill(msgspec.Struct, frozen=True):
    """How forecasts so far ahead did on held-out rows, beside the random walk's; errors in per cent."""

    ahead_seconds: float
    rows: int
    error: float
    error_random_walk: float
    error_moving_level: float
    coverage: float
    interval_score: float
    interval_score_random_walk: float


class OutlookDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A forecast with its band at one level, and how good such forecasts were."""

    market: str
    kind: str
    unit: str
    model: str
    version: uuid.UUID
    origin: str
    step_seconds: float
    horizon_seconds: float
    expires: str
    expired: bool
    level: float
    random_walk: str
    """What the random walk foretells for every step: the last value."""
    held_from: str | None
    held_to: str | None
    skill: list[Skill]
    verdict: str
    """In words: whether it is worth more than the last value."""
    bands: list[OutlookBand]


def outlook(market: str, one: Outlook, *, level: float, reach: int, now: int) -> OutlookDocument:
    """The public form up to `reach` µs ahead at a level that the outlook has."""
    place = one.levels.index(level)
    rows = [row for row in one.rows if row.at < one.origin + reach]
    skill = _skill(one, level, reach)
    return OutlookDocument(
        market=market,
        kind=one.kind,
        unit=one.unit,
        model=one.model,
        version=one.version,
        origin=rfc3339(one.origin),
        step_seconds=one.step / SECOND,
        horizon_seconds=len(rows) * one.step / SECOND,
        expires=rfc3339(one.expires),
        expired=now >= one.expires,
        level=level,
        random_walk=_text(one.naive),
        held_from=_instant(one.metrics.get("held_from")),
        held_to=_instant(one.metrics.get("held_to")),
        skill=skill,
        verdict=_verdict(skill, level),
        bands=[
            OutlookBand(rfc3339(row.at), _text(row.centre), _text(row.lower[place]), _text(row.upper[place]))
            for row in rows
        ],
    )


def _skill(one: Outlook, level: float, reach: int) -> list[Skill]:
    place = one.metrics["levels"].index(level) if level in one.metrics.get("levels", ()) else None
    return [
        Skill(
            ahead_seconds=found["steps"] * one.step / SECOND,
            rows=found["rows"],
            error=_percent(found["mae"]),
            error_random_walk=_percent(found["mae_naive"]),
            error_moving_level=_percent(found["mae_level"]),
            coverage=round(found["coverage"][place], 4),
            interval_score=found["interval_score"][place],
            interval_score_random_walk=found["interval_score_naive"][place],
        )
        for found in one.metrics.get("horizons", ())
        if place is not None and found["steps"] * one.step <= reach
    ]


def _verdict(skill: Sequence[Skill], level: float) -> str:
    if not skill:
        return "nothing was measured at this distance and level"
    far = skill[-1]
    beside = 1 - far.error / far.error_random_walk if far.error_random_walk else 0.0
    hours = far.ahead_seconds / 3_600
    worth = (
        f"{beside:.0%} less than the random walk's"
        if beside >= 0.005
        else f"{-beside:.0%} more than the random walk's"
        if beside <= -0.005
        else "the same as the random walk's"
    )
    return (
        f"{hours:g} h ahead it missed by {far.error:.2f} % on average, {worth}; "
        f"{far.coverage:.0%} of {far.rows} held-out values lay within the {level:.0%} band"
    )


def _percent(difference: float) -> float:
    """A mean difference of logarithms as per cent."""
    return round(100.0 * math.expm1(min(difference, 50.0)), 4)


def _text(value: float) -> str:
    """Ten digits: a forecast is no price that traded."""
    return decimal_text(float(f"{value:.10g}"))


def _instant(value: int | None) -> str | None:
    return None if value is None else rfc3339(value)


class ModelPage(msgspec.Struct, frozen=True):
    """Newest first."""

    models: list[BaselineDocument]
    next: str | None


class ModelEventPage(msgspec.Struct, frozen=True):
    """Newest first."""

    events: list[ModelEventDocument]
    next: str | None


class OutlookPage(msgspec.Struct, frozen=True):
    """In the order asked for."""

    forecasts: list[OutlookDocument]
    missing: list[str]
    """What has no outlook yet."""


class PointerDocument(msgspec.Struct, frozen=True):
    """Which version is in use."""

    market: str
    kind: str
    version: uuid.UUID
    since: str
    pinned: bool


class Losses(msgspec.Struct, frozen=True):
    """Interval score by that of the naive band: below 1 is better than naive."""

    a: float | None
    b: float | None


class Comparison(msgspec.Struct, frozen=True):
    """Two versions of one kind; `better` is `a`, `b`, or null where they are equal or unmeasured."""

    a: BaselineDocument
    b: BaselineDocument
    better: str | None
    same_window: bool
    """Whether both were measured on the same rows; else the figures are only roughly comparable."""
    loss: Losses
    parameters_differ: list[str]


def compared(first: BaselineDocument, second: BaselineDocument) -> Comparison:
    """Which one did better, and what differs."""
    losses = Losses(first.metrics.get("loss"), second.metrics.get("loss"))
    better = None
    if losses.a is not None and losses.b is not None and losses.a != losses.b:
        better = "a" if losses.a < losses.b else "b"
    windows = [(one.metrics.get("held_from"), one.metrics.get("held_to")) for one in (first, second)]
    names = {*first.parameters, *second.parameters}
    differ = sorted(name for name in names if first.parameters.get(name) != second.parameters.get(name))
    return Comparison(first, second, better, windows[0] == windows[1], losses, differ)


class Promotion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`pinned`: no refit replaces it; else the next better one does."""

    pinned: bool = True


class RollBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of which market (`venue:BASE-QUOTE`) and kind."""

    market: str
    kind: str
    pinned: bool = True
