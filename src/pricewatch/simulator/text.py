"""How venues write numbers and times."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from pricewatch.domain.time import SECOND, from_datetime, rfc3339


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    return rfc3339(second * SECOND)[:20]


def iso(at: int) -> str:
    """`2026-01-31T12:00:00.123456Z`."""
    return f"{_second(at // SECOND)}{at % SECOND:06d}Z"


def micros(text: str) -> int:
    """Microseconds of an ISO 8601 time; raises ValueError."""
    return from_datetime(datetime.fromisoformat(text))


def short(value: float, decimals: int) -> str:
    """Decimal text without needless zeros: `450`, `0.04`."""
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def number(value: float, decimals: int) -> str:
    """A JSON number without needless zeros but with a point: `40.0`, `0.10025`."""
    text = f"{value:.{decimals}f}".rstrip("0") if decimals else f"{value:.0f}."
    return f"{text}0" if text.endswith(".") else text
