"""Which signals a reader wants, and readers whose place the server keeps."""

from __future__ import annotations

import uuid

import msgspec

from pricewatch.domain.signal import FeedEntry, Signal

EVERYTHING = "*"


class Filter(msgspec.Struct, frozen=True, cache_hash=True):
    """Which signals are wanted. An empty set asks for nothing in particular, but `symbols` names what is wanted."""

    symbols: frozenset[str] = frozenset({EVERYTHING})
    """`*`, symbols (`BTC-USD`) and markets (`coinbase:BTC-USD`)."""
    rules: frozenset[uuid.UUID] = frozenset()
    severities: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()

    def wants(self, signal: Signal) -> bool:
        """Whether the signal is one of them."""
        return (
            (EVERYTHING in self.symbols or signal.scope in self.symbols or signal.symbol in self.symbols)
            and (not self.rules or signal.rule_id in self.rules)
            and (not self.severities or signal.severity in self.severities)
            and (not self.kinds or signal.kind in self.kinds)
        )


class Consumer(msgspec.Struct, frozen=True, kw_only=True):
    """A named place in an account's feed, or in the system's."""

    account: uuid.UUID
    name: str
    channel: str
    """`signals`: the account's own feed; `system`: the service's."""
    filter: Filter
    ack_wait: int
    """Microseconds after which an unacknowledged signal is redelivered."""
    epoch: int
    seq: int
    """Everything up to here has been handed out."""
    created: int


class ConsumerState(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer, and how far it is."""

    consumer: Consumer
    acknowledged: int
    in_flight: int
    waiting: int
    redelivered: int
    behind: int


class Delivered(msgspec.Struct, frozen=True):
    """A signal handed to a consumer."""

    entry: FeedEntry
    attempt: int
    """1 for the first time."""
    due: int
    """When it is redelivered if nobody says a word (wall clock, µs)."""
