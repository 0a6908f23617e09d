"""Which rules are answered in which way; light, so that who only asks need not load the engine."""

from __future__ import annotations

from pricewatch.rules.base import OUTSIDE, OVER, PRICE, QUOTED, UNDER, Feature
from pricewatch.rules.composite import Composite
from pricewatch.rules.document import Rule

BANDS = frozenset({OVER, UNDER, OUTSIDE})
"""What stored forecasts tell."""
QUOTES = frozenset(QUOTED)
"""What stored quotes tell."""


def features(rule: Rule) -> frozenset[Feature]:
    """Every number it reads."""
    when = rule.when
    return frozenset(one.needs() for one in (when.leaves() if isinstance(when, Composite) else [when]))


def is_quick(rule: Rule) -> bool:
    """Whether the lows and highs of minutes tell where it may change.

    It reads the prices of trades alone, no suspects, and nothing happens to it when nothing is traded or it expires.
    """
    policy = rule.policy
    return rule.when.needs() == PRICE and not (policy.suspect or policy.silence or policy.expires)
