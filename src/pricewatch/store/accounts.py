"""Accounts, their feeds and their keys in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import asyncpg

from pricewatch.domain.account import Account, ApiKey, Role, Scope
from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.time import SECOND
from pricewatch.ports.accounts import Change
from pricewatch.ports.clock import Clock
from pricewatch.store import sql
from pricewatch.store.pool import Connection, Database, Row

_SQL = sql.load("accounts")


class PostgresAccounts:
    """Keeps `ports.accounts.Accounts`. Every change and its audit entry are one statement."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, name: str, email: str, role: Role, *, by: uuid.UUID | None = None) -> Account:
        """Its feed's epoch is the second of creation: a store made anew is never taken for the old one."""
        check_text("name", name)
        check_text("email", email)
        account = Account(id=uuid.uuid4(), name=name, email=email, role=role, created=self._clock.now())
        epoch = max(account.created // SECOND, 1)
        made = await self._database.fetchval(
            _SQL["create"], account.id, name, email, role.value, account.created, epoch, by
        )
        if made is None:
            raise Invalid("name", f"{name!r} is taken")
        return account

    async def find(self, name: str) -> Account | None:
        """None also for what can be no name."""
        found = await self.password(name)
        return None if found is None else found[0]

    async def get(self, account: uuid.UUID) -> Account | None:
        """By id."""
        row = await self._database.fetchrow(_SQL["get"], account)
        return None if row is None else account_of(row)

    async def everyone(self) -> list[Account]:
        """In order of creation."""
        return [account_of(row) for row in await self._database.fetch(_SQL["everyone"])]

    async def change(self, account: uuid.UUID, change: Change, *, by: uuid.UUID | None = None) -> Account:
        """Administrators are locked meanwhile, so that two cannot remove each other."""
        check_text("email", change.email or "")
        weakens = change.disabled is True or change.role not in {None, Role.ADMIN}
        role = change.role.value if change.role is not None else None
        now = self._clock.now()

        async def work(connection: Connection) -> Row | None:
            if weakens:
                await keep_one_admin(connection, account, "disabled" if change.disabled else "role")
            row: Row | None = await connection.fetchrow(
                _SQL["change"], account, change.email, role, change.disabled, now, by
            )
            return row

        row = await self._database.transaction(work)
        if row is None:
            raise NotFound(f"there is no account {account}")
        return account_of(row)

    async def password(self, name: str) -> tuple[Account, str | None] | None:
        """None also for what can be no name."""
        if not is_storable(name):
            return None
        row = await self._database.fetchrow(_SQL["find"], name)
        return None if row is None else (account_of(row), row["password"])

    async def set_password(
        self,
        account: uuid.UUID,
        hashed: str | None,
        *,
        by: uuid.UUID | None = None,
        keep: uuid.UUID | None = None,
        quietly: bool = False,
    ) -> None:
        """Raises `NotFound`."""
        found = await self._database.fetchval(
            _SQL["set_password"], account, hashed, self._clock.now(), by, keep, quietly
        )
        if found is None:
            raise NotFound(f"there is no account {account}")

    async def add_key(self, key: ApiKey, *, by: uuid.UUID | None = None) -> None:
        """Raises `NotFound` for an unknown account, `Invalid` for a key that is there already."""
        check_text("title", key.title)
        fields = (key.id, key.account_id, key.prefix, key.digest, key.created, key.expires, key.revoked)
        try:
            await self._database.execute(_SQL["add_key"], *fields, key.title, sorted(key.scopes), by)
        except asyncpg.ForeignKeyViolationError as exc:
            raise NotFound(f"there is no account {key.account_id}") from exc
        except asyncpg.UniqueViolationError as exc:
            raise Invalid("key", "is there already") from exc

    async def keys(self, account: uuid.UUID) -> list[ApiKey]:
        """In order of creation."""
        return [_key(row, row["id"], row["account_id"]) for row in await self._database.fetch(_SQL["keys"], account)]

    async def revoke_key(self, account: uuid.UUID, key: uuid.UUID, at: int, *, by: uuid.UUID | None = None) -> None:
        """The first time counts."""
        if await self._database.fetchval(_SQL["revoke_key"], account, key, at, by) is None:
            raise NotFound(f"there is no key {key}")

    async def key_used(self, key: uuid.UUID, at: int) -> None:
        """The latest time counts."""
        await self._database.execute(_SQL["key_used"], key, at)

    async def by_digest(self, digest: bytes) -> tuple[Account, ApiKey] | None:
        """One indexed look-up."""
        row = await self._database.fetchrow(_SQL["by_digest"], digest)
        if row is None:
            return None
        account = account_of(row)
        return account, _key(row, row["key_id"], account.id, created=row["key_created"])

    async def standing(self, digests: Sequence[bytes], now: int) -> frozenset[bytes]:
        """One query for all."""
        rows = await self._database.fetch(_SQL["standing"], digests, now)
        return frozenset(row["digest"] for row in rows)


async def keep_one_admin(connection: Connection, account: uuid.UUID, field: str) -> None:
    """Lock the administrators; raises `Invalid` if this one is the last."""
    admins = [row["id"] for row in await connection.fetch(_SQL["lock_admins"])]
    if admins == [account]:
        raise Invalid(field, "this is the last administrator; make another one first")


def account_of(row: Row) -> Account:
    """The account of a row with its columns."""
    return Account(
        id=row["id"],
        name=row["name"],
        email=row["email"],
        role=Role(row["role"]),
        created=row["created"],
        disabled=row["disabled"],
    )


def scopes_of(row: Row) -> frozenset[Scope]:
    """The scopes of a row."""
    return frozenset(map(Scope, row["scopes"]))


def check_text(field: str, text: str) -> None:
    """Raises `Invalid` for what a line of text in the database cannot be."""
    if not is_storable(text):
        raise Invalid(field, "must not contain control characters or broken Unicode")


def is_storable(text: str) -> bool:
    """Whether this can be a line of text in the database."""
    return text.isprintable()


def _key(row: Row, key: uuid.UUID, account: uuid.UUID, *, created: int | None = None) -> ApiKey:
    return ApiKey(
        id=key,
        account_id=account,
        prefix=row["prefix"],
        digest=row["digest"],
        created=row["created"] if created is None else created,
        expires=row["expires"],
        revoked=row["revoked"],
        title=row["title"],
        scopes=scopes_of(row),
        used=row["used"],
    )
