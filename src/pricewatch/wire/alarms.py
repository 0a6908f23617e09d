"""What `/api/v1` says of a rule's false alarms: as stated, and as they came. Fields are only ever added."""

from __future__ import annotations

import uuid

import msgspec

from pricewatch.domain.time import rfc3339

WEEK_MINUTES = 10_080


class AlarmSpan(msgspec.Struct, frozen=True, kw_only=True):
    """Alarms among the minutes judged from `start` to `end`; `per_week` is null while there was none to judge."""

    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    minutes: int
    alarms: int
    per_week: float | None


class MarketAlarms(msgspec.Struct, frozen=True, kw_only=True):
    """One market and one rate that the rule states, beside what came of it.

    `history`: up to 30 days before the rule was armed, when nobody acted on it. `armed`: since then, null before.
    """

    market: str
    stated_per_week: float
    history: AlarmSpan
    armed: AlarmSpan | None


class FalseAlarms(msgspec.Struct, frozen=True, kw_only=True):
    """By market, then by rate, both ascending."""

    rule: uuid.UUID
    version: int
    since: str | None
    """When this version was armed."""
    markets: list[MarketAlarms]
    next: str | None


def span(start: int, end: int, alarms: int, minutes: int) -> AlarmSpan:
    """The public form; instants in microseconds."""
    return AlarmSpan(
        start=rfc3339(start),
        end=rfc3339(end),
        minutes=minutes,
        alarms=alarms,
        per_week=round(alarms * WEEK_MINUTES / minutes, 3) if minutes else None,
    )
