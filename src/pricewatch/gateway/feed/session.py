"""The feed protocol of one session as a state machine: frames and facts in, steps out. No I/O, no clock."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.domain.signal import FeedEntry
from pricewatch.domain.time import rfc3339
from pricewatch.gateway.board import EVERYTHING, Board, Selection
from pricewatch.gateway.feed import wishes
from pricewatch.gateway.feed.codes import Close, ErrorCode
from pricewatch.gateway.feed.reading import Refusal, read
from pricewatch.gateway.feed.sharing import Sharing
from pricewatch.gateway.feed.steps import Bucket, Hang, More, Open, Prices, Say, Seat, Status, Step, error
from pricewatch.gateway.feed.subscription import Encoder, Opening, Phase, Signals
from pricewatch.ports.journal import FeedHead
from pricewatch.wire.feed import (
    PROTOCOL,
    Limits,
    Params,
    Place,
    Pong,
    Request,
    Subscribed,
    Unsubscribed,
    Welcome,
    encode,
    ticker_frame,
)

SEATED = ("candles", "features")
CHANNELS = ("ticker", *SEATED, "signals", "system", "status", "heartbeat")


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
        may_write: bool,
    ) -> None:
        self.id = uuid.uuid4()
        self.account = account
        self.tickers: Selection = frozenset()
        self.seated: dict[str, Selection] = dict.fromkeys(SEATED, frozenset())
        self.feeds: dict[str, Signals] = {}
        """The subscriptions on channels with a log, by channel."""
        self.sharing = Sharing(account, document, in_flight=limits.in_flight, may_join=may_write)
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
            "ack": self._settle,
            "nack": self._settle,
            "extend": self._settle,
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
        asked = read(frame, self._limits.frame_bytes)
        if not self.sharing.is_owed(asked) and not self._bucket.allows(now):
            return self._refuse(Refusal(ErrorCode.RATE_LIMITED, "too many requests; wait a second"))
        if isinstance(asked, Refusal):
            return self._refuse(asked)
        method = self._methods.get(asked.method)
        if method is None:
            reason = f"there is no method {asked.method!r}"
            return self._refuse(Refusal(ErrorCode.UNKNOWN_METHOD, reason, asked.req_id, tuple(self._methods)))
        try:
            return list(method(asked, time))
        except Invalid as exc:
            return self._refuse(Refusal(ErrorCode.INVALID, f"params.{exc}", asked.req_id))

    def _ping(self, request: Request, time: int) -> Iterator[Step]:
        yield Say(encode(Pong(request.req_id, rfc3339(time))))

    def _subscribe(self, request: Request, time: int) -> Iterator[Step]:
        channel = request.params.channel
        if channel not in CHANNELS:
            yield from self._unknown_channel(request)
            return
        wishes.check("subscribe", request.params)
        if channel in {"status", "heartbeat"}:
            yield Say(encode(Subscribed(req_id=request.req_id, channel=channel, ok=True)))
            if channel == "status":
                self.status = True
                yield Status(on=True)
        else:
            yield from self._subscribe_symbols(request, time)

    def _subscribe_symbols(self, request: Request, time: int) -> Iterator[Step]:
        params = request.params
        channel, feed = params.channel, self.feeds.get(params.channel)
        if not params.symbols:
            reason = 'name at least one, like ["BTC-USD"], ["coinbase:BTC-USD"] or ["*"]'
            raise Invalid("symbols", reason)
        wanted = wishes.wanted(params, frozenset())
        span = wishes.span(params, time)
        if (refusal := self._conflict(params, feed)) is not None:
            yield from self._refuse(refusal._replace(req_id=request.req_id))
            return
        names: set[str] = set()
        yield from self._name(request, names)
        if not names:
            return
        wanted = msgspec.structs.replace(wanted, symbols=frozenset(names))
        if channel == "ticker":
            yield from self._add_tickers(frozenset(names))
        elif channel in SEATED:
            self.seated[channel] |= names
            yield Seat(channel, self.seated[channel], frozenset(names))
        elif params.consumer is not None:
            yield self.sharing.join(params.consumer, params, wanted, request.req_id)
        elif feed is not None:
            feed.extend(frozenset(names))
            yield self._open(feed)
        else:
            feed = self.feeds[channel] = Signals(wanted, params.after, channel, span=span)
            yield self._open(feed)

    def _conflict(self, params: Params, feed: Signals | None) -> Refusal | None:
        """Why there cannot be this subscription beside those there are."""
        if params.consumer is not None:
            return self.sharing.conflict(params.consumer)
        reason = ""
        if feed is not None and (params.after is not None or params.since is not None):
            reason = "`after` and `from` begin a new subscription of signals or system"
        elif feed is not None and wishes.names_a_filter(params):
            asked = wishes.wanted(params, feed.selection)
            reason = f"{params.channel} is subscribed with another filter" if asked != feed.filter else ""
        return Refusal(ErrorCode.ALREADY_SUBSCRIBED, reason) if reason else None

    def _name(self, request: Request, names: set[str]) -> Iterator[Step]:
        """Answer each asked symbol, and collect those that are on."""
        channel = request.params.channel
        before = frozenset() if request.params.consumer is not None else self._selected(channel)
        for text in self._asked(request):
            name = self._board.named(text)
            if name is None:
                yield from self._unknown_symbol(request, text)
            elif len(before | names | {name}) > self._limits.symbols:
                reason = f"a session has at most {self._limits.symbols} symbols a channel; `*` names all"
                yield error(ErrorCode.TOO_MANY_SYMBOLS, reason, request.req_id, channel, text)
            else:
                names.add(name)
                yield Say(encode(Subscribed(req_id=request.req_id, channel=channel, symbol=name, ok=True)))

    def _unsubscribe(self, request: Request, _: int) -> Iterator[Step]:
        channel = request.params.channel
        if channel not in CHANNELS:
            yield from self._unknown_channel(request)
            return
        wishes.check("unsubscribe", request.params)
        if request.params.consumer is not None:
            yield from self.sharing.leave(request.params.consumer, request)
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
                yield error(ErrorCode.NOT_SUBSCRIBED, reason, request.req_id, channel, text)
            else:
                names.add(name)
                yield Say(encode(Unsubscribed(req_id=request.req_id, channel=channel, symbol=name, ok=True)))
        if channel == "ticker":
            self.tickers = before - names
            yield Prices(self.tickers)
        elif channel in SEATED:
            self.seated[channel] = before - names
            yield Seat(channel, self.seated[channel], frozenset())
        elif (feed := self.feeds.get(channel)) is not None:
            feed.narrow(frozenset(names))
            if not feed.selection:
                del self.feeds[channel]

    def _settle(self, request: Request, _: int) -> Iterator[Step]:
        found = self.sharing.settle(request)
        if isinstance(found, Refusal):
            yield from self._refuse(found)
        else:
            yield found

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
        frames = signals.page(entries, self._document)
        if signals.is_over():
            del self.feeds[signals.channel]
        return [*map(Say, frames), *self.after_reading(signals)]

    def after_reading(self, feed: Signals) -> list[Step]:
        """The next read, while the subscription is behind."""
        if feed.phase is not Phase.BEHIND:
            return []
        return [More(feed.generation, feed.cursor, feed.channel)]

    def _current(self, generation: int) -> Signals | None:
        return next((feed for feed in self.feeds.values() if feed.generation == generation), None)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _selected(self, channel: str) -> Selection:
        if channel == "ticker" or channel in SEATED:
            return self.tickers if channel == "ticker" else self.seated[channel]
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

    def _open(self, feed: Signals) -> Step:
        # Generations never repeat in a session, so that an answer for an ended subscription cannot be taken for ours.
        self._generation += 1
        feed.generation = self._generation
        return Open(self._generation, feed.channel, feed.span)

    def _unknown_channel(self, request: Request) -> list[Step]:
        reason = f"there is no channel {request.params.channel!r}"
        return self._refuse(Refusal(ErrorCode.UNKNOWN_CHANNEL, reason, request.req_id, CHANNELS))

    def _unknown_symbol(self, request: Request, text: str) -> Iterator[Step]:
        near = self._board.nearest(text)
        reason = f"there is no market {text[:64]!r}; write BTC-USD, coinbase:BTC-USD or {EVERYTHING}"
        yield error(ErrorCode.UNKNOWN_SYMBOL, reason, request.req_id, request.params.channel, text, near)

    def _refuse(self, refusal: Refusal) -> list[Step]:
        """Refuse a whole frame; too many of these end the session."""
        self._strikes -= 1
        if self._strikes < 0:
            return [Hang(Close.ABUSE)]
        return [error(refusal.code, refusal.reason, refusal.req_id, near=refusal.near)]
