"""Settings of the gateway."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class GatewaySettings(BaseModel):
    """Section `gateway`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="Address to listen on; `0.0.0.0` for every interface.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port of REST, feed and live page; 0 takes a free one.")
    origins: tuple[str, ...] = Field(
        default=(), description="Further origins whose pages may use the cookie, like `https://prices.example.org`."
    )
    secure_cookie: bool = Field(
        default=False, description="Mark the cookie `Secure` always; without it only where the request came by TLS."
    )
    proxies: int = Field(
        default=0, ge=0, le=10, description="Reverse proxies in front: so far from its end X-Forwarded-For is believed."
    )
    open_status: bool = Field(default=True, description="Serve /status and /metrics without a key.")

    welcome_timeout: float = Field(default=0.5, gt=0, description="Seconds `welcome` waits for the feed's head.")
    heartbeat_interval: float = Field(default=5.0, gt=0, description="Seconds between heartbeats to every session.")
    ticker_interval: float = Field(default=0.1, gt=0, description="Seconds between two price messages to a client.")
    candle_interval: float = Field(default=1.0, gt=0, description="Seconds between two candle messages to a client.")
    features_interval: float = Field(default=15.0, gt=0, description="Seconds between looks at markets' features.")
    recent: float = Field(
        default=60.0, gt=0, le=3_600, description="Seconds that `recent` covers where /status tells of signal latency."
    )
    ping_interval: float = Field(default=20.0, gt=0, description="Seconds between WebSocket pings; half to answer.")
    quiet_after: float = Field(default=10.0, gt=0, description="Seconds without a print until a market is `quiet`.")
    blind_after: float = Field(default=60.0, gt=0, description="Seconds without a print until a market is `blind`.")

    snapshot_signals: int = Field(
        default=50, ge=0, le=500, description="Signals in the snapshot of a new subscription."
    )
    page_size: int = Field(default=500, ge=1, le=5_000, description="Signals read from the log at a time on resume.")
    queue_messages: int = Field(default=256, ge=1, description="Messages a client may lag before it is closed.")
    queue_bytes: int = Field(default=1_048_576, ge=4_096, description="Bytes a client may lag before it is closed.")
    deflate: bool = Field(default=True, description="Offer per-message deflate to clients that ask for it.")
    in_flight: int = Field(
        default=64, ge=1, le=200, description="Unacknowledged signals a named consumer's connection takes at most."
    )
    consumer_poll: float = Field(
        default=5.0, gt=0, description="Seconds between looks for signals that another process gave back."
    )
    send_buffer: int = Field(default=65_536, ge=4_096, description="Bytes of a socket's kernel send buffer.")
    stall_timeout: float = Field(default=30.0, gt=0, description="Seconds a client may take nothing at all.")
    close_timeout: float = Field(default=2.0, gt=0, description="Seconds the closing handshake may take.")

    frame_limit: int = Field(default=65_536, ge=256, description="Bytes of the largest request frame.")
    body_limit: int = Field(default=65_536, ge=256, description="Bytes of the largest request body.")
    request_rate: float = Field(default=20.0, gt=0, description="Feed requests a session may send each second.")
    request_burst: int = Field(default=100, ge=1, description="Feed requests a session may send at once.")
    strikes: int = Field(default=20, ge=1, description="Refused frames until a session is closed for abuse.")
    max_symbols: int = Field(default=1_000, ge=1, description="Symbols a session may subscribe to, per channel.")
    max_sessions: int = Field(default=5_000, ge=1, description="Open feed sessions, all accounts together.")
    max_account_sessions: int = Field(default=500, ge=1, description="Open feed sessions of one account.")

    key_ttl: float = Field(default=2.0, ge=0, description="Seconds a looked-up API key is believed.")
    key_grace: float = Field(
        default=300.0, ge=0, description="Seconds a known API key is still believed while the database is away."
    )
    revocation_interval: float = Field(default=1.0, gt=0, description="Seconds between checks of open sessions' keys.")
    forget_interval: float = Field(default=600.0, gt=0, description="Seconds between removals of what has expired.")
    session_lifetime: float = Field(default=43_200.0, gt=0, description="Seconds a browser stays logged in.")
    ticket_lifetime: float = Field(default=30.0, gt=0, le=300, description="Seconds a WebSocket ticket counts.")
    password_memory: int = Field(default=19_456, ge=8, description="KiB of memory of a password's argon2id hash.")
    password_rounds: int = Field(default=2, ge=1, description="Passes of a password's argon2id hash.")
    password_threads: int = Field(default=1, ge=1, le=2, description="Passwords hashed at the same time.")
    password_queue: int = Field(default=16, ge=0, description="Logins that may wait for their turn; others get 503.")
    login_attempts: int = Field(default=10, ge=1, description="Logins an address may try per minute.")
    name_attempts: int = Field(default=10, ge=1, description="Logins that may be tried for a name in `name_window`.")
    name_window: int = Field(default=300, ge=1, description="Seconds in which tries for a name are counted.")

    read_limit: int = Field(default=6_000, ge=1, description="REST requests an account may make per minute to read.")
    write_limit: int = Field(default=1_200, ge=1, description="REST requests an account may make per minute to write.")
    anonymous_limit: int = Field(default=120, ge=1, description="Refused credentials of an address per minute.")
    max_rules: int = Field(default=10_000, ge=0, description="Rules of one account.")
    max_keys: int = Field(default=100, ge=0, description="API keys of one account, without the revoked ones.")
    max_webhooks: int = Field(default=20, ge=0, description="Webhooks of one account.")
    webhook_overlap: float = Field(
        default=86_400.0, ge=0, description="Seconds a webhook's old secret signs beside its new one."
    )
    max_watchlists: int = Field(default=200, ge=0, description="Watchlists of one account.")

    preview_patience: float = Field(
        default=10.0,
        ge=0,
        description="Seconds a request waits for a preview on price levels before it is told to ask again.",
    )
    handler_timeout: float = Field(default=15.0, gt=0, description="Seconds a REST request may take.")
    head_timeout: float = Field(default=15.0, gt=0, description="Seconds a connection may stay without a full request.")
    ready_timeout: float = Field(default=2.0, gt=0, description="Seconds the database may take to answer /readyz.")
    catalog_interval: float = Field(default=10.0, gt=0, description="Seconds between looks for new markets.")
    retry_pause: float = Field(default=1.0, gt=0, description="Seconds between tries while the database is away.")
    reconnect_spread: float = Field(default=2.0, ge=0, description="Seconds over which clients return after a stop.")
