"""Upbit: trades and the top of the book, in short field names.

https://docs.upbit.com/kr/reference/websocket-guide
https://docs.upbit.com/kr/reference/list-pair-trades (seven days back, 500 a page)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Candle, Flag, Market, Quote, Side, Trade
from pricewatch.domain.time import from_datetime, to_datetime
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
from pricewatch.exchanges.listing import Listed, instruments
from pricewatch.exchanges.rows import Key, Millis
from pricewatch.exchanges.symbols import split

_TAKER = {"BID": int(Side.BUY), "ASK": int(Side.SELL)}
_PAGE = 500
_DAYS = 7
_CANDLES = 200
_Naive = Annotated[datetime, msgspec.Meta(tz=False)]
_MARK = b'"trade"'
"""In every frame of trades."""


class _Trade(msgspec.Struct, gc=False, tag_field="ty", tag="trade"):
    cd: str
    tp: float
    tv: float
    ab: Literal["ASK", "BID"]
    ttms: Millis
    sid: Key
    st: str = ""
    """`SNAPSHOT` for the last trade before the subscription."""


class _Unit(msgspec.Struct, gc=False, rename={"asz": "as", "bsz": "bs"}):
    ap: float
    bp: float
    asz: float
    bsz: float


class _Book(msgspec.Struct, tag_field="ty", tag="orderbook"):
    cd: str
    tms: Millis
    obu: list[_Unit]


class _Problem(msgspec.Struct):
    name: str = ""
    message: str = ""


class _Envelope(msgspec.Struct):
    """Any frame."""

    ty: str = ""
    status: str = ""
    error: _Problem | None = None


class _Past(msgspec.Struct, gc=False):
    timestamp: Millis
    trade_price: float
    trade_volume: float
    ask_bid: Literal["ASK", "BID"]
    sequential_id: Key


class _Minute(msgspec.Struct, gc=False):
    candle_date_time_utc: _Naive
    opening_price: float
    high_price: float
    low_price: float
    trade_price: float
    candle_acc_trade_volume: float


class _Pair(msgspec.Struct, gc=False):
    market: str


_Message = _Trade | _Book
_decode = msgspec.json.Decoder(_Message).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_history = msgspec.json.Decoder(list[_Past]).decode
_decode_minutes = msgspec.json.Decoder(list[_Minute]).decode
_decode_pairs = msgspec.json.Decoder(list[_Pair]).decode


class Upbit(Exchange):
    """A request replaces all that was subscribed, and nothing answers it but the first frames of each market.

    Trade ids identify and do not count; they need not even grow.
    """

    id = "upbit"
    endpoints = Endpoints(socket="wss://api.upbit.com/websocket/v1", rest="https://api.upbit.com")
    channels = ("trade", "orderbook")
    step = 1000
    consecutive = False
    keepalive = Keepalive(probe="PING")
    markets_per_connection = 100
    send_interval = 0.6  # 5 messages a second and 100 a minute
    open_interval = 0.25
    history_interval = 0.15  # 10 requests a second

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        self._subscribed: dict[Subscription, None] = {}
        """In the order asked for."""
        self._awaited: set[Subscription] = set()
        super().__init__(markets, endpoints)

    @staticmethod
    def native(symbol: str) -> str:
        """`BTC-KRW` -> `KRW-BTC`."""
        return "-".join(reversed(split(symbol)))

    def instrument_requests(self) -> list[Request]:
        """Every market in one answer."""
        return [Request(f"{self.where.rest}/v1/market/all")]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """The quote currency stands first. All that is listed trades."""
        try:
            names = [row.market for body in bodies for row in _decode_pairs(body)]
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        legs = [(name, split(name)) for name in names]
        return instruments(Listed(name, base, quote, active=True) for name, (quote, base) in legs)

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:  # noqa: ARG002
        """One message with all that is subscribed by now: the venue forgets what it leaves out."""
        self._subscribed |= dict.fromkeys(wanted)
        self._awaited |= set(wanted)
        return self._everything()

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """One message with all that is left; none where nothing is, since an empty request is refused."""
        for one in gone:
            self._subscribed.pop(one, None)
        self._awaited -= set(gone)
        return self._everything() if self._subscribed else []

    def _everything(self) -> list[Send]:
        request: list[dict[str, Any]] = [{"ticket": "pricewatch"}]
        for channel, suffix in (("trade", ""), ("orderbook", ".1")):
            codes = [f"{native}{suffix}" for native, asked in self._subscribed if asked == channel]
            if codes:
                request.append({"type": channel, "codes": codes})
        return [Send(msgspec.json.encode([*request, {"format": "SIMPLE"}]).decode())]

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass; a second one for status, errors and broken frames."""
        try:
            message: _Message = _decode(frame)
        except UNUSABLE as error:
            self._other(frame, error, out)
            return
        if self._awaited:
            self._confirm(message, out)
        market = self.markets.get(message.cd)
        if isinstance(message, _Trade):
            if market is None:
                raise BadTrade("unknown market", message.cd[:40])
            flags, side = int(Flag.HISTORY) if message.st == "SNAPSHOT" else 0, _TAKER[message.ab]
            at = message.ttms * 1000
            out.append(Trade(market.id, at, message.tp, message.tv, side, message.sid, received, flags))
        elif market is None:
            raise BadData("unknown market", message.cd[:40])
        elif message.obu:
            top = message.obu[0]
            out.append(Quote(market.id, message.tms * 1000, top.bp, top.bsz, top.ap, top.asz, received))
        else:
            out.append(IGNORED)

    def _confirm(self, message: _Trade | _Book, out: list[Output]) -> None:
        """A book comes at once for every market, a trade only where there ever was one: a book confirms both."""
        channels = ("trade",) if isinstance(message, _Trade) else self.channels
        for channel in channels:
            subscription = Subscription(message.cd, channel)
            if subscription in self._awaited:
                self._awaited.discard(subscription)
                out.append(Subscribed(message.cd, channel))

    def _other(self, frame: bytes | str, error: Exception, out: list[Output]) -> None:
        try:
            envelope = _decode_envelope(frame)
        except UNUSABLE:
            raise torn(frame, error, _MARK) from error
        if envelope.ty == "trade":
            raise BadTrade("malformed", str(error)) from error
        if envelope.ty == "orderbook":
            raise BadData("malformed", str(error)) from error
        if envelope.error is not None:
            reason = f"{envelope.error.name}: {envelope.error.message}"[:200]
            out.append(SubscriptionFailed("", "", reason) if self._awaited else Notice(reason))
        else:
            out.append(HEARTBEAT if envelope.status else IGNORED)

    def history_request(
        self,
        market: Market,
        first: int,
        last: int | None,
        since: int,
        until: int | None = None,
    ) -> HistoryRequest:
        """Newest first, by the UTC day: the current one to begin with."""
        url = self._ticks(market, {})
        return HistoryRequest(market, url, first, last, since, until)

    def _ticks(self, market: Market, where: dict[str, str]) -> str:
        query = {"market": market.native, "count": str(_PAGE), **where}
        return f"{self.where.rest}/v1/trades/ticks?{urlencode(query)}"

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """A full page goes on behind its oldest trade, a short one with the day before."""
        try:
            rows = _decode_history(body)
        except UNUSABLE as error:
            raise BadTrade("malformed", str(error)) from error
        number, since, until = request.market.id, request.since, request.until
        trades = [
            Trade(number, at, row.trade_price, row.trade_volume, _TAKER[row.ask_bid], row.sequential_id, received)
            for row in sorted(rows, key=lambda row: (row.timestamp, row.sequential_id))
            if since <= (at := row.timestamp * 1000) and (until is None or at <= until)
        ]
        oldest = min(rows, key=lambda row: (row.timestamp, row.sequential_id), default=None)
        days = int(dict(parse_qsl(urlsplit(request.url).query)).get("days_ago", "0"))
        where = {"days_ago": str(days)} if days else {}
        if oldest is not None and len(rows) >= _PAGE:
            where["cursor"] = str(oldest.sequential_id)
        else:
            where = {"days_ago": str(days + 1)}
        if (oldest is not None and oldest.timestamp * 1000 < since) or int(where.get("days_ago", "0")) > _DAYS:
            return HistoryPage(trades, None)
        return HistoryPage(trades, msgspec.structs.replace(request, url=self._ticks(request.market, where)))

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """At most 200 rows a page, counted back from its end; one fewer, should the end belong to it."""
        base = f"{self.where.rest}/v1/candles/minutes/1?market={market.native}&count={_CANDLES}"
        return [
            CandleRequest(market, f"{base}&to={to_datetime(until):%Y-%m-%dT%H:%M:%SZ}", begin, until)
            for begin, until in spans(start, end, _CANDLES - 1)
        ]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Newest first; minutes without trades are absent."""
        try:
            rows = [(from_datetime(row.candle_date_time_utc.replace(tzinfo=UTC)), row) for row in _decode_minutes(body)]
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        number = request.market.id
        candles = [
            Candle(
                number,
                at,
                row.opening_price,
                row.high_price,
                row.low_price,
                row.trade_price,
                row.candle_acc_trade_volume,
            )
            for at, row in rows
        ]
        return within(candles, request)
