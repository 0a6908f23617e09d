"""What an operator may set about venue connections."""

from __future__ import annotations

import difflib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pricewatch.domain.errors import Invalid
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.exchanges.symbols import canonical
from pricewatch.ingest.quality import SilenceSettings, SuspectSettings


class VenueSettings(BaseModel):
    """One venue: what to listen to, where, and how patiently."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="Whether to connect to this venue.")
    symbols: tuple[str, ...] = Field(default=(), description="Canonical symbols (`BTC-USD`) to subscribe to.")
    socket_url: str = Field(default="", description="WebSocket address; empty: the venue's public one.")
    rest_url: str = Field(default="", description="REST address; empty: the venue's public one.")
    history: bool = Field(default=True, description="Whether to ask REST for missing trades and past candles.")
    instruments: bool = Field(
        default=True,
        description="Whether to ask REST for the venue's list of markets; without it symbols are taken as written.",
    )

    connect_timeout: float = Field(default=10.0, gt=0, description="Seconds a connection may take to open.")
    greeting_timeout: float = Field(
        default=10.0, gt=0, description="Seconds a venue that speaks first may take to do so after connecting."
    )
    subscribe_timeout: float = Field(
        default=5.0, gt=0, description="Seconds a subscription may stay unconfirmed before it is asked for again."
    )
    subscribe_retry_cap: float = Field(
        default=300.0, gt=0, description="Longest seconds between repeats of an unconfirmed subscription."
    )
    refused_retry: float = Field(
        default=3600.0, gt=0, description="Seconds after which a refused symbol is tried again on a new connection."
    )
    idle_timeout: float = Field(
        default=30.0, gt=0, description="Seconds without any frame after which a connection counts as dead."
    )
    ping_interval: float = Field(
        default=20.0, ge=0, description="Seconds between WebSocket pings where the venue answers them; 0: none."
    )
    open_interval: float | None = Field(
        default=None, ge=0, description="Least seconds between two connections opened; empty: the venue's own limit."
    )
    send_interval: float | None = Field(
        default=None, ge=0, description="Least seconds between two messages sent; empty: the venue's own limit."
    )
    rotate_after: float = Field(
        default=82_800.0,
        gt=0,
        description="Seconds after which a new connection replaces one; sooner where the venue closes them sooner.",
    )
    rotate_overlap: float = Field(
        default=3.0, ge=0, description="Seconds a replaced connection goes on beside its successor."
    )
    markets_per_connection: int | None = Field(
        default=None, ge=1, description="Most markets on one connection; empty: the venue's own limit, never more."
    )
    reconcile_after: float = Field(
        default=10.0,
        gt=0,
        description="Seconds after connecting at which a market still silent is compared with the venue's history.",
    )

    backoff_base: float = Field(default=1.0, gt=0, description="Most seconds before the first reconnect.")
    backoff_cap: float = Field(default=60.0, gt=0, description="Most seconds before any reconnect.")
    forgive_after: float = Field(
        default=60.0, gt=0, description="Seconds a connection must have lived for earlier failures to be forgotten."
    )
    attempts: int = Field(default=30, ge=1, description="Connection attempts allowed per `attempts_window`.")
    attempts_window: float = Field(default=600.0, gt=0, description="Seconds over which attempts are counted.")

    gap_hold: float = Field(
        default=2.0, ge=0, description="Seconds live trades wait for the refill of a hole before them."
    )
    gap_hold_trades: int = Field(default=50_000, ge=1, description="Most live trades a market may hold meanwhile.")
    recent_trades: int = Field(
        default=10_000,
        ge=100,
        description="Newest trades a market is remembered by where the venue's trade ids do not count by one.",
    )
    max_gap: int = Field(default=100_000, ge=1, description="Largest hole, in trades, that is refilled.")
    refill_deadline: float = Field(
        default=3600.0, gt=0, description="Seconds after which candles take the place of trades that could not be had."
    )
    refill_backoff: float = Field(default=0.25, gt=0, description="Seconds before the first repeat of a refill.")
    refill_backoff_cap: float = Field(default=60.0, gt=0, description="Most seconds between repeats of a refill.")
    history_timeout: float = Field(default=10.0, gt=0, description="Seconds one REST request may take.")
    history_interval: float | None = Field(
        default=None, ge=0, description="Least seconds between REST requests; empty: the venue's own limit."
    )


class RecordSettings(BaseModel):
    """What `pricewatch record` writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str = Field(
        default="", description="Where finished captures go too: s3://bucket/prefix or a folder; empty: nowhere."
    )
    keep: bool = Field(default=True, description="Whether a capture stays in its folder once the store has it.")
    level: int = Field(default=6, ge=1, le=9, description="Compression of captures, 1 (fast) to 9 (small).")
    flush_interval: float = Field(
        default=1.0, gt=0, description="Seconds after which what came survives a kill of the process."
    )
    upload_retry: float = Field(default=1.0, gt=0, description="Seconds before the first repeat of an upload.")
    upload_retry_cap: float = Field(default=300.0, gt=0, description="Most seconds between repeats of an upload.")
    upload_timeout: float = Field(
        default=30.0, gt=0, description="Seconds uploads may take after the end; the next start does the rest."
    )


class IngestSettings(BaseModel):
    """Section `ingest`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    transport: Literal["websockets", "aiohttp"] = Field(
        default="aiohttp", description="WebSocket client library for the venues."
    )
    compression: bool = Field(default=False, description="Whether to offer permessage-deflate to the venues.")
    max_frame: int = Field(default=10 * 1024 * 1024, ge=1024, description="Largest frame accepted, in bytes.")
    max_ahead: float = Field(
        default=5.0, ge=0, description="Seconds a trade's time may lie ahead of ours, beyond the measured skew."
    )
    max_skew: float = Field(default=60.0, ge=0, description="Largest measured clock skew that is allowed for, in s.")
    pause_limit: float = Field(
        default=5.0,
        ge=0,
        description="Seconds reading from the venues waits while storage or the bus takes no more; then only the "
        "extremes of each market are kept until it does, and what was left out is declared.",
    )
    markets_interval: float = Field(
        default=5.0, gt=0, description="Seconds between looks for markets that administrators added or removed."
    )
    backfill_candles: int = Field(
        default=1000, ge=0, description="Minutes of one-minute candles asked for at start; 0: none."
    )
    instruments_max_age: float = Field(
        default=86_400.0,
        ge=0,
        description="Seconds a venue's list of markets is used for before it is asked for again.",
    )
    instruments_timeout: float = Field(
        default=10.0, gt=0, description="Seconds a start waits for a venue's list of markets before it goes on without."
    )
    ledger_interval: float = Field(
        default=5.0, gt=0, description="Seconds between looks at how many holes are declared, for status and metrics."
    )
    silence: SilenceSettings = Field(default_factory=SilenceSettings, description="When silence is a signal.")
    suspects: SuspectSettings = Field(default_factory=SuspectSettings, description="Prints far off the recent prices.")
    record: RecordSettings = Field(default_factory=RecordSettings, description="Captures (`pricewatch record`).")
    venues: dict[str, VenueSettings] = Field(
        default_factory=lambda: {
            "coinbase": VenueSettings(symbols=("BTC-USD", "ETH-USD")),
            "kraken": VenueSettings(symbols=("BTC-USD", "ETH-USD")),
        },
        description="Settings by venue: " + ", ".join(sorted(EXCHANGES)) + ".",
    )

    @field_validator("venues")
    @classmethod
    def _known_venues(cls, venues: dict[str, VenueSettings]) -> dict[str, VenueSettings]:
        for name, venue in venues.items():
            if name not in EXCHANGES:
                near = difflib.get_close_matches(name, EXCHANGES, n=1)
                meant = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(EXCHANGES))}"
                raise ValueError(f"there is no venue {name!r}; {meant}")
            try:
                symbols = tuple(dict.fromkeys(canonical(symbol) for symbol in venue.symbols))
            except Invalid as error:
                raise ValueError(f"{name}: {error}") from error
            if symbols != venue.symbols:
                venues[name] = venue.model_copy(update={"symbols": symbols})
        return venues
