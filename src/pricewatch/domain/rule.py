"""Where a rule stands: the state that survives a restart."""

from __future__ import annotations

import enum
import uuid

import msgspec


class Phase(enum.IntEnum):
    """`idle -> pending -> firing -> clearing -> idle`; numbers are stored, never renumber them."""

    IDLE = 0
    PENDING = 1
    FIRING = 2
    CLEARING = 3
    NODATA = 4
    ERROR = 5
    SNOOZED = 6
    PAUSED = 7
    EXPIRED = 8


class Tally(msgspec.Struct, frozen=True, gc=False):
    """What a rule would have fired on a market since it was paused there for firing too often, or since it told that.

    Times are event times; prices count from the first fire on, and mean nothing while `count` is 0.
    """

    told_at: int
    """When it was paused, or when the last digest was due."""
    due_at: int = 0
    """When the next digest is due; 0 while there is nothing to tell."""
    due_seen: int = 0
    """The place in our order at which it is due without further trades."""
    count: int = 0
    """Fires kept back."""
    first_at: int = 0
    last_at: int = 0
    first: float = 0.0
    """The price at the first of them."""
    last: float = 0.0
    low: float = 0.0
    high: float = 0.0


class RuleState(msgspec.Struct, frozen=True, gc=False):
    """One rule on one scope. The default is a rule that has not seen a tick yet."""

    phase: Phase = Phase.IDLE
    armed: bool = False
    """A first sample has been seen: from here on changes count."""
    silent: bool = False
    """Became true without a signal (true already at arming): its end makes no signal either."""
    since: int = 0
    """Event time at which the condition began to hold."""
    due_at: int = 0
    """Event time at which a pending rule fires, 0 for none."""
    due_seen: int = 0
    """The place in our order at which that timer is due without further ticks."""
    emitted_at: int = 0
    """Event time of the last signal emitted with direction `fired`; 0 for never."""
    fired: int = 0
    """How often it has fired."""
    hour: int = 0
    """The hour of event time (hours since 1970) in which it last fired."""
    hour_fires: int = 0
    """How often it has fired in that hour."""
    tally: Tally | None = None
    """It is paused here for firing too often: what it would have fired is counted, and told in digests."""


class StateRow(msgspec.Struct, frozen=True, gc=False):
    """A rule's state as stored: which rule, which version, which market."""

    rule_id: uuid.UUID
    version: int
    market: int
    state: RuleState
    seen: int
    """Where in the order the state was reached."""
    parts: bytes = b""
    """What a group or a sequence remembers of its members; empty for single conditions."""


class Order(enum.StrEnum):
    """What its owner may tell a rule."""

    PAUSE = "pause"
    SNOOZE = "snooze"
    RESUME = "resume"


class RuleCommand(msgspec.Struct, frozen=True):
    """An order given to a rule. The newest one counts; it holds for later versions too."""

    rule_id: uuid.UUID
    account_id: uuid.UUID
    number: int
    """Counts the rule's commands from 1."""
    order: Order
    until: int
    """When a snoozed rule goes on by itself (our clock, µs); 0 for other orders."""
    created: int
    effective_seen: int | None = None
    """Where in the order the engine took it up; None until then."""
