"""Deribit: trades and tickers of perpetuals, futures and spot over JSON-RPC.

https://docs.deribit.com/subscriptions/trades/tradesinstrument_nameinterval and .../tickerinstrument_nameinterval
https://docs.deribit.com/api-reference/market-data/public-get_last_trades_by_instrument gives trades by their number,
as far back as the venue keeps recent ones (about a day).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import count
from operator import attrgetter
from typing import Any, Literal

import msgspec

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Candle, Market, Quote, Side, Trade
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
    as_bytes,
    chunks,
    spans,
    torn,
    within,
)
from pricewatch.exchanges.listing import Listed, instruments
from pricewatch.exchanges.rows import Ident, Key, decoded, salvaged
from pricewatch.exchanges.symbols import split

_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_DATED = re.compile(r"PERPETUAL|\d{1,2}[A-Z]{3}\d{2}")
"""What follows the base of a contract; of a spot pair it is a coin."""
_TRADES, _TICKER = "trades", "ticker"
_MARK = b'"trades.'
"""In every frame of trades."""
_PLACE = len('{"jsonrpc":"2.0","method":"subscription","params":{"channel":"t')
_OF_TRADES, _OF_TICKERS = ord("r"), ord("i")
"""Where the two names differ first."""
_ELSEWHERE = (*UNUSABLE, LookupError)
"""What reading a frame as the wrong kind raises, or as a market's that is not ours."""
_TEST = '{"jsonrpc":"2.0","id":0,"method":"public/test","params":{}}'
_BUSY = frozenset({10028, 10040, 10041, 10047, 10066, 11051, 11094, 13028, 13888})
"""Codes that mean try again: too many requests, settlement, full queues, maintenance, inner errors, timeouts."""
_BY_NUMBER = attrgetter("trade_seq")
_PAGE = 1000
_CANDLES = 5000
_CHANNELS = 100


class _Trade(msgspec.Struct, gc=False):
    instrument_name: str
    trade_seq: Key
    trade_id: Ident
    timestamp: Key
    price: float
    amount: float
    direction: Literal["buy", "sell"]


class _Trades(msgspec.Struct, gc=False):
    data: list[_Trade]


class _TradesFrame(msgspec.Struct, gc=False):
    params: _Trades


class _Ticker(msgspec.Struct, gc=False):
    """An empty side has price and amount zero."""

    instrument_name: str
    timestamp: Key
    best_bid_price: float
    best_bid_amount: float
    best_ask_price: float
    best_ask_amount: float


class _TickerData(msgspec.Struct, gc=False):
    data: _Ticker


class _TickerFrame(msgspec.Struct, gc=False):
    params: _TickerData


class _Params(msgspec.Struct):
    channel: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _Problem(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")

    def __str__(self) -> str:
        return f"{self.code} {self.message} {bytes(self.data).decode(errors='replace')}".strip()[:200]


class _Envelope(msgspec.Struct):
    """Any frame; answers have an `id`, pushed ones a `method`."""

    id: int | None = None
    method: str = ""
    params: _Params = msgspec.field(default_factory=_Params)
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Problem | None = None


class _Reply(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Problem | None = None


class _Past(msgspec.Struct):
    trades: list[_Trade]
    has_more: bool = False


class _Chart(msgspec.Struct):
    """Parallel columns; all empty with the status `no_data`."""

    ticks: list[Key] = []
    open: list[float] = []
    high: list[float] = []
    low: list[float] = []
    close: list[float] = []
    volume: list[float] = []


class _Listed(msgspec.Struct):
    instrument_name: str
    is_active: bool = True


_decode_trades = msgspec.json.Decoder(_TradesFrame).decode
_decode_ticker = msgspec.json.Decoder(_TickerFrame).decode
_decode_best = msgspec.json.Decoder(_Ticker).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_channels = msgspec.json.Decoder(list[str]).decode
_decode_row = msgspec.json.Decoder(_Trade).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_past = msgspec.json.Decoder(_Past).decode
_decode_chart = msgspec.json.Decoder(_Chart).decode
_decode_listed = msgspec.json.Decoder(list[_Listed]).decode


class Deribit(Exchange):
    """Contracts keep the venue's name (`BTC-PERPETUAL`, `BTC-27JUN25`), spot pairs are `BTC-USDC`.

    A trade's number in its instrument is its key, its text id the `ref`. Sizes of inverse contracts are in USD.
    """

    id = "deribit"
    endpoints = Endpoints(socket="wss://www.deribit.com/ws/api/v2", rest="https://www.deribit.com/api/v2")
    channels = (_TRADES, _TICKER)
    step = 1000
    keepalive = Keepalive(probe=_TEST)
    markets_per_connection = 200
    send_interval = 0.35  # about 3.3 subscribe requests a second
    open_interval = 1.0
    history_interval = 0.25  # 20 requests a second; lists of instruments 1

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        super().__init__(markets, endpoints)
        self._pending: dict[int, list[Subscription]] = {}
        self._ids = count(1)

    @staticmethod
    def native(symbol: str) -> str:
        """`BTC-PERPETUAL` stays, `BTC-USDC` -> `BTC_USDC`."""
        base, quote = split(symbol)
        return symbol if _DATED.fullmatch(quote) else f"{base}_{quote}"

    def instrument_requests(self) -> list[Request]:
        """Futures (perpetuals among them) and spot pairs; options have no canonical symbol."""
        base = f"{self.where.rest}/public/get_instruments?currency=any&expired=false"
        return [Request(f"{base}&kind={kind}") for kind in ("future", "spot")]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """Names of two parts; linear contracts, options and combinations have more."""
        rows = [row for body in bodies for row in decoded(_decode_listed, _result(body))]
        listed = []
        for row in rows:
            base, _, quote = row.instrument_name.replace("_", "-").partition("-")
            if self.native(f"{base}-{quote}") == row.instrument_name:
                listed.append(Listed(row.instrument_name, base, quote, row.is_active))
        return instruments(listed)

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:
        """At most 100 channels a message, gathered over 100 ms: unbundled ones want a login."""
        named = {_channel(subscription): subscription for subscription in wanted}
        sends = []
        for names in chunks(list(named), 1 if alone else _CHANNELS):
            number = next(self._ids)
            self._pending[number] = [named[name] for name in names]
            sends.append(_request(number, "public/subscribe", {"channels": list(names)}))
        return sends

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """At most 100 channels a message."""
        return [
            _request(next(self._ids), "public/unsubscribe", {"channels": list(some)})
            for some in chunks([_channel(one) for one in gone], _CHANNELS)
        ]

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass, guessed by a letter of the channel's name; a second look for anything else."""
        try:
            letter = frame[_PLACE]
            if letter == _OF_TICKERS:
                row = _decode_ticker(frame).params.data
                number, bid, ask = self.markets[row.instrument_name].id, row.best_bid_price, row.best_ask_price
                if bid and ask:
                    at, size = row.timestamp * 1000, row.best_bid_amount
                    out.append(Quote(number, at, bid, size, ask, row.best_ask_amount, received))
                else:
                    out.append(IGNORED)  # a side of the book is empty
            elif letter == _OF_TRADES:
                self._append(_decode_trades(frame).params.data, received, out)
            else:
                self._other(as_bytes(frame), received, out)
        except _ELSEWHERE:
            self._other(as_bytes(frame), received, out)

    def _append(self, rows: list[_Trade], received: int, out: list[Output], lost: int = 0) -> None:
        """Append the trades in the order of their numbers, then say how many rows were unusable."""
        if len(rows) > 1:
            rows.sort(key=_BY_NUMBER)
        strange = 0
        for row in rows:
            market = self.markets.get(row.instrument_name)
            if market is None:
                strange += 1
            else:
                side = _BUY if row.direction == "buy" else _SELL
                at, key, ref = row.timestamp * 1000, row.trade_seq, row.trade_id
                out.append(Trade(market.id, at, row.price, row.amount, side, key, received, 0, ref))
        if lost or strange:
            raise BadTrade("malformed" if lost else "unknown market", f"{lost + strange} rows", count=lost + strange)

    def _salvage(self, data: msgspec.Raw, received: int, out: list[Output]) -> None:
        """One broken row does not take the others with it."""
        rows, lost = decoded(_usable, data, BadTrade)
        self._append(rows, received, out, lost)

    def _ticker(self, data: msgspec.Raw, received: int, out: list[Output]) -> None:
        """A book with an empty side is no quote."""
        row = decoded(_decode_best, data)
        market = self.markets.get(row.instrument_name)
        if market is None:
            raise BadData("unknown market", row.instrument_name[:40])
        at, bid, ask = row.timestamp * 1000, row.best_bid_price, row.best_ask_price
        quote = Quote(market.id, at, bid, row.best_bid_amount, ask, row.best_ask_amount, received)
        out.append(quote if bid and ask else IGNORED)

    def _other(self, frame: bytes, received: int, out: list[Output]) -> None:
        try:
            envelope = _decode_envelope(frame)
        except UNUSABLE as error:
            raise torn(frame, error, _MARK) from error
        if envelope.method == "subscription":
            kind = envelope.params.channel.partition(".")[0]
            if kind == _TRADES:
                self._salvage(envelope.params.data, received, out)
            elif kind == _TICKER:
                self._ticker(envelope.params.data, received, out)
            else:
                out.append(IGNORED)
        elif envelope.method == "heartbeat":
            out.append(Send(_TEST) if envelope.params.type == "test_request" else HEARTBEAT)
        elif envelope.id is not None:
            self._answer(envelope.id, envelope, out)
        else:
            out.append(Notice(str(envelope.error)) if envelope.error is not None else IGNORED)

    def _answer(self, number: int, envelope: _Envelope, out: list[Output]) -> None:
        """The result lists what was accepted; what the venue does not know is missing there."""
        asked = self._pending.pop(number, [])
        if envelope.error is not None:
            self._refused(asked, str(envelope.error), out)
            return
        if not asked:
            out.append(IGNORED)
            return
        try:
            accepted = set(_decode_channels(envelope.result))
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        for subscription in asked:
            if _channel(subscription) in accepted:
                out.append(Subscribed(*subscription))
            else:
                out.append(SubscriptionFailed(*subscription, "not among the accepted channels"))

    def _refused(self, asked: list[Subscription], reason: str, out: list[Output]) -> None:
        if len(asked) == 1:
            out.append(SubscriptionFailed(*asked[0], reason))
        else:
            out.append(SubscriptionFailed("", "", reason) if asked else Notice(reason))

    def history_request(
        self,
        market: Market,
        first: int,
        last: int | None,
        since: int,  # noqa: ARG002 - asked for by number
        until: int | None = None,  # noqa: ARG002
    ) -> HistoryRequest:
        """From a number on, oldest first."""
        query = f"instrument_name={market.native}&start_seq={first}&count={_PAGE}&sorting=asc"
        end = "" if last is None else f"&end_seq={last}"
        return HistoryRequest(
            market, f"{self.where.rest}/public/get_last_trades_by_instrument?{query}{end}", first, last
        )

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """The next page begins after the newest row."""
        past = decoded(_decode_past, _result(body, BadTrade), BadTrade)
        market, first, last = request.market, request.first, request.last
        trades = [
            _trade(market, row, received)
            for row in sorted(past.trades, key=_BY_NUMBER)
            if row.trade_seq >= first and (last is None or row.trade_seq <= last)
        ]
        if not past.has_more or not trades or trades[-1].key == last:
            return HistoryPage(trades, None)
        return HistoryPage(trades, self.history_request(market, trades[-1].key + 1, last, 0))

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """At most 5,000 rows a page."""
        base = f"{self.where.rest}/public/get_tradingview_chart_data?instrument_name={market.native}&resolution=1"
        return [
            CandleRequest(
                market, f"{base}&start_timestamp={begin // 1000}&end_timestamp={until // 1000 - 1}", begin, until
            )
            for begin, until in spans(start, end, _CANDLES)
        ]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Columns of the same length; volume in base currency."""
        try:
            chart = _decode_chart(_result(body))
            rows = zip(chart.ticks, chart.open, chart.high, chart.low, chart.close, chart.volume, strict=True)
            candles = [Candle(request.market.id, at * 1000, *numbers) for at, *numbers in rows]
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        return within(candles, request)


def _usable(data: bytes) -> tuple[list[_Trade], int]:
    return salvaged(data, _decode_row)


def _trade(market: Market, row: _Trade, received: int) -> Trade:
    at, side = row.timestamp * 1000, _BUY if row.direction == "buy" else _SELL
    return Trade(market.id, at, row.price, row.amount, side, row.trade_seq, received, 0, row.trade_id)


def _channel(subscription: Subscription) -> str:
    return f"{subscription.channel}.{subscription.native}.100ms"


def _request(number: int, method: str, params: dict[str, Any]) -> Send:
    return Send(msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).decode())


def _result(body: bytes, unusable: type[BadData] = BadData) -> msgspec.Raw:
    """What was asked for; raises what stands in its place."""
    reply = decoded(_decode_reply, body, unusable)
    if reply.error is not None:
        text = f"deribit: {reply.error}"
        raise Unavailable(text) if reply.error.code in _BUSY else Refused(text)
    return reply.result
