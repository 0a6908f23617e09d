"""Which price a condition on levels reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from pricewatch.rules.base import ASK, BID, MID, PRICE, Feature

Name = Literal["trade", "mid", "bid", "ask"]
Source = Annotated[
    Name,
    msgspec.Meta(description="Which price: of the last trade, or of the best quotes: their middle, 'bid' or 'ask'."),
]
SOURCES: Mapping[str, Feature] = {"trade": PRICE, "mid": MID, "bid": BID, "ask": ASK}


def told(source: Name) -> dict[str, Any]:
    """For evidence: nothing where it is the usual one."""
    return {} if source == "trade" else {"source": source}
