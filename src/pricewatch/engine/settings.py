"""What an operator may set about evaluation."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EngineSettings(BaseModel):
    """The engine's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grace: float = Field(
        default=1.0,
        gt=0,
        le=60,
        description="Seconds: how late a trade may be against its market and still count, and how long a timer or a "
        "closed minute waits for such trades.",
    )
    models: bool = Field(default=True, description="Whether anomaly scores are computed; without, no anomaly fires.")
    warm_up: int = Field(default=100, ge=1, description="Trades a market's models learn before they give a score.")
    checkpoint: int = Field(
        default=1_000, ge=1, description="Trades between two good model states kept in memory for a failed update."
    )
