"""One socket as a venue's protocol sees it: what it asked for, and what it is answered. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from pricewatch.simulator.ledger import Ledger
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import Live


class Answer(msgspec.Struct):
    """Frames to send, in order, then perhaps a protocol ping and a close."""

    frames: Sequence[bytes] = ()
    ping: bytes | None = None
    close: tuple[int, str] | None = None


NOTHING = Answer()


class Session(msgspec.Struct, gc=True):
    """The state of one connection; times are wall clock microseconds."""

    opened: int
    topics: dict[str, None] = {}
    """What it listens to, in the order of subscription."""
    combined: bool = True
    subscribed: bool = False
    busy: int = 0
    """When a frame was last sent."""
    pinged: int = 0
    window: int = 0
    messages: int = 0
    numbered: int = 0
    """Frames that carry a number so far."""
    every: int = 0
    """Seconds between heartbeats, where the client asked for them."""
    owing: int = 0
    """Heartbeats the client has not answered."""


class Reply(msgspec.Struct):
    """A REST answer."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = {}


class Audience(Protocol):
    """Everybody connected to one venue."""

    def hears(self, topic: str) -> bool:
        """Whether anybody listens to it."""
        ...

    def send(self, topic: str, frame: bytes, *, trade: bool = False) -> None:
        """Send to everybody who listens to it."""
        ...


Stamp = Callable[[Session, bytes], bytes]
"""Makes a frame what one connection gets, for a venue that numbers the messages of each connection."""


class Venue(Protocol):
    """The server side of one venue's protocol."""

    id: str

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """A client connected to `path` (behind the venue's prefix)."""
        ...

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """A client said something."""
        ...

    def beat(self, session: Session, now: int) -> Answer:
        """Time passed: heartbeats, pings, deadlines."""
        ...

    def publish(self, live: Live, audience: Audience) -> None:
        """Put an event of a seeded market into the venue's words, for those who listen."""
        ...

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """Answer a GET on `path` (behind the venue's prefix)."""
        ...

    def limited(self, retry_after: int) -> Reply:
        """What a client over the rate limit is told."""
        ...


VenueFactory = Callable[[Mapping[str, Ledger], SimulatorSettings], Venue]


def whole(query: Mapping[str, str], name: str) -> int | None:
    """An integer of a query, None where it is absent; raises ValueError for anything else."""
    text = query.get(name)
    if text is None or text == "":
        return None
    if len(text) > 20:
        raise ValueError(name)
    return int(text)
