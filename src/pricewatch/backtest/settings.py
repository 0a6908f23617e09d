"""What an operator may set about previews and back-tests."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class PreviewSettings(BaseModel):
    """Section `preview`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    longest: float = Field(default=366 * 86_400.0, gt=0, description="Seconds of the past one preview may cover.")
    waiting: int = Field(default=8, ge=1, description="Previews that may wait for their turn, all accounts together.")
    account_waiting: int = Field(default=2, ge=1, description="Previews of one account that may wait or run.")
    kept: int = Field(default=50, ge=1, description="Finished previews that are kept for asking again.")
    keep: float = Field(default=900.0, gt=0, description="Seconds a finished preview is kept.")
    idle: float = Field(
        default=120.0, gt=0, description="Seconds the process waits for the next preview before it ends."
    )
    timeout: float = Field(default=1_800.0, gt=0, description="Seconds one preview may take.")
    nice: int = Field(default=10, ge=0, le=19, description="How far the process steps back behind everything else.")
    signals: int = Field(default=1_000, ge=1, description="Signals told one by one at most; all are counted.")
