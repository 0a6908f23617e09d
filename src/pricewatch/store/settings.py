"""Settings of the database and of the tick store."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class EmbeddedSettings(BaseModel):
    """The PostgreSQL that pricewatch brings along."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    options: dict[str, str] = Field(
        default_factory=dict, description="server parameters over our own, as in postgresql.conf (name = value)"
    )
    start_patience: float = Field(
        default=60.0,
        gt=0,
        description="seconds to wait for the server to accept connections; crash recovery takes its time",
    )
    stop_patience: float = Field(
        default=15.0, gt=0, description="seconds a fast shutdown (SIGINT) may take before SIGQUIT"
    )
    quit_patience: float = Field(
        default=4.0, gt=0, description="seconds an immediate shutdown (SIGQUIT) may take before SIGKILL"
    )
    restart_base: float = Field(default=0.1, gt=0, description="seconds before the first restart of a server that died")
    restart_cap: float = Field(default=10.0, gt=0, description="seconds between restarts at most")
    orphan_patience: float = Field(
        default=10.0, gt=0, description="seconds to wait for a server left by a killed service before it is killed"
    )


class TickSettings(BaseModel):
    """How ticks get into their tables, and how long they stay."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_rows: int = Field(default=5_000, ge=1, le=50_000, description="rows in one COPY at most")
    batch_age: float = Field(default=0.1, gt=0, description="seconds a spooled row may wait for more before the COPY")
    write_timeout: float = Field(default=20.0, gt=0, description="seconds one COPY may take")
    retry_base: float = Field(default=0.1, gt=0, description="seconds before writing is tried again")
    retry_cap: float = Field(default=5.0, gt=0, description="seconds between such tries at most")
    fsync: bool = Field(default=True, description="whether the spool is made safe against a power cut at all")
    fsync_interval: float = Field(default=1.0, gt=0, description="seconds between those; what a power cut may lose")
    spool_keep: float = Field(
        default=5.0,
        gt=0,
        description="seconds stored rows stay in the spool, should the database lose its last moments",
    )
    spool_cap: int = Field(
        default=2 << 30, ge=1 << 16, description="bytes of spool at most; beyond, the oldest rows are given up"
    )
    segment_size: int = Field(default=16 << 20, ge=1 << 12, description="bytes of one spool file")
    memory: int = Field(default=64 << 20, ge=1 << 16, description="bytes of waiting rows kept in memory as well")
    audit_interval: float = Field(
        default=300.0, gt=0, description="seconds between looks through the stored trades for holes nobody declared"
    )
    audit_settle: float = Field(
        default=120.0, ge=0, description="seconds for which what was just stored is left alone, as it may still grow"
    )
    quote_interval: float = Field(
        default=0.1, gt=0, description="seconds of which only a market's last quote is stored"
    )
    quote_pressure: int = Field(default=200_000, ge=0, description="waiting rows above which quotes are dropped")
    rollup_interval: float = Field(default=30.0, gt=0, description="seconds between updates of the candle tables")
    rollup_overlap: float = Field(
        default=10.0, ge=0, description="seconds of our order looked at again, for rows that other writers stored late"
    )
    partition_interval: float = Field(
        default=3_600.0, gt=0, description="seconds between making partitions ahead and dropping expired ones"
    )
    trade_keep: float = Field(
        default=31 * 86_400.0, ge=86_400, description="seconds raw trades are kept, counted from when we saw them"
    )
    quote_keep: float = Field(
        default=7 * 86_400.0, ge=86_400, description="seconds quotes are kept, counted from when we saw them"
    )


class StoreSettings(BaseModel):
    """Where the database is and how it is used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr = Field(
        default=SecretStr(""),
        description="postgresql://user:password@host:5432/name; empty runs the embedded server in the data folder",
    )
    pool_size: int = Field(default=10, ge=2, le=100, description="connections at most")
    connect_timeout: float = Field(
        default=3.0, gt=0, description="seconds a new connection may take, or waiting for a free one"
    )
    call_timeout: float = Field(
        default=5.0, gt=0, description="seconds a database call may take before its connection is cut"
    )
    idle_in_transaction: float = Field(
        default=3.0, gt=0, description="seconds after which the server ends a transaction whose owner has frozen"
    )
    probe_interval: float = Field(
        default=1.0, gt=0, description="seconds between the probes that tell whether it is there"
    )
    feed_keep: float = Field(
        default=31 * 86_400.0, gt=0, description="seconds signals are kept, for resuming, replay and named consumers"
    )
    feed_interval: float = Field(default=3_600.0, gt=0, description="seconds between removals of expired signals")
    ticks: TickSettings = Field(default_factory=TickSettings, description="the way into the tick tables")
    embedded: EmbeddedSettings = Field(default_factory=EmbeddedSettings, description="the embedded server")
