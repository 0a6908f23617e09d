"""Coinbase Advanced Trade: market trades and tickers, with one counter over the whole connection.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels
https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public/get-public-market-trades reaches back as
far as the venue keeps trades; pages go back in time and their ends are whole seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Literal

import msgspec

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Flag, Market, Quote, Side, Trade
from pricewatch.domain.time import SECOND, from_datetime
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
from pricewatch.exchanges.rows import Key, decoded, salvaged

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_TAKER = {"BUY": int(Side.SELL), "SELL": int(Side.BUY)}
"""Trades at the ask are marked SELL: the side is the maker's, as everywhere at Coinbase."""
_BY_ID = attrgetter("trade_id")
_PAGE = 1000
_CANDLES = 299  # of 300
_PRODUCTS = 50
_TRADES, _TICKER = "market_trades", "ticker"
_OURS = frozenset({_TICKER, "heartbeats", "subscriptions"})
_MARK = b'"market_trades"'
"""In every frame of trades."""


class _Trade(msgspec.Struct, gc=False):
    trade_id: Key
    product_id: str
    price: float
    size: float
    side: Literal["BUY", "SELL"]
    time: _Moment


class _Prints(msgspec.Struct):
    trades: list[_Trade]
    type: str = "update"
    """`snapshot`: trades from before the subscription."""


class _Best(msgspec.Struct, gc=False):
    product_id: str
    best_bid: float
    best_bid_quantity: float
    best_ask: float
    best_ask_quantity: float


class _Bests(msgspec.Struct):
    tickers: list[_Best]


class _Channels(msgspec.Struct):
    subscriptions: dict[str, list[str]] = {}


class _Counted(msgspec.Struct, tag_field="channel"):
    sequence_num: Key


class _MarketTrades(_Counted, tag=_TRADES):
    events: list[_Prints]


class _Tickers(_Counted, tag=_TICKER):
    """Neither time nor identity of its own: the frame's time counts."""

    timestamp: _Moment
    events: list[_Bests]


class _Heartbeats(_Counted, tag="heartbeats"):
    pass


class _Subscriptions(_Counted, tag="subscriptions"):
    events: list[_Channels]


class _RawEvent(msgspec.Struct):
    trades: msgspec.Raw = msgspec.Raw(b"[]")
    tickers: list[msgspec.Raw] = []
    type: str = "update"


class _Envelope(msgspec.Struct):
    """Any frame; errors have a type and no channel."""

    channel: str = ""
    type: str = ""
    message: str = ""
    sequence_num: Key | None = None
    timestamp: msgspec.Raw = msgspec.Raw(b"null")
    events: msgspec.Raw = msgspec.Raw(b"[]")


class _Empty(msgspec.Struct):
    best_bid: Literal[""]
    best_ask: Literal[""]


class _Page(msgspec.Struct):
    trades: list[_Trade]


class _Row(msgspec.Struct, gc=False):
    start: int
    low: float
    high: float
    open: float
    close: float
    volume: float


class _Rows(msgspec.Struct):
    candles: list[_Row]


class _Product(msgspec.Struct):
    product_id: str
    base_currency_id: str
    quote_currency_id: str
    status: str = ""
    trading_disabled: bool = False
    is_disabled: bool = False

    @property
    def active(self) -> bool:
        return self.status in {"", "online"} and not (self.trading_disabled or self.is_disabled)


class _Products(msgspec.Struct):
    products: list[_Product]


_Message = _MarketTrades | _Tickers | _Heartbeats | _Subscriptions
_decode = msgspec.json.Decoder(_Message, strict=False).decode
_decode_envelope = msgspec.json.Decoder(_Envelope, strict=False).decode
_decode_events = msgspec.json.Decoder(list[_RawEvent]).decode
_decode_trade = msgspec.json.Decoder(_Trade, strict=False).decode
_decode_best = msgspec.json.Decoder(_Best, strict=False).decode
_decode_empty = msgspec.json.Decoder(_Empty).decode
_decode_moment = msgspec.json.Decoder(_Moment).decode
_decode_history = msgspec.json.Decoder(_Page, strict=False).decode
_decode_candles = msgspec.json.Decoder(_Rows, strict=False).decode
_decode_products = msgspec.json.Decoder(_Products, strict=False).decode


class CoinbaseAdvanced(Exchange):
    """Its symbols are canonical already. Trade ids grow by one: seen everywhere, promised nowhere.

    USD and USDC share a book, and the feed speaks of both as the USD product: a USDC market hears it.
    """

    id = "coinbase_advanced"
    endpoints = Endpoints(socket="wss://advanced-trade-ws.coinbase.com", rest="https://api.coinbase.com")
    channels = (_TRADES, _TICKER)
    markets_per_connection = 100
    send_interval = 0.15  # 8 messages a second an address without a key
    open_interval = 0.25  # 8 connections a second an address
    history_interval = 0.2  # 10 requests a second, public

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        super().__init__(markets, endpoints)
        self._last: int | None = None
        self._beating = False

    @staticmethod
    def native(symbol: str) -> str:
        """The canonical symbol itself."""
        return symbol

    def instrument_requests(self) -> list[Request]:
        """All spot products in one answer."""
        return [Request(f"{self.where.rest}/api/v3/brokerage/market/products?product_type=SPOT")]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """A product is active while it is online and neither it nor its trading is disabled."""
        rows = [row for body in bodies for row in decoded(_decode_products, body).products]
        return instruments(
            Listed(row.product_id, row.base_currency_id, row.quote_currency_id, row.active) for row in rows
        )

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:
        """A message a channel and 50 products; heartbeats come first, they keep quiet channels open."""
        sends = [] if self._beating else [Send('{"type":"subscribe","channel":"heartbeats"}')]
        self._beating = True
        return sends + self._requests("subscribe", wanted, 1 if alone else _PRODUCTS)

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """A message a channel and 50 products."""
        return self._requests("unsubscribe", gone, _PRODUCTS)

    def _requests(self, kind: str, subscriptions: Collection[Subscription], size: int) -> list[Send]:
        return [
            Send(msgspec.json.encode({"type": kind, "product_ids": list(some), "channel": channel}).decode())
            for channel in self.channels
            for some in chunks([native for native, asked in subscriptions if asked == channel], size)
        ]

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass; a second one only for frames that are not ours or broken."""
        try:
            message: _Message = _decode(frame)
        except UNUSABLE as error:
            self._other(frame, error, received, out)
            return
        self._count(message.sequence_num, out)
        match message:
            case _MarketTrades():
                strange = 0
                for event in message.events:
                    strange += self._prints(event.trades, event.type, received, out)
                if strange:
                    raise BadTrade("unknown market", f"{strange} rows", count=strange)
            case _Tickers():
                self._tickers(message, received, out)
            case _Heartbeats():
                out.append(HEARTBEAT)
            case _:
                self._answer(message, out)

    def _of(self, product: str) -> list[Market]:
        """The markets that a product's rows are for."""
        market = self.markets.get(product)
        found = [] if market is None else [market]
        if product.endswith("-USD") and (twin := self.markets.get(product + "C")) is not None:
            found.append(twin)
        return found

    def _count(self, number: int, out: list[Output]) -> None:
        """Every message of the connection is numbered, +1 each."""
        last = self._last
        if last is None or number > last:
            self._last = number
            if last is not None and number > last + 1:
                out.append(Lost(f"messages {last + 1} to {number - 1} never came"))

    def _prints(self, rows: list[_Trade], kind: str, received: int, out: list[Output]) -> int:
        """Append the trades, newest first on the wire; returns how many are of no market of ours."""
        flags = int(Flag.HISTORY) if kind == "snapshot" else 0
        strange = 0
        for row in sorted(rows, key=_BY_ID) if len(rows) > 1 else rows:
            markets = self._of(row.product_id)
            strange += not markets
            at, side, key = from_datetime(row.time), _TAKER[row.side], row.trade_id
            out += [Trade(market.id, at, row.price, row.size, side, key, received, flags) for market in markets]
        return strange

    def _tickers(self, message: _Tickers, received: int, out: list[Output]) -> None:
        at = from_datetime(message.timestamp)
        names = [self._quote(row, at, received, out) for event in message.events for row in event.tickers]
        if any(names):
            raise BadData("unknown market", max(names))

    def _quote(self, row: _Best, at: int, received: int, out: list[Output]) -> str:
        """Append the quote; returns the product's name where it is of no market of ours."""
        markets = self._of(row.product_id)
        bid, bid_size, ask, ask_size = row.best_bid, row.best_bid_quantity, row.best_ask, row.best_ask_quantity
        out += [Quote(market.id, at, bid, bid_size, ask, ask_size, received) for market in markets]
        return "" if markets else row.product_id[:40] or "?"

    def _answer(self, message: _Subscriptions, out: list[Output]) -> None:
        """All subscriptions of the connection, again with each answer."""
        for event in message.events:
            for channel, products in event.subscriptions.items():
                for product in products:
                    natives = [market.native for market in self._of(product)] or [product]
                    out.extend(Subscribed(native, channel) for native in natives)

    def _other(self, frame: bytes | str, error: Exception, received: int, out: list[Output]) -> None:
        try:
            envelope = _decode_envelope(frame)
        except UNUSABLE:
            raise torn(frame, error, _MARK) from error
        if envelope.sequence_num is not None:
            self._count(envelope.sequence_num, out)
        if envelope.channel == _TRADES:
            self._salvage_trades(envelope, error, received, out)
        elif envelope.channel == _TICKER:
            self._salvage_tickers(envelope, error, received, out)
        elif envelope.channel in _OURS:
            raise BadData("malformed", str(error)) from error
        elif envelope.type == "error":
            self._error(envelope.message[:200], out)
        else:
            out.append(IGNORED)

    def _salvage_trades(self, envelope: _Envelope, error: Exception, received: int, out: list[Output]) -> None:
        """One broken row does not take the others with it."""
        count = 0
        with suppress(*UNUSABLE):
            for event in _decode_events(envelope.events):
                rows, lost = salvaged(event.trades, _decode_trade)
                count += lost + self._prints(rows, event.type, received, out)
        raise BadTrade("malformed", str(error), count=max(1, count)) from error

    def _salvage_tickers(self, envelope: _Envelope, error: Exception, received: int, out: list[Output]) -> None:
        """A product nobody trades comes with empty prices; that is no fault."""
        try:
            at = from_datetime(_decode_moment(envelope.timestamp))
            for event in _decode_events(envelope.events):
                for raw in event.tickers:
                    try:
                        row = _decode_best(raw)
                    except msgspec.ValidationError:
                        _decode_empty(raw)
                        out.append(IGNORED)
                    else:
                        self._quote(row, at, received, out)
        except UNUSABLE:
            raise BadData("malformed", str(error)) from error

    def _error(self, reason: str, out: list[Output]) -> None:
        """An error need not name the product it is about; then each is asked for alone."""
        named = mentioned(reason, self.markets)
        if named:
            out.extend(SubscriptionFailed(native, channel, reason) for native in named for channel in self.channels)
        else:
            out.append(SubscriptionFailed("", "", reason) if "subscri" in reason.lower() else Notice(reason))

    def history_request(
        self, market: Market, first: int, last: int | None, since: int, until: int | None = None
    ) -> HistoryRequest:
        """The newest trades, or those up to `until`; from there back to `first`."""
        end = None if until is None else until // SECOND + 1
        return self._page(market, first, last, max(0, since // SECOND), end)

    def _page(self, market: Market, first: int, last: int | None, start: int, end: int | None) -> HistoryRequest:
        base = f"{self.where.rest}/api/v3/brokerage/market/products/{market.native}/ticker?limit={_PAGE}"
        span = "" if end is None else f"&start={start}&end={end}"
        return HistoryRequest(market, f"{base}{span}", first, last, since=start * SECOND)

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """Newest first on the wire; the next page ends in the second of the oldest row."""
        rows = decoded(_decode_history, body, BadTrade).trades
        market, first, last = request.market, request.first, request.last
        rows.sort(key=_BY_ID)
        trades = [
            Trade(market.id, from_datetime(row.time), row.price, row.size, _TAKER[row.side], row.trade_id, received)
            for row in rows
            if row.trade_id >= first and (last is None or row.trade_id <= last)
        ]
        if not rows or rows[0].trade_id <= first:
            return HistoryPage(trades, None)
        oldest = from_datetime(rows[0].time) // SECOND + 1
        following = self._page(market, first, last, min(request.since // SECOND, max(0, oldest - 1)), oldest)
        return HistoryPage(trades, None if following.url == request.url else following)

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """A page less than the 300 rows the venue gives at most."""
        base = f"{self.where.rest}/api/v3/brokerage/market/products/{market.native}/candles?granularity=ONE_MINUTE"
        return [
            CandleRequest(market, f"{base}&start={begin // SECOND}&end={until // SECOND - 1}", begin, until)
            for begin, until in spans(start, end, _CANDLES)
        ]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Rows begin at `start` seconds; newest first."""
        number, rows = request.market.id, decoded(_decode_candles, body).candles
        candles = [
            Candle(number, row.start * SECOND, row.open, row.high, row.low, row.close, row.volume) for row in rows
        ]
        return within(candles, request)
