"""What an operator may set about the bus."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class BusSettings(BaseModel):
    """In process by default; Redis Streams when a URL is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr = Field(default=SecretStr(""), description="redis:// or rediss:// URL; empty: one process, no Redis")
    prefix: str = Field(default="pricewatch:", description="Put before every stream's name")
    backlog: int = Field(default=100_000, ge=1, description="Entries kept per topic for groups that lag behind")
    open_limit: int = Field(
        default=200_000, ge=1, description="Messages kept per topic while they cannot be sent; beyond it the oldest go"
    )
    tick_limit: int = Field(
        default=200_000,
        ge=1,
        description="Ticks that may wait while they cannot be sent; beyond it reading from the venues waits",
    )
    entry_limit: int = Field(default=5_000, ge=1, description="Messages packed into one entry at most")
    prefetch: int = Field(default=16, ge=1, description="Entries read ahead per subscription")
    claim_idle: float = Field(
        default=30.0, gt=0, description="Seconds after which another consumer's unacknowledged entry is taken over"
    )
    block: float = Field(default=1.0, gt=0, description="Seconds one blocking read lasts at most")
    connect_timeout: float = Field(default=2.0, gt=0, description="Seconds to wait for a connection to Redis")
    socket_timeout: float = Field(
        default=5.0, gt=0, description="Seconds to wait for an answer of Redis; must exceed `block`"
    )

    @model_validator(mode="after")
    def _answers_outlast_blocking(self) -> Self:
        if self.socket_timeout <= self.block:
            raise ValueError(
                f"socket_timeout ({self.socket_timeout} s) must exceed block ({self.block} s): "
                "else every quiet second looks like a broken connection"
            )
        return self
