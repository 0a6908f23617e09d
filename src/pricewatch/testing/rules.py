"""Rules and their versions in memory."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec

from pricewatch.domain.errors import NotFound
from pricewatch.domain.rule import Order, RuleCommand, StateRow
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
        self._commands: dict[uuid.UUID, list[RuleCommand]] = {}
        self._numbers: dict[uuid.UUID, int] = {}

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
        self._commands.pop(rule_id, None)
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

    async def effective(self, rule_id: uuid.UUID) -> StoredRule | None:
        """As the port says."""
        taken = [rule for rule in self._versions.get(rule_id, []) if rule.effective_seen is not None]
        return None if not taken or taken[-1].deleted else taken[-1]

    async def command(self, account: uuid.UUID, rule_id: uuid.UUID, order: Order, *, until: int = 0) -> RuleCommand:
        """As the port says."""
        await self.get(account, rule_id)
        given = self._commands.setdefault(rule_id, [])
        number = self._numbers[rule_id] = self._numbers.get(rule_id, 0) + 1
        given.append(RuleCommand(rule_id, account, number, order, until, self._clock.now()))
        return given[-1]

    async def commands(self, account: uuid.UUID, rule_id: uuid.UUID, *, limit: int = 50) -> list[RuleCommand]:
        """As the port says."""
        await self.get(account, rule_id)
        return self._commands.get(rule_id, [])[::-1][:limit]

    async def standing(self, account: uuid.UUID, rules: Sequence[uuid.UUID]) -> dict[uuid.UUID, RuleCommand]:
        """As the port says."""
        newest = {rule: given[-1] for rule, given in self._commands.items() if rule in rules}
        return {rule: command for rule, command in newest.items() if command.account_id == account}

    async def pending_commands(self) -> list[RuleCommand]:
        """As the port says, in order of the rules' ids."""
        newest = (given[-1] for _, given in sorted(self._commands.items()))
        return [command for command in newest if command.effective_seen is None]

    async def taken_commands(self) -> AsyncIterator[list[RuleCommand]]:
        """As the port says, in order of the rules' ids."""
        for _, given in sorted(self._commands.items()):
            if taken := [command for command in given if command.effective_seen is not None]:
                yield taken[-1:]

    def take_up_command(self, rule_id: uuid.UUID, number: int, seen: int) -> None:
        """For the journal: the engine obeys this command from `seen` on. The first time counts."""
        given = self._commands.get(rule_id, [])
        for place, command in enumerate(given):
            if command.number == number and command.effective_seen is None:
                given[place] = msgspec.structs.replace(command, effective_seen=seen)

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
