"""Bars as people write them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import DAY, HOUR, MINUTE
from pricewatch.rules.numbers import shown

BARS = {
    "1m": MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": HOUR,
    "4h": 4 * HOUR,
    "1d": DAY,
}
"""Every span of bars there is, in microseconds; bars begin at whole multiples of it, UTC."""
LONGEST_PERIOD = 500

Bar = Annotated[str, msgspec.Meta(description=f"How long a bar is: one of {', '.join(BARS)}.")]
Period = Annotated[int, msgspec.Meta(ge=2, le=LONGEST_PERIOD)]


def bar(text: str, field: str) -> int:
    """Microseconds of a bar; raises `Invalid`."""
    if text not in BARS:
        raise Invalid(field, f"{shown(text)} is no bar; write one of {list(BARS)}")
    return BARS[text]


def ordered(fast: int, slow: int) -> tuple[int, int]:
    """Two periods, the first one shorter; raises `Invalid`."""
    if fast >= slow:
        raise Invalid("$.when.slow", f"{slow} bars are not more than the fast {fast}; exchange the two")
    return fast, slow
