"""Bitget v2 spot: trades and tickers.

https://www.bitget.com/api-doc/spot/websocket/public/Trades-Channel
https://www.bitget.com/api-doc/spot/market/Get-Market-Trades (the last 90 days, 7 days and 1,000 trades a request)
https://www.bitget.com/api-doc/spot/market/Get-Candle-Data (one-minute candles of the last month)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal
from urllib.parse import quote

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
from pricewatch.exchanges.rows import Best, Ident, Kline, Millis, best, identity, minutes, salvaged
from pricewatch.exchanges.symbols import split

_SIDES = {"buy": int(Side.BUY), "sell": int(Side.SELL)}
_PAGE = 1000
_LATER = frozenset({"429", "40010", "40015", "40725", "40910", "45001"})
"""Timeouts, system errors and too many requests."""
_MARK = b'"channel":"trade"'
"""In every frame of trades."""
_TICKERS = b'"channel":"ticker"'


class _Row(msgspec.Struct, gc=False, rename="camel"):
    ts: Millis
    price: float
    size: float
    side: Literal["buy", "sell"]
    trade_id: Ident


class _Best(msgspec.Struct, gc=False, rename="camel"):
    bid_pr: Best
    bid_sz: Best
    ask_pr: Best
    ask_sz: Best
    ts: Millis


class _Arg(msgspec.Struct, gc=False, rename="camel"):
    channel: str = ""
    inst_id: str = ""


class _Trades(msgspec.Struct, gc=False):
    arg: _Arg
    data: list[_Row]
    action: str = "update"
    """`snapshot`: trades from before the subscription."""


class _Tickers(msgspec.Struct, gc=False):
    arg: _Arg
    data: list[_Best]


class _Envelope(msgspec.Struct):
    event: str = ""
    action: str = "update"
    arg: _Arg = msgspec.field(default_factory=_Arg)
    code: str | int = ""
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _Reply(msgspec.Struct):
    code: str
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _Pair(msgspec.Struct, rename="camel"):
    symbol: str
    base_coin: str
    quote_coin: str
    status: str = ""


_decode_trades = msgspec.json.Decoder(_Trades, strict=False).decode
_decode_tickers = msgspec.json.Decoder(_Tickers, strict=False).decode
_decode_row = msgspec.json.Decoder(_Row, strict=False).decode
_decode_best = msgspec.json.Decoder(_Best, strict=False).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_history = msgspec.json.Decoder(list[_Row], strict=False).decode
_decode_klines = msgspec.json.Decoder(list[Kline], strict=False).decode
_decode_listing = msgspec.json.Decoder(list[_Pair]).decode


class Bitget(Exchange):
    """Times in milliseconds; the rows of a frame come newest first."""

    id = "bitget"
    endpoints = Endpoints(socket="wss://ws.bitget.com/v2/ws/public", rest="https://api.bitget.com")
    channels = ("trade", "ticker")
    step = 1000
    consecutive = False
    lifetime = 86_400.0
    # Closed 2 min after the last text `ping`, however much it sends meanwhile.
    keepalive = Keepalive(protocol_ping=False, probe="ping", every=30.0)
    markets_per_connection = 24  # 1,000 channels are allowed, fewer than 50 recommended
    send_interval = 0.15  # 10 messages a second, pings included
    open_interval = 1.0  # 300 attempts per 5 min
    history_interval = 0.12  # 10 requests a second

    @staticmethod
    def native(symbol: str) -> str:
        """`BTC-USDT` -> `BTCUSDT`."""
        return "".join(split(symbol))

    def instrument_requests(self) -> list[Request]:
        """Spot."""
        return [Request(f"{self.where.rest}/api/v2/spot/public/symbols")]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """Every spot pair; those in status `online` or `gray` trade."""
        try:
            rows = [row for body in bodies for row in _decode_listing(_unwrap(body))]
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        return instruments(
            Listed(row.symbol, row.base_coin, row.quote_coin, row.status in ("online", "gray")) for row in rows
        )

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:
        """At most 12 markets a message (4,096 bytes is the limit); every channel is answered on its own."""
        return _requests("subscribe", wanted, 1 if alone else 12)

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """At most 12 markets a message."""
        return _requests("unsubscribe", gone, 12)

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass for what looks like trades or a ticker; a second look for anything else."""
        if isinstance(frame, str):
            frame = frame.encode(errors="surrogatepass")
        try:
            if frame.find(_MARK, 0, 80) > 0:
                trades = _decode_trades(frame)
                self._trades(trades.arg.inst_id, trades.action, trades.data, received, out)
            elif frame.find(_TICKERS, 0, 80) > 0:
                tickers = _decode_tickers(frame)
                self._tickers(tickers.arg.inst_id, tickers.data, received, out)
            elif frame == b"pong":
                out.append(HEARTBEAT)
            else:
                self._other(frame, received, out)
        except UNUSABLE:
            self._other(frame, received, out)

    def _trades(
        self, native: str, action: str, rows: list[_Row], received: int, out: list[Output], lost: int = 0
    ) -> None:
        market = self.markets.get(native)
        if market is None:
            raise BadTrade("unknown market", native[:40], count=max(1, len(rows) + lost))
        flags = int(Flag.HISTORY) if action == "snapshot" else 0
        out += [_trade(market, row, received, flags) for row in (_oldest_first(rows) if len(rows) > 1 else rows)]
        if lost:
            raise BadTrade("malformed", f"{lost} rows", count=lost)

    def _tickers(self, native: str, rows: list[_Best], received: int, out: list[Output]) -> None:
        market = self.markets.get(native)
        if market is None:
            raise BadData("unknown market", native[:40])
        out += [best(market, row.ts * 1000, row.bid_pr, row.bid_sz, row.ask_pr, row.ask_sz, received) for row in rows]

    def _other(self, frame: bytes, received: int, out: list[Output]) -> None:
        try:
            envelope = _decode_envelope(frame)
        except UNUSABLE as error:
            raise torn(frame, error, _MARK) from error
        native = envelope.arg.inst_id
        if envelope.event:
            self._event(envelope, out)
        elif envelope.arg.channel == "trade":
            try:
                rows, lost = salvaged(envelope.data, _decode_row)
            except UNUSABLE as error:
                raise BadTrade("malformed", str(error)) from error
            self._trades(native, envelope.action, rows, received, out, lost=lost)
        elif envelope.arg.channel == "ticker":
            try:
                tickers, lost = salvaged(envelope.data, _decode_best)
            except UNUSABLE as error:
                raise BadData("malformed", str(error)) from error
            self._tickers(native, tickers, received, out)
            if lost:
                raise BadData("malformed", f"{lost} rows")
        else:
            out.append(IGNORED)

    def _event(self, envelope: _Envelope, out: list[Output]) -> None:
        native, channel = envelope.arg.inst_id, envelope.arg.channel
        reason = f"{envelope.code} {envelope.msg}"[:200]
        if envelope.event == "subscribe":
            out.append(Subscribed(native, channel))
        elif envelope.event != "error":
            out.append(IGNORED)
        elif native in self.markets:
            out.append(SubscriptionFailed(native, channel, reason))
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
        """`fills-history` between two instants, newest first; later pages continue before an id."""
        end = "" if until is None else f"&endTime={until // 1000 + 1}"
        query = f"symbol={market.native}&limit={_PAGE}&startTime={since // 1000}{end}"
        url = f"{self.where.rest}/api/v2/spot/market/fills-history?{query}"
        return HistoryRequest(market, url, first, last, since, until)

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """A full page has another before it, unless it reaches back to the wanted."""
        market, since, until = request.market, request.since, request.until
        try:
            rows = _oldest_first(_decode_history(_unwrap(body)))
        except UNUSABLE as error:
            raise BadTrade("malformed", str(error)) from error
        trades = [
            _trade(market, row, received)
            for row in rows
            if since <= row.ts * 1000 and (until is None or row.ts * 1000 <= until)
        ]
        following = None
        if len(rows) >= _PAGE and rows[0].ts * 1000 >= since:
            first_page = self.history_request(market, request.first, request.last, since, until).url
            url = f"{first_page}&idLessThan={quote(rows[0].trade_id, safe='', errors='replace')}"
            following = msgspec.structs.replace(request, url=url)
        return HistoryPage(trades, following)

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """`candles`, at most 1,000 rows a page."""
        base = f"{self.where.rest}/api/v2/spot/market/candles?symbol={market.native}&granularity=1min&limit={_PAGE}"
        return [
            CandleRequest(market, f"{base}&startTime={begin // 1000}&endTime={until // 1000 - 1}", begin, until)
            for begin, until in spans(start, end, _PAGE)
        ]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Rows are open ms, open, high, low, close, base volume, and more."""
        try:
            rows = _decode_klines(_unwrap(body))
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        return minutes(request, rows)


def _requests(op: str, subscriptions: Collection[Subscription], size: int) -> list[Send]:
    by_market: dict[str, list[dict[str, str]]] = {}
    for native, channel in subscriptions:
        by_market.setdefault(native, []).append({"instType": "SPOT", "channel": channel, "instId": native})
    return [
        Send(msgspec.json.encode({"op": op, "args": [arg for native in some for arg in by_market[native]]}).decode())
        for some in chunks(list(by_market), size)
    ]


def _oldest_first(rows: list[_Row]) -> list[_Row]:
    turned = rows[::-1]
    turned.sort(key=lambda row: row.ts)
    return turned


def _trade(market: Market, row: _Row, received: int, flags: int = 0) -> Trade:
    key, ref = identity(row.trade_id)
    return Trade(market.id, row.ts * 1000, row.price, row.size, _SIDES[row.side], key, received, flags, ref)


def _unwrap(body: bytes) -> msgspec.Raw:
    reply = _decode_reply(body)
    if reply.code == "00000":
        return reply.data
    reason = f"bitget: {reply.code} {reply.msg}"[:200]
    raise Unavailable(reason) if reply.code in _LATER else Refused(reason)
