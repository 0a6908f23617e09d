"""The keepers over one store, and signals to keep."""

from __future__ import annotations

import uuid
from typing import NamedTuple, Protocol

from pricewatch.domain.signal import Direction, Signal, signal_id
from pricewatch.ports.accounts import Accounts
from pricewatch.ports.journal import FeedLog, LeasedJournal, SystemFeed
from pricewatch.ports.outbox import Outbox
from pricewatch.ports.records import Records
from pricewatch.ports.rules import RuleBook
from pricewatch.ports.webhooks import Endpoints, Webhooks
from pricewatch.store.accounts import PostgresAccounts
from pricewatch.store.feedlog import PostgresFeedLog
from pricewatch.store.journal import PostgresJournal
from pricewatch.store.outbox import PostgresOutbox
from pricewatch.store.pool import Database
from pricewatch.store.records import postgres_records
from pricewatch.store.rulebook import PostgresRuleBook
from pricewatch.store.system import PostgresSystemFeed
from pricewatch.store.webhooks import PostgresWebhooks
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.journal import MemoryStore

ODD = "NUL \0, quote ' \" \\, \U0001f4c8 \u202e \u2028 e\u0301 \ufeff \x7f \U0010ffff"


class WebhookKeeper(Webhooks, Endpoints, Protocol):
    """Both sides of one keeper."""


class Keepers(NamedTuple):
    """All keepers over one store."""

    clock: ManualClock
    accounts: Accounts
    rules: RuleBook
    journal: LeasedJournal
    feeds: FeedLog
    outbox: Outbox
    system: SystemFeed
    records: Records
    webhooks: WebhookKeeper


def in_memory() -> Keepers:
    clock = ManualClock()
    store = MemoryStore(clock, batch=7)
    return Keepers(
        *(clock, store.accounts, store.rules, store.journal, store.journal, store.outbox, store.journal),
        store.records,
        store.webhooks,
    )


def in_postgres(database: Database) -> Keepers:
    clock = ManualClock()
    return Keepers(
        clock,
        PostgresAccounts(database, clock),
        PostgresRuleBook(database, clock, batch=7),
        PostgresJournal(database, clock, batch=300),
        PostgresFeedLog(database),
        PostgresOutbox(database, clock),
        PostgresSystemFeed(database, clock),
        postgres_records(database, clock),
        PostgresWebhooks(database, clock),
    )


def make_signal(
    account: uuid.UUID, number: int = 0, *, channels: tuple[str, ...] = (), title: str = "BTC above 70,000"
) -> Signal:
    rule, cause = uuid.UUID(int=7), f"trade:{number}"
    return Signal(
        id=signal_id(rule, 1, f"{account}", cause, Direction.FIRED),
        account_id=account,
        rule_id=rule,
        rule_version=1,
        title=title,
        kind="above",
        severity="info",
        direction=Direction.FIRED,
        scope="coinbase:BTC-USD",
        market=3,
        venue="coinbase",
        symbol="BTC-USD",
        cause=cause,
        at=1_700_000_000_000_000 + number,
        seen=1_700_000_000_000_500 + number,
        received=1_700_000_000_000_400 + number,
        price=70_012.4,
        since=1_700_000_000_000_000,
        evidence={"v": 1, "level": 70_000.0, "odd": ODD, "deep": [1, {"a": None}]},
        channels=channels,
    )
