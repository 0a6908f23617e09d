"""What is said of named consumers, on the feed and over REST. Fields are only ever added."""

from __future__ import annotations

import msgspec

from pricewatch.domain.consumer import ConsumerState
from pricewatch.domain.time import SECOND, rfc3339
from pricewatch.wire.feed import Answer, Place


class ConsumerSnapshot(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="snapshot"):
    """A consumer is joined: signals follow, each until it is acknowledged.

    `resumed` is null for a new consumer, true where it goes on, false where signals were lost to it (`reason`:
    `expired` from the log, or `epoch`: the feed was restored from a backup). Everything up to `seq` had been handed
    out; `in_flight` of these are not acknowledged yet. `lease` is what this connection's deliveries are known by.
    """

    channel: str
    snapshot: bool = True
    consumer: str
    lease: int
    ack_wait: float
    max_in_flight: int
    epoch: int
    seq: int
    resumed: bool | None
    reason: str | None = None
    in_flight: int


class Settled(Answer, frozen=True, kw_only=True):
    """Of `ack`, `nack` and `extend`: how many signals it applied to, and which ones are no longer under the lease.

    What was acknowledged before counts as settled again; `lost` ones are another's, or wait for redelivery.
    """

    ok: bool
    consumer: str
    method: str
    count: int
    lost: list[int]
    code: str = ""
    """`lease_lost` where some were."""


class ConsumerDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A named consumer as REST says it."""

    name: str
    channel: str
    symbols: list[str]
    rules: list[str]
    severities: list[str]
    kinds: list[str]
    ack_wait: float
    position: Place
    """Everything up to here has been handed out."""
    acknowledged: int
    """Everything up to here has been acknowledged (or does not match)."""
    in_flight: int
    waiting: int
    """Of those in flight: due for redelivery now."""
    redelivered: int
    """Of those in flight: handed out more than once."""
    behind: int
    """Places of the feed still to be looked at."""
    created: str


def document(state: ConsumerState) -> ConsumerDocument:
    """The public form of a consumer."""
    consumer = state.consumer
    return ConsumerDocument(
        name=consumer.name,
        channel=consumer.channel,
        symbols=sorted(consumer.filter.symbols),
        rules=sorted(map(str, consumer.filter.rules)),
        severities=sorted(consumer.filter.severities),
        kinds=sorted(consumer.filter.kinds),
        ack_wait=consumer.ack_wait / SECOND,
        position=Place(consumer.epoch, consumer.seq),
        acknowledged=state.acknowledged,
        in_flight=state.in_flight,
        waiting=state.waiting,
        redelivered=state.redelivered,
        behind=state.behind,
        created=rfc3339(consumer.created),
    )


def consumer_frame(
    epoch: int, seq: int, document: bytes, *, channel: str, consumer: str, attempt: int, lease: int
) -> bytes:
    """A `SignalFrame` to a consumer, around a document that is encoded once."""
    head = (
        f'{{"type":"signal","channel":"{channel}","epoch":{epoch},"seq":{seq},"prev":null,'
        f'"consumer":"{consumer}","attempt":{attempt},"lease":{lease},"data":'
    )
    return head.encode() + document + b"}"
