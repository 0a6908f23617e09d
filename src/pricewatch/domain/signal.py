"""A signal: a rule began or ceased to hold. Immutable once committed."""

from __future__ import annotations

import enum
import uuid
from typing import Any

import msgspec

SIGNALS = uuid.UUID("6f3ed1c4-9a3b-5a51-8d3f-0d5a3f6f0c11")
"""The namespace of every signal id."""


EVIDENCE = 1
"""The version of what `Signal.evidence` says and means."""


class Direction(enum.StrEnum):
    """What happened to the rule: its condition began or ceased to hold, or its own life changed."""

    FIRED = "fired"
    CLEARED = "cleared"
    PAUSED = "paused"
    """It fired too often and was paused on this market until its owner resumes it."""
    DIGEST = "digest"
    """What a rule that is paused for firing too often would have fired since that was last told."""
    EXPIRING = "expiring"
    """It will expire soon."""
    EXPIRED = "expired"
    """Its time is over: it is not evaluated any more."""


def signal_id(rule: uuid.UUID, version: int, scope: str, cause: str, direction: Direction) -> uuid.UUID:
    """The same change of the same rule has the same id, wherever and whenever it is computed.

    `cause` is `trade:<key>`, `quote:<seen>`, `timer:<due µs>`, `bar:<end µs>`, `gap:<id>` or `model:<activation>`.
    """
    return uuid.uuid5(SIGNALS, f"{rule}/{version}/{scope}/{cause}/{direction}")


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a reader needs to understand and to verify the signal."""

    id: uuid.UUID
    account_id: uuid.UUID
    rule_id: uuid.UUID
    rule_version: int
    title: str
    kind: str
    """The condition's type: `above`, `crosses`, `anomaly` ..."""
    severity: str
    direction: Direction
    scope: str
    """What the state belongs to: a market's key (`coinbase:BTC-USD`)."""
    market: int
    venue: str
    symbol: str
    cause: str
    at: int
    """Event time: the venue's time of the trade, or the timer's due time."""
    seen: int
    received: int
    """Arrival of the frame that caused it; equals `seen` for timers."""
    price: float
    since: int
    """Event time at which the condition began to hold (differs from `at` with `for`)."""
    evidence: dict[str, Any]
    """Versioned numbers from which the verdict can be recomputed (`{"v": 1, ...}`)."""
    late: bool = False
    suspect: bool = False
    gap: bool = False
    replay: bool = False
    model: str | None = None
    """`name@version` of the model that took part."""
    channels: tuple[str, ...] = ()
    """Channels a delivery is owed on (`email`); empty for signals that only go to the feed."""
    not_before: int = 0
    """When its deliveries may go out (our clock, µs); 0 for at once. The feed never waits."""


class FeedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A committed signal at its place in one account's feed."""

    feed: uuid.UUID
    """The account whose feed it is."""
    epoch: int
    seq: int
    signal: Signal
    committed: int
    """When its transaction was sent to the database (wall clock, µs): what is stored cannot know its own fsync.

    The time until a signal is written to its readers is measured apart, after the commit.
    """
