"""What a preview answers: counts, times, points for a chart. Fields are only ever added."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import msgspec

from pricewatch.domain.market import decimal_text
from pricewatch.domain.signal import Direction, Signal
from pricewatch.domain.time import DAY, HOUR, MINUTE, rfc3339
from pricewatch.ports.preview import Answer, Chart


class PreviewSignal(msgspec.Struct, frozen=True):
    """A signal that would have been made; `id` only where it is the very id of the live one."""

    id: uuid.UUID | None
    direction: str
    market: str
    at: str
    since: str
    price: str
    cause: str | None
    channels: tuple[str, ...]
    evidence: dict[str, Any]


class PreviewMarket(msgspec.Struct, frozen=True):
    """What one market was read from: `tick`, `quote`, `bar` or `candle`."""

    market: str
    resolution: str
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")


class PreviewPoint(msgspec.Struct, frozen=True):
    """The extremes of the prices from `at` to the next point."""

    at: str
    low: str
    high: str


class PreviewChart(msgspec.Struct, frozen=True):
    """One market's prices."""

    market: str
    points: list[PreviewPoint]


class PreviewDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Version 1. `summary` is the sentence for people; the rest is for programs and charts."""

    v: int = 1
    summary: str
    resolution: str | None
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    fired: int
    cleared: int
    kept_back: int
    """Fires while the rule was paused for firing too often, told in digests."""
    mails: int
    """For this rule alone."""
    deliveries: dict[str, int]
    """By channel, likewise."""
    rule_id: uuid.UUID
    rule_version: int
    thresholds: dict[str, Any]
    markets: list[PreviewMarket]
    signals: list[PreviewSignal]
    """The newest ones, in their order."""
    signals_left_out: int
    charts: list[PreviewChart]
    evaluated: int
    """Trades, quotes, bars or candles looked at one by one."""
    seconds: float


def document(answer: Answer, most: int) -> PreviewDocument:
    """The public form of an answer, with at most `most` signals."""
    directions = Counter(signal.direction for signal in answer.signals)
    deliveries = Counter(channel for signal in answer.signals for channel in signal.channels)
    told = answer.signals[max(0, len(answer.signals) - most) :]
    return PreviewDocument(
        summary=summary(answer),
        resolution=None if answer.resolution is None else answer.resolution.value,
        start=rfc3339(answer.start),
        end=rfc3339(answer.end),
        fired=directions[Direction.FIRED],
        cleared=directions[Direction.CLEARED],
        kept_back=_kept_back(answer),
        mails=deliveries["email"],
        deliveries=dict(deliveries),
        rule_id=answer.rule_id,
        rule_version=answer.rule_version,
        thresholds=answer.thresholds,
        markets=[
            PreviewMarket(one.market, one.resolution.value, rfc3339(one.start), rfc3339(one.end))
            for one in answer.stretches
        ],
        signals=[_signal(answer, signal) for signal in told],
        signals_left_out=len(answer.signals) - len(told),
        charts=[_chart(chart) for chart in answer.charts],
        evaluated=answer.trades,
        seconds=answer.seconds,
    )


def summary(answer: Answer) -> str:
    """`30 days: fired 14 times, you would have got 6 mails`, and what that rests on where it is less than ticks."""
    fired = sum(signal.direction is Direction.FIRED for signal in answer.signals)
    mails = sum("email" in signal.channels for signal in answer.signals)
    if answer.resolution is None:
        return f"{_span(answer.end - answer.start)}: nothing is stored of that time"
    rest = "" if answer.resolution == "tick" else f" (by {answer.resolution.value}s)"
    mailed = f"you would have got {_count(mails, 'mail')}" if answer.mails else "it sends no mail"
    kept = _kept_back(answer)
    more = f" and {kept:,} more while paused for firing too often" if kept else ""
    return f"{_span(answer.end - answer.start)}: fired {_count(fired, 'time')}{more}, {mailed}{rest}"


def _kept_back(answer: Answer) -> int:
    return sum(signal.evidence["count"] for signal in answer.signals if signal.direction is Direction.DIGEST)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _span(micros: int) -> str:
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if micros >= unit:
            whole = micros / unit
            return f"{whole:g} {name}{'' if whole == 1 else 's'}" if whole == int(whole) else f"{whole:.1f} {name}s"
    return f"{micros / 1e6:g} seconds"


def _signal(answer: Answer, signal: Signal) -> PreviewSignal:
    exact = answer.is_exact(signal)
    return PreviewSignal(
        id=signal.id if exact else None,
        direction=signal.direction.value,
        market=signal.scope,
        at=rfc3339(signal.at if exact else signal.at - signal.at % MINUTE),
        since=rfc3339(signal.since),
        price=decimal_text(signal.price),
        cause=signal.cause if exact else None,
        channels=signal.channels,
        evidence=signal.evidence,
    )


def _chart(chart: Chart) -> PreviewChart:
    points = [
        PreviewPoint(rfc3339(max(0, at)), decimal_text(low), decimal_text(high)) for at, low, high in chart.points
    ]
    return PreviewChart(chart.market, points)
