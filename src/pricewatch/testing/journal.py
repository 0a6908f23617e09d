"""The journal and the feeds in memory."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from pricewatch.domain.account import Role
from pricewatch.domain.errors import Fenced, NotFound, Unavailable
from pricewatch.domain.rule import StateRow
from pricewatch.domain.signal import FeedEntry, Signal
from pricewatch.domain.watch import SYSTEM
from pricewatch.ports.clock import Clock
from pricewatch.ports.journal import Change, Claim, FeedHead, Grant, Held
from pricewatch.testing.accounts import MemoryAccounts
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.consumers import MemoryConsumers
from pricewatch.testing.outbox import MemoryOutbox
from pricewatch.testing.records import memory_records, owed_on
from pricewatch.testing.rules import MemoryRuleBook
from pricewatch.testing.webhooks import MemoryWebhooks


class MemoryJournal:
    """Keeps `ports.journal.LeasedJournal`, `FeedLog` and `SystemFeed` over the other memory keepers.

    Set `down` to be `Unavailable`.
    """

    def __init__(
        self,
        clock: Clock,
        accounts: MemoryAccounts,
        rules: MemoryRuleBook,
        outbox: MemoryOutbox,
        webhooks: MemoryWebhooks,
    ) -> None:
        self._clock = clock
        self._webhooks = webhooks
        self._accounts = accounts
        self._rules = rules
        self._outbox = outbox
        self._claims: dict[int, Claim] = {}
        self._states: dict[tuple[uuid.UUID, int], tuple[int, StateRow]] = {}
        self._feeds: dict[uuid.UUID, list[FeedEntry]] = {}
        self._known: dict[uuid.UUID, FeedEntry] = {}
        self._leases: dict[int, tuple[str, float, int]] = {}
        """By shard: home, seconds, and when it was last renewed."""
        self.down = False

    async def claim(self, shard: int, owner: str) -> Claim:
        """As the port says."""
        self._check()
        held = self._claims.get(shard)
        term, cursor = (1, 0) if held is None else (held.term + 1, held.cursor)
        claim = self._claims[shard] = Claim(shard=shard, owner=owner, term=term, cursor=cursor)
        self._leases[shard] = ("", 0.0, self._clock.now())
        return claim

    async def request(self, shard: int, owner: str, *, home: str, lease: float) -> Grant | Held:
        """As the port says, by the given clock."""
        self._check()
        held, now = self._claims.get(shard), self._clock.now()
        whose, seconds, renewed = self._leases.get(shard, ("", 0.0, now))
        silent = (now - renewed) / 1e6
        if held is not None and whose != home and silent < seconds:
            return Held(owner=held.owner, silent=silent)
        claim = await self.claim(shard, owner)
        self._leases[shard] = (home, lease, now)
        return Grant(claim=claim, former="" if held is None else held.owner, kept=whose == home, silent=silent)

    async def release(self, claim: Claim) -> None:
        """As the port says."""
        self._check()
        held = self._claims.get(claim.shard)
        if held is not None and held.term == claim.term:
            home, _, renewed = self._leases[claim.shard]
            self._leases[claim.shard] = (home, 0.0, renewed)

    async def commit(self, claim: Claim, change: Change) -> list[FeedEntry]:
        """As the port says."""
        self._check()
        held = self._claims.get(claim.shard)
        if held is None or held.term != claim.term:
            raise Fenced(f"shard {claim.shard} is no longer {claim.owner}'s: term {claim.term} has ended")
        self._leases[claim.shard] = (*self._leases[claim.shard][:2], self._clock.now())
        cursor = max(held.cursor, change.cursor)
        self._claims[claim.shard] = Claim(shard=claim.shard, owner=held.owner, term=held.term, cursor=cursor)
        self._take_up(change.effective)
        for rule, number, seen in change.commands:
            self._rules.take_up_command(rule, number, seen)
        for row in change.states if change.cursor >= cursor else ():
            self._keep(claim.shard, row)
        return [await self._enter(signal) for signal in change.signals if self._is_new(signal)]

    async def states(self, shard: int) -> list[StateRow]:
        """As the port says, in order of rule and market."""
        self._check()
        return [row for _, (at, row) in sorted(self._states.items()) if at == shard]

    async def head(self, account: uuid.UUID) -> FeedHead:
        """Raises `NotFound` for an unknown account."""
        self._check()
        if account not in self._accounts.heads:
            raise NotFound(f"there is no account {account}")
        return self._accounts.heads[account]

    async def read(self, account: uuid.UUID, *, after_seq: int, limit: int = 500) -> list[FeedEntry]:
        """As the port says."""
        self._check()
        return [entry for entry in self._feeds.get(account, []) if entry.seq > after_seq][:limit]

    async def latest(self, account: uuid.UUID, *, before_seq: int | None = None, limit: int = 50) -> list[FeedEntry]:
        """As the port says."""
        self._check()
        entries = reversed(self._feeds.get(account, []))
        return [entry for entry in entries if before_seq is None or entry.seq < before_seq][:limit]

    async def get(self, account: uuid.UUID, signal: uuid.UUID) -> FeedEntry | None:
        """As the port says."""
        self._check()
        entry = self._known.get(signal)
        return entry if entry is not None and entry.feed == account else None

    async def place_before(self, account: uuid.UUID, instant: int) -> int:
        """As the port says."""
        self._check()
        entries = self._feeds.get(account, [])
        before = [entry.seq for entry in entries if entry.committed < instant]
        return before[-1] if before else (entries[0].seq - 1 if entries else 0)

    async def append(self, signals: Sequence[Signal], *, mail: bool = False) -> list[FeedEntry]:
        """As the port says."""
        self._check()
        entries = [await self._enter(signal) for signal in signals if self._is_new(signal)]
        for entry in entries if mail else ():
            for account in await self._accounts.everyone():
                if account.role is Role.ADMIN and account.email:
                    self._outbox.queue(entry.signal, "email", account.email, account=account.id, entry=entry)
        return entries

    async def standing(self, rules: Sequence[uuid.UUID]) -> list[Signal]:
        """As the port says."""
        self._check()
        newest: dict[tuple[uuid.UUID, int], Signal] = {}
        for entry in self._feeds.get(SYSTEM, []):
            signal = entry.signal
            held = newest.get((signal.rule_id, signal.market))
            if signal.rule_id in rules and (held is None or held.seen <= signal.seen):
                newest[signal.rule_id, signal.market] = signal
        return list(newest.values())

    def _check(self) -> None:
        if self.down:
            raise Unavailable("the memory journal was told to be down")

    def _take_up(self, effective: Sequence[tuple[uuid.UUID, int, int]]) -> None:
        taken: dict[uuid.UUID, int] = {}
        for rule, version, seen in effective:
            self._rules.take_up(rule, version, seen)
            taken[rule] = max(version, taken.get(rule, 0))
        self._states = {
            key: (shard, row) for key, (shard, row) in self._states.items() if row.version >= taken.get(row.rule_id, 0)
        }

    def _keep(self, shard: int, row: StateRow) -> None:
        key = (row.rule_id, row.market)
        held = self._states.get(key)
        if self._rules.is_current(row) and (held is None or held[1].version <= row.version):
            self._states[key] = (shard, row)

    def _is_new(self, signal: Signal) -> bool:
        return signal.id not in self._known and signal.account_id in self._accounts.heads

    async def _enter(self, signal: Signal) -> FeedEntry:
        head = self._accounts.heads[signal.account_id]
        head = self._accounts.heads[signal.account_id] = FeedHead(epoch=head.epoch, seq=head.seq + 1)
        entry = FeedEntry(
            feed=signal.account_id, epoch=head.epoch, seq=head.seq, signal=signal, committed=self._clock.now()
        )
        self._feeds.setdefault(signal.account_id, []).append(entry)
        self._known[signal.id] = entry
        owner = await self._accounts.get(signal.account_id)
        for channel, target in owed_on(owner, self._webhooks, signal):
            self._outbox.queue(signal, channel, target, not_before=signal.not_before, entry=entry)
        return entry


class MemoryStore:
    """All memory keepers bound to each other, as one database binds theirs."""

    def __init__(self, clock: Clock | None = None, *, batch: int = 5_000) -> None:
        self.clock = clock or ManualClock()
        self.accounts = MemoryAccounts(self.clock)
        self.rules = MemoryRuleBook(self.clock, self.accounts, batch=batch)
        self.outbox = MemoryOutbox(self.clock)
        self.webhooks = MemoryWebhooks(self.clock, self.accounts, self.outbox)
        self.journal = MemoryJournal(self.clock, self.accounts, self.rules, self.outbox, self.webhooks)
        self.records = memory_records(self.clock, self.accounts, self.rules, self.outbox, self.webhooks)
        self.consumers = MemoryConsumers(self.journal, self.clock)
