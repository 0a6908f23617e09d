"""Deliveries owed to people: written with the signal, claimed with a lease, marked after sending."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from pricewatch.domain.signal import FeedEntry, Signal


class DeliveryState(enum.StrEnum):
    """`queued -> sending -> sent | dead`; a failed attempt goes back to queued with a later `not_before`."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DEAD = "dead"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One signal to one channel of one user, claimed for one attempt."""

    id: uuid.UUID
    """Stable over all attempts: it is the mail's Message-ID, and the webhook's `webhook-id`."""
    account_id: uuid.UUID
    channel: str
    target: str
    """The mail address, or the webhook's id."""
    signal: Signal
    attempts: int
    """Attempts begun, this one included."""
    queued: int
    """When it was written (wall clock, µs)."""
    token: uuid.UUID
    """The lease: only its holder may mark."""
    entry: FeedEntry | None = None
    """The signal at its place in the feed; None for a test, which has none."""


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as its owner sees it."""

    id: uuid.UUID
    signal_id: uuid.UUID
    channel: str
    target: str
    state: DeliveryState
    attempts: int
    queued: int
    not_before: int
    sent: int | None
    last_error: str | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try to bring a delivery to its channel."""

    attempt: int
    begun: int
    ended: int | None
    outcome: str | None
    """`sent`, `retry` or `dead`; None while it runs, and for ever when its worker was lost."""
    detail: str | None
    """What the other side said."""


class Outbox(Protocol):
    """Deliveries, claimed one batch at a time by any number of workers."""

    async def claim(
        self, channel: str, *, limit: int, lease: float, each: int | None = None, skip: Collection[str] = ()
    ) -> list[Delivery]:
        """Due deliveries, oldest first, each leased for `lease` seconds; expired leases are due again.

        With `each`, at most so many of one target; then also none of the targets in `skip`.
        """
        ...

    async def sent(self, delivery: Delivery, reply: str) -> bool:
        """After the other side accepted it. False when the lease was lost meanwhile (it may go out twice)."""
        ...

    async def retry(self, delivery: Delivery, error: str, *, delay: float) -> bool:
        """Not now: due again after `delay` seconds. False when the lease was lost."""
        ...

    async def dead(self, delivery: Delivery, error: str) -> bool:
        """Never: to the dead-letter list, with the reason. False when the lease was lost."""
        ...

    async def expire(self, channel: str, targets: Collection[str], *, before: int, error: str) -> int:
        """Give up, with this reason, what waits for these targets and was written before (µs); how many it was."""
        ...

    async def revive(self, delivery: uuid.UUID, *, account: uuid.UUID | None = None) -> None:
        """A dead letter is due again; raises `NotFound`.

        With an account: one of its own, and one that was sent, too.
        """
        ...

    async def listing(
        self,
        account: uuid.UUID | None = None,
        *,
        state: DeliveryState | None = None,
        limit: int = 100,
        before: uuid.UUID | None = None,
        signal: uuid.UUID | None = None,
    ) -> Sequence[DeliveryRow]:
        """Newest first (those older than `before`, those of one signal); every account's when none is named."""
        ...

    async def get(self, account: uuid.UUID, delivery: uuid.UUID) -> tuple[DeliveryRow, list[Attempt]]:
        """One delivery with its attempts in order; raises `NotFound` for an unknown or foreign one."""
        ...

    async def counts(self) -> dict[DeliveryState, int]:
        """How many deliveries are in each state."""
        ...
