"""What `/api/v1` says of deliveries: mails owed and sent. Fields are only ever added."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec

from pricewatch.domain.time import rfc3339
from pricewatch.ports.outbox import Attempt, DeliveryRow


class DeliveryDocument(msgspec.Struct, frozen=True):
    """One signal to one channel, and how far it has come."""

    id: uuid.UUID
    signal_id: uuid.UUID
    channel: str
    target: str
    state: str
    attempts: int
    queued: str
    not_before: str
    sent: str | None
    last_error: str | None


class DeliveryPage(msgspec.Struct, frozen=True):
    """Newest first."""

    deliveries: list[DeliveryDocument]
    next: str | None


class AttemptDocument(msgspec.Struct, frozen=True):
    """`reply`: what the other side said. `outcome` is null while it runs, and for ever when its worker was lost."""

    attempt: int
    begun: str
    ended: str | None
    outcome: str | None
    reply: str | None


class DeliveryDetail(msgspec.Struct, frozen=True):
    """A delivery with every attempt."""

    delivery: DeliveryDocument
    attempts: list[AttemptDocument]


class TrialDocument(msgspec.Struct, frozen=True):
    """A test signal: it has no place in the feed, only deliveries."""

    signal_id: uuid.UUID
    market: str
    deliveries: list[DeliveryDocument]


def delivery(row: DeliveryRow) -> DeliveryDocument:
    """The public form of a delivery."""
    return DeliveryDocument(
        id=row.id,
        signal_id=row.signal_id,
        channel=row.channel,
        target=row.target,
        state=row.state.value,
        attempts=row.attempts,
        queued=rfc3339(row.queued),
        not_before=rfc3339(row.not_before),
        sent=None if row.sent is None else rfc3339(row.sent),
        last_error=row.last_error,
    )


def detail(row: DeliveryRow, attempts: Sequence[Attempt]) -> DeliveryDetail:
    """The public form of a delivery with its attempts."""
    return DeliveryDetail(
        delivery(row),
        [
            AttemptDocument(
                one.attempt,
                rfc3339(one.begun),
                None if one.ended is None else rfc3339(one.ended),
                one.outcome,
                one.detail,
            )
            for one in attempts
        ],
    )
