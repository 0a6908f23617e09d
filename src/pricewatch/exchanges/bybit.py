"""Bybit v5 spot: public trades and the best level of the book.

https://bybit-exchange.github.io/docs/v5/websocket/public/trade
https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook (the spot ticker has no best prices)
https://bybit-exchange.github.io/docs/v5/market/recent-trade (the newest 60 trades, and none before)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import count
from typing import Generic, Literal

import msgspec

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Candle, Market, Quote, Side, Trade
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
    chunks,
    spans,
    torn,
)
from pricewatch.exchanges.listing import Listed, instruments
from pricewatch.exchanges.rows import Ident, Kline, Millis, RowT, identity, minutes, salvaged
from pricewatch.exchanges.symbols import split

_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_TRADES = b'{"topic":"publicTrade.'
_BOOK = b'{"topic":"orderbook.1.'
_RECENT = 60
_CANDLES = 1000
_LATER = frozenset({10000, 10006, 10016, 10018, 10429, 170001, 170007})
"""Timeouts, server errors and too many visits."""
_MARK = b"publicTrade."
"""In every frame of trades."""


class _Row(msgspec.Struct, gc=False):
    T: Millis
    s: str
    S: Literal["Buy", "Sell"]
    v: float
    p: float
    i: Ident


class _Trades(msgspec.Struct):
    data: list[_Row]


class _Level(msgspec.Struct, gc=False, array_like=True):
    price: float
    size: float


class _Book(msgspec.Struct, gc=False):
    s: str
    b: list[_Level]
    a: list[_Level]


class _Top(msgspec.Struct, gc=False):
    ts: Millis
    type: str
    data: _Book
    cts: Millis = 0
    """When the matching engine made it."""


class _Envelope(msgspec.Struct):
    """Any frame; answers to requests have an `op` and no topic."""

    topic: str = ""
    op: str = ""
    success: bool = True
    ret_msg: str = ""
    req_id: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _Reply(msgspec.Struct, rename="camel"):
    ret_code: int
    ret_msg: str = ""
    result: msgspec.Raw = msgspec.Raw(b"{}")


class _Result(msgspec.Struct, Generic[RowT], rename={"rows": "list"}):
    rows: list[RowT]


class _Past(msgspec.Struct, gc=False, rename="camel"):
    exec_id: Ident
    price: float
    size: float
    side: Literal["Buy", "Sell"]
    time: Millis


class _Pair(msgspec.Struct, rename="camel"):
    symbol: str
    base_coin: str
    quote_coin: str
    status: str = ""


_decode_trades = msgspec.json.Decoder(_Trades, strict=False).decode
_decode_row = msgspec.json.Decoder(_Row, strict=False).decode
_decode_top = msgspec.json.Decoder(_Top, strict=False).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_history = msgspec.json.Decoder(_Result[_Past], strict=False).decode
_decode_klines = msgspec.json.Decoder(_Result[Kline], strict=False).decode
_decode_listing = msgspec.json.Decoder(_Result[_Pair]).decode


class Bybit(Exchange):
    """Times in milliseconds. Trade ids are numbers on spot; the documentation shows UUIDs, which are kept as text."""

    id = "bybit"
    endpoints = Endpoints(socket="wss://stream.bybit.com/v5/public/spot", rest="https://api.bybit.com")
    channels = ("publicTrade", "orderbook.1")
    step = 1000
    consecutive = False
    # Protocol pings are not answered; without a ping of theirs, and data, the connection is closed after 10 min.
    keepalive = Keepalive(protocol_ping=False, probe='{"op":"ping"}', every=20.0)
    markets_per_connection = 200  # 21,000 characters of topics a connection
    send_interval = 0.05
    open_interval = 0.7  # 500 connections per 5 min
    history_interval = 0.05  # 600 requests per 5 s, then 403 for 10 min

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        super().__init__(markets, endpoints)
        self._pending: dict[str, list[Subscription]] = {}
        self._ids = count(1)

    @staticmethod
    def native(symbol: str) -> str:
        """`BTC-USDT` -> `BTCUSDT`."""
        return "".join(split(symbol))

    def instrument_requests(self) -> list[Request]:
        """Spot; one page has them all."""
        return [Request(f"{self.where.rest}/v5/market/instruments-info?category=spot")]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """Every spot pair; those in status `Trading` trade."""
        try:
            rows = [row for body in bodies for row in _decode_listing(_unwrap(body)).rows]
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        return instruments(Listed(row.symbol, row.base_coin, row.quote_coin, row.status == "Trading") for row in rows)

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:
        """At most 10 topics a message; one they do not know fails all of its message."""
        by_market: dict[str, list[Subscription]] = {}
        for item in wanted:
            by_market.setdefault(item.native, []).append(item)
        sends = []
        for some in chunks(list(by_market), 1 if alone else 10 // len(self.channels)):
            number = str(next(self._ids))
            self._pending[number] = [item for native in some for item in by_market[native]]
            sends.append(_request("subscribe", self._pending[number], number))
        return sends

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """At most 10 topics a message."""
        items = list(gone)
        return [_request("unsubscribe", items[at : at + 10], str(next(self._ids))) for at in range(0, len(items), 10)]

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass for what begins as their frames do; a second look for anything else."""
        if isinstance(frame, str):
            frame = frame.encode(errors="surrogatepass")
        if frame.startswith(_TRADES):
            try:
                rows = _decode_trades(frame).data
            except UNUSABLE:
                self._other(frame, received, out)
            else:
                self._trades(rows, received, out)
        elif frame.startswith(_BOOK):
            self._top(frame, received, out)
        else:
            self._other(frame, received, out)

    def _trades(self, rows: list[_Row], received: int, out: list[Output], lost: int = 0) -> None:
        strange = 0
        for row in rows:
            market = self.markets.get(row.s)
            if market is None:
                strange += 1
                continue
            key, ref = identity(row.i)
            side = _BUY if row.S == "Buy" else _SELL
            out.append(Trade(market.id, row.T * 1000, row.p, row.v, side, key, received, 0, ref))
        if lost or strange:
            raise BadTrade("malformed" if lost else "unknown market", f"{lost + strange} rows", count=lost + strange)

    def _top(self, frame: bytes, received: int, out: list[Output]) -> None:
        """A book with no orders on one side is no quote, and nothing wrong with it."""
        try:
            top = _decode_top(frame)
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        book = top.data
        market = self.markets.get(book.s)
        if market is None:
            raise BadData("unknown market", book.s[:40])
        if top.type != "snapshot" or not book.b or not book.a:
            out.append(IGNORED)
            return
        bid, ask = book.b[0], book.a[0]
        at = (top.cts or top.ts) * 1000
        out.append(Quote(market.id, at, bid.price, bid.size, ask.price, ask.size, received))

    def _other(self, frame: bytes, received: int, out: list[Output]) -> None:
        try:
            envelope = _decode_envelope(frame)
        except UNUSABLE as error:
            raise torn(frame, error, _MARK) from error
        if envelope.topic.startswith("publicTrade."):
            try:
                rows, lost = salvaged(envelope.data, _decode_row)
            except UNUSABLE as error:
                raise BadTrade("malformed", str(error)) from error
            self._trades(rows, received, out, lost=lost)
        elif envelope.topic.startswith("orderbook.1."):
            self._top(frame, received, out)
        elif envelope.op in ("ping", "pong"):
            out.append(HEARTBEAT)
        else:
            self._answer(envelope, out)

    def _answer(self, envelope: _Envelope, out: list[Output]) -> None:
        """A refusal names one topic, and none of its message is subscribed to."""
        asked = self._pending.pop(envelope.req_id, [])
        if envelope.success:
            out.extend(Subscribed(*subscription) for subscription in asked)
            if not asked:
                out.append(IGNORED)
            return
        reason = envelope.ret_msg[:200]
        named = [item for item in asked if reason.endswith(f":{_topic(item)}")] or (asked if len(asked) == 1 else [])
        out.extend(SubscriptionFailed(*item, reason) for item in named)
        if not named:
            out.append(SubscriptionFailed("", "", reason) if asked else Notice(reason))

    def history_request(
        self,
        market: Market,
        first: int,
        last: int | None,
        since: int,
        until: int | None = None,
    ) -> HistoryRequest:
        """The newest 60, whatever is wanted."""
        url = f"{self.where.rest}/v5/market/recent-trade?category=spot&symbol={market.native}&limit={_RECENT}"
        return HistoryRequest(market, url, first, last, since, until)

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """What there is of it; where 60 trades do not reach back to the wanted, the oldest are missing."""
        market, since, until = request.market, request.since, request.until
        try:
            rows = _decode_history(_unwrap(body)).rows
        except UNUSABLE as error:
            raise BadTrade("malformed", str(error)) from error
        rows.reverse()
        rows.sort(key=lambda row: row.time)
        trades = [
            _trade(market, row.time, row.price, row.size, row.side, row.exec_id, received)
            for row in rows
            if since <= row.time * 1000 and (until is None or row.time * 1000 <= until)
        ]
        return HistoryPage(trades, None)

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """`kline`, at most 1,000 rows a page; both ends of a page are inclusive."""
        base = f"{self.where.rest}/v5/market/kline?category=spot&symbol={market.native}&interval=1&limit={_CANDLES}"
        return [
            CandleRequest(market, f"{base}&start={begin // 1000}&end={until // 1000 - 1}", begin, until)
            for begin, until in spans(start, end, _CANDLES)
        ]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Rows are open ms, open, high, low, close, base volume, turnover; newest first."""
        try:
            rows = _decode_klines(_unwrap(body)).rows
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        return minutes(request, rows)


def _topic(subscription: Subscription) -> str:
    return f"{subscription.channel}.{subscription.native}"


def _request(op: str, subscriptions: Sequence[Subscription], number: str) -> Send:
    args = [_topic(subscription) for subscription in subscriptions]
    return Send(msgspec.json.encode({"req_id": number, "op": op, "args": args}).decode())


def _trade(market: Market, at: int, price: float, size: float, side: str, ident: str, received: int) -> Trade:
    key, ref = identity(ident)
    return Trade(market.id, at * 1000, price, size, _BUY if side == "Buy" else _SELL, key, received, 0, ref)


def _unwrap(body: bytes) -> msgspec.Raw:
    reply = _decode_reply(body)
    if reply.ret_code == 0:
        return reply.result
    reason = f"bybit: {reply.ret_code} {reply.ret_msg}"[:200]
    raise Unavailable(reason) if reply.ret_code in _LATER else Refused(reason)
