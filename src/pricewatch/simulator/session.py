"""What the server side of a venue is: its sockets, its REST service, and how its recordings are read. No I/O."""

from __future__ import annotations

import gzip
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import msgspec

from pricewatch.simulator.ledger import Ledger, Print
from pricewatch.simulator.listings import Listing, start_price
from pricewatch.simulator.market import Book, Sweep
from pricewatch.simulator.settings import SimulatorSettings


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
    notes: dict[str, Any] = {}
    """What else the venue remembers of it: channel numbers, counters."""


class Reply(msgspec.Struct):
    """A REST answer."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = {}


class Live(msgspec.Struct, frozen=True, gc=False):
    """One event of a seeded market, for the venue to put into words."""

    ledger: Ledger
    event: Sweep | Book


class Heard(msgspec.Struct, frozen=True, gc=False):
    """What a recorded frame is to its venue."""

    natives: tuple[str, ...]
    """The markets it is about, in the venue's names."""
    topics: tuple[tuple[str, bytes], ...] = ()
    """Each topic with the frame as that topic's listeners get it; none for a frame that only tells `marks`."""
    prints: tuple[tuple[str, Print], ...] = ()
    """The trades in it by native name, oldest first. Snapshots of past trades have none unless they are news."""
    marks: Mapping[str, str] = {}
    """What the recording calls the market's channels (Bitfinex: channel -> number), for the acknowledgements."""


class Foreign(ValueError):  # noqa: N818 - named after what it is
    """A recorded frame that this venue never sent."""


class Audience(Protocol):
    """Everybody connected to one venue."""

    def hears(self, topic: str) -> bool:
        """Whether anybody listens to it."""
        ...

    def send(self, topic: str, frame: bytes, *, trade: bool = False) -> None:
        """Send to everybody who listens to it."""
        ...


class Venue(ABC):
    """The server side of one venue's protocol, for the markets whose ledgers it is given.

    A topic is whatever text the venue likes; whoever's session holds it gets its frames.
    """

    id: ClassVar[str]
    hosts: ClassVar[tuple[str, ...]]
    """Hosts of its sockets, today's and former ones: by them a recording's venue is told."""
    binary: ClassVar[bool] = False
    """Frames are binary messages. Compressing them is the venue's own business, here as there."""
    stamps: ClassVar[bool] = False
    """Every frame passes through `stamp`."""
    quotes: ClassVar[bool] = True
    """It has a channel of best prices; elsewhere they come with each trade alone."""
    lot: ClassVar[int] = 8
    """Decimals of a size."""
    step: ClassVar[int] = 1
    """Time resolution in microseconds."""
    socket: str = ""
    """Where its WebSocket is served, for services that tell clients; set when the server listens."""

    @abstractmethod
    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        """`ledgers` by `venue:BASE-QUOTE`; they grow while the market prints."""

    # --- names and roundings ---------------------------------------------------------------------------------------

    @staticmethod
    def native(base: str, quote: str) -> str:
        """The venue's name of a market."""
        return f"{base}-{quote}"

    @staticmethod
    def legs(native: str) -> tuple[str, str]:
        """Base and quote of a market of a recording; the quote is empty where the name has no two parts."""
        base, _, quote = native.replace("/", "-").replace("_", "-").partition("-")
        return base, quote

    @staticmethod
    def decimals(price: float) -> int:
        """Decimals of prices about so high."""
        return 2 if price >= 20 else 4 if price >= 0.5 else 5

    @classmethod
    def listed(cls, symbol: str) -> Listing:
        """The market of a canonical symbol, as a seeded market has it."""
        base, _, quote = symbol.partition("-")
        price = start_price(base)
        return Listing(cls.id, base, quote, cls.native(base, quote), cls.decimals(price), cls.lot, price, cls.step)

    @classmethod
    def recognised(cls, native: str) -> Listing:
        """The market behind a native name met in a recording."""
        base, quote = cls.legs(native)
        return Listing(cls.id, base, quote, native, 8, cls.lot, 1.0, cls.step)

    # --- recordings ------------------------------------------------------------------------------------------------

    @staticmethod
    @abstractmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """A recorded frame; None for one the server makes itself (acknowledgements, heartbeats, pings, errors).

        `memory` is kept for the frames of one recorded connection. Raises `Foreign` (or another ValueError, or a
        LookupError) for what the venue never sent, `ConfigError` for a protocol that cannot be served, in words for
        people.
        """

    # --- the socket ------------------------------------------------------------------------------------------------

    @abstractmethod
    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """A client connected to `path` (behind the venue's prefix)."""

    @abstractmethod
    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """A client said something."""

    def beat(self, session: Session, now: int) -> Answer:  # noqa: ARG002 - for the venues that beat
        """Time passed: heartbeats, pings, deadlines."""
        return NOTHING

    @abstractmethod
    def publish(self, live: Live, audience: Audience) -> None:
        """Put an event of a seeded market into the venue's words, for those who listen."""

    def withhold(
        self,
        session: Session,  # noqa: ARG002 - for the venues whose answers list everything
        frames: Sequence[bytes],
        lost: Collection[str],
        kept: Collection[str],
    ) -> Sequence[bytes]:
        """The answer to a request without the markets `lost`, which are off `session.topics` already; `kept` are not.

        Both by native name. A frame that names a lost market and no kept one is held back.
        """
        return [frame for frame in frames if named(frame, kept) or not named(frame, lost)]

    def stamp(self, session: Session, frame: bytes) -> bytes:  # noqa: ARG002 - for the venues that count
        """Write a connection's own counter into a frame that is about to be sent, where `stamps`."""
        return frame

    def announce(self, now: int) -> bytes | None:  # noqa: ARG002 - for the venues that have a word for it
        """The frame that asks clients to reconnect before a maintenance; None where the venue has none."""
        return None

    # --- REST ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """Answer a GET on `path` (behind the venue's prefix)."""

    def post(self, path: str, query: Mapping[str, str], body: bytes, now: int) -> Reply:  # noqa: ARG002
        """Answer a POST."""
        return Reply({"error": f"{self.id} takes no POST on {path[:80]}"}, 405)

    def limited(self, retry_after: int) -> Reply:
        """What a client over the rate limit is told."""
        return Reply({"error": "Too many requests"}, 429, {"Retry-After": str(retry_after)})


def named(frame: bytes, natives: Collection[str]) -> str | None:
    """The market a frame or topic speaks of, in whatever letters; the longest name where several fit."""
    plain = gzip.decompress(frame) if frame.startswith(b"\x1f\x8b") else frame
    for native in sorted(natives, key=len, reverse=True):
        if re.search(rb"(?<![A-Z0-9])" + re.escape(native.encode()) + rb"(?![A-Z0-9])", plain, re.IGNORECASE):
            return native
    return None


def whole(query: Mapping[str, str], name: str) -> int | None:
    """An integer of a query, None where it is absent; raises ValueError for anything else."""
    text = query.get(name)
    if text is None or text == "":
        return None
    if len(text) > 20:
        raise ValueError(name)
    return int(text)
