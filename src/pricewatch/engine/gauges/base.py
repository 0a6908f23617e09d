"""What a gauge is: a number of one market that is worked out from its recent ticks."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from pricewatch.engine.index import LevelIndex

DECIMALS = 10
"""Percentages are exact to that many: 95 is five per cent below 100 and not a hair more."""


class Gauge(Protocol):
    """Fed by every trade, in order of `seen`, from the first rule on that reads it. An unknown number is NaN."""

    def trade(self, at: int, price: float, size: float) -> float:
        """The number at the next in-order trade, that trade included."""
        ...

    def late(self, at: int, price: float, size: float) -> None:
        """A trade out of order: it belongs into its windows and moves nothing else."""
        ...

    def facts(self) -> dict[str, Any]:
        """What a signal's evidence says beside the number: JSON-ready, prices as decimal text."""
        ...


class Followed(msgspec.Struct, gc=False):
    """A gauge in use: whom it tells, and since when."""

    gauge: Gauge
    index: LevelIndex
    after: int
    """Trades at or before this place in the order are not its business, also when history is read again."""
    floor: int = 0
    """Up to where it knows them from what was saved."""
