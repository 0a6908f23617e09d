"""What an operator may set about doubtful prices and silent markets."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from pricewatch.domain.time import SECOND
from pricewatch.engine.doubt import Doubts


class SuspectSettings(BaseModel):
    """Section `ingest.suspects`: prints far off a market's recent prices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="Whether such prints are held until confirmed.")
    change: float = Field(
        default=0.03, gt=0, lt=1, description="Fraction of the last price within which no print is doubtful."
    )
    deviations: float = Field(
        default=10.0, gt=0, description="Robust standard deviations from the recent median that make one doubtful."
    )
    hold: float = Field(
        default=2.0, gt=0, le=60, description="Seconds a doubtful print waits for a second one; then silence decides."
    )
    absurd: float = Field(
        default=3.0, gt=1, description="Factor of the last price beyond which silence does not confirm a print."
    )
    window: int = Field(default=64, ge=4, le=1_000, description="Trades whose prices are the recent ones.")

    def doubts(self) -> Doubts:
        """The same for the engine."""
        return Doubts(
            change=self.change,
            deviations=self.deviations,
            absurd=self.absurd,
            hold=round(self.hold * SECOND),
            window=self.window,
        )
