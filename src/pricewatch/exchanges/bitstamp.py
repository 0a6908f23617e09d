"""Bitstamp: trades, and the best bid and ask of the top of the book (there is no ticker channel).

https://www.bitstamp.net/websocket/v2/
https://www.bitstamp.net/api/#tag/Transactions-public: the trades of the last minute, hour or day, no further; their
times are whole seconds, and the ids are those of the socket.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Annotated

import msgspec

from pricewatch.domain.errors import BadData, Invalid
from pricewatch.domain.market import Candle, Market, Quote, Side, Trade
from pricewatch.exchanges.asked import Asked
from pricewatch.exchanges.base import (
    HEARTBEAT,
    IGNORED,
    UNUSABLE,
    BadTrade,
    CandleRequest,
    Closing,
    Endpoints,
    Exchange,
    HistoryPage,
    HistoryRequest,
    Instrument,
    Keepalive,
    Output,
    Request,
    Send,
    Subscription,
    as_bytes,
    spans,
    torn,
    within,
)
from pricewatch.exchanges.symbols import canonical, split

_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_Kind = Annotated[int, msgspec.Meta(ge=0, le=1)]
"""What the taker did: 0 bought, 1 sold."""
_TRADES, _BOOK = "live_trades", "order_book"
_EVENTS = {_TRADES: "trade", _BOOK: "data"}
_PRINTED = ord("e")
"""The last letter of a trade's event, which ends its frame; books end with another."""
_MARK = b'"live_trades_'
"""In every frame of trades."""
_ELSEWHERE = (*UNUSABLE, LookupError)
"""What reading a frame as the wrong kind raises, or as a channel that is not ours."""
_PAGE = 1000
_SECOND = 1_000_000
_REACH = ("minute", "hour", "day")
"""How far back past trades can be asked for, nearest first."""


class _Trade(msgspec.Struct, gc=False):
    """Its fields in the order of the wire: that is the fastest."""

    id: int
    amount_str: float
    price_str: float
    type: _Kind
    microtimestamp: int


class _TradeFrame(msgspec.Struct, gc=False):
    data: _Trade
    channel: str


class _Level(msgspec.Struct, gc=False, array_like=True):
    price: float
    size: float


_NONE = _Level(0.0, 0.0)


class _Book(msgspec.Struct):
    microtimestamp: int
    bids: msgspec.Raw
    asks: msgspec.Raw


class _BookFrame(msgspec.Struct):
    data: _Book


class _Envelope(msgspec.Struct):
    event: str
    channel: str = ""


class _Problem(msgspec.Struct):
    message: str = ""
    code: int | None = None


class _ProblemFrame(msgspec.Struct):
    data: _Problem


class _Past(msgspec.Struct, gc=False):
    date: int
    tid: int
    price: float
    amount: float
    type: _Kind


class _Row(msgspec.Struct, gc=False):
    timestamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class _Rows(msgspec.Struct):
    ohlc: list[_Row]


class _Candles(msgspec.Struct):
    data: _Rows


class _Pair(msgspec.Struct):
    name: str
    url_symbol: str
    trading: str = "Enabled"


_decode_trade = msgspec.json.Decoder(_TradeFrame, strict=False).decode
_decode_book = msgspec.json.Decoder(_BookFrame, strict=False).decode
_decode_level = msgspec.json.Decoder(_Level, strict=False).decode
_decode_levels = msgspec.json.Decoder(list[_Level], strict=False).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_problem = msgspec.json.Decoder(_ProblemFrame).decode
_decode_history = msgspec.json.Decoder(list[_Past], strict=False).decode
_decode_candles = msgspec.json.Decoder(_Candles, strict=False).decode
_decode_pairs = msgspec.json.Decoder(list[_Pair]).decode


class Bitstamp(Exchange):
    """Trade ids grow over all markets together. A market it does not know is confirmed and stays silent."""

    id = "bitstamp"
    endpoints = Endpoints(socket="wss://ws.bitstamp.net", rest="https://www.bitstamp.net")
    channels = (_TRADES, _BOOK)
    consecutive = False
    keepalive = Keepalive(probe='{"event":"bts:heartbeat"}')
    lifetime = 90 * 86_400.0
    markets_per_connection = 200  # 1,024 channels a connection
    send_interval = 0.05
    open_interval = 1.0
    history_interval = 0.1  # 10,000 requests per 10 min

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        self._asked = Asked()
        self._prints: dict[str, Market] = {}
        self._books: dict[bytes, Market] = {}
        super().__init__(markets, endpoints)

    def add(self, markets: Sequence[Market]) -> None:
        """Their channel of trades and the ends of their books too."""
        super().add(markets)
        for market in markets:
            self._prints[f"{_TRADES}_{market.native}"] = market
            self._books[_tail(market.native)] = market

    def drop(self, natives: Collection[str]) -> None:
        """Their channel of trades and the ends of their books too."""
        super().drop(natives)
        for native in natives:
            self._prints.pop(f"{_TRADES}_{native}", None)
            self._books.pop(_tail(native), None)

    @staticmethod
    def native(symbol: str) -> str:
        """`BTC-USD` -> `btcusd`."""
        return "".join(split(symbol)).lower()

    def instrument_requests(self) -> list[Request]:
        """All pairs in one answer."""
        return [Request(f"{self.where.rest}/api/v2/trading-pairs-info/")]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """Names are `BTC/USD`; perpetuals (`BTC/USD-PERP`) have no canonical one."""
        found = []
        try:
            pairs = [pair for body in bodies for pair in _decode_pairs(body)]
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        for pair in pairs:
            with suppress(Invalid):
                found.append(Instrument(pair.url_symbol, canonical(pair.name), active=pair.trading == "Enabled"))
        return found

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:  # noqa: ARG002
        """A message a channel."""
        self._asked.ask(wanted)
        return _requests("bts:subscribe", wanted)

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """A message a channel."""
        self._asked.forget(gone)
        return _requests("bts:unsubscribe", gone)

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass for what ends as trades or books do; the channel decides, where need be in a second one."""
        try:
            if frame[-3] == _PRINTED:
                message = _decode_trade(frame)
                row, number = message.data, self._prints[message.channel].id
                side = _SELL if row.type else _BUY
                out.append(Trade(number, row.microtimestamp, row.price_str, row.amount_str, side, row.id, received))
            elif isinstance(frame, bytes):
                self._book(frame, self._books[frame[frame.rfind(b',"channel":"') :]], received, out)
            else:
                self._other(as_bytes(frame), received, out)
        except _ELSEWHERE:
            self._other(as_bytes(frame), received, out)

    def _data(self, frame: bytes, channel: str, market: Market, received: int, out: list[Output]) -> None:
        """What was not read at the first look."""
        if channel == _BOOK:
            self._book(frame, market, received, out)
            return
        try:
            row = _decode_trade(frame).data
        except UNUSABLE as error:
            raise BadTrade("malformed", str(error)) from error
        side = _SELL if row.type else _BUY
        out.append(Trade(market.id, row.microtimestamp, row.price_str, row.amount_str, side, row.id, received))

    def _book(self, frame: bytes, market: Market, received: int, out: list[Output]) -> None:
        try:
            book = _decode_book(frame).data
            bid, ask = _best(book.bids), _best(book.asks)
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        if bid is None or ask is None or bid.price >= ask.price:
            out.append(IGNORED)  # a side is empty, or crossed until the next frame, as the documentation warns
        else:
            out.append(Quote(market.id, book.microtimestamp, bid.price, bid.size, ask.price, ask.size, received))

    def _other(self, frame: bytes, received: int, out: list[Output]) -> None:
        try:
            envelope = _decode_envelope(frame)
        except UNUSABLE as error:
            raise torn(frame, error, _MARK) from error
        channel = next((one for one in self.channels if envelope.channel.startswith(f"{one}_")), "")
        native = envelope.channel[len(channel) + 1 :]
        market = self.markets.get(native) if channel else None
        match envelope.event:
            case "bts:heartbeat":
                out.append(HEARTBEAT)
            case "bts:request_reconnect":
                out.append(Closing("request_reconnect"))
            case "bts:error":
                self._refused(frame, Subscription(native, channel) if market else None, out)
            case "bts:subscription_succeeded" if market:
                self._asked.confirmed(Subscription(native, channel), out)
            case event if market and event == _EVENTS[channel]:
                self._data(frame, channel, market, received, out)
            case "trade" if channel == _TRADES:
                raise BadTrade("unknown market", native[:40])
            case _:
                out.append(IGNORED)

    def _refused(self, frame: bytes, named: Subscription | None, out: list[Output]) -> None:
        problem = _Problem()
        with suppress(*UNUSABLE):
            problem = _decode_problem(frame).data
        reason = " ".join(str(part) for part in (problem.code, problem.message) if part)[:200] or "refused"
        if named is None:
            self._asked.refused(reason, out)
        else:
            self._asked.failed(named, reason, out)

    def history_request(
        self,
        market: Market,
        first: int,
        last: int | None,
        since: int,
        until: int | None = None,
    ) -> HistoryRequest:
        """The last minute first, then the hour and the day if that does not reach back to `since`."""
        return self._past(HistoryRequest(market, "", first, last, since, until), _REACH[0])

    def _past(self, request: HistoryRequest, reach: str) -> HistoryRequest:
        url = f"{self.where.rest}/api/v2/transactions/{request.market.native}/?time={reach}"
        return msgspec.structs.replace(request, url=url)

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """Newest first on the wire; a wider page repeats the narrower one."""
        try:
            rows = _decode_history(body)
        except UNUSABLE as error:
            raise BadTrade("malformed", str(error)) from error
        number, until = request.market.id, request.until
        since = request.since - request.since % _SECOND
        trades = [
            Trade(number, row.date * _SECOND, row.price, row.amount, _SELL if row.type else _BUY, row.tid, received)
            for row in sorted(rows, key=lambda row: (row.date, row.tid))
            if since <= row.date * _SECOND and (until is None or row.date * _SECOND <= until)
        ]
        reach = _REACH.index(request.url.rpartition("=")[2])
        if reach == len(_REACH) - 1 or any(row.date * _SECOND < since for row in rows):
            return HistoryPage(trades, None)
        return HistoryPage(trades, self._past(request, _REACH[reach + 1]))

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """At most 1,000 rows a page."""
        base = f"{self.where.rest}/api/v2/ohlc/{market.native}/?step=60&limit={_PAGE}"
        return [
            CandleRequest(market, f"{base}&start={begin // _SECOND}&end={until // _SECOND - 1}", begin, until)
            for begin, until in spans(start, end, _PAGE)
        ]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Rows carry the second they begin at; oldest first."""
        try:
            rows = _decode_candles(body).data.ohlc
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        number = request.market.id
        candles = [
            Candle(number, row.timestamp * _SECOND, row.open, row.high, row.low, row.close, row.volume) for row in rows
        ]
        return within(candles, request)


def _tail(native: str) -> bytes:
    """How a frame of a book ends."""
    return f',"channel":"{_BOOK}_{native}","event":"{_EVENTS[_BOOK]}"}}'.encode()


def _best(levels: msgspec.Raw) -> _Level | None:
    """The first level that has a size: nearly always the first, so that the other 99 are not read."""
    head = bytes(memoryview(levels)[1:64])
    try:
        level = _decode_level(head[: head.find(b"]") + 1])
    except UNUSABLE:
        level = _NONE
    if level.size > 0.0:
        return level
    return next((level for level in _decode_levels(levels) if level.size > 0.0), None)


def _requests(event: str, subscriptions: Collection[Subscription]) -> list[Send]:
    return [
        Send(msgspec.json.encode({"event": event, "data": {"channel": f"{channel}_{native}"}}).decode())
        for native, channel in subscriptions
    ]
