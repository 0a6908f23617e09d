"""What an operator may set about evaluation."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EvaluationSettings(BaseModel):
    """Section `evaluation`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shard: int = Field(default=0, ge=0, description="Which shard of the rules this process evaluates.")
    spool_interval: float = Field(
        default=0.01, gt=0, description="Seconds a tick may wait in memory before it is appended to the spool."
    )
    checkpoint_interval: float = Field(
        default=1.0, gt=0, description="Seconds between commits of the cursor when no rule changes."
    )
    timer_interval: float = Field(default=0.05, gt=0, description="Seconds between looks at due timers.")
    rules_interval: float = Field(
        default=5.0, gt=0, description="Seconds between looks for rule changes nobody told us of."
    )
    snapshot_interval: float = Field(
        default=30.0, gt=0, description="Seconds in which every market's models are saved once."
    )
    commit_retry: float = Field(default=0.2, gt=0, description="Seconds before a failed commit is tried again.")
    commit_changes: int = Field(
        default=200, ge=1, description="Rule changes in one commit; more of them follow in the next ones."
    )
    max_uncommitted: int = Field(
        default=10_000, ge=1, description="Rule changes that may wait for the database before evaluation pauses."
    )
    recovery_hold: float = Field(
        default=5.0,
        ge=0,
        description="Seconds after a start during which timers of markets fed over the bus wait for what was missed.",
    )
    catch_up_tail: int = Field(
        default=20_000, ge=100, description="Ticks kept in memory while evaluation catches up with storage."
    )
    lease: float = Field(
        default=3.0,
        gt=0,
        description="Seconds without a commit after which another engine may take the shard over.",
    )
    standby_interval: float = Field(
        default=0.25, gt=0, description="Seconds between a standing-by engine's looks whether the shard is free."
    )
    replaceable: bool | None = Field(
        default=None,
        description="Whether an engine with another data folder may take over: commits then wait until the ticks are "
        "in their table. Unset: where ticks come over the bus.",
    )
