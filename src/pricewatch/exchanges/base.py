"""What an adapter is: a venue's protocol without sockets. Frames go in, trades, quotes and wishes come out."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import ClassVar, NamedTuple

import msgspec

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Market, Quote, Trade

UNUSABLE = (ValueError, OverflowError, RecursionError)
"""What decoding an arbitrary frame may raise (every msgspec error is a `ValueError`)."""

MINUTE = 60_000_000
"""Microseconds of the candles we import."""


class BadTrade(BadData):
    """A frame that should have carried trades, and `count` of them are unusable."""

    def __init__(self, reason: str, detail: str = "", *, count: int = 1) -> None:
        super().__init__(reason, detail)
        self.count = count


class Subscription(NamedTuple):
    """One market's channel, in the venue's names."""

    native: str
    channel: str


class Send(msgspec.Struct, frozen=True):
    """The adapter wants this frame sent: a request, or the answer to a venue's ping."""

    frame: str


class Subscribed(msgspec.Struct, frozen=True):
    """The venue confirmed a subscription."""

    native: str
    channel: str


class SubscriptionFailed(msgspec.Struct, frozen=True):
    """The venue refused a subscription; empty names where it did not say which."""

    native: str
    channel: str
    reason: str


class Heartbeat(msgspec.Struct, frozen=True):
    """The venue is alive; `last_key` is a market's newest trade id where it says so."""

    market: int | None = None
    last_key: int | None = None


class Notice(msgspec.Struct, frozen=True):
    """Something the venue says to people."""

    text: str


class Closing(msgspec.Struct, frozen=True):
    """The venue is about to close this connection."""

    reason: str


class Ready(msgspec.Struct, frozen=True):
    """The venue takes requests from now on (see `Exchange.greeting`)."""


class Lost(msgspec.Struct, frozen=True):
    """A counter of the venue jumped: trades may be missing, and nobody knows which.

    Empty `natives`: of every market on the connection.
    """

    reason: str
    natives: tuple[str, ...] = ()


class Ignored(msgspec.Struct, frozen=True):
    """A frame that does not concern us."""


Control = Subscribed | SubscriptionFailed | Heartbeat | Notice | Closing | Ready | Lost | Send | Ignored
Output = Trade | Quote | Control

HEARTBEAT = Heartbeat()
READY = Ready()
IGNORED = Ignored()


class Endpoints(msgspec.Struct, frozen=True):
    """Where a venue lives."""

    socket: str
    rest: str


class Keepalive(msgspec.Struct, frozen=True):
    """How a quiet connection is told from a dead one."""

    protocol_ping: bool = True
    """The venue answers WebSocket pings."""
    probe: str | None = None
    """A message the venue answers with a frame, for feeds that may be silent for long."""
    every: float | None = None
    """Seconds between probes that are sent on a busy connection too, since the venue closes one without them."""


class Request(msgspec.Struct, frozen=True):
    """A REST request: GET, or POST where there is a body (JSON)."""

    url: str
    body: str | None = None


class Instrument(msgspec.Struct, frozen=True):
    """A market as the venue lists it."""

    native: str
    symbol: str
    """Canonical `BASE-QUOTE`."""
    active: bool = True
    """Trading, as far as the venue says."""


class HistoryRequest(msgspec.Struct, frozen=True):
    """One page of a market's past trades.

    Where ids are consecutive, those with `first <= key <= last` (`last` None: up to now); elsewhere those with
    `since <= at <= until` (`until` None: up to now).
    """

    market: Market
    url: str
    first: int
    last: int | None
    since: int = 0
    until: int | None = None
    body: str | None = None
    """Posted as JSON where there is one."""


class HistoryPage(NamedTuple):
    """The trades of one page within the wanted range, oldest first, and where to go on."""

    trades: list[Trade]
    next: HistoryRequest | None


class CandleRequest(msgspec.Struct, frozen=True):
    """One page of a market's one-minute candles with `start <= at < end`."""

    market: Market
    url: str
    start: int
    end: int
    body: str | None = None
    """Posted as JSON where there is one."""


class Exchange(ABC):
    """One venue's protocol for the markets of one connection. No I/O, no clock.

    A new object for every connection: it may remember requests that await their answer.
    """

    id: ClassVar[str]
    endpoints: ClassVar[Endpoints]
    """The public addresses."""
    channels: ClassVar[tuple[str, ...]]
    """What is subscribed to for every market."""
    step: ClassVar[int] = 1
    """The venue's time resolution in microseconds."""
    consecutive: ClassVar[bool] = True
    """Trade ids of one market grow by one, so that a jump is a hole."""
    approximate: ClassVar[bool] = False
    """The venue gives no trade ids: a trade's identity is a hash of what it says."""
    greeting: ClassVar[bool] = False
    """Nothing is sent before the venue's first word, which the adapter reports as `Ready`."""
    settle: ClassVar[float] = 0.0
    """Seconds to wait between connecting and the first request."""
    lifetime: ClassVar[float | None] = None
    """Seconds after which the venue closes any connection."""
    keepalive: ClassVar[Keepalive] = Keepalive()
    markets_per_connection: ClassVar[int]
    send_interval: ClassVar[float]
    """Least seconds between two messages to the venue."""
    open_interval: ClassVar[float]
    """Least seconds between two connections opened to the venue."""
    history_interval: ClassVar[float]
    """Least seconds between two REST requests."""

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        self.where = endpoints or self.endpoints
        self.markets: dict[str, Market] = {}
        """By native name."""
        self.add(markets)

    def add(self, markets: Sequence[Market]) -> None:
        """Know these too; `subscribe` asks the venue for them. Tables made from the markets are kept up here."""
        self.markets |= {market.native: market for market in markets}

    def drop(self, natives: Collection[str]) -> None:
        """Forget these; `unsubscribe` ends what the venue sends of them. Their frames may go on for a moment."""
        for native in natives:
            self.markets.pop(native, None)

    @staticmethod
    @abstractmethod
    def native(symbol: str) -> str:
        """The venue's name for a canonical symbol."""

    def instrument_requests(self) -> list[Request]:
        """What to ask for the venue's list of markets; empty where it has none."""
        return []

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """The markets in the answers to `instrument_requests`, in their order.

        Leaves out what has no canonical symbol. Raises `BadData`, `Unavailable` or `Refused`.
        """
        raise BadData("malformed", f"{self.id} lists no instruments, and {len(bodies)} answers came")

    def prepare(self) -> Request | None:
        """What must be asked by REST before each connection (a token); None where nothing."""
        return None

    def prepared(self, body: bytes) -> None:
        """The answer to `prepare`; `url` holds afterwards. Raises `BadData`, `Unavailable` or `Refused`."""
        raise BadData("malformed", f"{self.id} asks for nothing before it connects, and {len(body)} bytes came")

    def url(self) -> str:
        """The address to connect to."""
        return self.where.socket

    def probe(self, now: int) -> str | None:  # noqa: ARG002 - some venues want the time
        """The keepalive's message at `now` (µs)."""
        return self.keepalive.probe

    def expected(self) -> list[Subscription]:
        """Every subscription the venue ought to confirm."""
        return [Subscription(native, channel) for native in self.markets for channel in self.channels]

    @abstractmethod
    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:
        """The messages that ask for `wanted`, in the venue's chunks.

        `alone`: a message a market, so that one the venue does not know cannot spoil the others.
        """

    @abstractmethod
    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """The messages that end `gone`, after `drop`."""

    @abstractmethod
    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """Append what the frame means to `out`, trades oldest first.

        Raises `BadData` (`BadTrade` where trades were lost with it) for an unusable frame, and nothing else;
        what was usable in it has been appended by then.
        """

    def history_request(
        self,
        market: Market,  # noqa: ARG002 - for the venues that have it
        first: int,  # noqa: ARG002
        last: int | None,  # noqa: ARG002
        since: int,  # noqa: ARG002
        until: int | None = None,  # noqa: ARG002
    ) -> HistoryRequest | None:
        """The first page of the trades `first..last`; None where the venue has no trade history anyone may read.

        `since` is an instant not after the first of them, `until` one not before the last. Where ids are not
        consecutive, only the instants count.
        """
        return None

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """Read one page. Raises `BadData`, `Unavailable` (try again) or `Refused`."""
        raise BadData("malformed", f"{self.id} has no trade history: {request.url}, {len(body)} bytes at {received}")

    @abstractmethod
    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """The pages of one-minute candles with `start <= at < end`, within the venue's limit a page."""

    @abstractmethod
    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Read one page, oldest first. Raises `BadData`, `Unavailable` or `Refused`."""


def as_bytes(frame: bytes | str) -> bytes:
    """A frame as it came over the wire; lone surrogates, which no decoder takes, stay what they are."""
    return frame if isinstance(frame, bytes) else frame.encode(errors="surrogatepass")


def torn(frame: bytes | str, error: Exception, mark: bytes) -> BadData:
    """What to raise for a frame nobody can read: a trade went with it where it has the venue's `mark` of trades."""
    return (BadTrade if mark in as_bytes(frame) else BadData)("malformed", str(error))


def chunks(items: Sequence[str], size: int) -> list[Sequence[str]]:
    """Consecutive pieces of at most `size` items."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def text_key(ref: str) -> int:
    """A 63-bit key for a trade id that is text: the first bits of its BLAKE2b digest."""
    return int.from_bytes(hashlib.blake2b(ref.encode(errors="surrogatepass"), digest_size=8).digest(), "big") >> 1


def spans(start: int, end: int, rows: int) -> list[tuple[int, int]]:
    """`[start, end)` in consecutive pieces of at most `rows` minutes."""
    width = rows * MINUTE
    return [(begin, min(begin + width, end)) for begin in range(start, end, width)]


def within(candles: list[Candle], request: CandleRequest) -> list[Candle]:
    """The candles asked for, oldest first."""
    return sorted(
        (candle for candle in candles if request.start <= candle.at < request.end), key=lambda candle: candle.at
    )
