"""Binance spot: combined streams of trades and best bid/ask.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import count

import msgspec

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Market, Quote, Side, Trade
from pricewatch.exchanges.base import (
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
    Notice,
    Output,
    Request,
    Send,
    Subscribed,
    Subscription,
    SubscriptionFailed,
    as_bytes,
    chunks,
    spans,
    torn,
    within,
)
from pricewatch.exchanges.listing import Listed, instruments
from pricewatch.exchanges.rows import decoded
from pricewatch.exchanges.symbols import split

_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_PAGE = 1000
_QUOTED = ord('"')
"""Books end with a size, which is text; trades with a truth value."""
_ELSEWHERE = (*UNUSABLE, LookupError)
"""What reading a frame as the wrong kind raises, or as a stream that is not ours."""
_MARK = b'@trade"'
"""In every frame of trades."""


class _Trade(msgspec.Struct, gc=False):
    s: str
    t: int
    p: float
    q: float
    T: int
    m: bool


class _TradeFrame(msgspec.Struct, gc=False):
    data: _Trade


class _Book(msgspec.Struct, gc=False):
    s: str
    b: float
    B: float
    a: float
    A: float


class _BookFrame(msgspec.Struct, gc=False):
    data: _Book


class _Problem(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Envelope(msgspec.Struct):
    """Any frame; answers to requests have an `id` and no stream."""

    stream: str = ""
    id: int | None = None
    code: int = 0
    msg: str = ""
    error: _Problem | None = None


class _Past(msgspec.Struct, gc=False, rename={"maker": "isBuyerMaker"}):
    id: int
    price: float
    qty: float
    time: int
    maker: bool


class _Kline(msgspec.Struct, gc=False, array_like=True):
    at: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    until: int
    turnover: float
    trades: int


class _Symbol(msgspec.Struct, gc=False, rename={"base": "baseAsset", "quote": "quoteAsset"}):
    symbol: str
    base: str
    quote: str
    status: str = ""


class _Symbols(msgspec.Struct):
    symbols: list[_Symbol]


_decode_trade = msgspec.json.Decoder(_TradeFrame, strict=False).decode
_decode_book = msgspec.json.Decoder(_BookFrame, strict=False).decode
_decode_envelope = msgspec.json.Decoder(_Envelope, strict=False).decode
_decode_history = msgspec.json.Decoder(list[_Past], strict=False).decode
_decode_klines = msgspec.json.Decoder(list[_Kline], strict=False).decode
_decode_symbols = msgspec.json.Decoder(_Symbols).decode


class Binance(Exchange):
    """Times in milliseconds; `bookTicker` has none, its quotes are dated by their arrival."""

    id = "binance"
    endpoints = Endpoints(socket="wss://stream.binance.com:9443", rest="https://api.binance.com")
    channels = ("trade", "bookTicker")
    step = 1000
    lifetime = 86_400.0
    # Server pings are no frames to us, and a quiet market may print nothing for minutes: ask for something answered.
    keepalive = Keepalive(probe='{"method":"LIST_SUBSCRIPTIONS","id":0}')
    markets_per_connection = 400  # 1,024 streams a connection
    send_interval = 0.3  # 5 messages a second, pings and pongs included
    open_interval = 1.0  # 300 attempts per 5 min
    history_interval = 0.4  # weight 25 of 6,000 a minute

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        self._pending: dict[int, list[Subscription]] = {}
        self._ids = count(1)
        super().__init__(markets, endpoints)

    @staticmethod
    def native(symbol: str) -> str:
        """`BTC-USDT` -> `BTCUSDT`."""
        return "".join(split(symbol))

    def instrument_requests(self) -> list[Request]:
        """Every symbol in one answer of a few megabytes, without who may trade it, which is most of it."""
        return [Request(f"{self.where.rest}/api/v3/exchangeInfo?showPermissionSets=false")]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """A symbol trades while its status is TRADING."""
        try:
            rows = [row for body in bodies for row in _decode_symbols(body).symbols]
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        return instruments(Listed(row.symbol, row.base, row.quote, active=row.status == "TRADING") for row in rows)

    def url(self) -> str:
        """The combined streams; what is wanted is asked for by message, which is answered."""
        return f"{self.where.socket}/stream"

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:
        """At most 200 streams a message."""
        by_stream = {f"{native.lower()}@{channel}": Subscription(native, channel) for native, channel in wanted}
        sends = []
        for streams in chunks(list(by_stream), 1 if alone else 200):
            number = next(self._ids)
            self._pending[number] = [by_stream[stream] for stream in streams]
            sends.append(_request("SUBSCRIBE", streams, number))
        return sends

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """At most 200 streams a message."""
        streams = [f"{native.lower()}@{channel}" for native, channel in gone]
        return [_request("UNSUBSCRIBE", some, next(self._ids)) for some in chunks(streams, 200)]

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass, guessed by how such frames end; the types decide, and the stream's name in a second one."""
        try:
            if frame[-3] == _QUOTED:
                book = _decode_book(frame).data
                number = self.markets[book.s].id
                out.append(Quote(number, received, book.b, book.B, book.a, book.A, received))
            else:
                row = _decode_trade(frame).data
                number, side = self.markets[row.s].id, _SELL if row.m else _BUY
                out.append(Trade(number, row.T * 1000, row.p, row.q, side, row.t, received))
        except _ELSEWHERE:
            self._other(as_bytes(frame), received, out)

    def _trade(self, row: _Trade, market: Market, received: int, out: list[Output]) -> None:
        if row.s != market.native:
            raise BadTrade("unknown market", row.s[:40])
        out.append(Trade(market.id, row.T * 1000, row.p, row.q, _SELL if row.m else _BUY, row.t, received))

    def _book(self, row: _Book, market: Market, received: int, out: list[Output]) -> None:
        if row.s != market.native:
            raise BadData("unknown market", row.s[:40])
        out.append(Quote(market.id, received, row.b, row.B, row.a, row.A, received))

    def _other(self, frame: bytes, received: int, out: list[Output]) -> None:
        try:
            envelope = _decode_envelope(frame)
        except UNUSABLE as error:
            raise torn(frame, error, _MARK) from error
        name, _, channel = envelope.stream.partition("@")
        market = self.markets.get(name.upper())
        if not name:
            self._answer(envelope, out)
        elif name == "!serverShutdown":
            out.append(Closing("serverShutdown"))
        elif market is not None and channel == "trade":
            self._trade(decoded(_decode_trade, frame, BadTrade).data, market, received, out)
        elif market is not None and channel == "bookTicker":
            self._book(decoded(_decode_book, frame).data, market, received, out)
        else:
            out.append(IGNORED)

    def _answer(self, envelope: _Envelope, out: list[Output]) -> None:
        asked = self._pending.pop(envelope.id, []) if envelope.id is not None else []
        code = envelope.error.code if envelope.error else envelope.code
        if code == 0:
            out.extend(Subscribed(*subscription) for subscription in asked)
            if not asked:
                out.append(IGNORED)
            return
        reason = f"{code} {envelope.error.msg if envelope.error else envelope.msg}"[:200]
        if len(asked) == 1:
            out.append(SubscriptionFailed(*asked[0], reason))
        elif asked:
            out.append(SubscriptionFailed("", "", reason))
        else:
            out.append(Notice(reason))

    def history_request(
        self,
        market: Market,
        first: int,
        last: int | None,
        since: int,  # noqa: ARG002 - asked for by id
        until: int | None = None,  # noqa: ARG002
    ) -> HistoryRequest:
        """`historicalTrades` from an id on."""
        limit = _PAGE if last is None else min(_PAGE, last - first + 1)
        query = f"symbol={market.native}&fromId={first}&limit={limit}"
        return HistoryRequest(market, f"{self.where.rest}/api/v3/historicalTrades?{query}", first, last)

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """Oldest first, from the id asked for."""
        try:
            rows = _decode_history(body)
        except UNUSABLE as error:
            raise BadTrade("malformed", str(error)) from error
        market, last = request.market, request.last
        trades = [
            Trade(market.id, row.time * 1000, row.price, row.qty, _SELL if row.maker else _BUY, row.id, received)
            for row in sorted(rows, key=lambda row: row.id)
            if row.id >= request.first and (last is None or row.id <= last)
        ]
        newest = trades[-1].key if trades else None
        if newest is None or newest == last or (last is None and len(rows) < _PAGE):
            return HistoryPage(trades, None)
        return HistoryPage(trades, self.history_request(market, newest + 1, last, 0))

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """`klines`, at most 1,000 rows a page."""
        base = f"{self.where.rest}/api/v3/klines?symbol={market.native}&interval=1m&limit={_PAGE}"
        return [
            CandleRequest(market, f"{base}&startTime={begin // 1000}&endTime={until // 1000 - 1}", begin, until)
            for begin, until in spans(start, end, _PAGE)
        ]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Rows are open ms, open, high, low, close, base volume, close ms, quote volume, trades."""
        try:
            rows = _decode_klines(body)
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        number = request.market.id
        candles = [
            Candle(number, row.at * 1000, row.open, row.high, row.low, row.close, row.volume, row.trades)
            for row in rows
        ]
        return within(candles, request)


def _request(method: str, streams: Sequence[str], number: int) -> Send:
    return Send(msgspec.json.encode({"method": method, "params": list(streams), "id": number}).decode())
