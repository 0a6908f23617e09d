"""Kraken, WebSocket v2: trades and best bid/ask.

https://docs.kraken.com/api/docs/websocket-v2/trade
https://docs.kraken.com/api/docs/rest-api/get-recent-trades
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Candle, Flag, Market, Quote, Side, Trade
from pricewatch.domain.time import from_datetime
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
    torn,
    within,
)
from pricewatch.exchanges.listing import Listed, instruments
from pricewatch.exchanges.rows import salvaged
from pricewatch.exchanges.symbols import ALIASES, split

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_SIDES = {"buy": int(Side.BUY), "sell": int(Side.SELL), "b": int(Side.BUY), "s": int(Side.SELL)}
_OLD_NAMES = {ours: theirs for theirs, ours in ALIASES.items()}
_PAGE = 1000
RowT = TypeVar("RowT")
_OURS = frozenset({"ticker", "heartbeat", "status"})
_MARK = b'"trade"'
"""In every frame of trades."""


class _Row(msgspec.Struct, gc=False):
    symbol: str
    side: Literal["buy", "sell"]
    price: float
    qty: float
    trade_id: int
    timestamp: _Moment


class _Trades(msgspec.Struct, tag_field="channel", tag="trade"):
    data: list[_Row]
    type: str = "update"
    """`snapshot`: trades from before the subscription."""


class _Best(msgspec.Struct, gc=False):
    symbol: str
    bid: float
    bid_qty: float
    ask: float
    ask_qty: float
    timestamp: _Moment | None = None


class _Ticker(msgspec.Struct, tag_field="channel", tag="ticker"):
    data: list[_Best]


class _Heartbeat(msgspec.Struct, tag_field="channel", tag="heartbeat"):
    pass


class _System(msgspec.Struct):
    system: str = ""


class _Status(msgspec.Struct, tag_field="channel", tag="status"):
    data: list[_System]


class _Result(msgspec.Struct):
    channel: str = ""
    symbol: str = ""


class _Envelope(msgspec.Struct):
    """Any frame that is not one of the pushed messages above."""

    channel: str = ""
    method: str = ""
    type: str = "update"
    success: bool = True
    result: _Result | None = None
    error: str = ""
    symbol: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _Reply(msgspec.Struct):
    error: list[str] = []
    result: dict[str, msgspec.Raw] = {}


class _Past(msgspec.Struct, gc=False, array_like=True):
    price: float
    volume: float
    time: float
    side: Literal["b", "s"]
    kind: str
    misc: str
    trade_id: int


class _Ohlc(msgspec.Struct, gc=False, array_like=True):
    at: int
    open: float
    high: float
    low: float
    close: float
    vwap: float
    volume: float
    trades: int


class _Pair(msgspec.Struct, gc=False):
    wsname: str | None = None
    """`XBT/USD`, as the first version of the socket called it; dark pools have none."""
    status: str = "online"


_Message = _Trades | _Ticker | _Heartbeat | _Status
_decode = msgspec.json.Decoder(_Message, strict=False).decode
_decode_envelope = msgspec.json.Decoder(_Envelope, strict=False).decode
_decode_row = msgspec.json.Decoder(_Row, strict=False).decode
_decode_reply = msgspec.json.Decoder(_Reply, strict=False).decode
_decode_history = msgspec.json.Decoder(list[_Past], strict=False).decode
_decode_ohlc = msgspec.json.Decoder(list[_Ohlc], strict=False).decode
_decode_pair = msgspec.json.Decoder(_Pair).decode
_decode_text = msgspec.json.Decoder(str | int).decode


class Kraken(Exchange):
    """REST still calls bitcoin XBT and dogecoin XDG; the socket does not."""

    id = "kraken"
    endpoints = Endpoints(socket="wss://ws.kraken.com/v2", rest="https://api.kraken.com")
    channels = ("trade", "ticker")
    keepalive = Keepalive(probe='{"method":"ping"}')
    markets_per_connection = 200
    send_interval = 0.2
    open_interval = 5.0  # about 150 attempts per 10 min and address
    history_interval = 1.1  # one public request a second

    @staticmethod
    def native(symbol: str) -> str:
        """`BTC-USD` -> `BTC/USD`."""
        return "/".join(split(symbol))

    def instrument_requests(self) -> list[Request]:
        """All pairs in one answer."""
        return [Request(f"{self.where.rest}/0/public/AssetPairs")]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """The socket's names are the canonical ones with a slash."""
        try:
            pairs = [_decode_pair(raw) for body in bodies for raw in _result(body).values()]
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        legs = [((pair.wsname or "").partition("/"), pair.status == "online") for pair in pairs]
        return instruments(
            Listed("/".join(ALIASES.get(leg, leg) for leg in (base, quote)), base, quote, active=active)
            for (base, _, quote), active in legs
        )

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:
        """A message a channel and 50 symbols; each symbol is answered on its own."""
        return self._requests("subscribe", wanted, 1 if alone else 50)

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """A message a channel and 50 symbols."""
        return self._requests("unsubscribe", gone, 50)

    def _requests(self, method: str, subscriptions: Collection[Subscription], size: int) -> list[Send]:
        sends = []
        for channel in self.channels:
            symbols = [native for native, asked in subscriptions if asked == channel]
            for some in chunks(symbols, size):
                params: dict[str, Any] = {"channel": channel, "symbol": list(some)}
                if channel == "ticker":
                    params["event_trigger"] = "bbo"
                elif method == "subscribe":
                    params["snapshot"] = False
                sends.append(Send(msgspec.json.encode({"method": method, "params": params}).decode()))
        return sends

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass; a second one for answers, foreign channels and broken frames."""
        try:
            message: _Message = _decode(frame)
        except UNUSABLE as error:
            self._other(frame, error, received, out)
            return
        match message:
            case _Trades():
                self._trades(message, received, out)
            case _Ticker():
                self._ticker(message.data, received, out)
            case _Heartbeat():
                out.append(HEARTBEAT)
            case _:
                out.extend(Notice(f"system {row.system[:40]}") for row in message.data)

    def _trades(self, message: _Trades, received: int, out: list[Output], lost: int = 0) -> None:
        flags = int(Flag.HISTORY) if message.type == "snapshot" else 0
        strange = 0
        for row in message.data:
            market = self.markets.get(row.symbol)
            if market is None:
                strange += 1
                continue
            at = from_datetime(row.timestamp)
            out.append(Trade(market.id, at, row.price, row.qty, _SIDES[row.side], row.trade_id, received, flags))
        if lost or strange:
            raise BadTrade("malformed" if lost else "unknown market", f"{lost + strange} rows", count=lost + strange)

    def _ticker(self, rows: list[_Best], received: int, out: list[Output]) -> None:
        for row in rows:
            market = self.markets.get(row.symbol)
            if market is None:
                raise BadData("unknown market", row.symbol[:40])
            at = received if row.timestamp is None else from_datetime(row.timestamp)
            out.append(Quote(market.id, at, row.bid, row.bid_qty, row.ask, row.ask_qty, received))

    def _other(self, frame: bytes | str, error: Exception, received: int, out: list[Output]) -> None:
        try:
            envelope = _decode_envelope(frame)
        except UNUSABLE:
            raise torn(frame, error, _MARK) from error
        if envelope.channel == "trade":
            self._salvage(envelope, error, received, out)
        elif envelope.channel in _OURS:
            raise BadData("malformed", str(error)) from error
        elif envelope.method == "subscribe":
            self._answer(envelope, out)
        else:
            out.append(IGNORED)

    def _salvage(self, envelope: _Envelope, error: Exception, received: int, out: list[Output]) -> None:
        """One broken row does not take the others with it."""
        try:
            rows, lost = salvaged(envelope.data, _decode_row)
        except UNUSABLE:
            raise BadTrade("malformed", str(error)) from error
        self._trades(_Trades(rows, envelope.type), received, out, lost=max(1, lost))

    def _answer(self, envelope: _Envelope, out: list[Output]) -> None:
        if envelope.success and envelope.result is not None:
            out.append(Subscribed(envelope.result.symbol, envelope.result.channel))
            return
        reason = envelope.error[:200]
        natives = [envelope.symbol] if envelope.symbol in self.markets else []
        natives = natives or [native for native in self.markets if native in reason.split()]
        out.extend(SubscriptionFailed(native, channel, reason) for native in natives for channel in self.channels)
        if not natives:
            out.append(SubscriptionFailed("", "", reason))

    def _pair(self, market: Market) -> str:
        return "".join(_OLD_NAMES.get(leg, leg) for leg in split(market.symbol))

    def history_request(
        self,
        market: Market,
        first: int,
        last: int | None,
        since: int,
        until: int | None = None,  # noqa: ARG002 - pages end by id
    ) -> HistoryRequest:
        """Asked for by time: `since` is exclusive, so a little before it."""
        return self._since(market, first, last, (since - 1) * 1000)

    def _since(self, market: Market, first: int, last: int | None, nanoseconds: int) -> HistoryRequest:
        query = f"pair={self._pair(market)}&since={nanoseconds}&count={_PAGE}"
        return HistoryRequest(market, f"{self.where.rest}/0/public/Trades?{query}", first, last)

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """Rows are price, volume, seconds, side, order type, misc, trade id; oldest first."""
        market, first, last = request.market, request.first, request.last
        try:
            rows, last_time = _unwrap(body, _decode_history)
            trades = [
                Trade(market.id, _micro(row.time), row.price, row.volume, _SIDES[row.side], row.trade_id, received)
                for row in sorted(rows, key=lambda row: row.trade_id)
                if row.trade_id >= first and (last is None or row.trade_id <= last)
            ]
            following = self._since(market, first, last, int(last_time or 0))
        except UNUSABLE as error:
            raise BadTrade("malformed", str(error)) from error
        newest = max((row.trade_id for row in rows), default=0)
        done = len(rows) < _PAGE or (last is not None and newest >= last) or following.url == request.url
        return HistoryPage(trades, None if done else following)

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """The newest 720 rows are all there is, whatever is asked for: one page."""
        query = f"pair={self._pair(market)}&interval=1&since={start // 1_000_000 - 60}"
        return [CandleRequest(market, f"{self.where.rest}/0/public/OHLC?{query}", start, end)]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Rows are seconds, open, high, low, close, average, volume, trades."""
        try:
            rows, _ = _unwrap(body, _decode_ohlc)
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        number = request.market.id
        candles = [
            Candle(number, row.at * 1_000_000, row.open, row.high, row.low, row.close, row.volume, row.trades)
            for row in rows
        ]
        return within(candles, request)


def _result(body: bytes) -> dict[str, msgspec.Raw]:
    """What was asked for, by Kraken's own names; raises what stands in its place."""
    reply = _decode_reply(body)
    if reply.error:
        reason = ", ".join(reply.error)[:200]
        if any(word in reason for word in ("Rate limit", "Too many", "Unavailable", "Busy", "Timeout", "Internal")):
            raise Unavailable(f"kraken: {reason}")
        raise Refused(f"kraken: {reason}")
    return reply.result


def _unwrap(body: bytes, decode: Callable[[bytes], list[RowT]]) -> tuple[list[RowT], str | int | None]:
    """The rows under whatever name Kraken gives the pair, and `last`."""
    result = _result(body)
    last = result.pop("last", None)
    rows = [row for raw in result.values() for row in decode(bytes(raw))]
    return rows, None if last is None else _decode_text(last)


def _micro(seconds: float) -> int:
    return round(seconds * 1e6)
