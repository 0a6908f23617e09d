"""One transaction per change: states, signals, feed places, deliveries and the cursor together."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Protocol

import msgspec

from pricewatch.domain.rule import StateRow
from pricewatch.domain.signal import FeedEntry, Signal


class Claim(msgspec.Struct, frozen=True):
    """The right to evaluate a shard, until somebody claims it with a higher term."""

    shard: int
    owner: str
    term: int
    cursor: int
    """Everything with `seen` up to here has been evaluated and committed; 0 at the very start."""


class Grant(msgspec.Struct, frozen=True):
    """The shard is ours: nobody held it, its owner handed it over, or its lease had run out."""

    claim: Claim
    former: str
    """Who had it before; empty for nobody."""
    kept: bool
    """Whether that was this home, too: then nobody else wrote to the shard meanwhile."""
    silent: float
    """Seconds since the former owner was last heard."""


class Held(msgspec.Struct, frozen=True):
    """The shard is somebody else's."""

    owner: str
    silent: float
    """Seconds since they were last heard."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit writes. Later rows of the same (rule, market) win."""

    cursor: int
    states: Sequence[StateRow] = ()
    signals: Sequence[Signal] = ()
    """In the order in which they happened."""
    effective: Sequence[tuple[uuid.UUID, int, int]] = ()
    """Rule versions taken up: `(rule, version, effective_seen)`; states of older versions go."""
    commands: Sequence[tuple[uuid.UUID, int, int]] = ()
    """Rule commands taken up: `(rule, number, effective_seen)`."""


class Journal(Protocol):
    """The engine's durable memory, fenced by the shard's term."""

    async def claim(self, shard: int, owner: str) -> Claim:
        """Take the shard with a new, higher term; who held it is fenced from now on."""
        ...

    async def commit(self, claim: Claim, change: Change) -> list[FeedEntry]:
        """All or nothing. Signals whose id is already there are skipped (redone work, not new signals).

        Returns the new feed entries in order. Raises `Fenced` (another owner), `Unavailable` (try again:
        the whole change may be redone safely).
        """
        ...

    async def states(self, shard: int) -> list[StateRow]:
        """Every stored rule state, for a restart."""
        ...


class LeasedJournal(Journal, Protocol):
    """A journal whose shards are held for a time that every commit begins anew."""

    async def request(self, shard: int, owner: str, *, home: str, lease: float) -> Grant | Held:
        """Take the shard for `lease` seconds after each commit, unless it is another home's whose lease still runs.

        Whoever had it is fenced from then on, and what they were writing is undone. Raises `Unavailable`.
        """
        ...

    async def release(self, claim: Claim) -> None:
        """Let the next one have it at once; nothing where it is no longer ours. Raises `Unavailable`."""
        ...


class SystemFeed(Protocol):
    """What the service tells of itself: signals of the feed that is nobody's."""

    async def append(self, signals: Sequence[Signal], *, mail: bool = False) -> list[FeedEntry]:
        """The new ones with their places, in order; those whose id is already there are skipped.

        With `mail` every administrator with an address is owed a mail of each. Raises `Unavailable`: all may be redone.
        """
        ...

    async def standing(self, rules: Sequence[uuid.UUID]) -> list[Signal]:
        """Per rule and market the newest signal."""
        ...


class SignalSink(Protocol):
    """Who wants to know of committed signals (feed sessions, the mail worker's wake-up)."""

    def committed(self, entries: Sequence[FeedEntry]) -> None:
        """Called after the commit, in order of `seq` within a feed. Never blocks."""
        ...


class FeedHead(msgspec.Struct, frozen=True):
    """Where a feed stands."""

    epoch: int
    seq: int


class FeedLog(Protocol):
    """The stored feed, for resume and REST."""

    async def head(self, account: uuid.UUID) -> FeedHead:
        """Newest place; `seq` 0 for an account without signals."""
        ...

    async def read(self, account: uuid.UUID, *, after_seq: int, limit: int = 500) -> list[FeedEntry]:
        """Entries with `seq > after_seq`, ascending, at most `limit`."""
        ...

    async def latest(self, account: uuid.UUID, *, before_seq: int | None = None, limit: int = 50) -> list[FeedEntry]:
        """The newest entries (below `before_seq`), descending."""
        ...

    async def get(self, account: uuid.UUID, signal: uuid.UUID) -> FeedEntry | None:
        """One signal, if it is this account's."""
        ...

    async def place_before(self, account: uuid.UUID, instant: int) -> int:
        """The `seq` of the last entry committed before `instant`; the one before the oldest where there is none."""
        ...
