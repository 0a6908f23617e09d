"""Scripted events: what happens in which market, and when."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pricewatch.simulator.listings import Listing

Kind = Literal["jump", "ramp", "spike", "visit", "oscillate", "burst", "silence", "spread", "late", "duplicate"]


class Event(BaseModel):
    """One thing that happens to one market."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = Field(description="What happens: see the fields it reads.")
    market: str = Field(description="`venue:BASE-QUOTE`.")
    at: float = Field(default=0.0, description="Seconds from the start of the run; when injected, from now.")
    seconds: float = Field(default=5.0, gt=0, description="How long it lasts.")
    percent: float = Field(
        default=1.0, gt=-90, lt=900, description="Size of a jump, ramp or spike; the margin of a visit or oscillation."
    )
    level: float | None = Field(
        default=None, gt=0, description="Price to visit or swing around; unset: next round one."
    )
    period: float = Field(default=2.0, gt=0, description="Seconds of one oscillation.")
    factor: float = Field(default=5.0, ge=0, description="Multiplies volatility (burst) or spread (spread).")

    @property
    def end(self) -> float:
        """When it is over, in seconds from the start."""
        return self.at + self.seconds


class Script:
    """The events of one market in the order of their start; a repeated one comes back with the opposite sign."""

    def __init__(self, events: Iterable[Event] = (), *, every: float = 0.0) -> None:
        self._every = every
        self._count = 0
        self._waiting: list[tuple[float, int, Event, bool]] = []
        for event in events:
            self.add(event, again=every > 0)

    def add(self, event: Event, *, again: bool = False) -> None:
        """Let it happen."""
        self._count += 1
        heapq.heappush(self._waiting, (event.at, self._count, event, again))

    def next_at(self) -> float:
        """When the next event begins; infinity when there is none."""
        return self._waiting[0][0] if self._waiting else float("inf")

    def pop(self) -> Event:
        """Take the next event."""
        _, _, event, again = heapq.heappop(self._waiting)
        if again and self._every > 0:
            sign = -1.0 if event.kind in {"jump", "ramp", "spike"} else 1.0
            self.add(
                event.model_copy(update={"at": event.at + self._every, "percent": sign * event.percent}), again=True
            )
        return event


def demo(listings: Iterable[Listing]) -> list[Event]:
    """The default programme: within 25 s a level crossed both ways, a fast move, an anomaly, a leap out of any band.

    The events go to the markets named here; a market that is not listed leaves its events out.
    """
    known = {listing.key for listing in listings}
    return [event for event in _DEMO if event.market in known]


_DEMO = (
    Event(kind="oscillate", market="coinbase:ETH-USD", at=5, seconds=12, percent=0.05),
    Event(kind="visit", market="coinbase:BTC-USD", at=8, seconds=8, percent=0.2),
    Event(kind="ramp", market="kraken:SOL-USD", at=10, seconds=4, percent=1.9),
    Event(kind="burst", market="binance:ETH-USDT", at=12, seconds=6, factor=6),
    Event(kind="spike", market="binance:ETH-USDT", at=12, seconds=1, percent=1.4),
    Event(kind="spike", market="binance:ETH-USDT", at=14, seconds=1, percent=-1.6),
    Event(kind="spike", market="binance:ETH-USDT", at=16, seconds=1, percent=1.8),
    Event(kind="ramp", market="binance:BTC-USDT", at=17, seconds=1, percent=4.0),
    Event(kind="burst", market="binance:BTC-USDT", at=18, seconds=20, factor=0.1),
    Event(kind="late", market="coinbase:BTC-USD", at=20, seconds=0.8),
    Event(kind="duplicate", market="coinbase:BTC-USD", at=22),
    Event(kind="spread", market="kraken:BTC-USD", at=24, seconds=5, factor=12),
    Event(kind="silence", market="kraken:BTC-USD", at=40, seconds=15),
    Event(kind="ramp", market="kraken:SOL-USD", at=60, seconds=20, percent=-1.9),
    Event(kind="ramp", market="binance:BTC-USDT", at=70, seconds=30, percent=-4.0),
    Event(kind="jump", market="coinbase:ETH-USD", at=80, percent=0.7),
)
