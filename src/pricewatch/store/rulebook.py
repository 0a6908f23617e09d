"""Rules and their versions in PostgreSQL."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import AsyncIterator, Sequence

import asyncpg

from pricewatch.domain.errors import NotFound
from pricewatch.domain.rule import Order, RuleCommand
from pricewatch.ports.clock import Clock
from pricewatch.ports.rules import StoredRule
from pricewatch.store import sql
from pricewatch.store.pool import Database, Row

_SQL = sql.load("rulebook")
_LAST = 2**128 - 1
_NEWEST = 2**31 - 1
_MANY = 1_000
"""From so many new rules on the planner is told at once, not at the next autovacuum."""


class PostgresRuleBook:
    """Keeps `ports.rules.RuleBook`. `created` is when the version was written; a deletion keeps the last document."""

    def __init__(self, database: Database, clock: Clock, *, batch: int = 5_000) -> None:
        self._database = database
        self._clock = clock
        self._batch = batch

    async def create(self, account: uuid.UUID, document: bytes, *, rule_id: uuid.UUID | None = None) -> StoredRule:
        """Raises `NotFound` for an unknown account and for another account's `rule_id`; a deleted rule lives again."""
        rule = rule_id or uuid.uuid4()
        try:
            row = await self._database.fetchrow(_SQL["create"], rule, account, document, self._clock.now())
        except asyncpg.ForeignKeyViolationError as exc:
            raise NotFound(f"there is no account {account}") from exc
        return _found(row, rule)

    async def create_many(self, account: uuid.UUID, documents: Sequence[tuple[uuid.UUID, bytes]]) -> int:
        """A transaction per batch: after `Unavailable` do it again. The first of several with one id counts."""
        if not await self._database.fetchval(_SQL["account_exists"], account):
            raise NotFound(f"there is no account {account}")
        new, now = 0, self._clock.now()
        rules = dict(reversed(documents))
        ordered = iter(sorted(rules.items()))
        while batch := list(itertools.islice(ordered, self._batch)):
            ids, texts = zip(*batch, strict=True)
            new += await self._database.fetchval(_SQL["create_many"], ids, texts, account, now)
        if new >= _MANY:
            await self._database.execute(_SQL["refresh_statistics"])
        return new

    async def revise(self, account: uuid.UUID, rule_id: uuid.UUID, document: bytes) -> StoredRule:
        """Raises `NotFound`, also for a deleted rule."""
        row = await self._database.fetchrow(_SQL["revise"], rule_id, account, document, self._clock.now())
        return _found(row, rule_id)

    async def delete(self, account: uuid.UUID, rule_id: uuid.UUID) -> StoredRule:
        """Raises `NotFound`, also the second time."""
        row = await self._database.fetchrow(_SQL["delete"], rule_id, account, self._clock.now())
        return _found(row, rule_id)

    async def get(self, account: uuid.UUID, rule_id: uuid.UUID) -> StoredRule:
        """The newest version."""
        return _found(await self._database.fetchrow(_SQL["get"], rule_id, account), rule_id)

    async def page(self, account: uuid.UUID, *, after: uuid.UUID | None = None, limit: int = 100) -> list[StoredRule]:
        """In order of id."""
        start = _beyond(after)
        if start is None:
            return []
        return [_stored(row) for row in await self._database.fetch(_SQL["page"], account, start, limit)]

    async def versions(
        self, account: uuid.UUID, rule_id: uuid.UUID, *, before: int | None = None, limit: int = 100
    ) -> list[StoredRule]:
        """Newest first; raises `NotFound` for an unknown or foreign rule."""
        last = _NEWEST if before is None else min(before, _NEWEST)
        rows = await self._database.fetch(_SQL["versions"], rule_id, account, last, limit)
        if not rows and not await self._database.fetchval(_SQL["is_known"], rule_id, account):
            raise NotFound(f"there is no rule {rule_id}")
        return [_stored(row) for row in rows]

    async def everything(self) -> AsyncIterator[list[StoredRule]]:
        """In order of id. No transaction spans the batches: what changes meanwhile is `pending`."""
        async for batch in self._batches("everything"):
            yield batch

    async def pending(self) -> list[StoredRule]:
        """In order of id; only the newest version of each rule."""
        return [rule async for batch in self._batches("pending") for rule in batch]

    async def effective(self, rule_id: uuid.UUID) -> StoredRule | None:
        """By one look into the versions of one rule."""
        row = await self._database.fetchrow(_SQL["effective"], rule_id)
        return None if row is None or row["deleted"] else _stored(row)

    async def command(self, account: uuid.UUID, rule_id: uuid.UUID, order: Order, *, until: int = 0) -> RuleCommand:
        """Deleting a rule forgets its commands."""
        now = self._clock.now()
        row = await self._database.fetchrow(_SQL["command"], rule_id, account, order.value, until, now)
        if row is None:
            raise NotFound(f"there is no rule {rule_id}")
        return _command(row)

    async def commands(self, account: uuid.UUID, rule_id: uuid.UUID, *, limit: int = 50) -> list[RuleCommand]:
        """Newest first."""
        await self.get(account, rule_id)
        return [_command(row) for row in await self._database.fetch(_SQL["commands"], rule_id, limit)]

    async def standing(self, account: uuid.UUID, rules: Sequence[uuid.UUID]) -> dict[uuid.UUID, RuleCommand]:
        """Other accounts' rules are as unknown ones."""
        rows = await self._database.fetch(_SQL["standing"], account, list(rules))
        return {row["rule_id"]: _command(row) for row in rows}

    async def pending_commands(self) -> list[RuleCommand]:
        """In order of the rules' ids."""
        return [_command(row) async for rows in self._rows("pending_commands") for row in rows]

    async def taken_commands(self) -> AsyncIterator[list[RuleCommand]]:
        """In order of the rules' ids."""
        async for rows in self._rows("taken_commands"):
            yield [_command(row) for row in rows]

    async def _batches(self, query: str) -> AsyncIterator[list[StoredRule]]:
        async for rows in self._rows(query):
            yield [_stored(row) for row in rows]

    async def _rows(self, query: str) -> AsyncIterator[list[Row]]:
        start = _beyond(None)
        while start is not None and (rows := await self._database.fetch(_SQL[query], start, self._batch)):
            yield rows
            start = _beyond(rows[-1]["rule_id"]) if len(rows) == self._batch else None


def _beyond(rule: uuid.UUID | None) -> uuid.UUID | None:
    """The first id that may come after this one; None after the last of all."""
    if rule is None:
        return uuid.UUID(int=0)
    return uuid.UUID(int=rule.int + 1) if rule.int < _LAST else None


def _found(row: Row | None, rule: uuid.UUID) -> StoredRule:
    if row is None:
        raise NotFound(f"there is no rule {rule}")
    return _stored(row)


def _stored(row: Row) -> StoredRule:
    return StoredRule(*row)


def _command(row: Row) -> RuleCommand:
    rule, account, number, kind, until, created, effective_seen = row
    return RuleCommand(rule, account, number, Order(kind), until, created, effective_seen)
