"""Accounts, their feeds and their keys in memory."""

from __future__ import annotations

import uuid

import msgspec

from pricewatch.domain.account import Account, ApiKey, Role
from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.time import SECOND
from pricewatch.domain.watch import SYSTEM
from pricewatch.ports.clock import Clock
from pricewatch.ports.journal import FeedHead


class MemoryAccounts:
    """Keeps `ports.accounts.Accounts`; the journal's keeper moves the feeds' heads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[uuid.UUID, Account] = {}
        self._keys: dict[uuid.UUID, ApiKey] = {}
        self.heads: dict[uuid.UUID, FeedHead] = {SYSTEM: FeedHead(epoch=1, seq=0)}

    async def create(self, name: str, email: str, role: Role) -> Account:
        """As the port says."""
        for field, text in (("name", name), ("email", email)):
            if not text.isprintable():
                raise Invalid(field, "must not contain control characters or broken Unicode")
        if await self.find(name) is not None:
            raise Invalid("name", f"{name!r} is taken")
        account = Account(id=uuid.uuid4(), name=name, email=email, role=role, created=self._clock.now())
        self._accounts[account.id] = account
        self.heads[account.id] = FeedHead(epoch=max(account.created // SECOND, 1), seq=0)
        return account

    async def find(self, name: str) -> Account | None:
        """As the port says."""
        return next((account for account in self._accounts.values() if account.name == name), None)

    async def get(self, account: uuid.UUID) -> Account | None:
        """As the port says."""
        return self._accounts.get(account)

    async def everyone(self) -> list[Account]:
        """As the port says."""
        return list(self._accounts.values())

    async def add_key(self, key: ApiKey) -> None:
        """As the port says."""
        if key.account_id not in self._accounts:
            raise NotFound(f"there is no account {key.account_id}")
        if key.id in self._keys or any(held.digest == key.digest for held in self._keys.values()):
            raise Invalid("key", "is there already")
        self._keys[key.id] = key

    async def keys(self, account: uuid.UUID) -> list[ApiKey]:
        """As the port says."""
        return [key for key in self._keys.values() if key.account_id == account]

    async def revoke_key(self, account: uuid.UUID, key: uuid.UUID, at: int) -> None:
        """As the port says."""
        held = self._keys.get(key)
        if held is None or held.account_id != account:
            raise NotFound(f"there is no key {key}")
        if held.revoked is None:
            self._keys[key] = msgspec.structs.replace(held, revoked=at)

    async def by_digest(self, digest: bytes) -> tuple[Account, ApiKey] | None:
        """As the port says."""
        for key in self._keys.values():
            if key.digest == digest:
                return self._accounts[key.account_id], key
        return None
