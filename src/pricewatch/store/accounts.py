"""Accounts, their feeds and their keys in PostgreSQL."""

from __future__ import annotations

import uuid

import asyncpg

from pricewatch.domain.account import Account, ApiKey, Role
from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.time import SECOND
from pricewatch.ports.clock import Clock
from pricewatch.store import sql
from pricewatch.store.pool import Database, Row

_SQL = sql.load("accounts")


class PostgresAccounts:
    """Keeps `ports.accounts.Accounts`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, name: str, email: str, role: Role) -> Account:
        """Its feed's epoch is the second of creation: a store made anew is never taken for the old one."""
        _check("name", name)
        _check("email", email)
        account = Account(id=uuid.uuid4(), name=name, email=email, role=role, created=self._clock.now())
        epoch = max(account.created // SECOND, 1)
        made = await self._database.fetchval(
            _SQL["create"], account.id, name, email, role.value, account.created, epoch
        )
        if made is None:
            raise Invalid("name", f"{name!r} is taken")
        return account

    async def find(self, name: str) -> Account | None:
        """None also for what can be no name."""
        if not _storable(name):
            return None
        row = await self._database.fetchrow(_SQL["find"], name)
        return None if row is None else _account(row)

    async def get(self, account: uuid.UUID) -> Account | None:
        """By id."""
        row = await self._database.fetchrow(_SQL["get"], account)
        return None if row is None else _account(row)

    async def everyone(self) -> list[Account]:
        """In order of creation."""
        return [_account(row) for row in await self._database.fetch(_SQL["everyone"])]

    async def add_key(self, key: ApiKey) -> None:
        """Raises `NotFound` for an unknown account, `Invalid` for a key that is there already."""
        fields = (key.id, key.account_id, key.prefix, key.digest, key.created, key.expires, key.revoked)
        try:
            await self._database.execute(_SQL["add_key"], *fields)
        except asyncpg.ForeignKeyViolationError as exc:
            raise NotFound(f"there is no account {key.account_id}") from exc
        except asyncpg.UniqueViolationError as exc:
            raise Invalid("key", "is there already") from exc

    async def keys(self, account: uuid.UUID) -> list[ApiKey]:
        """In order of creation."""
        return [ApiKey(*row) for row in await self._database.fetch(_SQL["keys"], account)]

    async def revoke_key(self, account: uuid.UUID, key: uuid.UUID, at: int) -> None:
        """The first time counts."""
        if await self._database.fetchval(_SQL["revoke_key"], account, key, at) is None:
            raise NotFound(f"there is no key {key}")

    async def by_digest(self, digest: bytes) -> tuple[Account, ApiKey] | None:
        """One indexed look-up."""
        row = await self._database.fetchrow(_SQL["by_digest"], digest)
        if row is None:
            return None
        account = _account(row)
        return account, ApiKey(
            id=row["key_id"],
            account_id=account.id,
            prefix=row["prefix"],
            digest=row["digest"],
            created=row["key_created"],
            expires=row["expires"],
            revoked=row["revoked"],
        )


def _account(row: Row) -> Account:
    return Account(id=row["id"], name=row["name"], email=row["email"], role=Role(row["role"]), created=row["created"])


def _check(field: str, text: str) -> None:
    if not _storable(text):
        raise Invalid(field, "must not contain control characters or broken Unicode")


def _storable(text: str) -> bool:
    return text.isprintable()
