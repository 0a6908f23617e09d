"""Rules as documents, versioned and owned."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from pricewatch.domain.rule import Order, RuleCommand


class StoredRule(msgspec.Struct, frozen=True):
    """The newest version of one rule. `document` is its JSON text."""

    id: uuid.UUID
    account_id: uuid.UUID
    version: int
    document: bytes
    created: int
    effective_seen: int | None = None
    """Where in the order the engine took this version up; None until then."""
    deleted: bool = False


class RuleBook(Protocol):
    """Where rules live. Reads and writes of one account never touch another's."""

    async def create(self, account: uuid.UUID, document: bytes, *, rule_id: uuid.UUID | None = None) -> StoredRule:
        """A new rule at version 1. With a known `rule_id` of the same account: a new version of it."""
        ...

    async def create_many(self, account: uuid.UUID, documents: Sequence[tuple[uuid.UUID, bytes]]) -> int:
        """Bulk import of version 1 rules; those already there are left alone. Returns how many were new."""
        ...

    async def revise(self, account: uuid.UUID, rule_id: uuid.UUID, document: bytes) -> StoredRule:
        """A new version; raises `NotFound` for an unknown or foreign rule."""
        ...

    async def delete(self, account: uuid.UUID, rule_id: uuid.UUID) -> StoredRule:
        """Mark deleted (a new version without a life); raises `NotFound`."""
        ...

    async def get(self, account: uuid.UUID, rule_id: uuid.UUID) -> StoredRule:
        """Raises `NotFound`, also for deleted ones."""
        ...

    async def page(self, account: uuid.UUID, *, after: uuid.UUID | None = None, limit: int = 100) -> list[StoredRule]:
        """Living rules in order of id."""
        ...

    async def versions(
        self, account: uuid.UUID, rule_id: uuid.UUID, *, before: int | None = None, limit: int = 100
    ) -> list[StoredRule]:
        """All versions (below `before`), the newest first, of a deleted rule too; raises `NotFound`."""
        ...

    def everything(self) -> AsyncIterator[list[StoredRule]]:
        """All living rules of all accounts, in batches: the engine's start."""
        ...

    async def pending(self) -> list[StoredRule]:
        """Versions (deletions too) the engine has not yet taken up."""
        ...

    async def effective(self, rule_id: uuid.UUID) -> StoredRule | None:
        """The newest version the engine has taken up; None where there is none, or where that was a deletion."""
        ...

    async def command(self, account: uuid.UUID, rule_id: uuid.UUID, order: Order, *, until: int = 0) -> RuleCommand:
        """Tell a rule to pause, to snooze `until` (our clock, µs) or to go on; the newest command counts.

        Raises `NotFound` for an unknown, deleted or foreign rule. It counts from where the engine takes it up.
        """
        ...

    async def commands(self, account: uuid.UUID, rule_id: uuid.UUID, *, limit: int = 50) -> list[RuleCommand]:
        """A rule's commands, newest first; raises `NotFound` as `command` does."""
        ...

    async def standing(self, account: uuid.UUID, rules: Sequence[uuid.UUID]) -> dict[uuid.UUID, RuleCommand]:
        """The newest command of each of these rules that has had one."""
        ...

    async def pending_commands(self) -> list[RuleCommand]:
        """The newest command of each rule, where the engine has not yet taken it up."""
        ...

    def taken_commands(self) -> AsyncIterator[list[RuleCommand]]:
        """Per living rule the newest command the engine has taken up, in batches: the engine's start."""
        ...


class RuleChanges(Protocol):
    """Whoever changes or commands a rule says so here; the engine then looks at `RuleBook.pending` and its like."""

    def rules_changed(self) -> None:
        """Never blocks."""
        ...
