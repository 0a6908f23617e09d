"""What `/api/v1` answers, beside the signal's own document. Fields are only ever added."""

from __future__ import annotations

import uuid

import msgspec

from pricewatch.domain.market import Candle, decimal_text
from pricewatch.domain.model import Forecast
from pricewatch.domain.rule import Order, RuleCommand
from pricewatch.domain.time import rfc3339
from pricewatch.ports.rules import StoredRule


class Snooze(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long: `for` a span such as `2h`, or `until` a time."""

    span: str | None = msgspec.field(name="for", default=None)
    until: str | None = None


class CommandDocument(msgspec.Struct, frozen=True):
    """What a rule was told; `effective` is null until the engine took it up."""

    number: int
    order: Order
    until: str | None
    created: str
    effective: str | None


class CommandPage(msgspec.Struct, frozen=True):
    """Newest first."""

    commands: list[CommandDocument]
    next: str | None


def command(told: RuleCommand) -> CommandDocument:
    """The public form of a command."""
    return CommandDocument(
        number=told.number,
        order=told.order,
        until=rfc3339(told.until) if told.until else None,
        created=rfc3339(told.created),
        effective=_instant(told.effective_seen),
    )


class RuleRecord(msgspec.Struct, frozen=True):
    """A rule: `document` is the text its owner wrote; `effective` is null until the engine took this version up.

    `command`: what it was told last, null for nothing.
    """

    id: uuid.UUID
    version: int
    created: str
    effective: str | None
    document: msgspec.Raw
    command: CommandDocument | None = None


def rule(stored: StoredRule, told: RuleCommand | None = None) -> RuleRecord:
    """The public form of a rule."""
    return RuleRecord(
        id=stored.id,
        version=stored.version,
        created=rfc3339(stored.created),
        effective=_instant(stored.effective_seen),
        document=msgspec.Raw(stored.document),
        command=None if told is None else command(told),
    )


class CandleDocument(msgspec.Struct, frozen=True):
    """Prices and volume as exact decimal text."""

    at: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    trades: int


def candle(one: Candle) -> CandleDocument:
    """The public form of a candle."""
    return CandleDocument(
        at=rfc3339(one.at),
        open=decimal_text(one.open),
        high=decimal_text(one.high),
        low=decimal_text(one.low),
        close=decimal_text(one.close),
        volume=decimal_text(one.volume),
        trades=one.trades,
    )


class BandDocument(msgspec.Struct, frozen=True):
    """The band expected for one step."""

    at: str
    centre: float
    lower: float
    upper: float


class ForecastDocument(msgspec.Struct, frozen=True):
    """The newest baseline of a market; `expired` bands are not used by rules."""

    market: str
    version: uuid.UUID
    model: str
    level: float
    step_seconds: float
    trained_from: str
    trained_to: str
    rows_used: int
    expires: str
    expired: bool
    bands: list[BandDocument]


def forecast(market: str, one: Forecast, *, now: int) -> ForecastDocument:
    """The public form of a forecast."""
    return ForecastDocument(
        market=market,
        version=one.version,
        model=one.model,
        level=one.level,
        step_seconds=one.step / 1_000_000,
        trained_from=rfc3339(one.trained_from),
        trained_to=rfc3339(one.trained_to),
        rows_used=one.rows_used,
        expires=rfc3339(one.expires),
        expired=now >= one.expires,
        bands=[
            BandDocument(at=rfc3339(row.at), centre=row.centre, lower=row.lower, upper=row.upper) for row in one.rows
        ],
    )


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error by RFC 9457, with our code and the field it is about."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None


def _instant(value: int | None) -> str | None:
    return None if value is None else rfc3339(value)
