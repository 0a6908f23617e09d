"""Instants as integer microseconds, and spans as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from pricewatch.domain.errors import Invalid

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNITS = {"ms": 1_000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)")


def rfc3339(instant: int) -> str:
    """`2026-01-31T12:00:00.000000Z`: UTC with microseconds."""
    return (_EPOCH + timedelta(microseconds=instant)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_datetime(moment: datetime) -> int:
    """The instant of an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND


def to_datetime(instant: int) -> datetime:
    """The aware UTC datetime of an instant."""
    return _EPOCH + timedelta(microseconds=instant)


def parse_span(text: str, *, field: str = "") -> int:
    """Microseconds of `"30m"`, `"1.5s"` or `"1h30m"`; raises `Invalid` naming the field."""
    total, end = 0, 0
    for part in _SPAN.finditer(text):
        if part.start() != end:
            break
        total += round(float(part[1]) * _UNITS[part[2]])
        end = part.end()
    if end == 0 or end != len(text):
        raise Invalid(
            field, f"{text[:40]!r} is not a duration; write for example '500ms', '30s', '5m', '1h30m' or '7d'"
        )
    return total


def parse_instant(text: str, *, field: str = "") -> int:
    """Microseconds of an RFC 3339 instant such as `"2026-12-31T18:00:00Z"`; raises `Invalid` naming the field."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise _no_instant(text, field) from exc
    if moment.tzinfo is None or text[10:11] != "T":
        raise _no_instant(text, field)
    return from_datetime(moment)


def _no_instant(text: str, field: str) -> Invalid:
    return Invalid(
        field, f"{text[:40]!r} is no instant with a time zone; write for example '2026-12-31T18:00:00Z' (RFC 3339)"
    )


def named(step: int) -> str:
    """A span of rows in words."""
    return f"{step // HOUR} h" if step % HOUR == 0 else f"{step // MINUTE} min"
