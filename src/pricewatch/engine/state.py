"""What goes into the engine and what comes out of it."""

from __future__ import annotations

import uuid
from typing import NamedTuple

import msgspec

from pricewatch.domain.rule import Phase, StateRow
from pricewatch.domain.signal import Signal
from pricewatch.rules.document import Rule


class ActiveRule(msgspec.Struct, frozen=True):
    """A version of a rule the engine shall evaluate from `effective_seen` on."""

    id: uuid.UUID
    account_id: uuid.UUID
    version: int
    rule: Rule
    effective_seen: int


class Standing:
    """A rule as it stands on all its markets: its version, since when samples count, and whether it is held."""

    __slots__ = ("active", "after", "alarms", "hold", "told", "until")

    def __init__(self, active: ActiveRule, after: int) -> None:
        self.active = active
        self.after = after
        """Samples up to here are not its business: when it was taken up, or resumed."""
        self.hold: Phase | None = None
        """Paused, snoozed or expired as a whole: no sample matters."""
        self.alarms: list[Alarm] = []
        """What is still to come of its own life, in no order."""
        self.until = 0
        """When a snoozed rule goes on."""
        self.told = 0
        """When it was said that it will expire soon; 0 for not yet."""


class Alarm:
    """A moment in the life of a rule as a whole."""

    __slots__ = ("due_at", "due_seen", "event", "standing")

    def __init__(self, standing: Standing, event: Phase | None, due_at: int, due_seen: int) -> None:
        self.standing = standing
        self.event = event
        """`IDLE`: a snooze is over; `EXPIRED`: so is the rule; None: it will expire soon."""
        self.due_at = due_at
        self.due_seen = due_seen
        """Its place in the order; 0 once it is void."""

    def __lt__(self, other: object) -> bool:
        """Alarms due together go by rule, then warning, snooze and end; others need no order."""
        return isinstance(other, Alarm) and self._rank < other._rank

    @property
    def _rank(self) -> tuple[bytes, int]:
        return self.standing.active.id.bytes, -1 if self.event is None else int(self.event)


class Transition(msgspec.Struct, frozen=True):
    """A state to be stored and the signal, if any, that belongs into the same transaction."""

    row: StateRow
    signal: Signal | None


class Rest(NamedTuple):
    """A market on which nothing changes while `down < price < up`, for trades whose event time is before `due_at`."""

    down: float
    up: float
    due_at: int
