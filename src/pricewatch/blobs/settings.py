"""What an operator may set about artefacts."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class BlobSettings(BaseModel):
    """Where artefacts lie and how they are signed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str = Field(
        default="", description="s3://bucket/prefix, gs://…, az://… or a folder; empty for models below app.data"
    )
    key: SecretStr = Field(
        default=SecretStr(""),
        description="Key that artefacts are signed with, the same for every process; empty for one made below app.data",
    )
    timeout: float = Field(default=10.0, gt=0, description="Seconds a request to the object store may take")
