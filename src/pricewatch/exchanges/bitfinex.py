"""Bitfinex v2: trades and tickers, with the connection's sequence numbers.

https://docs.bitfinex.com/docs/ws-general
https://docs.bitfinex.com/reference/ws-public-trades
https://docs.bitfinex.com/reference/rest-public-trades: all trades ever, 10,000 a page, 15 requests a minute.
https://docs.bitfinex.com/reference/rest-public-candles
https://docs.bitfinex.com/reference/rest-public-conf
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Annotated, Any

import msgspec

from pricewatch.domain.errors import BadData, Invalid, Refused, Unavailable
from pricewatch.domain.market import Candle, Flag, Market, Quote, Side, Trade
from pricewatch.exchanges.asked import Asked
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
    Subscription,
    spans,
    torn,
    within,
)
from pricewatch.exchanges.bitfinex_names import NAMES
from pricewatch.exchanges.rows import salvaged
from pricewatch.exchanges.symbols import canonical, split

_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_Millis = Annotated[int, msgspec.Meta(ge=0, lt=10**15)]
_PAGE = 10_000
_REMEMBERED = 1000
"""Executed trades whose update is awaited; it follows at once."""
_SEQUENCE = 65_536
_DUPLICATE = 10_301
_PRINTS = (b'"te"', b'"tu"')
"""A trade as it is executed, and once more as it is booked."""
_CODES = {name: code for code, name in NAMES.items()}
_ABSENT = msgspec.Raw()


class _Frame(msgspec.Struct, array_like=True):
    """`[channel, rows or word, (row,) (sequence)]`; more may be appended any day."""

    channel: int
    body: msgspec.Raw
    third: msgspec.Raw = _ABSENT
    fourth: msgspec.Raw = _ABSENT


class _Row(msgspec.Struct, gc=False, array_like=True):
    id: int
    time: _Millis
    amount: float
    """Negative: the taker sold."""
    price: float


class _Ticker(msgspec.Struct, gc=False, array_like=True):
    bid: float | None
    bid_size: float | None
    ask: float | None
    ask_size: float | None


class _Platform(msgspec.Struct):
    status: int = 1


class _Event(msgspec.Struct, rename={"number": "chanId"}):
    event: str
    channel: str = ""
    symbol: str = ""
    number: int | None = None
    status: str = ""
    flags: int = 0
    code: int = 0
    msg: str = ""
    platform: _Platform | None = None


class _Candle(msgspec.Struct, gc=False, array_like=True):
    """Close before high and low."""

    at: _Millis
    open: float
    close: float
    high: float
    low: float
    volume: float


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_number = msgspec.json.Decoder(int).decode
_decode_row = msgspec.json.Decoder(_Row).decode
_decode_rows = msgspec.json.Decoder(list[_Row]).decode
_decode_ticker = msgspec.json.Decoder(_Ticker).decode
_decode_candles = msgspec.json.Decoder(list[_Candle]).decode
_decode_problem = msgspec.json.Decoder(tuple[str, int, str]).decode
_decode_pairs = msgspec.json.Decoder(list[list[str]]).decode
_decode_names = msgspec.json.Decoder(list[list[tuple[str, str]]]).decode


class Bitfinex(Exchange):
    """Channels go by numbers that hold for one connection. Trade ids grow over all markets together."""

    id = "bitfinex"
    endpoints = Endpoints(socket="wss://api-pub.bitfinex.com/ws/2", rest="https://api-pub.bitfinex.com")
    channels = ("trades", "ticker")
    step = 1000
    consecutive = False
    keepalive = Keepalive(probe='{"event":"ping"}')
    markets_per_connection = 12  # 25 channels a connection
    send_interval = 0.05
    open_interval = 3.5  # 20 connections a minute
    history_interval = 4.1  # 15 requests a minute

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        super().__init__(markets, endpoints)
        self._asked = Asked()
        self._numbers: dict[int, Subscription] = {}
        self._configured = False
        self._counting = False
        self._last: int | None = None
        self._executed: dict[int, None] = {}

    @staticmethod
    def native(symbol: str) -> str:
        """`BTC-USDT` -> `tBTCUST`, `DUSK-USD` -> `tDUSK:USD`."""
        base, quote = (_CODES.get(leg, leg) for leg in split(symbol))
        return f"t{base}{quote}" if len(base) == len(quote) == 3 else f"t{base}:{quote}"

    def instrument_requests(self) -> list[Request]:
        """The pairs, and the names of their coins."""
        return [
            Request(f"{self.where.rest}/v2/conf/{what}") for what in ("pub:list:pair:exchange", "pub:map:currency:sym")
        ]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """Leaves out perpetuals, and coins of the paper market, which the venue maps to the names of real ones."""
        try:
            pairs = [pair for some in _decode_pairs(bodies[0]) for pair in some]
            named = [row for some in _decode_names(bodies[1]) for row in some]
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        names = NAMES | {code: name for code, name in named if name}
        found: dict[str, Instrument] = {}
        for pair in pairs:
            legs = pair.split(":") if ":" in pair else [pair[:3], pair[3:]]
            if any(leg.startswith("TEST") or leg.endswith("F0") or leg in {"AAA", "BBB"} for leg in legs):
                continue
            with suppress(Invalid):
                symbol = canonical("-".join(names.get(leg, leg) for leg in legs))
                found.setdefault(symbol, Instrument(f"t{pair}", symbol))
        return list(found.values())

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:  # noqa: ARG002
        """A message a channel; before the first, sequence numbers are asked for."""
        self._asked.ask(wanted)
        messages: list[dict[str, Any]] = [
            {"event": "subscribe", "channel": channel, "symbol": native} for native, channel in wanted
        ]
        if not self._configured:
            self._configured = True
            messages.insert(0, {"event": "conf", "flags": _SEQUENCE})
        return [_send(message) for message in messages]

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """By number, as far as the venue gave one."""
        self._asked.forget(gone)
        numbers = [number for number, subscription in self._numbers.items() if subscription in gone]
        return [_send({"event": "unsubscribe", "chanId": number}) for number in numbers]

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """Arrays are data, objects are words about the connection."""
        try:
            message = _decode_frame(frame)
        except UNUSABLE as error:
            self._other(frame, error, out)
            return
        body, third, fourth = bytes(message.body), message.third, message.fourth
        if self._counting:
            self._count(third if fourth is _ABSENT else fourth, out)
        subscription = self._numbers.get(message.channel)
        market = self.markets.get(subscription.native) if subscription else None
        if body == b'"hb"':
            out.append(HEARTBEAT)
        elif market is None or subscription is None:
            out.append(IGNORED)  # not ours, or not any more
        elif subscription.channel == "ticker" and body.startswith(b"["):
            self._ticker(body, market, received, out)
        elif subscription.channel == "trades" and body.startswith(b"["):
            self._snapshot(body, market, received, out)
        elif subscription.channel == "trades" and body in _PRINTS:
            self._trade(third, market, received, out, first=body == _PRINTS[0])
        else:
            out.append(IGNORED)

    def _count(self, raw: msgspec.Raw, out: list[Output]) -> None:
        """Sequence numbers grow by one from frame to frame, over all channels of the connection."""
        number: int | None
        try:
            number = _decode_number(raw)
        except UNUSABLE:
            number = None
        if number is None:
            out.append(Lost("a frame without its sequence number"))
        elif self._last is not None and number != self._last + 1:
            out.append(Lost(f"sequence jumped from {self._last} to {number}"[:200]))
        self._last = number

    def _trade(self, raw: msgspec.Raw, market: Market, received: int, out: list[Output], *, first: bool) -> None:
        """`te` comes first and the same trade as `tu` right after it, which is taken where its `te` was unusable."""
        try:
            row = _decode_row(raw)
        except UNUSABLE as error:
            raise BadTrade("malformed", str(error)) from error
        if first:
            self._executed[row.id] = None
            if len(self._executed) > _REMEMBERED:
                del self._executed[next(iter(self._executed))]
        elif row.id in self._executed:
            del self._executed[row.id]
            out.append(IGNORED)
            return
        out.append(_trade(row, market, received))

    def _snapshot(self, body: bytes, market: Market, received: int, out: list[Output]) -> None:
        """The last trades at subscription, newest first; one broken row does not take the others with it."""
        lost = 0
        try:
            rows = _decode_rows(body)
        except UNUSABLE:
            rows, lost = salvaged(body, _decode_row)
        rows.sort(key=lambda row: (row.time, row.id))
        out.extend(_trade(row, market, received, int(Flag.HISTORY)) for row in rows)
        if lost:
            raise BadTrade("malformed", f"{lost} rows", count=lost)

    def _ticker(self, body: bytes, market: Market, received: int, out: list[Output]) -> None:
        """It has no time of its own."""
        try:
            row = _decode_ticker(body)
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        if row.bid is None or row.ask is None:
            out.append(IGNORED)
        else:
            sizes = (row.bid_size or 0.0, row.ask_size or 0.0)
            out.append(Quote(market.id, received, row.bid, sizes[0], row.ask, sizes[1], received))

    def _other(self, frame: bytes | str, error: Exception, out: list[Output]) -> None:
        try:
            event = _decode_event(frame)
        except UNUSABLE:
            raise torn(frame, error, _PRINTS[0]) from error
        known = event.channel in self.channels and event.symbol in self.markets
        named = Subscription(event.symbol, event.channel) if known else None
        match event.event:
            case "subscribed":
                self._subscribed(event.number, named, out)
            case "unsubscribed" if event.number in self._numbers:
                del self._numbers[event.number]
                out.append(IGNORED)
            case "conf":
                self._counting = event.status == "OK" and bool(event.flags & _SEQUENCE)
                out.append(IGNORED if self._counting else Notice(f"conf {event.status}: no sequence numbers"[:200]))
            case "error":
                self._refused(event, named, out)
            case "info":
                self._informed(event, out)
            case "pong":
                out.append(HEARTBEAT)
            case _:
                out.append(IGNORED)

    def _subscribed(self, number: int | None, named: Subscription | None, out: list[Output]) -> None:
        if named is None:
            out.append(IGNORED)
        elif number is None:
            raise BadData("malformed", f"{named.native} {named.channel} subscribed without a number")
        else:
            self._numbers = {old: other for old, other in self._numbers.items() if other != named} | {number: named}
            self._asked.confirmed(named, out)

    def _refused(self, event: _Event, named: Subscription | None, out: list[Output]) -> None:
        reason = f"{event.code} {event.msg}"[:200]
        if event.code == _DUPLICATE and named is not None and event.number is not None:
            self._subscribed(event.number, named, out)
        elif named is not None:
            self._asked.failed(named, reason, out)
        elif event.code == 10_001 or 10_300 <= event.code < 10_400:
            self._asked.refused(reason, out)
        else:
            out.append(Notice(reason))

    def _informed(self, event: _Event, out: list[Output]) -> None:
        match event.code:
            case 20_051:
                out.append(Closing("20051 reconnect"))
            case 20_060:
                out.append(Notice("20060 maintenance"))
            case 20_061:
                out.append(Closing("20061 maintenance is over, everything must be asked for again"))
            case _ if event.platform is not None and event.platform.status == 0:
                out.append(Notice("maintenance"))
            case _:
                out.append(IGNORED)

    def history_request(
        self,
        market: Market,
        first: int,
        last: int | None,
        since: int,
        until: int | None = None,
    ) -> HistoryRequest:
        """Oldest first; both ends are milliseconds and inclusive."""
        base = f"{self.where.rest}/v2/trades/{market.native}/hist?limit={_PAGE}&sort=1&start={since // 1000}"
        url = base if until is None else f"{base}&end={until // 1000}"
        return HistoryRequest(market, url, first, last, since, until)

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """The next page begins at this one's last millisecond, since more may have traded in it."""
        _refusal(body)
        try:
            rows = _decode_rows(body)
        except UNUSABLE as error:
            raise BadTrade("malformed", str(error)) from error
        market, since, until = request.market, request.since, request.until
        trades = [
            _trade(row, market, received)
            for row in sorted(rows, key=lambda row: (row.time, row.id))
            if since <= row.time * 1000 and (until is None or row.time * 1000 <= until)
        ]
        if len(rows) < _PAGE:
            return HistoryPage(trades, None)
        newest = max(row.time for row in rows) * 1000
        following = self.history_request(market, request.first, request.last, newest, until)
        return HistoryPage(trades, None if following.url == request.url else following)

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """At most 10,000 rows a page; minutes without trades are absent."""
        base = f"{self.where.rest}/v2/candles/trade:1m:{market.native}/hist?limit={_PAGE}&sort=1"
        return [
            CandleRequest(market, f"{base}&start={begin // 1000}&end={until // 1000 - 1}", begin, until)
            for begin, until in spans(start, end, _PAGE)
        ]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Rows are milliseconds, open, close, high, low, volume."""
        _refusal(body)
        try:
            rows = _decode_candles(body)
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        number = request.market.id
        candles = [Candle(number, row.at * 1000, row.open, row.high, row.low, row.close, row.volume) for row in rows]
        return within(candles, request)


def _send(message: dict[str, Any]) -> Send:
    return Send(msgspec.json.encode(message).decode())


def _trade(row: _Row, market: Market, received: int, flags: int = 0) -> Trade:
    side = _SELL if row.amount < 0.0 else _BUY
    return Trade(market.id, row.time * 1000, row.price, abs(row.amount), side, row.id, received, flags)


def _refusal(body: bytes) -> None:
    """Raises what `["error", code, words]` means."""
    with suppress(*UNUSABLE):
        word, code, reason = _decode_problem(body)
        if word == "error":
            text = f"bitfinex: {code} {reason}"[:200]
            raise Unavailable(text) if code in {11_010, 20_060} else Refused(text)
