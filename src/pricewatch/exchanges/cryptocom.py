"""Crypto.com Exchange v1 spot: trades and tickers.

https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html#trade-instrument_name
https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html#public-get-trades (150 a page; its reach is not stated)
https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html#public-get-candlestick
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import count
from typing import Generic, Literal

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
    chunks,
    spans,
    torn,
    within,
)
from pricewatch.exchanges.listing import Listed, instruments
from pricewatch.exchanges.rows import Best, Ident, Millis, RowT, best, identity, salvaged
from pricewatch.exchanges.symbols import split

_SIDES = {"BUY": int(Side.BUY), "SELL": int(Side.SELL)}
_PUSHED = -1
"""The id of what the venue sends by itself; the answer to a subscription has ours, and the trades before it."""
_PAGE = 150
_CANDLES = 300
_LATER = frozenset({10006, 10008, 40801, 42901, 50001})
"""Too many requests, timeouts and errors of theirs."""
_MARK = b'"trade'
"""In every frame of trades."""


class _Row(msgspec.Struct, gc=False):
    d: Ident
    t: Millis
    p: float
    q: float
    s: Literal["BUY", "SELL"]


class _Best(msgspec.Struct, gc=False):
    """Best bid `b` and ask `k`, which the venue calls so."""

    b: Best
    bs: Best
    k: Best
    ks: Best
    t: Millis


class _Trades(msgspec.Struct, gc=False, tag_field="channel", tag="trade"):
    instrument_name: str
    data: list[_Row]


class _Tickers(msgspec.Struct, gc=False, tag_field="channel", tag="ticker"):
    instrument_name: str
    data: list[_Best]


class _Data(msgspec.Struct, gc=False):
    result: _Trades | _Tickers
    id: int = _PUSHED


class _Result(msgspec.Struct):
    channel: str = ""
    instrument_name: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _Envelope(msgspec.Struct):
    """Any frame; data is marked by its result, its method is `subscribe` like that of an answer."""

    id: int = _PUSHED
    method: str = ""
    code: int = 0
    message: str = ""
    channel: str = ""
    result: _Result | None = None


class _Page(msgspec.Struct, Generic[RowT]):
    data: list[RowT]


class _Reply(msgspec.Struct):
    code: int
    message: str = ""
    result: msgspec.Raw = msgspec.Raw(b"{}")


class _Kline(msgspec.Struct, gc=False):
    t: Millis
    o: float
    h: float
    l: float  # noqa: E741 - theirs
    c: float
    v: float


class _Pair(msgspec.Struct):
    symbol: str
    inst_type: str = ""
    base_ccy: str = ""
    quote_ccy: str = ""
    tradable: bool = True


_decode_data = msgspec.json.Decoder(_Data, strict=False).decode
_decode_row = msgspec.json.Decoder(_Row, strict=False).decode
_decode_best = msgspec.json.Decoder(_Best, strict=False).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_history = msgspec.json.Decoder(_Page[_Row], strict=False).decode
_decode_klines = msgspec.json.Decoder(_Page[_Kline], strict=False).decode
_decode_listing = msgspec.json.Decoder(_Page[_Pair]).decode


class CryptoCom(Exchange):
    """Times in milliseconds; the rows of a frame come newest first."""

    id = "cryptocom"
    endpoints = Endpoints(
        socket="wss://stream.crypto.com/exchange/v1/market", rest="https://api.crypto.com/exchange/v1"
    )
    channels = ("trade", "ticker")
    step = 1000
    consecutive = False
    settle = 1.0  # limits count from the second of connecting on; they advise to wait for the next
    # Their heartbeat comes every 30 s; to end a subscription that never was is answered, and changes nothing.
    keepalive = Keepalive(probe='{"id":0,"method":"unsubscribe","params":{"channels":["trade.NONE_NONE"]}}')
    markets_per_connection = 200  # 400 channels a connection
    send_interval = 0.1  # 100 messages a second
    open_interval = 1.0
    history_interval = 0.1  # 100 requests a second, public

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        super().__init__(markets, endpoints)
        self._asked: dict[int, list[Subscription]] = {}
        self._ids = count(1)

    @staticmethod
    def native(symbol: str) -> str:
        """`BTC-USD` -> `BTC_USD`."""
        return "_".join(split(symbol))

    def instrument_requests(self) -> list[Request]:
        """Everything; there is no list of spot alone."""
        return [Request(f"{self.where.rest}/public/get-instruments")]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """Every spot pair; perpetuals and futures have no canonical symbol."""
        try:
            rows = [row for body in bodies for row in _decode_listing(_unwrap(body)).data]
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        return instruments(
            Listed(row.symbol, row.base_ccy, row.quote_ccy, row.tradable) for row in rows if row.inst_type == "CCY_PAIR"
        )

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:
        """At most 50 markets a message; every channel is answered on its own."""
        by_market: dict[str, list[Subscription]] = {}
        for item in wanted:
            by_market.setdefault(item.native, []).append(item)
        sends = []
        for some in chunks(list(by_market), 1 if alone else 50):
            number = next(self._ids)
            self._asked[number] = [item for native in some for item in by_market[native]]
            sends.append(_request("subscribe", self._asked[number], number))
        return sends

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """At most 100 channels a message."""
        items = list(gone)
        return [_request("unsubscribe", items[at : at + 100], next(self._ids)) for at in range(0, len(items), 100)]

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass; a second one for answers, heartbeats, foreign channels and broken frames."""
        try:
            message = _decode_data(frame)
        except UNUSABLE as error:
            self._other(frame, error, received, out)
            return
        result = message.result
        if isinstance(result, _Trades):
            self._trades(result.instrument_name, message.id, result.data, received, out)
        else:
            self._tickers(result.instrument_name, message.id, result.data, received, out)

    def _trades(
        self, native: str, number: int, rows: list[_Row], received: int, out: list[Output], lost: int = 0
    ) -> None:
        market = self.markets.get(native)
        if market is None:
            raise BadTrade("unknown market", native[:40], count=max(1, len(rows) + lost))
        flags = 0
        if number != _PUSHED:
            flags = int(Flag.HISTORY)
            out.append(Subscribed(native, "trade"))
        out += [_trade(market, row, received, flags) for row in (_oldest_first(rows) if len(rows) > 1 else rows)]
        if lost:
            raise BadTrade("malformed", f"{lost} rows", count=lost)

    def _tickers(self, native: str, number: int, rows: list[_Best], received: int, out: list[Output]) -> None:
        market = self.markets.get(native)
        if market is None:
            raise BadData("unknown market", native[:40])
        if number != _PUSHED:
            out.append(Subscribed(native, "ticker"))
        out += [best(market, row.t * 1000, row.b, row.bs, row.k, row.ks, received) for row in rows]

    def _other(self, frame: bytes | str, error: Exception, received: int, out: list[Output]) -> None:
        try:
            envelope = _decode_envelope(frame)
        except UNUSABLE:
            raise torn(frame, error, _MARK) from error
        if envelope.method == "public/heartbeat":
            out.append(Send(f'{{"id":{envelope.id},"method":"public/respond-heartbeat"}}'))
            out.append(HEARTBEAT)
        elif envelope.result is not None and envelope.result.channel:
            self._salvage(envelope, envelope.result, received, out)
        elif envelope.method == "subscribe":
            self._answer(envelope, out)
        elif envelope.code and envelope.method != "unsubscribe":
            out.append(Notice(f"{envelope.code} {envelope.message}"[:200]))
        else:
            out.append(IGNORED)

    def _salvage(self, envelope: _Envelope, result: _Result, received: int, out: list[Output]) -> None:
        """One broken row does not take the others with it."""
        native, number = result.instrument_name, envelope.id
        if result.channel == "trade":
            try:
                rows, lost = salvaged(result.data, _decode_row)
            except UNUSABLE as error:
                raise BadTrade("malformed", str(error)) from error
            self._trades(native, number, rows, received, out, lost=lost)
        elif result.channel == "ticker":
            try:
                tickers, lost = salvaged(result.data, _decode_best)
            except UNUSABLE as error:
                raise BadData("malformed", str(error)) from error
            self._tickers(native, number, tickers, received, out)
            raise BadData("malformed", f"{lost} rows")
        else:
            out.append(IGNORED)

    def _answer(self, envelope: _Envelope, out: list[Output]) -> None:
        """It names its channel, or means all of its request."""
        asked = self._asked.get(envelope.id, [])
        channel, _, native = envelope.channel.partition(".")
        meant = [Subscription(native, channel)] if native in self.markets else asked
        if envelope.code == 0:
            out.extend(Subscribed(*subscription) for subscription in meant)
            return
        reason = f"{envelope.code} {envelope.message}"[:200]
        if len({subscription.native for subscription in meant}) == 1:
            out.extend(SubscriptionFailed(*subscription, reason) for subscription in meant)
        else:
            out.append(SubscriptionFailed("", "", reason))

    def history_request(
        self,
        market: Market,
        first: int,
        last: int | None,
        since: int,
        until: int | None = None,
    ) -> HistoryRequest:
        """`get-trades` between two instants, newest first; a little more than wanted on either side."""
        end = None if until is None else until // 1000 + 1
        return HistoryRequest(market, self._trades_url(market, since, end), first, last, since, until)

    def _trades_url(self, market: Market, since: int, end: int | None) -> str:
        query = f"instrument_name={market.native}&count={_PAGE}&start_ts={since // 1000 - 1}"
        return f"{self.where.rest}/public/get-trades?{query}" + ("" if end is None else f"&end_ts={end}")

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """A full page may be cut within its oldest millisecond: that one comes whole on the next."""
        market, since, until = request.market, request.since, request.until
        try:
            rows = _oldest_first(_decode_history(_unwrap(body)).data)
        except UNUSABLE as error:
            raise BadTrade("malformed", str(error)) from error
        following = None
        if len(rows) >= _PAGE and (oldest := rows[0].t) * 1000 >= since:
            url = self._trades_url(market, since, oldest + 1)
            if url == request.url:
                raise Refused(f"cryptocom: {market.native}: {len(rows)} trades of one millisecond hide older ones")
            following = msgspec.structs.replace(request, url=url)
            rows = [row for row in rows if row.t > oldest]
        trades = [
            _trade(market, row, received)
            for row in rows
            if since <= row.t * 1000 and (until is None or row.t * 1000 <= until)
        ]
        return HistoryPage(trades, following)

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """`get-candlestick`, at most 300 rows a page."""
        base = f"{self.where.rest}/public/get-candlestick?instrument_name={market.native}&timeframe=1m&count={_CANDLES}"
        return [
            CandleRequest(market, f"{base}&start_ts={begin // 1000}&end_ts={until // 1000}", begin, until)
            for begin, until in spans(start, end, _CANDLES)
        ]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Start in ms, base volume."""
        try:
            rows = _decode_klines(_unwrap(body)).data
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        number = request.market.id
        candles = [Candle(number, row.t * 1000, row.o, row.h, row.l, row.c, row.v) for row in rows]
        return within(candles, request)


def _request(method: str, subscriptions: Sequence[Subscription], number: int) -> Send:
    channels = [f"{channel}.{native}" for native, channel in subscriptions]
    return Send(msgspec.json.encode({"id": number, "method": method, "params": {"channels": channels}}).decode())


def _oldest_first(rows: list[_Row]) -> list[_Row]:
    turned = rows[::-1]
    turned.sort(key=lambda row: row.t)
    return turned


def _trade(market: Market, row: _Row, received: int, flags: int = 0) -> Trade:
    key, ref = identity(row.d)
    return Trade(market.id, row.t * 1000, row.p, row.q, _SIDES[row.s], key, received, flags, ref)


def _unwrap(body: bytes) -> msgspec.Raw:
    reply = _decode_reply(body)
    if reply.code == 0:
        return reply.result
    reason = f"cryptocom: {reply.code} {reply.message}"[:200]
    raise Unavailable(reason) if reply.code in _LATER else Refused(reason)
