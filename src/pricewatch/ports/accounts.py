"""Accounts, their keys and their browser sessions, stored."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Protocol

import msgspec

from pricewatch.domain.account import Account, ApiKey, Role, Session


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be different about an account; None leaves it as it is."""

    email: str | None = None
    role: Role | None = None
    disabled: bool | None = None


class Accounts(Protocol):
    """Who there is. `by` is who does it, for the audit log; None for the operator at the command line."""

    async def create(self, name: str, email: str, role: Role, *, by: uuid.UUID | None = None) -> Account:
        """Raises `Invalid` when the name is taken. Its feed exists from now on."""
        ...

    async def find(self, name: str) -> Account | None:
        """By unique name."""
        ...

    async def get(self, account: uuid.UUID) -> Account | None:
        """By id."""
        ...

    async def everyone(self) -> list[Account]:
        """All accounts in order of creation."""
        ...

    async def change(self, account: uuid.UUID, change: Change, *, by: uuid.UUID | None = None) -> Account:
        """The account as it is then. Disabling ends its sessions.

        Raises `NotFound`; `Invalid` for what would leave no administrator.
        """
        ...

    async def password(self, name: str) -> tuple[Account, str | None] | None:
        """An account by name with its hashed password, if it has one."""
        ...

    async def set_password(
        self,
        account: uuid.UUID,
        hashed: str | None,
        *,
        by: uuid.UUID | None = None,
        keep: uuid.UUID | None = None,
        quietly: bool = False,
    ) -> None:
        """Ends the account's sessions except `keep`; `quietly` only stores a better hash of the same password.

        Raises `NotFound`.
        """
        ...

    async def add_key(self, key: ApiKey, *, by: uuid.UUID | None = None) -> None:
        """Store a hashed key."""
        ...

    async def keys(self, account: uuid.UUID) -> list[ApiKey]:
        """All keys of an account, revoked ones too."""
        ...

    async def revoke_key(self, account: uuid.UUID, key: uuid.UUID, at: int, *, by: uuid.UUID | None = None) -> None:
        """Its sessions end with it. Raises `NotFound` for a foreign or unknown key."""
        ...

    async def key_used(self, key: uuid.UUID, at: int) -> None:
        """It was seen."""
        ...

    async def by_digest(self, digest: bytes) -> tuple[Account, ApiKey] | None:
        """The key with this SHA-256 and its owner, whether or not it is still valid."""
        ...

    async def standing(self, digests: Sequence[bytes], now: int) -> frozenset[bytes]:
        """Which of these digests of keys and sessions still let their owners in."""
        ...


class Sessions(Protocol):
    """Browsers that are logged in."""

    async def begin(self, session: Session) -> None:
        """From now on its cookie counts."""
        ...

    async def by_digest(self, digest: bytes) -> tuple[Account, Session] | None:
        """The session with this SHA-256 and its owner, whether or not it has expired."""
        ...

    async def listing(self, account: uuid.UUID, now: int) -> list[Session]:
        """Those that have not expired, in order of creation."""
        ...

    async def end(self, account: uuid.UUID, session: uuid.UUID) -> None:
        """Raises `NotFound` for a foreign or unknown session."""
        ...

    async def used(self, session: uuid.UUID, at: int) -> None:
        """It was seen."""
        ...

    async def forget_expired(self, now: int) -> None:
        """Sessions and tickets that count no more go."""
        ...


class Ticket(msgspec.Struct, frozen=True):
    """Lets one WebSocket in, once, for whoever made it."""

    digest: bytes
    account_id: uuid.UUID
    credential: bytes
    """The digest of the key or session it was made with: the socket lives no longer than that."""
    is_session: bool
    expires: int


class Tickets(Protocol):
    """Tickets that have not been used."""

    async def issue(self, ticket: Ticket) -> None:
        """From now on it counts."""
        ...

    async def take(self, digest: bytes) -> Ticket | None:
        """The ticket, expired or not: whoever takes it first has it, and it is gone."""
        ...
