"""What an operator may set about doubtful prices and silent markets."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from pricewatch.domain.time import SECOND
from pricewatch.engine.doubt import Doubts
from pricewatch.ingest.cadence import Bounds


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


class SilenceSettings(BaseModel):
    """Section `ingest.silence`: when a market's silence is a signal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interval: float = Field(default=1.0, gt=0, description="Seconds between looks at every market.")
    start: float = Field(
        default=300.0, gt=0, description="Seconds of silence that are too long for a market not known yet."
    )
    floor: float = Field(default=30.0, gt=0, description="Seconds of silence that are never too long.")
    ceiling: float = Field(default=21_600.0, gt=0, description="Seconds of silence that are always too long.")
    factor: float = Field(
        default=4.0, ge=1, description="How many times a market's longest usual pause its silence may last."
    )
    horizon: float = Field(
        default=21_600.0, gt=0, description="Seconds after which what was learned of a market counts half."
    )
    mail: bool = Field(
        default=False, description="Whether administrators get a mail of silent markets and of holes in the data."
    )

    def bounds(self) -> Bounds:
        """The same for a cadence."""
        return Bounds(
            start=round(self.start * SECOND),
            floor=round(self.floor * SECOND),
            ceiling=round(self.ceiling * SECOND),
            factor=self.factor,
            horizon=round(self.horizon * SECOND),
        )
