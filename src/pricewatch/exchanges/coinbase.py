"""Coinbase Exchange: matches, tickers and heartbeats.

https://docs.cdp.coinbase.com/exchange/websocket-feed/channels
https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-trades
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Flag, Market, Quote, Side, Trade
from pricewatch.domain.time import from_datetime, to_datetime
from pricewatch.exchanges.asked import mentioned
from pricewatch.exchanges.base import (
    IGNORED,
    UNUSABLE,
    BadTrade,
    CandleRequest,
    Endpoints,
    Exchange,
    Heartbeat,
    HistoryPage,
    HistoryRequest,
    Instrument,
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

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_Side = Literal["buy", "sell"]
_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_TAKER = {"buy": _SELL, "sell": _BUY}
"""A match and the REST history name the maker's side; the taker's is the other."""
_PLACE, _OF_MATCHES, _OF_TICKERS = len('{"type":"'), ord("m"), ord("t")
_ELSEWHERE = (*UNUSABLE, LookupError)
"""What reading a frame as the wrong kind raises, or as a market's that is not ours."""
_PAGE = 1000
_CANDLES = 300
_TRADES = frozenset({"match", "last_match"})
_OURS = _TRADES | {"ticker", "heartbeat", "subscriptions", "error"}
_MARK = b'match"'
"""In every frame of trades."""


class _Match(msgspec.Struct, gc=False, tag="match"):
    trade_id: int
    side: _Side
    size: float
    price: float
    product_id: str
    time: _Moment


class _LastMatch(_Match, gc=False, tag="last_match"):
    pass


class _Ticker(msgspec.Struct, gc=False, tag="ticker"):
    product_id: str
    best_bid: float
    best_ask: float
    time: _Moment
    best_bid_size: float = 0.0
    best_ask_size: float = 0.0


class _Heartbeat(msgspec.Struct, gc=False, tag="heartbeat"):
    product_id: str
    last_trade_id: int | None = None


class _Channel(msgspec.Struct):
    name: str
    product_ids: list[str] = []


class _Subscriptions(msgspec.Struct, tag="subscriptions"):
    channels: list[_Channel]


class _Error(msgspec.Struct, tag="error"):
    message: str = ""
    reason: str = ""


class _Envelope(msgspec.Struct):
    type: str


class _Past(msgspec.Struct, gc=False):
    trade_id: int
    side: _Side
    size: float
    price: float
    time: _Moment


class _Row(msgspec.Struct, gc=False, array_like=True):
    """Low before high, open third."""

    at: int
    low: float
    high: float
    open: float
    close: float
    volume: float


class _Product(msgspec.Struct, gc=False, rename={"base": "base_currency", "quote": "quote_currency"}):
    id: str
    base: str
    quote: str
    status: str = ""
    trading_disabled: bool = False


_Message = _Match | _LastMatch | _Ticker | _Heartbeat | _Subscriptions | _Error
_decode_match = msgspec.json.Decoder(_Match, strict=False).decode
_decode_ticker = msgspec.json.Decoder(_Ticker, strict=False).decode
_decode = msgspec.json.Decoder(_Message, strict=False).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_history = msgspec.json.Decoder(list[_Past], strict=False).decode
_decode_candles = msgspec.json.Decoder(list[_Row], strict=False).decode
_decode_products = msgspec.json.Decoder(list[_Product]).decode


class Coinbase(Exchange):
    """Its symbols are canonical already."""

    id = "coinbase"
    endpoints = Endpoints(socket="wss://ws-feed.exchange.coinbase.com", rest="https://api.exchange.coinbase.com")
    channels = ("ticker", "matches", "heartbeat")
    markets_per_connection = 100
    send_interval = 0.05  # 100 messages a second an address
    open_interval = 0.25  # 8 connections a second an address
    history_interval = 0.2  # 10 requests a second, public

    @staticmethod
    def native(symbol: str) -> str:
        """The canonical symbol itself."""
        return symbol

    def instrument_requests(self) -> list[Request]:
        """All products in one answer."""
        return [Request(f"{self.where.rest}/products")]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """A product is active while it is online and its trading is not disabled."""
        try:
            rows = [row for body in bodies for row in _decode_products(body)]
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        return instruments(
            Listed(row.id, row.base, row.quote, active=row.status == "online" and not row.trading_disabled)
            for row in rows
        )

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:
        """At most 50 products a message. Something must be asked for within 5 s of connecting."""
        return _requests("subscribe", wanted, 1 if alone else 50)

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """At most 50 products a message."""
        return _requests("unsubscribe", gone, 50)

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass, for matches and tickers guessed by their first letter; a second look for anything else."""
        try:
            letter = frame[_PLACE]
            if letter == _OF_MATCHES:
                row = _decode_match(frame)
                number, side = self.markets[row.product_id].id, _SELL if row.side == "buy" else _BUY
                out.append(Trade(number, from_datetime(row.time), row.price, row.size, side, row.trade_id, received))
            elif letter == _OF_TICKERS:
                self._ticker(_decode_ticker(frame), received, out)
            else:
                self._message(frame, received, out)
        except _ELSEWHERE:
            self._message(frame, received, out)

    def _message(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """Any frame of ours; a further pass for those that are not, or broken."""
        try:
            message: _Message = _decode(frame)
        except UNUSABLE as error:
            self._other(frame, error, out)
            return
        match message:
            case _Match():
                self._match(message, received, out)
            case _Ticker():
                self._ticker(message, received, out)
            case _Heartbeat():
                market = self.markets.get(message.product_id)
                out.append(Heartbeat(market.id if market else None, message.last_trade_id))
            case _Subscriptions():
                out.extend(
                    Subscribed(product, channel.name) for channel in message.channels for product in channel.product_ids
                )
            case _:
                self._error(message, out)

    def _match(self, row: _Match, received: int, out: list[Output]) -> None:
        market = self.markets.get(row.product_id)
        if market is None:
            raise BadTrade("unknown market", row.product_id[:40])
        flags = int(Flag.HISTORY) if type(row) is _LastMatch else 0
        at, side = from_datetime(row.time), _SELL if row.side == "buy" else _BUY
        out.append(Trade(market.id, at, row.price, row.size, side, row.trade_id, received, flags))

    def _ticker(self, row: _Ticker, received: int, out: list[Output]) -> None:
        market = self.markets.get(row.product_id)
        if market is None:
            raise BadData("unknown market", row.product_id[:40])
        at = from_datetime(row.time)
        out.append(Quote(market.id, at, row.best_bid, row.best_bid_size, row.best_ask, row.best_ask_size, received))

    def _other(self, frame: bytes | str, error: Exception, out: list[Output]) -> None:
        try:
            kind = _decode_envelope(frame).type
        except UNUSABLE:
            raise torn(frame, error, _MARK) from error
        if kind in _TRADES:
            raise BadTrade("malformed", str(error)) from error
        if kind in _OURS:
            raise BadData("malformed", str(error)) from error
        out.append(IGNORED)

    def _error(self, message: _Error, out: list[Output]) -> None:
        """The reason names the product in prose; one product's refusal fails the whole request."""
        reason = ": ".join(part for part in (message.message, message.reason) if part)[:200]
        named = mentioned(reason, self.markets)
        if named:
            out.extend(SubscriptionFailed(native, channel, reason) for native in named for channel in self.channels)
        elif "subscribe" in reason.lower():
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
        """Pages go back in time: `after` an id means older than it."""
        base = f"{self.where.rest}/products/{market.native}/trades"
        if last is None:
            return HistoryRequest(market, f"{base}?limit={_PAGE}", first, None)
        limit = min(_PAGE, last - first + 1)
        return HistoryRequest(market, f"{base}?after={last + 1}&limit={limit}", first, last)

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """Newest first on the wire; the next page is older."""
        try:
            rows = _decode_history(body)
        except UNUSABLE as error:
            raise BadTrade("malformed", str(error)) from error
        market, first, last = request.market, request.first, request.last
        trades = [
            Trade(market.id, from_datetime(row.time), row.price, row.size, _TAKER[row.side], row.trade_id, received)
            for row in sorted(rows, key=lambda row: row.trade_id)
            if row.trade_id >= first and (last is None or row.trade_id <= last)
        ]
        oldest = min((row.trade_id for row in rows), default=first)
        if oldest <= first or (last is not None and oldest > last):
            return HistoryPage(trades, None)
        return HistoryPage(trades, self.history_request(market, first, oldest - 1, 0))

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """At most 300 rows a page; both ends of a page are inclusive."""
        base = f"{self.where.rest}/products/{market.native}/candles?granularity=60"
        return [
            CandleRequest(market, f"{base}&start={_iso(begin)}&end={_iso(until - 1_000_000)}", begin, until)
            for begin, until in spans(start, end, _CANDLES)
        ]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Rows are seconds, low, high, open, close, volume; newest first."""
        try:
            rows = _decode_candles(body)
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        number = request.market.id
        candles = [
            Candle(number, row.at * 1_000_000, row.open, row.high, row.low, row.close, row.volume) for row in rows
        ]
        return within(candles, request)


def _requests(kind: str, subscriptions: Collection[Subscription], size: int) -> list[Send]:
    by_product: dict[str, list[str]] = {}
    for native, channel in subscriptions:
        by_product.setdefault(native, []).append(channel)
    return [
        Send(
            msgspec.json.encode(
                {
                    "type": kind,
                    "product_ids": list(products),
                    "channels": sorted({channel for product in products for channel in by_product[product]}),
                }
            ).decode()
        )
        for products in chunks(list(by_product), size)
    ]


def _iso(instant: int) -> str:
    return to_datetime(instant).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
