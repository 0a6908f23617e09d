"""A signal as the feed, REST and webhooks say it: one document everywhere."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from pricewatch.domain.market import decimal_text
from pricewatch.domain.signal import FeedEntry, Signal
from pricewatch.domain.time import rfc3339


class Latency(msgspec.Struct, frozen=True):
    """Microseconds spent in each stage; `venue` may be negative (their clock ahead of ours), the others never are.

    `commit` ends when the transaction is sent to the database.
    """

    venue: int
    evaluate: int
    commit: int


class SignalDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Version 1. Fields are only ever added."""

    v: int = 1
    id: uuid.UUID
    feed: uuid.UUID
    epoch: int
    seq: int
    rule_id: uuid.UUID
    rule_version: int
    title: str
    kind: str
    severity: str
    direction: str
    market: str
    venue: str
    symbol: str
    cause: str
    price: str
    at: str
    since: str
    seen: str
    received: str
    committed: str
    late: bool
    suspect: bool
    gap: bool
    replay: bool
    model: str | None
    evidence: dict[str, Any]
    latency_us: Latency


def document(entry: FeedEntry) -> SignalDocument:
    """The public form of a committed signal."""
    signal: Signal = entry.signal
    return SignalDocument(
        id=signal.id,
        feed=entry.feed,
        epoch=entry.epoch,
        seq=entry.seq,
        rule_id=signal.rule_id,
        rule_version=signal.rule_version,
        title=signal.title,
        kind=signal.kind,
        severity=signal.severity,
        direction=signal.direction.value,
        market=signal.scope,
        venue=signal.venue,
        symbol=signal.symbol,
        cause=signal.cause,
        price=decimal_text(signal.price),
        at=rfc3339(signal.at),
        since=rfc3339(signal.since),
        seen=rfc3339(signal.seen),
        received=rfc3339(signal.received),
        committed=rfc3339(entry.committed),
        late=signal.late,
        suspect=signal.suspect,
        gap=signal.gap,
        replay=signal.replay,
        model=signal.model,
        evidence=signal.evidence,
        latency_us=Latency(
            venue=signal.received - signal.at,
            evaluate=max(0, signal.seen - signal.received),
            commit=max(0, entry.committed - signal.seen),
        ),
    )
