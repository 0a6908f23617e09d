"""What one channel's worker counts, and the log lines at the start and the end of a trouble."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import structlog

from pricewatch.delivery.pipeline import Verdict
from pricewatch.ports.outbox import Delivery
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)


class Counter:
    """Plain integers, read at scrape."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._outbox: str | None = None
        self.away: str | None = None
        """Why the other side cannot be used, while it cannot."""
        self.sent = 0
        self.retried = 0
        self.dead = 0
        self.lease_lost = 0
        self.unmarked = 0

    @property
    def trouble(self) -> str | None:
        """Why nothing can be delivered now."""
        return self.away or self._outbox

    def count(self, delivery: Delivery, verdict: Verdict, *, held: bool | None) -> None:
        """One attempt ended; `held` is whether the lease still was ours (None: the outbox did not answer)."""
        self._reach(verdict)
        self.lease_lost += held is False
        self.unmarked += held is None
        match verdict.kind:
            case "sent":
                self.sent += 1
            case "retry":
                self.retried += 1
            case "dead":
                self.dead += 1
                log.warning(
                    "delivery.dead",
                    channel=self._channel,
                    delivery=str(delivery.id),
                    signal=str(delivery.signal.id),
                    reason=verdict.words,
                )

    def outbox_lost(self, reason: str) -> None:
        """The outbox does not answer."""
        if self._outbox is None:
            log.warning("delivery.outbox_lost", channel=self._channel, reason=reason)
        self._outbox = f"outbox: {reason}"

    def outbox_found(self) -> None:
        """The outbox answers."""
        if self._outbox is not None:
            log.info("delivery.outbox_found", channel=self._channel)
            self._outbox = None

    def status(self) -> Mapping[str, Any]:
        """JSON-ready facts."""
        return {
            "sent": self.sent,
            "retried": self.retried,
            "dead": self.dead,
            "lease_lost": self.lease_lost,
            "unmarked": self.unmarked,
            "trouble": self.trouble,
        }

    def samples(self, channel: str) -> Iterator[Sample]:
        """Counters and gauges, labelled with the channel."""
        labels = (("channel", channel),)
        yield Sample("sent", self.sent, labels=labels, help="Deliveries the other side took")
        yield Sample("retried", self.retried, labels=labels, help="Attempts that failed for now")
        yield Sample("dead", self.dead, labels=labels, help="Deliveries given up, with a reason")
        yield Sample("lease_lost", self.lease_lost, labels=labels, help="Attempts marked by another worker meanwhile")
        yield Sample("unmarked", self.unmarked, labels=labels, help="Attempts the outbox could not be told of")
        yield Sample("away", float(self.away is not None), "gauge", labels, help="1 while the channel cannot be used")

    def _reach(self, verdict: Verdict) -> None:
        if verdict.reached is None:
            return
        if not verdict.reached and self.away is None:
            log.warning("delivery.channel_lost", channel=self._channel, reason=verdict.words)
        if verdict.reached and self.away is not None:
            log.info("delivery.channel_found", channel=self._channel)
        self.away = None if verdict.reached else verdict.words
