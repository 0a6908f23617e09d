"""Numbers, spans and names as people read them: plain text, safe for a header."""

from __future__ import annotations

import math
import unicodedata
from typing import TypeGuard

from pricewatch.domain.market import decimal_text
from pricewatch.domain.time import rfc3339

_LAST = 253_402_300_800_000_000
"""The year 10000, which no calendar here reaches, as an instant."""
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def printable(text: str, limit: int) -> str:
    """One line of at most `limit` characters without controls, direction marks or lone surrogates."""
    clean = "".join(" " if unicodedata.category(letter) in _UNSAFE else letter for letter in text[: 4 * limit])
    line = " ".join(clean.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def grouped(text: str) -> str:
    """`70012.4` as `70,012.4`; anything but a plain decimal number stays as it is."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, dot, rest = digits.partition(".")
    if not (whole.isascii() and whole.isdigit() and (not dot or rest.isdigit())):
        return text
    return f"{sign}{int(whole):,}{dot}{rest}"


def number(value: object) -> str | None:
    """A price or level from evidence as people read it; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    text = decimal_text(value) if isinstance(value, float) else str(value)
    return printable(grouped(text), 40) or None


def span_text(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def is_instant(value: object) -> TypeGuard[int]:
    """Whether it is a time with a date people can read."""
    return isinstance(value, int) and 0 <= value < _LAST


def exact_time(at: int) -> str:
    """`2026-01-31 14:03:12.345 UTC`."""
    return rfc3339(at)[:-4].replace("T", " ") + " UTC"


def rough(value: object, *, digits: int) -> str | None:
    """A model's number to as many digits as mean something."""
    return number(float(f"{value:.{digits}g}")) if is_number(value) else None


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number of a size people can read."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
