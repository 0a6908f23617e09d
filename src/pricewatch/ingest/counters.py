"""What one venue's ingest counted: plain integers, read at scrape."""

from __future__ import annotations

from collections import Counter

from pricewatch.domain.market import Tick, Trade
from pricewatch.ingest.rejects import Rejects


class Counters:
    """`received == offered + duplicates + sum(rejected) + held`, at every moment between two frames."""

    __slots__ = (
        "bad_frames",
        "connects",
        "duplicates",
        "frames",
        "gaps_declared",
        "gaps_opened",
        "history_failures",
        "history_requests",
        "ignored",
        "losses",
        "offered",
        "pauses",
        "quotes",
        "quotes_rejected",
        "quotes_shed",
        "received",
        "reconnects",
        "refilled",
        "rejected",
        "samples",
        "shed",
        "skew_jumps",
    )

    def __init__(self) -> None:
        self.frames = 0
        self.ignored = 0
        self.bad_frames = 0
        self.connects = 0
        self.reconnects = 0
        self.received = 0
        self.offered = 0
        self.duplicates = 0
        self.rejected: Counter[str] = Counter()
        self.samples = Rejects()
        self.quotes = 0
        self.quotes_rejected: Counter[str] = Counter()
        self.quotes_shed = 0
        self.refilled = 0
        self.losses = 0
        self.pauses = 0
        self.shed = 0
        self.skew_jumps = 0
        self.gaps_opened = 0
        self.gaps_declared = 0
        self.history_requests = 0
        self.history_failures = 0

    def reject(self, reason: str, tick: Tick, now: int) -> None:
        """Count a tick the gate refused, and keep it as a sample."""
        (self.rejected if isinstance(tick, Trade) else self.quotes_rejected)[reason] += 1
        self.samples.note(reason, tick, now)

    def numbers(self) -> dict[str, int]:
        """Every plain counter by name."""
        return {name: value for name in self.__slots__ if isinstance(value := getattr(self, name), int)}
