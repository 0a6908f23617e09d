"""Accounts and their keys, stored."""

from __future__ import annotations

import uuid
from typing import Protocol

from pricewatch.domain.account import Account, ApiKey, Role


class Accounts(Protocol):
    """Who there is."""

    async def create(self, name: str, email: str, role: Role) -> Account:
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

    async def add_key(self, key: ApiKey) -> None:
        """Store a hashed key."""
        ...

    async def keys(self, account: uuid.UUID) -> list[ApiKey]:
        """All keys of an account, revoked ones too."""
        ...

    async def revoke_key(self, account: uuid.UUID, key: uuid.UUID, at: int) -> None:
        """Raises `NotFound` for a foreign or unknown key."""
        ...

    async def by_digest(self, digest: bytes) -> tuple[Account, ApiKey] | None:
        """The key with this SHA-256 and its owner, whether or not it is still valid."""
        ...
