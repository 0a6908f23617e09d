"""What a pause for firing too often, and a digest of what was kept back since, say to a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pricewatch.delivery.figures import exact_time, is_instant, is_number, number, span_text


def paused(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What comes next."""
    every = evidence.get("digest")
    often = f"at most every {span_text(every)}" if is_number(every) else "from time to time"
    return [("Next", f"what it would have fired comes as a digest, {often}; resume the rule to end that")]


def kept_back(evidence: Mapping[str, Any]) -> str:
    """`fired 1,247 more times while paused`."""
    count = evidence.get("count")
    if not is_number(count):
        return "fired more often while paused"
    return f"fired {number(count)} more time{'' if count == 1 else 's'} while paused"


def rows(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """When and at which prices it would have fired."""
    low, high = number(evidence.get("low")), number(evidence.get("high"))
    found = [(name, _fire(evidence.get(name.lower()))) for name in ("First", "Last")]
    found.append(("Range", f"{low} to {high}" if low and high else ""))
    found.append(("Next", "it stays paused, and sends digests, until you resume it"))
    return [(name, value) for name, value in found if value]


def _fire(one: object) -> str:
    """`70,010 at 2026-01-31 13:02:12.345 UTC`."""
    if not isinstance(one, Mapping) or not is_instant(at := one.get("at")):
        return ""
    price = number(one.get("price"))
    return f"{price} at {exact_time(at)}" if price else exact_time(at)
