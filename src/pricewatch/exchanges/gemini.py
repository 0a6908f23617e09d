"""Gemini market data v2: trades, and the best bid and ask of the book that comes with them.

https://developer.gemini.com/websocket/archived/v2
https://developer.gemini.com/trading/rest-api/market-data/list-trades: the trades of the last seven days, 500 a page.
https://developer.gemini.com/trading/rest-api/market-data/list-candles: the last day of minutes, one page.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

import msgspec

from pricewatch.domain.errors import BadData, Invalid
from pricewatch.domain.market import Candle, Flag, Market, Quote, Side, Trade
from pricewatch.exchanges.asked import Asked
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
    Output,
    Request,
    Send,
    Subscription,
    chunks,
    torn,
    within,
)
from pricewatch.exchanges.book import Book
from pricewatch.exchanges.rows import salvaged
from pricewatch.exchanges.symbols import canonical, split

_BUY, _SELL, _UNKNOWN = int(Side.BUY), int(Side.SELL), int(Side.UNKNOWN)
_TAKER = {"buy": _BUY, "sell": _SELL}
"""Auctions and blocks have no taker."""
_Millis = Annotated[int, msgspec.Meta(ge=0, lt=10**15)]
_Price = Annotated[float, msgspec.Meta(gt=0, lt=1e15)]
_Size = Annotated[float, msgspec.Meta(ge=0, lt=1e18)]
_CHANNEL = "l2"
_MARK = b'"trade"'
"""In every frame of trades."""
_PLACE, _OF_TRADES = len('{"type":"'), ord("t")
_ELSEWHERE = (*UNUSABLE, LookupError)
"""What reading a frame as the wrong kind raises, or as a market's that is not ours."""
_PAGE = 500
_QUOTES = ("RLUSD", "GUSD", "USDC", "USDT", "USD", "BTC", "ETH", "EUR", "GBP", "SGD", "DAI", "LTC", "BCH", "FIL")


class _Change(msgspec.Struct, gc=False, array_like=True):
    side: Literal["buy", "sell"]
    price: _Price
    size: _Size


class _Row(msgspec.Struct, gc=False, tag_field="type", tag="trade", rename={"late_id": "eventid"}):
    symbol: str
    timestamp: _Millis
    price: float
    quantity: float
    side: str
    tid: int | None = None
    event_id: int | None = None
    late_id: int | None = None


class _Print(msgspec.Struct, gc=False, kw_only=True, tag_field="type", tag="trade"):
    """A trade as the socket sends it, its fields in the order of the wire: that is the fastest."""

    symbol: str
    event_id: int
    tid: int | None = None
    timestamp: _Millis
    price: float
    quantity: float
    side: str


class _Updates(msgspec.Struct, tag_field="type", tag="l2_updates"):
    symbol: str
    changes: list[_Change]
    trades: list[_Row] | None = None
    """The last trades: only in a market's first frame, with the whole book."""


class _Heartbeat(msgspec.Struct, tag_field="type", tag="heartbeat"):
    pass


class _Envelope(msgspec.Struct):
    type: str = ""
    result: str = ""
    reason: str = ""
    symbol: str = ""
    changes: msgspec.Raw = msgspec.Raw(b"[]")
    trades: msgspec.Raw = msgspec.Raw(b"null")


class _Past(msgspec.Struct, gc=False, rename={"side": "type"}):
    tid: int
    timestampms: _Millis
    price: float
    amount: float
    side: str
    broken: bool = False


class _Candle(msgspec.Struct, gc=False, array_like=True):
    at: _Millis
    open: float
    high: float
    low: float
    close: float
    volume: float


_decode_print = msgspec.json.Decoder(_Print, strict=False).decode
_decode = msgspec.json.Decoder(_Updates | _Row | _Heartbeat, strict=False).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_change = msgspec.json.Decoder(_Change, strict=False).decode
_decode_row = msgspec.json.Decoder(_Row, strict=False).decode
_decode_history = msgspec.json.Decoder(list[_Past], strict=False).decode
_decode_candles = msgspec.json.Decoder(list[_Candle], strict=False).decode
_decode_symbols = msgspec.json.Decoder(list[str]).decode


class Gemini(Exchange):
    """A market's first frame confirms it: it has the whole book and the last 50 trades."""

    id = "gemini"
    endpoints = Endpoints(socket="wss://api.gemini.com/v2/marketdata", rest="https://api.gemini.com")
    channels = (_CHANNEL,)
    step = 1000
    consecutive = False
    markets_per_connection = 50
    send_interval = 0.2
    open_interval = 1.0
    history_interval = 1.0  # one request a second is recommended, 120 a minute allowed

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        super().__init__(markets, endpoints)
        self._asked = Asked()
        self._books: dict[str, Book] = {}

    def drop(self, natives: Collection[str]) -> None:
        """Their books too."""
        super().drop(natives)
        for native in natives:
            self._books.pop(native, None)

    @staticmethod
    def native(symbol: str) -> str:
        """`BTC-USD` -> `BTCUSD`."""
        return "".join(split(symbol))

    def instrument_requests(self) -> list[Request]:
        """All names in one answer, lower case and without a separator."""
        return [Request(f"{self.where.rest}/v1/symbols")]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """Perpetuals have no canonical symbol."""
        try:
            names = [name.upper() for body in bodies for name in _decode_symbols(body)]
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        found = []
        for name, pair in _pairs(names):
            with suppress(Invalid):
                found.append(Instrument(name, canonical(pair)))
        return found

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:
        """At most 25 markets a message; names the venue does not know are passed over, unless they are all."""
        self._asked.ask(wanted)
        return _requests("subscribe", wanted, 1 if alone else 25)

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """At most 25 markets a message."""
        self._asked.forget(gone)
        return _requests("unsubscribe", gone, 25)

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass, for trades guessed by their type's first letter; a second look for anything else."""
        try:
            if frame[_PLACE] == _OF_TRADES:
                row = _decode_print(frame)
                number, kind = self.markets[row.symbol].id, row.side
                side = _BUY if kind == "buy" else _SELL if kind == "sell" else _UNKNOWN
                key = row.event_id if row.tid is None else row.tid
                out.append(Trade(number, row.timestamp * 1000, row.price, row.quantity, side, key, received))
            else:
                self._message(frame, received, out)
        except _ELSEWHERE:
            self._message(frame, received, out)

    def _message(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """Any frame of ours; a further pass for answers, foreign channels and broken ones."""
        try:
            message: _Updates | _Row | _Heartbeat = _decode(frame)
        except UNUSABLE as error:
            self._other(frame, error, received, out)
            return
        match message:
            case _Row():
                self._trades(message.symbol, [message], 0, received, out)
            case _Updates():
                self._updates(message, received, out)
            case _:
                out.append(HEARTBEAT)

    def _updates(self, message: _Updates, received: int, out: list[Output], lost: int = 0) -> None:
        market = self.markets.get(message.symbol)
        if market is None:
            raise BadData("unknown market", message.symbol[:40])
        book = self._books.get(market.native)
        if book is None or message.trades is not None:
            self._books[market.native] = book = _loaded(message.changes)
            self._asked.confirmed(Subscription(market.native, _CHANNEL), out)
        else:
            for change in message.changes:
                (book.bids if change.side == "buy" else book.asks).change(change.price, change.size)
        news = book.news()
        crossed = news is not None and news[0][0] >= news[1][0]
        if news is None or crossed:
            out.append(IGNORED)
        else:
            (bid, bid_size), (ask, ask_size) = news
            out.append(Quote(market.id, received, bid, bid_size, ask, ask_size, received))
        if message.trades or lost:
            self._trades(message.symbol, message.trades or [], int(Flag.HISTORY), received, out, lost)
        if crossed:
            raise BadData("crossed book", f"{market.native} {news}")

    def _trades(
        self, native: str, rows: list[_Row], flags: int, received: int, out: list[Output], lost: int = 0
    ) -> None:
        market = self.markets.get(native)
        if market is None:
            raise BadTrade("unknown market", native[:40], count=len(rows) + lost)
        rows.sort(key=lambda row: (row.timestamp, _key(row) or 0))
        for row in rows:
            key, at = _key(row), row.timestamp * 1000
            if key is None:
                lost += 1
                continue
            out.append(
                Trade(market.id, at, row.price, row.quantity, _TAKER.get(row.side, _UNKNOWN), key, received, flags)
            )
        if lost:
            raise BadTrade("malformed", f"{lost} rows", count=lost)

    def _other(self, frame: bytes | str, error: Exception, received: int, out: list[Output]) -> None:
        try:
            envelope = _decode_envelope(frame)
        except UNUSABLE:
            raise torn(frame, error, _MARK) from error
        match envelope.type:
            case "trade":
                raise BadTrade("malformed", str(error)) from error
            case "l2_updates":
                self._salvage(envelope, error, received, out)
            case "" if envelope.result == "error":
                self._asked.refused(envelope.reason[:200] or "refused", out)
            case _:
                out.append(IGNORED)

    def _salvage(self, envelope: _Envelope, error: Exception, received: int, out: list[Output]) -> None:
        """One broken row takes neither the other trades nor the book with it."""
        try:
            changes, off = salvaged(envelope.changes, _decode_change)
            rows, lost = (None, 0) if bytes(envelope.trades) == b"null" else salvaged(envelope.trades, _decode_row)
        except UNUSABLE:
            raise BadData("malformed", str(error)) from error
        self._updates(_Updates(envelope.symbol, changes, rows), received, out, lost)
        raise BadData("malformed", f"{off} changes")

    def history_request(
        self,
        market: Market,
        first: int,
        last: int | None,
        since: int,
        until: int | None = None,
    ) -> HistoryRequest:
        """The 500 that follow an instant, which is exclusive."""
        query = f"timestamp={max(since // 1000 - 1, 0)}&limit_trades={_PAGE}"
        url = f"{self.where.rest}/v1/trades/{market.native.lower()}?{query}"
        return HistoryRequest(market, url, first, last, since, until)

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """Newest first on the wire; the next page begins at this one's last millisecond."""
        try:
            rows = _decode_history(body)
        except UNUSABLE as error:
            raise BadTrade("malformed", str(error)) from error
        market, since, until = request.market, request.since, request.until
        trades = [
            Trade(market.id, at, row.price, row.amount, _TAKER.get(row.side, _UNKNOWN), row.tid, received)
            for row in sorted(rows, key=lambda row: (row.timestampms, row.tid))
            if since <= (at := row.timestampms * 1000) and (until is None or at <= until) and not row.broken
        ]
        newest = max((row.timestampms * 1000 for row in rows), default=0)
        following = self.history_request(market, request.first, request.last, newest, until)
        done = len(rows) < _PAGE or following.url == request.url or (until is not None and newest > until)
        return HistoryPage(trades, None if done else following)

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """The newest day is all there is, whatever is asked for: one page."""
        return [CandleRequest(market, f"{self.where.rest}/v2/candles/{market.native.lower()}/1m", start, end)]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Rows are milliseconds, open, high, low, close, volume; newest first."""
        try:
            rows = _decode_candles(body)
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        number = request.market.id
        candles = [Candle(number, row.at * 1000, row.open, row.high, row.low, row.close, row.volume) for row in rows]
        return within(candles, request)


def _key(row: _Row) -> int | None:
    """The trade's id; frames from before there was one have the event's alone."""
    if row.tid is not None:
        return row.tid
    return row.event_id if row.event_id is not None else row.late_id


def _loaded(changes: Iterable[_Change]) -> Book:
    book = Book()
    for side, levels in (("buy", book.bids), ("sell", book.asks)):
        levels.load((change.price, change.size) for change in changes if change.side == side)
    return book


def _pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every name with its `BASE-QUOTE`, where its end is a quote.

    `BTCGUSD` may be BTC for GUSD or BTCG for USD: the longer quote it is, where another market has that base.
    """
    ways = {name: [quote for quote in _QUOTES if name.endswith(quote) and name != quote] for name in names}
    bases = {name.removesuffix(quotes[0]) for name, quotes in ways.items() if len(quotes) == 1}
    found = []
    for name, quotes in ways.items():
        likely = [quote for quote in quotes if name.removesuffix(quote) in bases] + quotes[-1:]
        if likely:
            found.append((name, f"{name.removesuffix(likely[0])}-{likely[0]}"))
    return found


def _requests(kind: str, subscriptions: Collection[Subscription], size: int) -> list[Send]:
    messages: list[dict[str, Any]] = [
        {"type": kind, "subscriptions": [{"name": _CHANNEL, "symbols": list(some)}]}
        for some in chunks([native for native, _ in subscriptions], size)
    ]
    return [Send(msgspec.json.encode(message).decode()) for message in messages]
