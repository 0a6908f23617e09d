"""`Retry-After` as servers write it: seconds or a date."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

from pricewatch.domain.time import SECOND, from_datetime

_SECONDS = re.compile(r"[0-9]{1,9}")


def wait_of(text: str | None, *, now: int) -> float | None:
    """Seconds to stay away from `now` (µs) on; None where it says nothing that can be read."""
    if text is None:
        return None
    plain = text.strip()
    if _SECONDS.fullmatch(plain):
        return float(plain)
    try:
        moment = parsedate_to_datetime(plain)
        return max(0.0, (from_datetime(moment) - now) / SECOND)
    except (ValueError, TypeError, OverflowError):
        return None
