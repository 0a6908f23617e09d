"""What a simulated or replayed market can be told."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Speed = float | Literal["max"]

_MARKETS: dict[str, tuple[str, ...]] = {
    "coinbase": ("BTC-USD", "ETH-USD"),
    "kraken": ("BTC-USD", "SOL-USD"),
    "binance": ("BTC-USDT", "ETH-USDT"),
}


class FaultSettings(BaseModel):
    """What goes wrong on purpose; everything is off by default. Chances are from 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=1, description="Seed of the faults' own luck.")
    gap: float = Field(
        default=0.0, ge=0, le=1, description="Chance that a trade frame is kept off a socket; REST has it."
    )
    duplicate: float = Field(default=0.0, ge=0, le=1, description="Chance that a trade frame is sent twice.")
    reorder: float = Field(
        default=0.0, ge=0, le=1, description="Chance that a trade frame changes place with the next."
    )
    drop: float = Field(
        default=0.0, ge=0, le=1, description="Chance per second that a socket dies without a close frame."
    )
    close: float = Field(default=0.0, ge=0, le=1, description="Chance per second that a socket is closed properly.")
    stall: float = Field(
        default=0.0, ge=0, le=1, description="Chance per second that a socket falls silent for a while."
    )
    stall_span: float = Field(default=3.0, ge=0, description="How long a stalled socket stays silent, in seconds.")
    notice: float = Field(
        default=0.0, ge=0, le=1, description="Chance per second that the venue asks a client to reconnect, then closes."
    )
    notice_lead: float = Field(default=1.0, ge=0, description="Seconds from that notice to the close.")
    garbage: float = Field(default=0.0, ge=0, le=1, description="Chance per second of a frame that makes no sense.")
    bomb: float = Field(
        default=0.0, ge=0, le=1, description="Chance per second of a small frame that inflates enormously."
    )
    bomb_bytes: int = Field(
        default=268_435_456, ge=1_048_576, le=17_179_869_184, description="Size of such a frame when inflated."
    )
    deflate: bool = Field(
        default=False, description="Whether compression is agreed with clients that offer it; bombs need it."
    )
    half_ack: float = Field(
        default=0.0, ge=0, le=1, description="Chance that a market asked for is neither acknowledged nor served."
    )
    mute: tuple[str, ...] = Field(
        default=(), description="Markets (`venue:BASE-QUOTE`) that are acknowledged and silent; heartbeats go on."
    )
    freeze: tuple[str, ...] = Field(
        default=(), description="Markets whose trades and quotes all carry the time of the first one from now on."
    )
    refuse: float = Field(default=0.0, ge=0, le=1, description="Chance that a socket is accepted and closed at once.")
    handshake_delay: float = Field(default=0.0, ge=0, le=50, description="Seconds until a handshake is answered.")
    handshake_limit: float = Field(
        default=0.0, ge=0, le=1, description="Chance that a handshake is refused with `limit_status`."
    )
    rest_limit: float = Field(default=0.0, ge=0, le=1, description="Chance that a REST request meets the rate limit.")
    limit_status: Literal[429, 418] = Field(default=429, description="429: too many requests; 418: banned for a while.")
    retry_after: int = Field(default=1, ge=0, description="Seconds a client over the limit is told to wait.")

    @model_validator(mode="after")
    def _bombs_need_compression(self) -> FaultSettings:
        if self.bomb and not self.deflate:
            raise ValueError("bomb needs deflate = true: without compression nothing can inflate")
        return self


class SimulatorSettings(BaseModel):
    """The simulated venues, and the replay of captures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="Address the servers listen on.")
    ws_port: int = Field(default=0, ge=0, le=65_535, description="Port of the WebSocket server; 0 takes a free one.")
    rest_port: int = Field(default=0, ge=0, le=65_535, description="Port of the REST server; 0 takes a free one.")
    seed: int = Field(default=7, description="Seed of the market model: the same seed prints the same trades.")
    markets: dict[str, tuple[str, ...]] = Field(default=_MARKETS, description="Canonical symbols of each venue.")
    rate: float = Field(default=4.0, gt=0, description="Trades a second in each market at the start of the run.")
    quote_rate: float = Field(default=8.0, ge=0, description="Changes of the best prices a second in each market.")
    speed: Speed = Field(default=1.0, description="How fast time runs; 'max' (replay only) as fast as clients read.")
    opens_at: float = Field(default=13.5, ge=0, lt=24, description="Hour of the market's own day at the start.")
    first_id: int | None = Field(default=None, ge=1, description="First trade id; unset: the start's milliseconds.")
    lead: float = Field(default=5.0, ge=0, description="Seconds of trades printed before the start.")
    history_minutes: int = Field(default=1_500, ge=0, le=100_000, description="One-minute candles before the start.")
    history_trades: int = Field(default=200_000, ge=1_000, description="Trades a market keeps for REST.")
    programme: bool = Field(default=True, description="Whether the scripted events of the demo happen.")
    programme_waits: bool = Field(
        default=False, description="Whether the script begins with the first client instead of with the run."
    )
    programme_every: float = Field(default=120.0, ge=0, description="Seconds until the script repeats; 0: never.")
    fields: Literal["recorded", "current"] = Field(
        default="recorded",
        description="Fields of the reference recordings, or with what venues added since (book sizes, ticker times).",
    )
    mode: Literal["pause", "runon"] = Field(
        default="pause", description="A replay without a client waits, or runs on and its frames are lost to sockets."
    )
    exit_at_end: bool = Field(default=False, description="Whether a replay ends after its last frame.")
    heartbeat: float = Field(default=1.0, gt=0, description="Seconds between heartbeats of Coinbase and Kraken.")
    subscribe_deadline: float = Field(default=5.0, gt=0, description="Seconds Coinbase waits for a subscription.")
    ping: float = Field(default=20.0, gt=0, description="Seconds between Binance's pings.")
    pong_deadline: float = Field(default=60.0, gt=0, description="Seconds Binance waits for a pong.")
    session: float = Field(default=86_400.0, gt=0, description="Seconds after which Binance closes a connection.")
    message_limit: int = Field(default=5, ge=1, description="Client messages a second Binance endures.")
    slow_bytes: int = Field(default=8_388_608, ge=65_536, description="Unread bytes after which a client is cut off.")
    pace_bytes: int = Field(default=1_048_576, ge=4_096, description="Unread bytes at which speed 'max' waits.")
    pace_patience: float = Field(default=30.0, gt=0, description="Seconds speed 'max' waits for one slow client.")
    faults: FaultSettings = Field(default=FaultSettings(), description="What goes wrong on purpose.")

    @field_validator("speed")
    @classmethod
    def _positive(cls, speed: Speed) -> Speed:
        if speed != "max" and not speed > 0:
            raise ValueError("speed is a number above 0, or 'max'")
        return speed
