"""Rules and their versions in memory."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec

from pricewatch.domain.errors import NotFound
from pricewatch.domain.rule import StateRow
from pricewatch.ports.clock import Clock
from pricewatch.ports.rules import StoredRule
from pricewatch.testing.accounts import MemoryAccounts


class MemoryRuleBook:
    """Keeps `ports.rules.RuleBook`."""

    def __init__(self, clock: Clock, accounts: MemoryAccounts, *, batch: int = 5_000) -> None:
        self._clock = clock
        self._accounts = accounts
        self._batch = batch
        self._versions: dict[uuid.UUID, list[StoredRule]] = {}

    async def create(self, account: uuid.UUID, document: bytes, *, rule_id: uuid.UUID | None = None) -> StoredRule:
        """As the port says; a deleted rule lives again."""
        await self._check(account)
        rule = rule_id or uuid.uuid4()
        versions = self._versions.get(rule, [])
        if versions and versions[-1].account_id != account:
            raise NotFound(f"there is no rule {rule}")
        return self._write(account, rule, document)

    async def create_many(self, account: uuid.UUID, documents: Sequence[tuple[uuid.UUID, bytes]]) -> int:
        """As the port says; the first of several with one id counts."""
        await self._check(account)
        before = len(self._versions)
        for rule, document in documents:
            if rule not in self._versions:
                self._write(account, rule, document)
        return len(self._versions) - before

    async def revise(self, account: uuid.UUID, rule_id: uuid.UUID, document: bytes) -> StoredRule:
        """As the port says."""
        await self.get(account, rule_id)
        return self._write(account, rule_id, document)

    async def delete(self, account: uuid.UUID, rule_id: uuid.UUID) -> StoredRule:
        """As the port says."""
        last = await self.get(account, rule_id)
        return self._write(account, rule_id, last.document, deleted=True)

    async def get(self, account: uuid.UUID, rule_id: uuid.UUID) -> StoredRule:
        """As the port says."""
        versions = self._versions.get(rule_id)
        if not versions or versions[-1].account_id != account or versions[-1].deleted:
            raise NotFound(f"there is no rule {rule_id}")
        return versions[-1]

    async def page(self, account: uuid.UUID, *, after: uuid.UUID | None = None, limit: int = 100) -> list[StoredRule]:
        """As the port says."""
        mine = (rule for rule in self._newest() if rule.account_id == account and not rule.deleted)
        return [rule for rule in mine if after is None or rule.id > after][:limit]

    async def versions(
        self, account: uuid.UUID, rule_id: uuid.UUID, *, before: int | None = None, limit: int = 100
    ) -> list[StoredRule]:
        """As the port says."""
        held = self._versions.get(rule_id, [])
        if not held or held[-1].account_id != account:
            raise NotFound(f"there is no rule {rule_id}")
        return [one for one in reversed(held) if before is None or one.version < before][:limit]

    async def everything(self) -> AsyncIterator[list[StoredRule]]:
        """As the port says, in order of id."""
        living = [rule for rule in self._newest() if not rule.deleted]
        for start in range(0, len(living), self._batch):
            yield living[start : start + self._batch]

    async def pending(self) -> list[StoredRule]:
        """As the port says, in order of id."""
        return [rule for rule in self._newest() if rule.effective_seen is None]

    def take_up(self, rule_id: uuid.UUID, version: int, seen: int) -> None:
        """For the journal: the engine uses this version from `seen` on. The first time counts."""
        versions = self._versions.get(rule_id, [])
        for place, rule in enumerate(versions):
            if rule.version == version and rule.effective_seen is None:
                versions[place] = msgspec.structs.replace(rule, effective_seen=seen)

    def is_current(self, row: StateRow) -> bool:
        """For the journal: the state's rule lives, and no later version of it has been taken up."""
        versions = self._versions.get(row.rule_id)
        if not versions or versions[-1].deleted:
            return False
        return not any(rule.version > row.version and rule.effective_seen is not None for rule in versions)

    async def _check(self, account: uuid.UUID) -> None:
        if await self._accounts.get(account) is None:
            raise NotFound(f"there is no account {account}")

    def _newest(self) -> Iterator[StoredRule]:
        for _, versions in sorted(self._versions.items()):
            yield versions[-1]

    def _write(self, account: uuid.UUID, rule: uuid.UUID, document: bytes, *, deleted: bool = False) -> StoredRule:
        versions = self._versions.setdefault(rule, [])
        stored = StoredRule(rule, account, len(versions) + 1, document, self._clock.now(), deleted=deleted)
        versions.append(stored)
        return stored
