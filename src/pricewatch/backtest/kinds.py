"""Which rules are answered in which way; light, so that who only asks need not load the engine."""

from __future__ import annotations

from pricewatch.domain.errors import Invalid
from pricewatch.rules.base import OUTSIDE, OVER, PRICE, QUOTED, SCORE, UNDER, Feature
from pricewatch.rules.composite import Composite
from pricewatch.rules.document import Rule
from pricewatch.rules.minutes import ALARM, is_of_minutes

BANDS = frozenset({OVER, UNDER, OUTSIDE})
"""What stored forecasts tell."""
QUOTES = frozenset(QUOTED)
"""What stored quotes tell."""


SCORES = frozenset({SCORE, ALARM})
"""What stored scores of minutes tell."""


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


def is_by_bars(rule: Rule) -> bool:
    """Whether it reads stored scores of minutes. Raises `Invalid` for what models said and nobody has written down."""
    read = features(rule)
    if rule.when.needs() in SCORES:
        return True
    if read & SCORES or any(is_of_minutes(feature) for feature in read):
        raise Invalid(
            "$.when",
            "bands and drift of the minute models, and anomalies inside groups, are not stored as they were, so their "
            "past cannot be told; preview 'anomaly' alone, 'outside_band', or conditions on prices",
        )
    return False
