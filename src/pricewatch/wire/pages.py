"""Pages of `/api/v1`: what is listed, and `next`, which goes into `cursor` for the page after; null on the last."""

from __future__ import annotations

import uuid

import msgspec

from pricewatch.domain.market import Flag, Side, decimal_text
from pricewatch.domain.time import rfc3339
from pricewatch.ports.markets import MarketChoice
from pricewatch.ports.rules import StoredRule
from pricewatch.ports.ticks import Sequenced
from pricewatch.wire.consumer import ConsumerDocument
from pricewatch.wire.gap import GapDocument
from pricewatch.wire.rest import CandleDocument, RuleRecord, rule
from pricewatch.wire.signal import SignalDocument
from pricewatch.wire.tick import TickerDocument

_SIDES = {Side.BUY: "buy", Side.SELL: "sell"}


class SymbolDocument(TickerDocument, frozen=True, kw_only=True):
    """A market with its last price and how its feed is: seconds since it was heard, and a word for it."""

    feed_age: float | None
    state: str


class ConsumerPage(msgspec.Struct, frozen=True):
    """An account's, by name."""

    consumers: list[ConsumerDocument]
    next: str | None


class SymbolPage(msgspec.Struct, frozen=True):
    """All markets."""

    symbols: list[SymbolDocument]


class CandlePage(msgspec.Struct, frozen=True):
    """Oldest first."""

    market: str
    interval: str
    candles: list[CandleDocument]
    next: str | None


class TickDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A stored trade; `seen` is its place in our order. `side`: who took, null where the venue does not say."""

    at: str
    seen: str
    price: str
    size: str
    side: str | None
    trade_id: str
    suspect: bool
    late: bool


class TickPage(msgspec.Struct, frozen=True):
    """Oldest first."""

    market: str
    ticks: list[TickDocument]
    next: str | None


class GapPage(msgspec.Struct, frozen=True):
    """Ascending by id."""

    gaps: list[GapDocument]
    next: str | None


class SignalPage(msgspec.Struct, frozen=True):
    """Ascending by `seq`; `seq` and `epoch` are the feed's newest.

    `missing`: how many came after `after_seq`, before the first of these, and are not kept any more.
    """

    epoch: int
    seq: int
    signals: list[SignalDocument]
    next: str | None
    missing: int = 0


class RulePage(msgspec.Struct, frozen=True):
    """In order of id."""

    rules: list[RuleRecord]
    next: str | None


class RuleVersion(msgspec.Struct, frozen=True):
    """One version of a rule; a deletion is a version, too."""

    version: int
    created: str
    effective: str | None
    deleted: bool
    document: msgspec.Raw


class RuleVersionPage(msgspec.Struct, frozen=True):
    """Newest first."""

    versions: list[RuleVersion]
    next: str | None


class MarketWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`market`: `venue:BASE-QUOTE`."""

    market: str


class ChoiceDocument(msgspec.Struct, frozen=True):
    """Whether a market is listened to whatever the configuration says, and who said so."""

    market: str
    wanted: bool
    by: uuid.UUID
    at: str


class ChoicePage(msgspec.Struct, frozen=True):
    """By venue and symbol."""

    choices: list[ChoiceDocument]


def symbol(ticker: TickerDocument, age: float | None, state: str) -> SymbolDocument:
    """A market's last price with the state of its feed."""
    return SymbolDocument(**msgspec.structs.asdict(ticker), feed_age=age, state=state)


def tick(one: Sequenced) -> TickDocument:
    """The public form of a stored trade."""
    trade = one.trade
    return TickDocument(
        at=rfc3339(trade.at),
        seen=rfc3339(one.seen),
        price=decimal_text(trade.price),
        size=decimal_text(trade.size),
        side=_SIDES.get(Side(trade.side)),
        trade_id=trade.ref or str(trade.key),
        suspect=bool(trade.flags & Flag.SUSPECT),
        late=bool(trade.flags & Flag.LATE),
    )


def version(stored: StoredRule) -> RuleVersion:
    """The public form of one version."""
    whole = rule(stored)
    return RuleVersion(whole.version, whole.created, whole.effective, stored.deleted, whole.document)


def choice(one: MarketChoice) -> ChoiceDocument:
    """The public form of a choice."""
    return ChoiceDocument(one.key, one.wanted, one.account, rfc3339(one.at))
