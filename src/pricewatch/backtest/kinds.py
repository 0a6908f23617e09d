"""Which rules are answered in which way; light, so that who only asks need not load the engine."""

from __future__ import annotations

from pricewatch.rules.base import PRICE
from pricewatch.rules.document import Rule


def is_quick(rule: Rule) -> bool:
    """Whether the lows and highs of minutes tell where it may change: it reads prices only, and no suspects."""
    return rule.when.needs() == PRICE and not rule.policy.suspect
