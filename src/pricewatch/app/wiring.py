"""Who gets what: the keepers of every port, built straight down the page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from pricewatch.app.clock import SystemClock
from pricewatch.blobs.artefacts import ObjectArtefacts
from pricewatch.config import Settings
from pricewatch.domain.account import Account
from pricewatch.domain.errors import NotFound
from pricewatch.ingest.instruments import Lists
from pricewatch.ingest.stayaway import StayAway
from pricewatch.ports.clock import Clock
from pricewatch.ports.records import Records
from pricewatch.ports.rules import StoredRule
from pricewatch.store.accounts import PostgresAccounts
from pricewatch.store.catalog import PostgresCatalog
from pricewatch.store.choices import PostgresMarketBook
from pricewatch.store.consumers import PostgresConsumers
from pricewatch.store.embedded import EmbeddedPostgres
from pricewatch.store.feedlog import PostgresFeedLog
from pricewatch.store.folder import FolderInUse
from pricewatch.store.gaps import PostgresGapLedger
from pricewatch.store.history import PostgresHistory
from pricewatch.store.journal import PostgresJournal
from pricewatch.store.maintenance import Maintenance
from pricewatch.store.migrate import migrate
from pricewatch.store.models import PostgresModelStore
from pricewatch.store.outbox import PostgresOutbox
from pricewatch.store.packed import PostgresPackedHistory
from pricewatch.store.pool import Database
from pricewatch.store.records import postgres_records
from pricewatch.store.registry import PostgresRegistry
from pricewatch.store.retention import Retention
from pricewatch.store.rulebook import PostgresRuleBook
from pricewatch.store.spreads import PostgresSpreads
from pricewatch.store.system import PostgresSystemFeed
from pricewatch.store.ticklog import PostgresTickLog
from pricewatch.store.webhooks import PostgresWebhooks
from pricewatch.store.writer import TickStore

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Store:
    """Every keeper over one database. Nothing here has connected yet."""

    url: str
    database: Database
    bulk: Database
    """The pool for long reads and writes of ticks."""
    commits: Database
    """The journal's own connection: a commit waits for nobody."""
    catalog: PostgresCatalog
    ticks: TickStore
    log: PostgresTickLog
    history: PostgresHistory
    maintenance: Maintenance
    gaps: PostgresGapLedger
    choices: PostgresMarketBook
    system: PostgresSystemFeed
    models: PostgresModelStore
    registry: PostgresRegistry
    artefacts: ObjectArtefacts
    spreads: PostgresSpreads
    columns: PostgresPackedHistory
    journal: PostgresJournal
    rules: PostgresRuleBook
    accounts: PostgresAccounts
    records: Records
    outbox: PostgresOutbox
    webhooks: PostgresWebhooks
    feed: PostgresFeedLog
    consumers: PostgresConsumers
    retention: Retention

    async def owner(self, name: str) -> Account:
        """An account by name; raises `NotFound`."""
        account = await self.accounts.find(name)
        if account is None:
            raise NotFound(f"there is no account {name!r}; 'pricewatch user list' shows them")
        return account

    async def rules_of(self, account: Account) -> AsyncIterator[StoredRule]:
        """All living rules of one account."""
        after = None
        while page := await self.rules.page(account.id, after=after):
            for rule in page:
                yield rule
            after = page[-1].id


def build_store(settings: Settings, url: str, clock: Clock) -> Store:
    """Keepers over the database at `url`."""
    database = Database(url, settings.database)
    bulk = database.for_ticks(2)
    commits = database.alone()
    catalog = PostgresCatalog(database)
    ticks = TickStore(database, settings.app.data / "spool", settings.database.ticks, steps=catalog.steps)
    history = PostgresHistory(bulk, catalog.steps)
    system = PostgresSystemFeed(database, clock)
    return Store(
        url=url,
        database=database,
        bulk=bulk,
        commits=commits,
        catalog=catalog,
        ticks=ticks,
        log=PostgresTickLog(bulk, catalog.steps),
        history=history,
        maintenance=Maintenance(database, settings.database.ticks, clock, ticks),
        gaps=PostgresGapLedger(database, system),
        choices=PostgresMarketBook(database),
        system=system,
        models=PostgresModelStore(database),
        registry=PostgresRegistry(database),
        spreads=PostgresSpreads(bulk),
        columns=PostgresPackedHistory(bulk, catalog.steps),
        artefacts=ObjectArtefacts(settings.blobs, settings.app.data / "models"),
        journal=PostgresJournal(commits, clock),
        rules=PostgresRuleBook(database, clock),
        accounts=PostgresAccounts(database, clock),
        records=postgres_records(database, clock),
        outbox=PostgresOutbox(database, clock),
        webhooks=PostgresWebhooks(database, clock),
        feed=PostgresFeedLog(database),
        consumers=PostgresConsumers(database, clock),
        retention=Retention(
            database, clock, keep=settings.database.feed_keep, interval=settings.database.feed_interval
        ),
    )


def embedded(settings: Settings) -> EmbeddedPostgres | None:
    """The server we bring along, when no database is configured."""
    if settings.database.url.get_secret_value():
        return None
    return EmbeddedPostgres(database_folder(settings), settings.database.embedded)


def instrument_lists(settings: Settings) -> Lists:
    """Where venues' lists of markets are kept."""
    return Lists(settings.app.data / "instruments")


def stay_away(settings: Settings, clock: Clock) -> StayAway:
    """Until when venues want to be left alone, as far as ingest has written it down."""
    return StayAway(ingest_folder(settings) / "stay_away.json", clock)


def ingest_folder(settings: Settings) -> Path:
    """Where ingest keeps what a restart must know."""
    return settings.app.data / "ingest"


def database_folder(settings: Settings) -> Path:
    """Where the embedded server lives."""
    return settings.app.data / "postgres"


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """The store for one command, migrated; beside a running service its embedded server is used.

    Raises `ConfigError` or `Unavailable`.
    """
    server = embedded(settings)
    borrowed = False
    if server is not None:
        try:
            await server.start()
        except FolderInUse:
            await server.join()
            borrowed = True
    try:
        store = build_store(
            settings, server.url() if server else settings.database.url.get_secret_value(), SystemClock()
        )
        async with store.database, store.bulk, store.commits:
            await migrate(store.database)
            yield store
    finally:
        if server is not None and not borrowed:
            await server.stop()
