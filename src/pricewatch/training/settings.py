"""What an operator may set about training."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class TrainingSettings(BaseModel):
    """When and on what baselines are fitted, and what a fit may cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="Whether baselines are fitted at all")
    refit_interval: float = Field(default=3600.0, gt=0, description="Seconds between fits of one market")
    jitter: float = Field(default=0.1, ge=0, le=0.5, description="Share of an interval by which it varies either way")
    retry_interval: float = Field(
        default=60.0, gt=0, description="Seconds until a market with too few candles or a failed fit is tried again"
    )
    rows: int = Field(default=2_000, ge=10, le=20_000, description="One-minute candles a fit reads at most")
    min_rows: int = Field(default=300, ge=10, description="One-minute candles a fit needs at least")
    horizon: float = Field(default=14_400.0, ge=60, description="Seconds forecast rows reach ahead")
    ttl: float = Field(
        default=7_200.0, gt=0, description="Seconds of event time after which a band is not used any more"
    )
    forecast_keep: float = Field(
        default=31 * 86_400.0,
        ge=86_400,
        description="Seconds for which bands are kept once they have expired: signals can be explained for as long",
    )
    level: float = Field(default=0.95, gt=0.5, lt=1, description="Nominal coverage of the band")
    anchor_half_life: float = Field(
        default=3.0, gt=0, description="Candles after which a close counts half in the band's starting point"
    )
    min_half_width: float = Field(
        default=0.0002, ge=0, description="Least half-width of the band, as a fraction of the price"
    )
    fit_timeout: float = Field(default=60.0, gt=0, description="Seconds a fit may take before its process is killed")
    memory_limit: int = Field(
        default=2 * 1024**3, ge=0, description="Bytes of address space a fit process may use; 0: unlimited"
    )
    nice: int = Field(default=10, ge=0, le=19, description="How far fit processes step back behind everything else")
    tasks_per_child: int = Field(default=100, ge=1, description="Fits after which the process is replaced")

    baseline_interval: float = Field(
        default=21_600.0, gt=0, description="Seconds between fits of a market's range, volume and outlook"
    )
    baseline_rows: int = Field(default=2_016, ge=100, le=20_000, description="Rows a fit of those reads at most")
    baseline_min_rows: int = Field(default=300, ge=100, description="Rows a fit of those needs at least")
    baseline_ttl: float = Field(
        default=86_400.0, gt=0, description="Seconds of event time after which those are shown as expired"
    )
    outlook_reach: float = Field(
        default=432_000.0, ge=86_400, le=432_000, description="Seconds an outlook of the price reaches ahead"
    )
    rhythm_reach: float = Field(
        default=86_400.0, ge=3_600, le=86_400, description="Seconds that range and volume are foretold ahead"
    )
    levels: tuple[float, ...] = Field(
        default=(0.8, 0.95, 0.99), min_length=1, description="Nominal coverages of the bands of outlooks"
    )
    early_gap: float = Field(
        default=900.0, ge=0, description="Seconds between two early refits of one market, however often drift is seen"
    )
    keep_versions: int = Field(
        default=20, ge=2, description="Versions of each kind and market that stay in the registry"
    )

    @field_validator("levels")
    @classmethod
    def _are_levels(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        if list(levels) != sorted(set(levels)) or not all(0.5 <= one < 1 for one in levels):
            raise ValueError("must be ascending, each at least 0.5 and below 1, for example [0.8, 0.95, 0.99]")
        return levels

    @model_validator(mode="after")
    def _spans_overlap(self) -> Self:
        if self.ttl <= self.refit_interval * (1 + self.jitter):
            raise ValueError(
                f"ttl ({self.ttl} s) must exceed refit_interval with its jitter "
                f"({self.refit_interval * (1 + self.jitter)} s): else there is a time without a band before each refit"
            )
        if self.horizon < self.ttl:
            raise ValueError(f"horizon ({self.horizon} s) must reach as far as ttl ({self.ttl} s)")
        if self.baseline_rows < self.baseline_min_rows:
            raise ValueError(
                f"baseline_rows ({self.baseline_rows}) must be at least baseline_min_rows ({self.baseline_min_rows})"
            )
        if self.rows < self.min_rows:
            raise ValueError(f"rows ({self.rows}) must be at least min_rows ({self.min_rows})")
        return self
