"""Gate spot, API v4: trades and best bid/ask.

https://www.gate.com/docs/developers/apiv4/ws/en/#public-trades-channel
https://www.gate.com/docs/developers/apiv4/en/#query-market-transaction-records (30 days back, 101 pages of 1,000)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import count
from typing import Annotated, Any, Literal

import msgspec

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Market, Side, Trade
from pricewatch.exchanges.asked import mentioned
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
    Lost,
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
from pricewatch.exchanges.rows import Best, Key, Millis, best, salvaged
from pricewatch.exchanges.symbols import split

_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_TRADES, _BOOK = "spot.trades", "spot.book_ticker"
_CHUNK = 50
_PAGE = 1000
_PAGES = 101
_Fine = Annotated[float, msgspec.Meta(ge=0, le=1e14)]
"""Milliseconds since 1970 with decimals down to the microsecond."""
_MARK = b'"spot.trades"'
"""In every frame of trades."""


class _Trade(msgspec.Struct, gc=False, kw_only=True):
    """Its fields in the order of the wire: that is the fastest."""

    id: Key
    create_time_ms: _Fine
    side: Literal["buy", "sell"]
    currency_pair: str = ""
    amount: float
    price: float
    id_market: Key | None = None
    """Grows by one within the market."""
    range: str = ""
    """`first-last` of the market's ids that this trade stands for."""


class _Trades(msgspec.Struct, gc=False, tag_field="channel", tag=_TRADES):
    event: Literal["update"]
    result: _Trade


class _Best(msgspec.Struct, gc=False):
    t: Millis
    s: str
    b: Best
    B: Best
    a: Best
    A: Best


class _Book(msgspec.Struct, gc=False, tag_field="channel", tag=_BOOK):
    event: Literal["update"]
    result: _Best


class _Problem(msgspec.Struct):
    code: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0
    message: str = ""


class _Envelope(msgspec.Struct):
    """Any frame; answers to requests carry the request's `id`."""

    channel: str = ""
    event: str | None = ""
    id: Key | None = None
    error: _Problem | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")


class _Row(msgspec.Struct, gc=False, array_like=True):
    """Close second among the prices, open last."""

    at: Key
    """Seconds."""
    turnover: float
    close: float
    high: float
    low: float
    open: float
    volume: float


class _Pair(msgspec.Struct, gc=False):
    id: str
    base: str
    quote: str
    trade_status: str = ""


_Message = _Trades | _Book
_decode = msgspec.json.Decoder(_Message, strict=False).decode
_decode_envelope = msgspec.json.Decoder(_Envelope, strict=False).decode
_decode_trade = msgspec.json.Decoder(_Trade, strict=False).decode
_decode_history = msgspec.json.Decoder(list[_Trade], strict=False).decode
_decode_rows = msgspec.json.Decoder(list[_Row], strict=False).decode
_decode_pairs = msgspec.json.Decoder(list[_Pair]).decode


class GateIo(Exchange):
    """`id` identifies a trade and may jump; a jump of the market's own count is reported as `Lost`.

    Requests carry no time, which the venue accepts: an adapter has no clock.
    """

    id = "gateio"
    endpoints = Endpoints(socket="wss://api.gateio.ws/ws/v4/", rest="https://api.gateio.ws")
    channels = (_TRADES, _BOOK)
    consecutive = False
    keepalive = Keepalive(probe='{"channel":"spot.ping"}')
    markets_per_connection = 100
    send_interval = 0.1
    open_interval = 0.5
    history_interval = 0.1  # 200 requests in 10 s

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        self._counts: dict[str, int] = {}
        self._pending: dict[int, list[Subscription]] = {}
        self._ids = count(1)
        super().__init__(markets, endpoints)

    def drop(self, natives: Collection[str]) -> None:
        """Their counts too."""
        super().drop(natives)
        for native in natives:
            self._counts.pop(native, None)

    @staticmethod
    def native(symbol: str) -> str:
        """`BTC-USDT` -> `BTC_USDT`."""
        return "_".join(split(symbol))

    def instrument_requests(self) -> list[Request]:
        """Every pair in one answer."""
        return [Request(f"{self.where.rest}/api/v4/spot/currency_pairs")]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """A pair trades unless it is `untradable`; some may only be bought or only sold."""
        try:
            rows = [row for body in bodies for row in _decode_pairs(body)]
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        return instruments(Listed(row.id, row.base, row.quote, row.trade_status != "untradable") for row in rows)

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:
        """At most 50 pairs of one channel a message: an unknown one fails all of it."""
        return self._requests("subscribe", wanted, 1 if alone else _CHUNK)

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """At most 50 pairs of one channel a message."""
        return self._requests("unsubscribe", gone, _CHUNK)

    def _requests(self, event: str, subscriptions: Collection[Subscription], size: int) -> list[Send]:
        sends = []
        for channel in self.channels:
            natives = [native for native, asked in subscriptions if asked == channel]
            for some in chunks(natives, size):
                number = next(self._ids)
                if event == "subscribe":
                    self._pending[number] = [Subscription(native, channel) for native in some]
                request: dict[str, Any] = {"id": number, "channel": channel, "event": event, "payload": list(some)}
                sends.append(Send(msgspec.json.encode(request).decode()))
        return sends

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass; a second one for answers, foreign channels and broken frames."""
        try:
            message: _Message = _decode(frame)
        except UNUSABLE as error:
            self._other(frame, error, received, out)
            return
        if isinstance(message, _Trades):
            self._trade(message.result, received, out)
        else:
            self._book(message.result, received, out)

    def _trade(self, row: _Trade, received: int, out: list[Output]) -> None:
        market = self.markets.get(row.currency_pair)
        if market is None:
            raise BadTrade("unknown market", row.currency_pair[:40])
        if row.id_market is not None:
            self._count(row.currency_pair, row.id_market, row.range, out)
        at, side = round(row.create_time_ms * 1000), _BUY if row.side == "buy" else _SELL
        out.append(Trade(market.id, at, row.price, row.amount, side, row.id, received))

    def _count(self, native: str, number: int, span: str, out: list[Output]) -> None:
        """The market's own ids follow each other; what comes late moves nothing back."""
        first, _, last = span.partition("-")
        begin = end = number
        if first != last and _whole(first) and _whole(last):
            begin, end = int(first), int(last)
        newest = self._counts.get(native)
        if newest is not None and begin > newest + 1:
            out.append(Lost(f"{native} went from {newest} to {begin}", (native,)))
        self._counts[native] = end if newest is None else max(newest, end)

    def _book(self, row: _Best, received: int, out: list[Output]) -> None:
        market = self.markets.get(row.s)
        if market is None:
            raise BadData("unknown market", row.s[:40])
        out.append(best(market, row.t * 1000, row.b, row.B, row.a, row.A, received))

    def _other(self, frame: bytes | str, error: Exception, received: int, out: list[Output]) -> None:
        try:
            envelope = _decode_envelope(frame)
        except UNUSABLE:
            raise torn(frame, error, _MARK) from error
        if envelope.event == "subscribe":
            self._answer(envelope, out)
        elif envelope.channel == "spot.pong":
            out.append(HEARTBEAT)
        elif envelope.event != "update" or envelope.channel not in self.channels:
            out.append(IGNORED)
        elif envelope.channel == _TRADES:
            self._salvage(envelope.result, error, received, out)
        else:
            raise BadData("malformed", str(error)) from error

    def _salvage(self, result: msgspec.Raw, error: Exception, received: int, out: list[Output]) -> None:
        """Several trades a frame are not documented, yet other clients expect them."""
        try:
            rows, lost = salvaged(result, _decode_trade)
        except UNUSABLE:
            raise BadTrade("malformed", str(error)) from error
        strange = 0
        for row in sorted(rows, key=lambda row: row.id):
            try:
                self._trade(row, received, out)
            except BadTrade:
                strange += 1
        if lost or strange:
            reason = "malformed" if lost else "unknown market"
            raise BadTrade(reason, f"{lost + strange} rows", count=lost + strange)

    def _answer(self, envelope: _Envelope, out: list[Output]) -> None:
        """One unknown pair fails a whole request, and the words name it."""
        asked = self._pending.pop(envelope.id, []) if envelope.id is not None else []
        if envelope.error is None:
            out.extend(Subscribed(*subscription) for subscription in asked)
            return
        reason = f"{envelope.error.code} {envelope.error.message}"[:200]
        names = mentioned(reason, [one.native for one in asked])
        named = [one for one in asked if one.native in names] or (asked if len(asked) == 1 else [])
        out.extend(SubscriptionFailed(*subscription, reason) for subscription in named)
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
        """Asked for by whole seconds, newest first."""
        query = f"currency_pair={market.native}&limit={_PAGE}&from={max(0, since // 1_000_000)}"
        if until is not None:
            query += f"&to={until // 1_000_000 + 1}"
        url = f"{self.where.rest}/api/v4/spot/trades?{query}&page=1"
        return HistoryRequest(market, url, first, last, since, until)

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """A full page has another one behind it, as far as the venue counts."""
        try:
            rows = _decode_history(body)
        except UNUSABLE as error:
            raise BadTrade("malformed", str(error)) from error
        number, since, until = request.market.id, request.since, request.until
        dated = [(round(row.create_time_ms * 1000), row) for row in rows]
        trades = [
            Trade(number, at, row.price, row.amount, _BUY if row.side == "buy" else _SELL, row.id, received)
            for at, row in sorted(dated, key=lambda one: (one[0], one[1].id))
            if since <= at and (until is None or at <= until)
        ]
        base, _, page = request.url.rpartition("=")
        if len(rows) < _PAGE or int(page) >= _PAGES:
            return HistoryPage(trades, None)
        return HistoryPage(trades, msgspec.structs.replace(request, url=f"{base}={int(page) + 1}"))

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """At most 1,000 rows a page; both ends of a page are inclusive."""
        base = f"{self.where.rest}/api/v4/spot/candlesticks?currency_pair={market.native}&interval=1m"
        return [
            CandleRequest(market, f"{base}&from={begin // 1_000_000}&to={until // 1_000_000 - 1}", begin, until)
            for begin, until in spans(start, end, _PAGE)
        ]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Rows are seconds, quote volume, close, high, low, open, base volume, closed; oldest first."""
        try:
            rows = _decode_rows(body)
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        number = request.market.id
        candles = [
            Candle(number, row.at * 1_000_000, row.open, row.high, row.low, row.close, row.volume) for row in rows
        ]
        return within(candles, request)


def _whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
