"""The feed protocol of one session as a state machine: frames and facts in, steps out. No I/O, no clock."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from pricewatch.domain.signal import FeedEntry
from pricewatch.domain.time import rfc3339
from pricewatch.gateway.board import EVERYTHING, Board, Selection
from pricewatch.gateway.feed.codes import Close, ErrorCode
from pricewatch.gateway.feed.subscription import Encoder, Opening, Phase, Signals
from pricewatch.ports.journal import FeedHead
from pricewatch.wire.feed import (
    PROTOCOL,
    Error,
    Limits,
    Place,
    Pong,
    Request,
    RequestId,
    Subscribed,
    Unsubscribed,
    Welcome,
    encode,
    ticker_frame,
)

CHANNELS = ("ticker", "signals", "system", "status", "heartbeat")
FEEDS = frozenset({"signals", "system"})
"""Channels with a place to resume from."""
_DECODER = msgspec.json.Decoder(Request)


class Say(NamedTuple):
    """Send one frame."""

    frame: bytes


class Open(NamedTuple):
    """Read the log's head, oldest and recent entries, then call `opened`."""

    generation: int
    channel: str = "signals"


class More(NamedTuple):
    """Read the log after `cursor`, then call `page`."""

    generation: int
    cursor: int
    channel: str = "signals"


class Prices(NamedTuple):
    """The ticker selection is now this one."""

    selection: Selection


class Status(NamedTuple):
    """Send the parts' status now, and at every change while `on`."""

    on: bool


class Hang(NamedTuple):
    """Close with this code; nothing more is sent."""

    code: Close


Step = Say | Open | More | Prices | Status | Hang


class Bucket:
    """Allows `burst` at once and `rate` a second. Time is handed in, in seconds."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._then = now

    def allows(self, now: float) -> bool:
        """Take one if there is one."""
        self._left = min(self._burst, self._left + (now - self._then) * self._rate)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Session:
    """One client's subscriptions and its answers."""

    def __init__(
        self,
        account: uuid.UUID,
        *,
        board: Board,
        limits: Limits,
        strikes: int,
        document: Encoder,
        now: float,
    ) -> None:
        self.id = uuid.uuid4()
        self.account = account
        self.tickers: Selection = frozenset()
        self.feeds: dict[str, Signals] = {}
        """The subscriptions on channels with a log, by channel."""
        self.status = False
        self._board = board
        self._limits = limits
        self._strikes = strikes
        self._document = document
        self._bucket = Bucket(limits.requests_per_second, limits.request_burst, now)
        self._generation = 0
        self._methods: dict[str, Callable[[Request, int], Iterator[Step]]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "ping": self._ping,
        }

    @property
    def signals(self) -> Signals | None:
        """The subscription on the account's own feed."""
        return self.feeds.get("signals")

    def welcome(self, server: str, time: int, head: FeedHead | None) -> bytes:
        """The first frame; `time` in microseconds."""
        return encode(
            Welcome(
                protocol=PROTOCOL,
                server=server,
                time=rfc3339(time),
                session=self.id,
                account=self.account,
                head=None if head is None else Place(head.epoch, head.seq),
                limits=self._limits,
            )
        )

    # -- frames in ----------------------------------------------------------------------------------------------------

    def receive(self, frame: str | bytes, now: float, time: int) -> list[Step]:
        """Answer one frame, whatever it is. `now` in seconds for the rate, `time` in microseconds for the reader."""
        if not self._bucket.allows(now):
            return self._refuse(ErrorCode.RATE_LIMITED, "too many requests; wait a second")
        if isinstance(frame, bytes):
            return self._refuse(ErrorCode.NOT_TEXT, "send text frames")
        if len(frame) > self._limits.frame_bytes or len(frame.encode()) > self._limits.frame_bytes:
            return self._refuse(ErrorCode.TOO_LARGE, f"a frame has at most {self._limits.frame_bytes} bytes")
        try:
            request = _DECODER.decode(frame)
        except msgspec.ValidationError as error:
            return self._refuse(ErrorCode.INVALID, str(error))
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            return self._refuse(ErrorCode.BAD_JSON, str(error)[:200])
        method = self._methods.get(request.method)
        if method is None:
            return self._refuse(
                ErrorCode.UNKNOWN_METHOD, f"there is no method {request.method!r}", request.req_id, list(self._methods)
            )
        return list(method(request, time))

    def _ping(self, request: Request, time: int) -> Iterator[Step]:
        yield Say(encode(Pong(request.req_id, rfc3339(time))))

    def _subscribe(self, request: Request, _: int) -> Iterator[Step]:
        channel = request.params.channel
        if channel not in CHANNELS:
            yield from self._unknown_channel(request)
        elif channel in {"status", "heartbeat"}:
            yield Say(encode(Subscribed(req_id=request.req_id, channel=channel, ok=True)))
            if channel == "status":
                self.status = True
                yield Status(on=True)
        else:
            yield from self._subscribe_symbols(request)

    def _subscribe_symbols(self, request: Request) -> Iterator[Step]:
        channel, after = request.params.channel, request.params.after
        if after is not None and (channel not in FEEDS or channel in self.feeds):
            code = ErrorCode.INVALID if channel not in FEEDS else ErrorCode.ALREADY_SUBSCRIBED
            yield from self._refuse(code, "`after` begins a new subscription of signals or system", request.req_id)
            return
        before = self._selected(channel)
        names: set[str] = set()
        for text in self._asked(request):
            name = self._board.named(text)
            if name is None:
                yield from self._unknown_symbol(request, text)
            elif len(before | names | {name}) > self._limits.symbols:
                reason = f"a session has at most {self._limits.symbols} symbols a channel; `*` names all"
                yield self._error(ErrorCode.TOO_MANY_SYMBOLS, reason, request.req_id, channel, text)
            else:
                names.add(name)
                yield Say(encode(Subscribed(req_id=request.req_id, channel=channel, symbol=name, ok=True)))
        if not request.params.symbols:
            reason = 'params.symbols: name at least one, like ["BTC-USD"], ["coinbase:BTC-USD"] or ["*"]'
            yield from self._refuse(ErrorCode.INVALID, reason, request.req_id)
        elif names and channel == "ticker":
            yield from self._add_tickers(frozenset(names))
        elif names:
            yield self._add_feed(channel, frozenset(names), after)

    def _unsubscribe(self, request: Request, _: int) -> Iterator[Step]:
        channel = request.params.channel
        if channel not in CHANNELS:
            yield from self._unknown_channel(request)
        elif channel in {"status", "heartbeat"}:
            yield Say(encode(Unsubscribed(req_id=request.req_id, channel=channel, ok=True)))
            self.status = self.status and channel != "status"
            yield Status(on=self.status)
        else:
            yield from self._unsubscribe_symbols(request)

    def _unsubscribe_symbols(self, request: Request) -> Iterator[Step]:
        channel = request.params.channel
        before = self._selected(channel)
        names: set[str] = set()
        for text in self._asked(request) or sorted(before):
            name = self._board.named(text)
            if name is None or name not in before:
                reason = f"{text[:64]!r} is not subscribed on {channel}"
                yield self._error(ErrorCode.NOT_SUBSCRIBED, reason, request.req_id, channel, text)
            else:
                names.add(name)
                yield Say(encode(Unsubscribed(req_id=request.req_id, channel=channel, symbol=name, ok=True)))
        if channel == "ticker":
            self.tickers = before - names
            yield Prices(self.tickers)
        elif (feed := self.feeds.get(channel)) is not None:
            feed.narrow(frozenset(names))
            if not feed.selection:
                del self.feeds[channel]

    # -- the log's answers --------------------------------------------------------------------------------------------

    def opened(self, generation: int, opening: Opening) -> list[Step]:
        """What `Open` asked for. Out of date answers do nothing."""
        signals = self._current(generation)
        if signals is None:
            return []
        return [*map(Say, signals.opened(opening, self._document)), *self.after_reading(signals)]

    def page(self, generation: int, entries: Sequence[FeedEntry]) -> list[Step]:
        """What `More` asked for."""
        signals = self._current(generation)
        if signals is None or signals.phase is not Phase.BEHIND:
            return []
        return [*map(Say, signals.page(entries, self._document)), *self.after_reading(signals)]

    def after_reading(self, feed: Signals) -> list[Step]:
        """The next read, while the subscription is behind."""
        if feed.phase is not Phase.BEHIND:
            return []
        return [More(feed.generation, feed.cursor, feed.channel)]

    def _current(self, generation: int) -> Signals | None:
        return next((feed for feed in self.feeds.values() if feed.generation == generation), None)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _selected(self, channel: str) -> Selection:
        if channel == "ticker":
            return self.tickers
        feed = self.feeds.get(channel)
        return frozenset() if feed is None else feed.selection

    def _asked(self, request: Request) -> list[str]:
        """In the order of asking, each once, and no more than can be refused one by one."""
        return list(dict.fromkeys(request.params.symbols or ()))[: self._limits.symbols + 1]

    def _add_tickers(self, names: Selection) -> Iterator[Step]:
        self.tickers |= names
        documents = self._board.documents(self._board.resolve(names))
        yield Say(ticker_frame(documents, snapshot=True))
        yield Prices(self.tickers)

    def _add_feed(self, channel: str, names: Selection, after: Place | None) -> Step:
        feed = self.feeds.get(channel)
        if feed is None:
            feed = self.feeds[channel] = Signals(names, after, channel)
        else:
            feed.extend(names)
        # Generations never repeat in a session, so that an answer for an ended subscription cannot be taken for ours.
        self._generation += 1
        feed.generation = self._generation
        return Open(self._generation, channel)

    def _unknown_channel(self, request: Request) -> list[Step]:
        reason = f"there is no channel {request.params.channel!r}"
        return self._refuse(ErrorCode.UNKNOWN_CHANNEL, reason, request.req_id, list(CHANNELS))

    def _unknown_symbol(self, request: Request, text: str) -> Iterator[Step]:
        near = self._board.nearest(text)
        reason = f"there is no market {text[:64]!r}; write BTC-USD, coinbase:BTC-USD or {EVERYTHING}"
        yield self._error(ErrorCode.UNKNOWN_SYMBOL, reason, request.req_id, request.params.channel, text, near)

    def _error(
        self,
        code: ErrorCode,
        reason: str,
        req_id: RequestId = None,
        channel: str = "",
        symbol: str = "",
        near: Sequence[str] = (),
    ) -> Say:
        return Say(
            encode(
                Error(
                    req_id=req_id,
                    channel=channel,
                    symbol=symbol[:128],
                    ok=False,
                    code=code.value,
                    reason=reason,
                    did_you_mean=list(near),
                )
            )
        )

    def _refuse(self, code: ErrorCode, reason: str, req_id: RequestId = None, near: Sequence[str] = ()) -> list[Step]:
        """Refuse a whole frame; too many of these end the session."""
        self._strikes -= 1
        if self._strikes < 0:
            return [Hang(Close.ABUSE)]
        return [self._error(code, reason, req_id, near=near)]
