"""Which rates of false alarms a rule states, wherever in its conditions."""

from __future__ import annotations

from collections.abc import Iterator

from pricewatch.rules.base import Condition
from pricewatch.rules.composite import Composite
from pricewatch.rules.conditions.anomaly import RareBar
from pricewatch.rules.quorum import Quorum


def stated(condition: Condition) -> list[float]:
    """False alarms a week, each once, ascending; none for a rule that states no rate."""
    return sorted(set(_stated(condition)))


def _stated(condition: object) -> Iterator[float]:
    if isinstance(condition, RareBar):
        yield condition.weekly
    elif isinstance(condition, Quorum):
        yield from _stated(condition.each)
    elif isinstance(condition, Composite):
        for member in condition.members:
            yield from _stated(member)
