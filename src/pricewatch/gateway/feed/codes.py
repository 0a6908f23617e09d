"""Every error and close code of the feed, with what to do about it."""

from __future__ import annotations

import enum
from typing import NamedTuple


class ErrorCode(enum.StrEnum):
    """`code` of an `error` frame."""

    BAD_JSON = "bad_json"
    INVALID = "invalid"
    TOO_LARGE = "too_large"
    NOT_TEXT = "not_text"
    UNKNOWN_METHOD = "unknown_method"
    UNKNOWN_CHANNEL = "unknown_channel"
    UNKNOWN_SYMBOL = "unknown_symbol"
    NOT_SUBSCRIBED = "not_subscribed"
    ALREADY_SUBSCRIBED = "already_subscribed"
    TOO_MANY_SYMBOLS = "too_many_symbols"
    RATE_LIMITED = "rate_limited"
    SCOPE_MISSING = "scope_missing"
    UNKNOWN_CONSUMER = "unknown_consumer"
    TOO_MANY_CONSUMERS = "too_many_consumers"
    LEASE_LOST = "lease_lost"
    CONSUMER_ENDED = "consumer_ended"


class Close(enum.IntEnum):
    """Why a session was closed."""

    NORMAL = 1000
    GOING_AWAY = 1001
    MESSAGE_TOO_BIG = 1009
    INTERNAL = 1011
    KEY_REVOKED = 4001
    TOO_SLOW = 4008
    ABUSE = 4009
    TOO_MANY_SESSIONS = 4010
    EPOCH_CHANGED = 4011


class Meaning(NamedTuple):
    """One row of the public table."""

    text: str
    retry: bool
    """Whether the same client may connect (or ask) again unchanged."""


ERRORS: dict[ErrorCode, Meaning] = {
    ErrorCode.BAD_JSON: Meaning("The frame is not JSON.", retry=False),
    ErrorCode.INVALID: Meaning("A field is missing, unknown or of the wrong type; the reason names it.", retry=False),
    ErrorCode.TOO_LARGE: Meaning("The frame exceeds `limits.frame_bytes`.", retry=False),
    ErrorCode.NOT_TEXT: Meaning("Requests are text frames; this was a binary one.", retry=False),
    ErrorCode.UNKNOWN_METHOD: Meaning("Methods are subscribe, unsubscribe, ping, ack, nack and extend.", retry=False),
    ErrorCode.UNKNOWN_CHANNEL: Meaning(
        "Channels are ticker, candles, features, signals, system, status, heartbeat.", retry=False
    ),
    ErrorCode.UNKNOWN_SYMBOL: Meaning("No such symbol or market; see did_you_mean.", retry=False),
    ErrorCode.NOT_SUBSCRIBED: Meaning("There was no such subscription to end.", retry=False),
    ErrorCode.ALREADY_SUBSCRIBED: Meaning(
        "`after`, `from`, other filters, or the same consumer again need a new subscription: unsubscribe first.",
        retry=False,
    ),
    ErrorCode.TOO_MANY_SYMBOLS: Meaning("The request exceeds `limits.symbols`; `*` names all.", retry=False),
    ErrorCode.RATE_LIMITED: Meaning("Too many requests; wait a second and ask again.", retry=True),
    ErrorCode.SCOPE_MISSING: Meaning(
        "The key, or its account's role, may only read: to join a named consumer needs the scope `write`.", retry=False
    ),
    ErrorCode.UNKNOWN_CONSUMER: Meaning("This session has not joined that consumer: subscribe first.", retry=False),
    ErrorCode.TOO_MANY_CONSUMERS: Meaning("A session joins at most 16 consumers.", retry=False),
    ErrorCode.LEASE_LOST: Meaning(
        "These signals are another connection's by now, or wait for redelivery, or were never yours.", retry=False
    ),
    ErrorCode.CONSUMER_ENDED: Meaning(
        "The consumer was reset or deleted, or signals expired before it came to them: subscribe again.", retry=True
    ),
}

CLOSES: dict[Close, Meaning] = {
    Close.NORMAL: Meaning("The client closed.", retry=True),
    Close.GOING_AWAY: Meaning("The server stops or restarts: wait `reconnect_after` seconds and resume.", retry=True),
    Close.MESSAGE_TOO_BIG: Meaning("A frame far beyond the limit was sent.", retry=False),
    Close.INTERNAL: Meaning("Our fault: it is in our log. Reconnect with backoff and resume.", retry=True),
    Close.KEY_REVOKED: Meaning("The key was revoked or expired, or its browser session ended.", retry=False),
    Close.TOO_SLOW: Meaning(
        "The client lagged beyond the bound: read faster, then resume by (epoch, seq).", retry=True
    ),
    Close.ABUSE: Meaning("Too many refused frames.", retry=False),
    Close.TOO_MANY_SESSIONS: Meaning("Too many open sessions: close one, or wait.", retry=True),
    Close.EPOCH_CHANGED: Meaning("The feed was restored from a backup: reconnect and take the snapshot.", retry=True),
}
