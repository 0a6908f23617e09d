"""What the gateway reads and writes."""

from __future__ import annotations

from dataclasses import dataclass

from pricewatch.ports.accounts import Accounts
from pricewatch.ports.consumers import Consumers
from pricewatch.ports.journal import FeedLog, SystemFeed
from pricewatch.ports.markets import MarketBook, MarketChanges
from pricewatch.ports.models import ModelStore
from pricewatch.ports.outbox import Outbox
from pricewatch.ports.preview import PreviewDesk
from pricewatch.ports.records import Records
from pricewatch.ports.registry import ModelDesk, Registry
from pricewatch.ports.rules import RuleBook, RuleChanges
from pricewatch.ports.ticks import Catalog, GapBook, History
from pricewatch.ports.webhooks import Webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepers:
    """Every port the gateway uses."""

    accounts: Accounts
    records: Records
    rules: RuleBook
    changes: RuleChanges
    feed: FeedLog
    history: History
    catalog: Catalog
    outbox: Outbox
    webhooks: Webhooks
    models: ModelStore
    registry: Registry
    desk: ModelDesk
    gaps: GapBook
    choices: MarketBook
    market_changes: MarketChanges
    system: SystemFeed
    consumers: Consumers
    previews: PreviewDesk
