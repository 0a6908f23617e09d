"""OKX v5 spot: trades and tickers on the public socket.

https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-trades-channel
https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-trades-history (the last three months, 100 a page)
https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-candlesticks-history
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from decimal import Decimal
from itertools import groupby
from math import isfinite
from typing import Literal

import msgspec

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Candle, Flag, Market, Side, Trade
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
    Lost,
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
)
from pricewatch.exchanges.listing import Listed, instruments
from pricewatch.exchanges.rows import Best, Key, Kline, Millis, best, minutes, salvaged

_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_SIDES = {"buy": _BUY, "sell": _SELL}
_MARK = b'"trades"'
"""In every frame of trades."""
_PLACE, _OF_TRADES, _OF_TICKERS = len('{"arg":{"channel":"t'), ord("r"), ord("i")
"""Where the names of the channels differ first."""
_ELSEWHERE = (*UNUSABLE, LookupError)
"""What reading a frame as the wrong kind raises, or one that is too short for it."""
_PAGE = 100
_AT_ONCE = 1_000_000
"""Microseconds after the confirmation within which the first frame is the snapshot of the last trade."""
_NAMED = re.compile(r"channel:([\w-]+),instId:([\w-]+)")
_LATER = frozenset({"50001", "50004", "50011", "50013", "50026", "50061"})
"""Maintenance, timeouts, busy and too many requests."""


class _Row(msgspec.Struct, gc=False, rename="camel"):
    inst_id: str
    trade_id: Key
    px: float
    sz: float
    side: Literal["buy", "sell"]
    ts: Millis
    count: Key = 1
    """How many consecutive trades the entry stands for; `trade_id` is the last of them."""
    source: str = ""


class _Trades(msgspec.Struct, gc=False):
    data: list[_Row]


class _Best(msgspec.Struct, gc=False, rename="camel"):
    inst_id: str
    bid_px: Best
    bid_sz: Best
    ask_px: Best
    ask_sz: Best
    ts: Millis


class _Tickers(msgspec.Struct, gc=False):
    data: list[_Best]


class _Arg(msgspec.Struct, rename="camel"):
    channel: str = ""
    inst_id: str = ""


class _Envelope(msgspec.Struct):
    event: str = ""
    arg: _Arg = msgspec.field(default_factory=_Arg)
    code: str | int = ""
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _Tape(msgspec.Struct, gc=False):
    """A market's number, and the newest trade id it has had."""

    market: int
    newest: int = -1


class _Reply(msgspec.Struct):
    code: str
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _Pair(msgspec.Struct, rename="camel"):
    inst_id: str
    base_ccy: str
    quote_ccy: str
    state: str = ""


_decode_trades = msgspec.json.Decoder(_Trades, strict=False).decode
_decode_tickers = msgspec.json.Decoder(_Tickers, strict=False).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_row = msgspec.json.Decoder(_Row, strict=False).decode
_decode_best = msgspec.json.Decoder(_Best, strict=False).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_history = msgspec.json.Decoder(list[_Row], strict=False).decode
_decode_klines = msgspec.json.Decoder(list[Kline], strict=False).decode
_decode_listing = msgspec.json.Decoder(list[_Pair]).decode


class Okx(Exchange):
    """Its symbols are canonical already; times in milliseconds.

    `trades` sends one entry a taker order and price, which may stand for several consecutive trade ids. So keys jump,
    but by no more than the entry says: a longer jump is `Lost`.
    """

    id = "okx"
    endpoints = Endpoints(socket="wss://ws.okx.com:8443/ws/v5/public", rest="https://www.okx.com")
    channels = ("trades", "tickers")
    step = 1000
    consecutive = False
    # The text `ping` is answered with the text `pong`; protocol pings are not reliably. 30 s of silence end it.
    keepalive = Keepalive(protocol_ping=False, probe="ping", every=20.0)
    markets_per_connection = 100
    send_interval = 0.35  # 3 a second; 480 subscription requests an hour and connection
    open_interval = 0.4  # 3 connections a second an address
    history_interval = 0.12  # 20 requests in 2 s

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        self._confirmed: dict[str, int] = {}
        self._tapes: dict[str, _Tape] = {}
        super().__init__(markets, endpoints)

    def add(self, markets: Sequence[Market]) -> None:
        """Their tapes too."""
        super().add(markets)
        for market in markets:
            known = self._tapes.get(market.native)
            self._tapes[market.native] = _Tape(market.id, -1 if known is None else known.newest)

    def drop(self, natives: Collection[str]) -> None:
        """Their tapes too."""
        super().drop(natives)
        for native in natives:
            self._tapes.pop(native, None)

    @staticmethod
    def native(symbol: str) -> str:
        """The canonical symbol itself."""
        return symbol

    def instrument_requests(self) -> list[Request]:
        """Spot."""
        return [Request(f"{self.where.rest}/api/v5/public/instruments?instType=SPOT")]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """Every spot pair; those in state `live` trade."""
        try:
            rows = [row for body in bodies for row in _decode_listing(_unwrap(body))]
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        return instruments(Listed(row.inst_id, row.base_ccy, row.quote_ccy, row.state == "live") for row in rows)

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:
        """At most 100 markets a message (64 KB is the limit); every one is answered on its own."""
        return _requests("subscribe", wanted, 1 if alone else 100)

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """At most 100 markets a message."""
        return _requests("unsubscribe", gone, 100)

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass, guessed by a letter of the channel's name; a second look for anything else.

        The usual frame has one trade, the next of its market.
        """
        try:
            letter = frame[_PLACE]
            if letter == _OF_TRADES:
                rows = _decode_trades(frame).data
                row, tape = rows[0], self._tapes[rows[0].inst_id]
                key = row.trade_id
                if len(rows) > 1 or self._confirmed or key - row.count > tape.newest:
                    self._trades(rows, received, out)
                    return
                if key > tape.newest:  # noqa: PLR1730 - a call of max costs more than all of this
                    tape.newest = key
                side = _BUY if row.side == "buy" else _SELL
                out.append(Trade(tape.market, row.ts * 1000, row.px, row.sz, side, key, received))
            elif letter == _OF_TICKERS:
                self._tickers(_decode_tickers(frame).data, received, out)
            else:
                self._other(as_bytes(frame), received, out)
        except _ELSEWHERE:
            self._other(as_bytes(frame), received, out)

    def _trades(self, rows: list[_Row], received: int, out: list[Output], lost: int = 0) -> None:
        flags = self._first(rows, received) if self._confirmed else 0
        strange = 0
        for row in rows:
            tape = self._tapes.get(row.inst_id)
            if tape is None:
                strange += 1
                continue
            key, newest = row.trade_id, tape.newest
            if key > newest:
                tape.newest = key
                if key - row.count > newest >= 0:
                    out.append(Lost(f"trade ids {newest + 1}..{key - row.count} did not come", (row.inst_id,)))
            side = _BUY if row.side == "buy" else _SELL
            out.append(Trade(tape.market, row.ts * 1000, row.px, row.sz, side, key, received, flags))
        if lost or strange:
            raise BadTrade("malformed" if lost else "unknown market", f"{lost + strange} rows", count=lost + strange)

    def _first(self, rows: list[_Row], received: int) -> int:
        """The flags of a frame that may be a market's first."""
        confirmed = self._confirmed.pop(rows[0].inst_id, None) if rows else None
        return int(Flag.HISTORY) if confirmed is not None and received - confirmed <= _AT_ONCE else 0

    def _tickers(self, rows: list[_Best], received: int, out: list[Output]) -> None:
        for row in rows:
            market = self.markets.get(row.inst_id)
            if market is None:
                raise BadData("unknown market", row.inst_id[:40])
            out.append(best(market, row.ts * 1000, row.bid_px, row.bid_sz, row.ask_px, row.ask_sz, received))

    def _other(self, frame: bytes, received: int, out: list[Output]) -> None:
        if frame == b"pong":
            out.append(HEARTBEAT)
            return
        try:
            envelope = _decode_envelope(frame)
        except UNUSABLE as error:
            raise torn(frame, error, _MARK) from error
        if envelope.event:
            self._event(envelope, received, out)
        else:
            self._pushed(envelope, received, out)

    def _pushed(self, envelope: _Envelope, received: int, out: list[Output]) -> None:
        """Data in another order, or broken: one row does not take the others with it."""
        if envelope.arg.channel == "trades":
            try:
                rows, lost = salvaged(envelope.data, _decode_row)
            except UNUSABLE as error:
                raise BadTrade("malformed", str(error)) from error
            self._trades(rows, received, out, lost=lost)
        elif envelope.arg.channel == "tickers":
            try:
                best_rows, lost = salvaged(envelope.data, _decode_best)
            except UNUSABLE as error:
                raise BadData("malformed", str(error)) from error
            self._tickers(best_rows, received, out)
            if lost:
                raise BadData("malformed", f"{lost} rows")
        else:
            out.append(IGNORED)

    def _event(self, envelope: _Envelope, received: int, out: list[Output]) -> None:
        reason = f"{envelope.code} {envelope.msg}"[:200]
        if envelope.event == "subscribe":
            native, channel = envelope.arg.inst_id, envelope.arg.channel
            if channel == "trades":
                self._confirmed[native] = received
            out.append(Subscribed(native, channel))
        elif envelope.event == "error":
            named = _NAMED.search(envelope.msg)
            channel, native = named.groups() if named else ("", "")
            out.append(SubscriptionFailed(*((native, channel) if native in self.markets else ("", "")), reason))
        elif envelope.event == "notice":
            out.append(Closing(reason) if str(envelope.code) == "64008" else Notice(reason))
        else:
            out.append(IGNORED)

    def history_request(
        self,
        market: Market,
        first: int,
        last: int | None,
        since: int,
        until: int | None = None,
    ) -> HistoryRequest:
        """Pages go back in time: `after` an instant means before it, that one excluded."""
        start = "" if until is None else f"&type=2&after={until // 1000 + 1}"
        return HistoryRequest(market, self._trades_url(market) + start, first, last, since, until)

    def _trades_url(self, market: Market) -> str:
        return f"{self.where.rest}/api/v5/market/history-trades?instId={market.native}&limit={_PAGE}"

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """Newest first and one by one on the wire; put together as the socket does it, so that nothing counts twice."""
        market, since, until = request.market, request.since, request.until
        try:
            rows = sorted(_decode_history(_unwrap(body)), key=lambda row: row.trade_id)
        except UNUSABLE as error:
            raise BadTrade("malformed", str(error)) from error
        orders = [list(group) for _, group in groupby(rows, key=lambda row: (row.ts, row.px, row.side, row.source))]
        following = None
        if len(rows) >= _PAGE and rows[0].ts * 1000 >= since:
            cut = orders.pop(0)[-1].trade_id + 1 if len(orders) > 1 else rows[0].trade_id
            url = f"{self._trades_url(market)}&type=1&after={cut}"
            following = msgspec.structs.replace(request, url=url)
        trades = [
            Trade(market.id, last.ts * 1000, last.px, _total(order), _SIDES[last.side], last.trade_id, received)
            for order in orders
            for last in order[-1:]
            if since <= last.ts * 1000 and (until is None or last.ts * 1000 <= until)
        ]
        return HistoryPage(trades, following)

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """`history-candles`, at most 100 rows a page; `after` and `before` exclude the instant they name."""
        base = f"{self.where.rest}/api/v5/market/history-candles?instId={market.native}&bar=1m&limit={_PAGE}"
        return [
            CandleRequest(market, f"{base}&after={until // 1000}&before={begin // 1000 - 1}", begin, until)
            for begin, until in spans(start, end, _PAGE)
        ]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Rows are open ms, open, high, low, close, base volume, and more; newest first."""
        try:
            rows = _decode_klines(_unwrap(body))
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        return minutes(request, rows)


def _requests(op: str, subscriptions: Collection[Subscription], size: int) -> list[Send]:
    by_market: dict[str, list[dict[str, str]]] = {}
    for native, channel in subscriptions:
        by_market.setdefault(native, []).append({"channel": channel, "instId": native})
    return [
        Send(msgspec.json.encode({"op": op, "args": [arg for native in some for arg in by_market[native]]}).decode())
        for some in chunks(list(by_market), size)
    ]


def _total(order: list[_Row]) -> float:
    """The exact sum of decimal sizes, as the venue would print it."""
    if len(order) == 1 or not all(isfinite(row.sz) for row in order):
        return order[-1].sz
    return float(sum(Decimal(repr(row.sz)) for row in order))


def _unwrap(body: bytes) -> msgspec.Raw:
    reply = _decode_reply(body)
    if reply.code == "0":
        return reply.data
    reason = f"okx: {reply.code} {reply.msg}"[:200]
    raise Unavailable(reason) if reply.code in _LATER else Refused(reason)
