"""Named consumers: places in a feed that the server keeps, with what is handed out and not yet acknowledged."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from pricewatch.domain.consumer import Consumer, ConsumerState, Delivered, Filter

Start = Literal["newest", "oldest"] | tuple[int, int]
"""Where a new consumer begins: behind all there is, before all that is left, or behind an (epoch, seq)."""


class Wish(NamedTuple):
    """What a connection that joins a consumer asks for. It makes the consumer, or changes the one there is."""

    account: uuid.UUID
    name: str
    channel: str
    filter: Filter
    ack_wait: int | None
    """Microseconds; None leaves it as it is, or takes the default."""
    start: Start


class Joined(NamedTuple):
    """A connection's part in a consumer."""

    consumer: Consumer
    lease: int
    """What its deliveries are known by. Never given twice, and larger than any given before."""
    resumed: bool | None
    """None: the consumer is new. False: signals were lost to it."""
    reason: str | None
    """Why not: `expired` or `epoch`."""
    in_flight: int


class Lot(NamedTuple):
    """What is handed out at once."""

    delivered: list[Delivered]
    more: bool
    """There may be more to hand out now."""
    due: int | None
    """When the next redelivery is due (wall clock, µs)."""


class Settlement(NamedTuple):
    """What became of an ack, nack or extension."""

    done: int
    lost: list[int]


class Consumers(Protocol):
    """Every change is one transaction. A lease acts only on what was last delivered under it.

    Methods that name a consumer raise `NotFound` where there is none.
    """

    async def join(self, wish: Wish) -> Joined:
        """A new lease on the consumer; what others hold stays theirs.

        Raises `Invalid` for a start that is not in the feed, for another channel than the consumer's, and where the
        account has as many consumers as it may.
        """
        ...

    async def take(self, joined: Joined, *, limit: int) -> Lot:
        """What is due for redelivery, then what is new and wanted; under the lease until `ack_wait` from now.

        Raises `NotFound` also where the consumer was reset, or signals expired before it came to them: join again.
        """
        ...

    async def ack(self, joined: Joined, seqs: Sequence[int], *, lease: int, upto: int | None = None) -> Settlement:
        """Done with them: these, or all delivered under the lease up to `upto`."""
        ...

    async def delay(
        self, joined: Joined, seqs: Sequence[int], *, lease: int, until: int, release: bool, upto: int | None = None
    ) -> Settlement:
        """Redeliver them at `until` (µs), unless acknowledged before; with `release` the lease ends at once."""
        ...

    async def leave(self, joined: Joined) -> None:
        """What is held under the lease may be handed out again now."""
        ...

    async def listing(self, account: uuid.UUID) -> list[ConsumerState]:
        """The account's consumers by name."""
        ...

    async def reset(self, account: uuid.UUID, name: str, start: Start) -> ConsumerState:
        """Begin again from there: nothing is in flight, and no lease of before acts any more. `Invalid` as `join`."""
        ...

    async def delete(self, account: uuid.UUID, name: str) -> None:
        """Forget it."""
        ...
