"""Between processes: topics of packed batches, acknowledged when durable."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Batch(msgspec.Struct, frozen=True):
    """What arrived together, with the handle to acknowledge it."""

    topic: str
    handle: str
    messages: list[bytes]


class Subscription(Protocol):
    """One consumer of one group."""

    async def next(self, timeout: float) -> Batch | None:  # noqa: ASYNC109 - a poll, not a deadline around work
        """The next batch, or None after `timeout` seconds of nothing. First what this group never acknowledged."""
        ...

    async def ack(self, batch: Batch) -> None:
        """Done with it: it is durable elsewhere and never comes again."""
        ...

    async def close(self) -> None:
        """Stop reading. What was not acknowledged comes to the group's next consumer."""
        ...


class Bus(Protocol):
    """At least once, in order per topic and publisher, each group sees everything."""

    def publish(self, topic: str, message: bytes) -> None:
        """Put it into the topic's open batch: synchronous, never blocks, sent at the next flush."""
        ...

    async def flush(self) -> None:
        """Send every open batch; raises `Unavailable` and keeps them (up to the bound) when it cannot."""
        ...

    async def subscribe(self, topic: str, group: str, consumer: str) -> Subscription:
        """Join a group. A group that is new starts with what is published from now on."""
        ...

    async def close(self) -> None:
        """Flush what can be flushed and let go."""
        ...
