"""What people keep beside their rules, and what is kept of what they did."""

from __future__ import annotations

import enum
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec

from pricewatch.domain.account import Account
from pricewatch.domain.signal import Signal
from pricewatch.ports.accounts import Sessions, Tickets


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what, when (µs), to whose thing."""

    number: int
    at: int
    actor: uuid.UUID | None
    account: uuid.UUID | None
    action: str
    target: str
    detail: dict[str, Any]


class AuditLog(Protocol):
    """Append-only. Keepers of accounts, keys, rules and markets write into it themselves, with what they change."""

    async def note(
        self,
        action: str,
        target: str,
        *,
        at: int,
        by: uuid.UUID | None,
        account: uuid.UUID | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """One more entry, of what nobody else writes down."""
        ...

    async def page(
        self, account: uuid.UUID | None = None, *, before: int | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        """The newest entries (below `before`), descending; only those by or about an account where one is named."""
        ...


class Watchlist(msgspec.Struct, frozen=True, kw_only=True):
    """Symbols under a name."""

    id: uuid.UUID
    account_id: uuid.UUID
    name: str
    symbols: tuple[str, ...]
    created: int
    changed: int


class Watchlists(Protocol):
    """Each account's own."""

    async def create(self, account: uuid.UUID, name: str, symbols: Sequence[str]) -> Watchlist:
        """Raises `Invalid` when the account has one of that name."""
        ...

    async def change(self, account: uuid.UUID, watchlist: uuid.UUID, name: str, symbols: Sequence[str]) -> Watchlist:
        """Raises `NotFound`, and `Invalid` when the name is taken."""
        ...

    async def get(self, account: uuid.UUID, watchlist: uuid.UUID) -> Watchlist:
        """Raises `NotFound` for an unknown or foreign one."""
        ...

    async def find(self, account: uuid.UUID, name: str) -> Watchlist | None:
        """By name."""
        ...

    async def page(self, account: uuid.UUID, *, after: uuid.UUID | None = None, limit: int = 100) -> list[Watchlist]:
        """In order of id."""
        ...

    async def delete(self, account: uuid.UUID, watchlist: uuid.UUID) -> None:
        """Raises `NotFound`."""
        ...


class Feedback(enum.StrEnum):
    """Whether a signal was worth it."""

    USEFUL = "useful"
    NOISE = "noise"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What an account said of a signal."""

    signal_id: uuid.UUID
    acknowledged: int | None = None
    feedback: Feedback | None = None


class Verdicts(Protocol):
    """Words on signals; the signals themselves never change."""

    async def acknowledge(self, account: uuid.UUID, signal: uuid.UUID) -> Verdict:
        """The first time counts."""
        ...

    async def judge(self, account: uuid.UUID, signal: uuid.UUID, feedback: Feedback | None) -> Verdict:
        """The last word counts; None takes it back."""
        ...

    async def get(self, account: uuid.UUID, signal: uuid.UUID) -> Verdict:
        """Empty where nothing was said."""
        ...


class Answer(NamedTuple):
    """What a request was answered."""

    status: int
    body: bytes


class Begun(enum.Enum):
    """Where a repeatable request stands without an answer."""

    NOW = "now"
    """It is this one's to do."""
    RUNNING = "running"
    """Another one with this key is being done."""
    OTHER = "other"
    """The key was used for another request."""


class Repeats(Protocol):
    """Answers to requests with an idempotency key, kept for a day."""

    async def begin(self, account: uuid.UUID, key: str, fingerprint: bytes) -> Answer | Begun:
        """The answer it had, or what to do. One that runs for longer than a minute is taken for lost."""
        ...

    async def finish(self, account: uuid.UUID, key: str, answer: Answer) -> None:
        """From now on this is the answer."""
        ...

    async def abandon(self, account: uuid.UUID, key: str) -> None:
        """Nothing was done: the key is free again."""
        ...

    async def forget(self, before: int) -> None:
        """What began earlier goes."""
        ...


class Holdings(msgspec.Struct, frozen=True):
    """How much an account has, to compare with its quotas."""

    rules: int
    keys: int
    """Those not revoked."""
    watchlists: int


class Dossiers(Protocol):
    """All that is stored of one account."""

    async def holdings(self, account: uuid.UUID) -> Holdings:
        """Counts."""
        ...

    def export(self, account: Account) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Everything kept of it, as (kind, document), without secrets."""
        ...

    async def erase(self, account: uuid.UUID, *, by: uuid.UUID | None = None) -> None:
        """Everything of it goes, except audit entries under an id that then means nothing.

        Its rules should have been deleted, and that taken up by the engine. Raises `NotFound`; `Invalid` for the last
        administrator.
        """
        ...


class Trials(Protocol):
    """Signals that only try out how their owner is reached."""

    async def owe(self, signal: Signal) -> None:
        """Deliveries of it are owed on its channels; it has no place in any feed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """All of it together."""

    sessions: Sessions
    tickets: Tickets
    audit: AuditLog
    watchlists: Watchlists
    verdicts: Verdicts
    repeats: Repeats
    dossiers: Dossiers
    trials: Trials
