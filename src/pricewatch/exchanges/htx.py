"""HTX spot (Huobi): trades and best bid/ask, every frame of the venue compressed.

https://huobiapi.github.io/docs/spot/v1/en/#trade-detail
https://huobiapi.github.io/docs/spot/v1/en/#get-the-most-recent-trades (the last 2,000 prints, no pages)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from typing import Literal, NamedTuple, TypeVar

import msgspec

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Candle, Flag, Market, Side, Trade
from pricewatch.exchanges.base import (
    HEARTBEAT,
    IGNORED,
    UNUSABLE,
    BadTrade,
    CandleRequest,
    Endpoints,
    Exchange,
    HistoryPage,
    HistoryRequest,
    Instrument,
    Keepalive,
    Notice,
    Output,
    Request,
    Send,
    Subscribed,
    Subscription,
    SubscriptionFailed,
    spans,
    torn,
    within,
)
from pricewatch.exchanges.gzipped import inflated
from pricewatch.exchanges.listing import Listed, instruments
from pricewatch.exchanges.rows import Best, Key, Millis, best, salvaged
from pricewatch.exchanges.symbols import split

_BUY, _SELL, _HISTORY = int(Side.BUY), int(Side.SELL), int(Flag.HISTORY)
_SIDES = {"buy": _BUY, "sell": _SELL}
_TRADES, _BOOK = "trade.detail", "bbo"
_MOST = 1 << 20
"""Bytes a frame may inflate to; a large one has a few tens of thousands."""
_LISTED = ord("]")
"""Trades end with a list, books do not."""
_ELSEWHERE = (*UNUSABLE, LookupError)
"""What reading a frame as the wrong kind raises, or as a topic that is not ours."""
_BY_ID = attrgetter("trade_id")
_PAGE = 2000
_CANDLES = 1000
_AGAIN = ("busy", "internal", "limit", "many", "timeout", "unavailable")
"""In an error code: try again."""
ValueT = TypeVar("ValueT")


class _Row(msgspec.Struct, gc=False, rename={"trade_id": "tradeId"}):
    """Its fields in the order of the wire, as in all that is read by the thousand: that is the fastest."""

    ts: Millis
    trade_id: Key
    amount: float
    price: float
    direction: Literal["buy", "sell"]


class _Rows(msgspec.Struct, gc=False):
    data: list[_Row]


class _Trades(msgspec.Struct, gc=False):
    ch: str
    tick: _Rows


class _Broken(msgspec.Struct):
    data: msgspec.Raw


class _BrokenTrades(msgspec.Struct):
    tick: _Broken


class _Best(msgspec.Struct, gc=False, rename="camel"):
    quote_time: Millis
    bid: Best = None
    bid_size: Best = None
    ask: Best = None
    ask_size: Best = None


class _Book(msgspec.Struct, gc=False):
    ch: str
    tick: _Best


class _Envelope(msgspec.Struct, rename={"code": "err-code", "words": "err-msg"}):
    """Any frame; answers carry the request's `id`."""

    ch: str = ""
    subbed: str = ""
    id: str | Key | None = None
    status: str = ""
    ts: Millis = 0
    ping: Millis | None = None
    pong: Millis | None = None
    code: str = ""
    words: str = ""


class _Reply(msgspec.Struct, rename={"code": "err-code", "words": "err-msg"}):
    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    code: str = ""
    words: str = ""


class _Past(msgspec.Struct, gc=False, rename={"trade_id": "trade-id"}):
    """Its `id` has more digits than 64 bits hold, and is on its way out."""

    ts: Millis
    trade_id: Key
    amount: float
    price: float
    direction: Literal["buy", "sell"]


class _Prints(msgspec.Struct):
    data: list[_Past]


class _Kline(msgspec.Struct, gc=False):
    id: Key
    """Start in seconds."""
    open: float
    high: float
    low: float
    close: float
    amount: float
    """In base currency; `vol` is in quote currency."""
    count: int = 0


class _Symbol(msgspec.Struct, gc=False, rename={"base": "base-currency", "quote": "quote-currency"}):
    symbol: str
    base: str
    quote: str
    state: str = ""


_decode_trades = msgspec.json.Decoder(_Trades).decode
_decode_broken = msgspec.json.Decoder(_BrokenTrades).decode
_decode_row = msgspec.json.Decoder(_Row).decode
_decode_book = msgspec.json.Decoder(_Book).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_prints = msgspec.json.Decoder(list[_Prints]).decode
_decode_klines = msgspec.json.Decoder(list[_Kline]).decode
_decode_symbols = msgspec.json.Decoder(list[_Symbol]).decode


class _Topic(NamedTuple):
    market: Market
    channel: str


class Htx(Exchange):
    """Trade ids are taken to count by one, as they do where recorded; several trades a frame come newest first."""

    id = "htx"
    endpoints = Endpoints(socket="wss://api.huobi.pro/ws", rest="https://api.huobi.pro")
    channels = (_TRADES, _BOOK)
    step = 1000
    # The venue pings every 5 s by a message of its own, and closes when two stay unanswered.
    keepalive = Keepalive(protocol_ping=False)
    markets_per_connection = 50
    send_interval = 0.05
    open_interval = 0.5
    history_interval = 0.2  # 10 requests a second

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        self._topics: dict[str, _Topic] = {}
        self._prints: dict[str, Market] = {}
        self._books: dict[str, Market] = {}
        self._confirmed: dict[str, int] = {}
        """When the venue confirmed a topic that has sent nothing yet, by its clock in milliseconds."""
        super().__init__(markets, endpoints)

    def add(self, markets: Sequence[Market]) -> None:
        """Their topics too."""
        super().add(markets)
        for market in markets:
            for channel in self.channels:
                self._topics[_topic(market.native, channel)] = _Topic(market, channel)
            self._prints[_topic(market.native, _TRADES)] = market
            self._books[_topic(market.native, _BOOK)] = market

    def drop(self, natives: Collection[str]) -> None:
        """Their topics too."""
        super().drop(natives)
        for name in [_topic(native, channel) for native in natives for channel in self.channels]:
            self._topics.pop(name, None)
            self._prints.pop(name, None)
            self._books.pop(name, None)
            self._confirmed.pop(name, None)

    @staticmethod
    def native(symbol: str) -> str:
        """`BTC-USDT` -> `btcusdt`."""
        return "".join(split(symbol)).lower()

    def instrument_requests(self) -> list[Request]:
        """Every symbol in one answer."""
        return [Request(f"{self.where.rest}/v1/common/symbols")]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """A symbol trades while it is `online`."""
        rows = [row for body in bodies for row in _unwrap(body, _decode_symbols)]
        return instruments(Listed(row.symbol, row.base, row.quote, row.state == "online") for row in rows)

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:  # noqa: ARG002
        """A message a topic, always; its name is the request's id, so that a refusal names it."""
        return [_request("sub", one) for one in wanted]

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """A message a topic."""
        return [_request("unsub", one) for one in gone]

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass, guessed by how such frames end; the topic decides, where need be in a second one.

        A frame that is not compressed is read as it is.
        """
        data = frame.encode(errors="surrogatepass") if isinstance(frame, str) else inflated(frame, _MOST)
        try:
            if data[-3] == _LISTED:
                trades = _decode_trades(data)
                name, rows = trades.ch, trades.tick.data
                market = self._prints[name]
            else:
                book = _decode_book(data)
                self._book(book.tick, self._books[book.ch], received, out)
                return
        except _ELSEWHERE:
            self._other(data, received, out)
            return
        self._trades(rows, name, market, received, out)

    def _book(self, row: _Best, market: Market, received: int, out: list[Output]) -> None:
        out.append(best(market, row.quote_time * 1000, row.bid, row.bid_size, row.ask, row.ask_size, received))

    def _trades(
        self, rows: list[_Row], name: str, market: Market, received: int, out: list[Output], lost: int = 0
    ) -> None:
        """The first frame of a topic holds the last trade before the subscription; one broken row is lost alone."""
        since = self._confirmed.pop(name, -1) if self._confirmed else -1
        if len(rows) > 1:
            rows.sort(key=_BY_ID)
        for row in rows:
            flags = _HISTORY if row.ts <= since else 0
            side = _BUY if row.direction == "buy" else _SELL
            out.append(Trade(market.id, row.ts * 1000, row.price, row.amount, side, row.trade_id, received, flags))
        if lost:
            raise BadTrade("malformed", f"{lost} rows", count=lost)

    def _other(self, data: bytes, received: int, out: list[Output]) -> None:
        try:
            envelope = _decode_envelope(data)
        except UNUSABLE as error:
            raise torn(data, error, _TRADES.encode()) from error
        name = envelope.ch or envelope.subbed
        topic = self._topics.get(name)
        if envelope.ping is not None:
            out.append(Send(f'{{"pong":{envelope.ping}}}'))
        elif envelope.pong is not None:
            out.append(HEARTBEAT)
        elif envelope.status == "error":
            self._refused(envelope, out)
        elif topic is None:
            out.append(IGNORED)
        elif envelope.subbed:
            self._confirmed[name] = envelope.ts
            out.append(Subscribed(topic.market.native, topic.channel))
        else:
            self._push(data, name, topic, received, out)

    def _push(self, data: bytes, name: str, topic: _Topic, received: int, out: list[Output]) -> None:
        """What was not read at the first look: another order of its fields, or a broken row."""
        try:
            if topic.channel == _BOOK:
                self._book(_decode_book(data).tick, topic.market, received, out)
                return
            rows, lost = salvaged(_decode_broken(data).tick.data, _decode_row)
        except UNUSABLE as error:
            kind = BadData if topic.channel == _BOOK else BadTrade
            raise kind("malformed", str(error)) from error
        self._trades(rows, name, topic.market, received, out, lost)

    def _refused(self, envelope: _Envelope, out: list[Output]) -> None:
        reason = f"{envelope.code}: {envelope.words}"[:200]
        topic = self._topics.get(str(envelope.id))
        if topic is None:
            out.append(Notice(reason))
        else:
            out.append(SubscriptionFailed(topic.market.native, topic.channel, reason))

    def history_request(
        self,
        market: Market,
        first: int,
        last: int | None,
        since: int,  # noqa: ARG002 - the venue takes no range
        until: int | None = None,  # noqa: ARG002
    ) -> HistoryRequest:
        """The last 2,000 prints are all there is, whatever is asked for."""
        url = f"{self.where.rest}/market/history/trade?symbol={market.native}&size={_PAGE}"
        return HistoryRequest(market, url, first, last)

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """Prints newest first, each with the trades of one moment."""
        rows = [row for one in _unwrap(body, _decode_prints, BadTrade) for row in one.data]
        number, first, last = request.market.id, request.first, request.last
        trades = [
            Trade(number, row.ts * 1000, row.price, row.amount, _SIDES[row.direction], row.trade_id, received)
            for row in sorted(rows, key=_BY_ID)
            if row.trade_id >= first and (last is None or row.trade_id <= last)
        ]
        return HistoryPage(trades, None)

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """At most 1,000 rows a page."""
        base = f"{self.where.rest}/market/history/candles?symbol={market.native}&period=1min&size={_CANDLES}"
        return [
            CandleRequest(market, f"{base}&from={begin // 1_000_000}&to={until // 1_000_000 - 1}", begin, until)
            for begin, until in spans(start, end, _CANDLES)
        ]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Newest first."""
        number = request.market.id
        candles = [
            Candle(number, row.id * 1_000_000, row.open, row.high, row.low, row.close, row.amount, row.count)
            for row in _unwrap(body, _decode_klines)
        ]
        return within(candles, request)


def _topic(native: str, channel: str) -> str:
    return f"market.{native}.{channel}"


def _request(verb: str, subscription: Subscription) -> Send:
    name = _topic(*subscription)
    return Send(msgspec.json.encode({verb: name, "id": name}).decode())


def _unwrap(body: bytes, decode: Callable[[msgspec.Raw], ValueT], unusable: type[BadData] = BadData) -> ValueT:
    """What an answer carries, unless it says that something is wrong."""
    try:
        reply = _decode_reply(body)
        if reply.status == "ok":
            return decode(reply.data)
    except UNUSABLE as error:
        raise unusable("malformed", str(error)) from error
    reason = f"htx: {reply.code} {reply.words}"[:200]
    if any(word in reply.code for word in _AGAIN):
        raise Unavailable(reason)
    raise Refused(reason)
