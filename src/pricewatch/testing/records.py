"""What people keep beside their rules, in memory."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import msgspec

from pricewatch.domain.account import Account
from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.signal import Signal
from pricewatch.domain.time import DAY, MINUTE, rfc3339
from pricewatch.ports.clock import Clock
from pricewatch.ports.records import Answer, Begun, Feedback, Holdings, Records, Verdict, Watchlist
from pricewatch.testing.accounts import MemoryAccounts
from pricewatch.testing.outbox import MemoryOutbox
from pricewatch.testing.rules import MemoryRuleBook
from pricewatch.testing.webhooks import MemoryWebhooks


def memory_records(
    clock: Clock,
    accounts: MemoryAccounts,
    rules: MemoryRuleBook,
    outbox: MemoryOutbox,
    webhooks: MemoryWebhooks,
) -> Records:
    """Every keeper of `ports.records`."""
    lists = MemoryWatchlists(clock, accounts)
    return Records(
        sessions=accounts.sessions,
        tickets=accounts.sessions,
        audit=accounts.audit,
        watchlists=lists,
        verdicts=MemoryVerdicts(clock),
        repeats=MemoryRepeats(clock),
        dossiers=MemoryDossiers(accounts, rules, lists, webhooks),
        trials=MemoryTrials(accounts, outbox, webhooks),
    )


class MemoryWatchlists:
    """Keeps `ports.records.Watchlists`."""

    def __init__(self, clock: Clock, accounts: MemoryAccounts) -> None:
        self._clock = clock
        self._accounts = accounts
        self.held: dict[uuid.UUID, Watchlist] = {}

    async def create(self, account: uuid.UUID, name: str, symbols: Sequence[str]) -> Watchlist:
        """As the port says."""
        if await self._accounts.get(account) is None:
            raise NotFound(f"there is no account {account}")
        await self._check(account, name)
        now = self._clock.now()
        made = Watchlist(
            id=uuid.uuid4(), account_id=account, name=name, symbols=tuple(symbols), created=now, changed=now
        )
        self.held[made.id] = made
        return made

    async def change(self, account: uuid.UUID, watchlist: uuid.UUID, name: str, symbols: Sequence[str]) -> Watchlist:
        """As the port says."""
        held = await self.get(account, watchlist)
        if name != held.name:
            await self._check(account, name)
        changed = msgspec.structs.replace(held, name=name, symbols=tuple(symbols), changed=self._clock.now())
        self.held[watchlist] = changed
        return changed

    async def get(self, account: uuid.UUID, watchlist: uuid.UUID) -> Watchlist:
        """As the port says."""
        held = self.held.get(watchlist)
        if held is None or held.account_id != account:
            raise NotFound(f"there is no watchlist {watchlist}")
        return held

    async def find(self, account: uuid.UUID, name: str) -> Watchlist | None:
        """As the port says."""
        return next((one for one in self.held.values() if (one.account_id, one.name) == (account, name)), None)

    async def page(self, account: uuid.UUID, *, after: uuid.UUID | None = None, limit: int = 100) -> list[Watchlist]:
        """As the port says."""
        mine = sorted((one for one in self.held.values() if one.account_id == account), key=_id)
        return [one for one in mine if after is None or one.id > after][:limit]

    async def delete(self, account: uuid.UUID, watchlist: uuid.UUID) -> None:
        """As the port says."""
        await self.get(account, watchlist)
        del self.held[watchlist]

    async def _check(self, account: uuid.UUID, name: str) -> None:
        if not name.isprintable():
            raise Invalid("name", "must not contain control characters or broken Unicode")
        if await self.find(account, name) is not None:
            raise Invalid("name", f"{name!r} is taken by another watchlist of yours")


class MemoryVerdicts:
    """Keeps `ports.records.Verdicts`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[tuple[uuid.UUID, uuid.UUID], Verdict] = {}

    async def acknowledge(self, account: uuid.UUID, signal: uuid.UUID) -> Verdict:
        """As the port says."""
        held = await self.get(account, signal)
        if held.acknowledged is None:
            held = msgspec.structs.replace(held, acknowledged=self._clock.now())
        self._said[account, signal] = held
        return held

    async def judge(self, account: uuid.UUID, signal: uuid.UUID, feedback: Feedback | None) -> Verdict:
        """As the port says."""
        held = msgspec.structs.replace(await self.get(account, signal), feedback=feedback)
        self._said[account, signal] = held
        return held

    async def get(self, account: uuid.UUID, signal: uuid.UUID) -> Verdict:
        """As the port says."""
        return self._said.get((account, signal), Verdict(signal_id=signal))


class _Repeat(NamedTuple):
    fingerprint: bytes
    begun: int
    answer: Answer | None = None


class MemoryRepeats:
    """Keeps `ports.records.Repeats`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[tuple[uuid.UUID, str], _Repeat] = {}

    async def begin(self, account: uuid.UUID, key: str, fingerprint: bytes) -> Answer | Begun:
        """As the port says."""
        held, now = self._held.get((account, key)), self._clock.now()
        if held is None or now - held.begun > (DAY if held.answer is not None else MINUTE):
            self._held[account, key] = _Repeat(fingerprint, now)
            return Begun.NOW
        if held.fingerprint != fingerprint:
            return Begun.OTHER
        return held.answer or Begun.RUNNING

    async def finish(self, account: uuid.UUID, key: str, answer: Answer) -> None:
        """As the port says."""
        self._held[account, key] = self._held[account, key]._replace(answer=answer)

    async def abandon(self, account: uuid.UUID, key: str) -> None:
        """As the port says."""
        if self._held[account, key].answer is None:
            del self._held[account, key]

    async def forget(self, before: int) -> None:
        """As the port says."""
        self._held = {key: held for key, held in self._held.items() if held.begun >= before}


class MemoryDossiers:
    """Keeps `ports.records.Dossiers`, as far as memory goes: accounts, keys, watchlists and rules."""

    def __init__(
        self, accounts: MemoryAccounts, rules: MemoryRuleBook, lists: MemoryWatchlists, webhooks: MemoryWebhooks
    ) -> None:
        self._accounts = accounts
        self._rules = rules
        self._lists = lists
        self._webhooks = webhooks

    async def holdings(self, account: uuid.UUID) -> Holdings:
        """As the port says."""
        keys = [key for key in await self._accounts.keys(account) if key.revoked is None]
        return Holdings(
            rules=len(await self._rules.page(account, limit=2**31)),
            keys=len(keys),
            watchlists=len(await self._lists.page(account, limit=2**31)),
        )

    async def export(self, account: Account) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """As the port says."""
        yield "account", {**msgspec.to_builtins(account), "created": rfc3339(account.created)}
        for key in await self._accounts.keys(account.id):
            yield "key", {"id": str(key.id), "prefix": key.prefix, "title": key.title, "created": rfc3339(key.created)}
        for hook in await self._webhooks.listing(account.id):
            yield "webhook", {"id": str(hook.id), "name": hook.name, "url": hook.url, "created": rfc3339(hook.created)}
        for rule in await self._rules.page(account.id, limit=2**31):
            yield "rule", {"rule_id": str(rule.id), "version": rule.version, "document": msgspec.Raw(rule.document)}

    async def erase(self, account: uuid.UUID, *, by: uuid.UUID | None = None) -> None:
        """As the port says."""
        self._accounts.remove(account, by)
        self._lists.held = {one.id: one for one in self._lists.held.values() if one.account_id != account}
        self._webhooks.forget(account)


class MemoryTrials:
    """Keeps `ports.records.Trials`."""

    def __init__(self, accounts: MemoryAccounts, outbox: MemoryOutbox, webhooks: MemoryWebhooks) -> None:
        self._accounts = accounts
        self._outbox = outbox
        self._webhooks = webhooks

    async def owe(self, signal: Signal) -> None:
        """As the port says."""
        account = await self._accounts.get(signal.account_id)
        for channel, target in owed_on(account, self._webhooks, signal):
            self._outbox.queue(signal, channel, target)


def owed_on(owner: Account | None, webhooks: MemoryWebhooks, signal: Signal) -> list[tuple[str, str]]:
    """The deliveries that the words of a signal's channels mean: channel and target."""
    found: list[tuple[str, str]] = []
    for word in signal.channels:
        if word == "email":
            found += [("email", owner.email)] if owner is not None and owner.email else []
        elif word.startswith("webhook"):
            found += [("webhook", target) for target in webhooks.owed_on(signal.account_id, word)]
        else:
            found.append((word, ""))
    return list(dict.fromkeys(found))


def _id(one: Watchlist) -> uuid.UUID:
    return one.id
