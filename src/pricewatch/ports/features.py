"""What the engine knows of markets, for those who show it."""

from __future__ import annotations

from typing import Protocol

from pricewatch.domain.features import Features


class FeatureSource(Protocol):
    """Answers at once, from memory."""

    def features(self, market: int) -> Features | None:
        """What is known at the market's last closed minute; None before the first, and for unknown markets."""
        ...
