"""A session's parts in named consumers: what it holds, and what it says about that. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pricewatch.domain.time import SECOND
from pricewatch.gateway.feed.codes import ErrorCode
from pricewatch.gateway.feed.subscription import Encoder
from pricewatch.ports.consumers import Joined, Lot, Settlement, Wish
from pricewatch.wire.consumer import ConsumerSnapshot, Settled, consumer_frame
from pricewatch.wire.feed import RequestId, encode

MOST = 16
"""Consumers a session may join."""


class Join(NamedTuple):
    """Join a consumer, then call `joined`; from then on take what there is room for and call `delivered`."""

    wish: Wish
    req_id: RequestId


class Settle(NamedTuple):
    """Acknowledge, give back or extend, then call `settled`."""

    method: str
    name: str
    seqs: tuple[int, ...]
    upto: int | None
    lease: int
    delay: int | None
    """Microseconds from now; None for the method's own."""
    req_id: RequestId


class Leave(NamedTuple):
    """Give back at once what is held."""

    name: str


class Member:
    """A session's part in one consumer."""

    def __init__(self, wish: Wish, max_in_flight: int) -> None:
        self.wish = wish
        self.max_in_flight = max_in_flight
        self.joined: Joined | None = None
        self.held: dict[int, int] = {}
        """What was delivered to the client and when it is redelivered."""

    def room(self, now: int) -> int:
        """How many signals the client may be handed now; what fell due is no longer its."""
        self.held = {seq: due for seq, due in self.held.items() if due > now}
        return self.max_in_flight - len(self.held)

    def begin(self, joined: Joined) -> bytes:
        """The snapshot."""
        self.joined = joined
        consumer = joined.consumer
        return encode(
            ConsumerSnapshot(
                channel=consumer.channel,
                consumer=consumer.name,
                lease=joined.lease,
                ack_wait=consumer.ack_wait / SECOND,
                max_in_flight=self.max_in_flight,
                epoch=consumer.epoch,
                seq=consumer.seq,
                resumed=joined.resumed,
                reason=joined.reason,
                in_flight=joined.in_flight,
            )
        )

    def deliver(self, joined: Joined, lot: Lot, document: Encoder) -> list[bytes]:
        """The frames of what was taken."""
        frames = []
        for entry, attempt, due in ((one.entry, one.attempt, one.due) for one in lot.delivered):
            self.held[entry.seq] = due
            frames.append(
                consumer_frame(
                    entry.epoch,
                    entry.seq,
                    document(entry),
                    channel=joined.consumer.channel,
                    consumer=joined.consumer.name,
                    attempt=attempt,
                    lease=joined.lease,
                )
            )
        return frames

    def owes(self, step: Settle) -> bool:
        """Whether it is about nothing but what the client holds."""
        if step.upto is not None:
            return any(seq <= step.upto for seq in self.held)
        return all(seq in self.held for seq in step.seqs)

    def settling(self, step: Settle) -> None:
        """An acknowledged or returned signal makes room at once."""
        if step.method != "extend":
            for seq in step.seqs if step.upto is None else [seq for seq in self.held if seq <= step.upto]:
                self.held.pop(seq, None)

    def extended(self, step: Settle, until: int) -> None:
        """What is held is held until then."""
        for seq in self.held:
            if seq in step.seqs or (step.upto is not None and seq <= step.upto):
                self.held[seq] = until


class Members:
    """The consumers a session has joined, by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._by_name.values()))

    def get(self, name: str) -> Member | None:
        """None for one that was not joined, or was left."""
        return self._by_name.get(name)

    def is_full(self) -> bool:
        """No further one may be joined."""
        return len(self._by_name) >= MOST

    def add(self, wish: Wish, max_in_flight: int, req_id: RequestId) -> Join:
        """Begin to join."""
        self._by_name[wish.name] = Member(wish, max_in_flight)
        return Join(wish, req_id)

    def drop(self, name: str) -> None:
        """It is left."""
        self._by_name.pop(name, None)


def settled(step: Settle, channel: str, result: Settlement) -> bytes:
    """The answer to `ack`, `nack` and `extend`."""
    return encode(
        Settled(
            req_id=step.req_id,
            channel=channel,
            ok=not result.lost,
            consumer=step.name,
            method=step.method,
            count=result.done,
            lost=result.lost,
            code=ErrorCode.LEASE_LOST.value if result.lost else "",
        )
    )
