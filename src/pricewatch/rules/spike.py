"""What spikes have in common: a multiple of what was usual, a window, and a baseline before it."""

from __future__ import annotations

from decimal import Decimal

from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import HOUR, SECOND
from pricewatch.rules.numbers import Number, decimal, shown
from pricewatch.rules.windows import window

BACK = Decimal("0.2")
"""A spike ends at 0.8 of its multiple unless its policy says otherwise."""


def times(value: Number) -> Decimal:
    """A multiple above one; raises `Invalid`."""
    text = value.strip().removesuffix("x") if isinstance(value, str) else value
    number = decimal(text, "$.when.times")
    if number <= 1:
        raise Invalid("$.when.times", f"{shown(value)} times the usual is no spike; write more than 1, for example 5")
    return number


def spans(recent: str, usual: str) -> tuple[int, int]:
    """Window and baseline in microseconds; raises `Invalid`."""
    span = window(recent, "$.when.window", longest=HOUR, name="1h")
    if span < SECOND:
        raise Invalid("$.when.window", f"{shown(recent)} is shorter than a spike; write at least '1s'")
    baseline = window(usual, "$.when.baseline", longest=23 * HOUR, name="23h")
    if baseline <= span:
        raise Invalid(
            "$.when.baseline", f"{shown(usual)} is not longer than the window ({shown(recent)}); write for example '1h'"
        )
    return span, baseline
