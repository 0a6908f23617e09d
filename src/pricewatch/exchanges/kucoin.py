"""KuCoin spot: matches and best bid/ask, behind a token that is asked for by REST.

https://www.kucoin.com/docs-new/websocket-api/base-info/introduction
https://www.kucoin.com/docs-new/rest/spot-trading/market-data/get-trade-history (the last 100 trades, no pages)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import count
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Candle, Market, Quote, Side, Trade
from pricewatch.exchanges.base import (
    HEARTBEAT,
    IGNORED,
    READY,
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
from pricewatch.exchanges.rows import Best, Ident, Key, Millis, best, decoded
from pricewatch.exchanges.symbols import split

_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_SIDES = {"buy": _BUY, "sell": _SELL}
_TOPICS = {"match": "/market/match:", "ticker": "/market/ticker:"}
_MARK = _TOPICS["match"].encode()
"""In every frame of trades."""
_AFTER_TOPIC, _M = len('{"topic":"/market/'), ord("m")
_IN_DATA, _Y = len('{"data":{"s'), ord("y")
"""What tells a match from a ticker where the topic comes first, and where the data does (`symbol`)."""
_ELSEWHERE = (*UNUSABLE, LookupError)
"""What reading a frame as the wrong kind raises, or as a topic that is not ours."""
_CHUNK = 100
_CANDLES = 1500
_OK = "200000"
ValueT = TypeVar("ValueT")


class _Match(msgspec.Struct, gc=False, rename={"trade_id": "tradeId"}):
    symbol: str
    side: Literal["buy", "sell"]
    price: float
    size: float
    sequence: Key
    time: Key
    """Nanoseconds."""
    trade_id: Ident


class _Matched(msgspec.Struct, gc=False):
    data: _Match


class _Best(msgspec.Struct, gc=False, kw_only=True, rename="camel"):
    """Its fields in the order of the wire: that is the fastest."""

    best_ask: float
    best_bid_size: float
    time: Millis | None = None
    best_ask_size: float
    best_bid: float


class _Thin(msgspec.Struct, rename="camel"):
    """A book that may have no orders on a side."""

    best_ask: Best = None
    best_bid_size: Best = None
    time: Millis | None = None
    best_ask_size: Best = None
    best_bid: Best = None


class _Ticker(msgspec.Struct, gc=False):
    data: _Best
    topic: str
    """The symbol stands nowhere else."""


class _ThinTicker(msgspec.Struct):
    data: _Thin


class _Envelope(msgspec.Struct):
    """Any frame."""

    type: str = ""
    id: str = ""
    code: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0
    topic: str = ""
    data: msgspec.Raw = msgspec.Raw(b'""')


class _Reply(msgspec.Struct):
    code: str
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Server(msgspec.Struct):
    endpoint: str


class _Bullet(msgspec.Struct, rename="camel"):
    token: Ident | None = None
    instance_servers: list[_Server] = []


class _Past(msgspec.Struct, gc=False):
    sequence: Key
    price: float
    size: float
    side: Literal["buy", "sell"]
    time: Key
    """Nanoseconds."""


class _Row(msgspec.Struct, gc=False, array_like=True):
    """Close before high and low."""

    at: Key
    """Seconds."""
    open: float
    close: float
    high: float
    low: float
    volume: float


class _Symbol(msgspec.Struct, gc=False, rename="camel"):
    symbol: str
    name: str = ""
    enable_trading: bool = False


_decode_match = msgspec.json.Decoder(_Matched, strict=False).decode
_decode_ticker = msgspec.json.Decoder(_Ticker, strict=False).decode
_decode_thin = msgspec.json.Decoder(_ThinTicker, strict=False).decode
_decode_envelope = msgspec.json.Decoder(_Envelope, strict=False).decode
_decode_reply = msgspec.json.Decoder(_Reply, strict=False).decode
_decode_bullet = msgspec.json.Decoder(_Bullet).decode
_decode_history = msgspec.json.Decoder(list[_Past], strict=False).decode
_decode_rows = msgspec.json.Decoder(list[_Row], strict=False).decode
_decode_symbols = msgspec.json.Decoder(list[_Symbol]).decode


class KuCoin(Exchange):
    """A trade's key is its `sequence`, all that the REST history names; its trade id is in `ref` where it differs."""

    id = "kucoin"
    endpoints = Endpoints(socket="wss://ws-api-spot.kucoin.com", rest="https://api.kucoin.com")
    channels = ("match", "ticker")
    consecutive = False
    greeting = True
    lifetime = 86_400.0  # so long lives a token
    # The venue closes a connection without a ping every 18 s or so, however busy it is.
    keepalive = Keepalive(protocol_ping=False, probe='{"id":"ping","type":"ping"}', every=15.0)
    markets_per_connection = 150  # 300 topics a connection
    send_interval = 0.15  # 100 messages in 10 s
    open_interval = 2.0  # 30 connections a minute
    history_interval = 0.1  # weight 3 of 2,000 in 30 s

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        self._tickers: dict[str, Market] = {}
        super().__init__(markets, endpoints)
        self._url = self.where.socket
        self._pending: dict[str, list[Subscription]] = {}
        self._ids = count(1)

    def add(self, markets: Sequence[Market]) -> None:
        """Their topics too."""
        super().add(markets)
        self._tickers |= {_TOPICS["ticker"] + market.native: market for market in markets}

    def drop(self, natives: Collection[str]) -> None:
        """Their topics too."""
        super().drop(natives)
        for native in natives:
            self._tickers.pop(_TOPICS["ticker"] + native, None)

    @staticmethod
    def native(symbol: str) -> str:
        """The canonical symbol itself."""
        return symbol

    def instrument_requests(self) -> list[Request]:
        """Every symbol in one answer."""
        return [Request(f"{self.where.rest}/api/v2/symbols")]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """`symbol` never changes; a coin that was given another name has it in `name` (`BCHSV-BTC`: `BSV-BTC`)."""
        rows = [row for body in bodies for row in _unwrap(body, _decode_symbols)]
        named = [(row, split(row.name or row.symbol)) for row in rows]
        return instruments(Listed(row.symbol, base, quoted, row.enable_trading) for row, (base, quoted) in named)

    def prepare(self) -> Request:
        """A token of its own for each connection."""
        return Request(f"{self.where.rest}/api/v1/bullet-public", body="{}")

    def prepared(self, body: bytes) -> None:
        """The first server and the token; over TLS where REST is."""
        bullet = _unwrap(body, _decode_bullet)
        endpoint = bullet.instance_servers[0].endpoint if bullet.instance_servers else ""
        secure = self.where.rest.startswith("https")
        try:
            named = urlsplit(endpoint)
            usable = named.scheme in (("wss",) if secure else ("ws", "wss")) and bool(named.hostname)
            token = quote(bullet.token or "", safe="")
        except ValueError as error:
            raise BadData("malformed", f"kucoin names no server: {error}") from error
        if not usable or not token or not endpoint.isascii() or not endpoint.isprintable():
            raise BadData("malformed", f"kucoin gives no token or no server: {endpoint[:80]!r}")
        self._url = f"{endpoint}?token={token}"

    def url(self) -> str:
        """The server named with the token; without one nobody is let in."""
        return self._url

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:
        """At most 100 symbols of one channel a message."""
        return self._requests("subscribe", wanted, 1 if alone else _CHUNK)

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """At most 100 symbols of one channel a message."""
        return self._requests("unsubscribe", gone, _CHUNK)

    def _requests(self, kind: str, subscriptions: Collection[Subscription], size: int) -> list[Send]:
        sends = []
        for channel, prefix in _TOPICS.items():
            natives = [native for native, asked in subscriptions if asked == channel]
            for some in chunks(natives, size):
                number = str(next(self._ids))
                if kind == "subscribe":
                    self._pending[number] = [Subscription(native, channel) for native in some]
                request: dict[str, Any] = {"id": number, "type": kind, "topic": prefix + ",".join(some)}
                sends.append(Send(msgspec.json.encode({**request, "response": True}).decode()))
        return sends

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass, guessed by a letter at its usual place; a second one for anything else."""
        try:
            if frame[_AFTER_TOPIC] == _M or frame[_IN_DATA] == _Y:
                self._match(_decode_match(frame).data, received, out)
            else:
                message = _decode_ticker(frame)
                row, number = message.data, self._tickers[message.topic].id
                at = received if row.time is None else row.time * 1000
                out.append(
                    Quote(number, at, row.best_bid, row.best_bid_size, row.best_ask, row.best_ask_size, received)
                )
        except _ELSEWHERE as error:
            self._other(frame, error, received, out)

    def _match(self, row: _Match, received: int, out: list[Output]) -> None:
        market = self.markets.get(row.symbol)
        if market is None:
            raise BadTrade("unknown market", row.symbol[:40])
        ref = None if row.trade_id == str(row.sequence) else row.trade_id
        at, side = row.time // 1000, _BUY if row.side == "buy" else _SELL
        out.append(Trade(market.id, at, row.price, row.size, side, row.sequence, received, 0, ref))

    def _thin(self, frame: bytes | str, topic: str, received: int, out: list[Output]) -> None:
        """A ticker that is no quote, unless it is broken."""
        try:
            row = _decode_thin(frame).data
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        market = self._tickers.get(topic)
        if market is None:
            raise BadData("unknown market", topic[:80])
        out.append(best(market, received, row.best_bid, row.best_bid_size, row.best_ask, row.best_ask_size, received))

    def _other(self, frame: bytes | str, error: Exception, received: int, out: list[Output]) -> None:
        try:
            envelope = _decode_envelope(frame)
        except UNUSABLE:
            raise torn(frame, error, _MARK) from error
        if envelope.topic.startswith(_TOPICS["match"]):
            self._match(decoded(_decode_match, as_bytes(frame), BadTrade).data, received, out)
            return
        if envelope.topic.startswith(_TOPICS["ticker"]):
            self._thin(frame, envelope.topic, received, out)
            return
        match envelope.type:
            case "welcome":
                out.append(READY)
            case "pong":
                out.append(HEARTBEAT)
            case "ack":
                out.extend(Subscribed(*asked) for asked in self._pending.pop(envelope.id, []))
            case "error":
                self._refused(envelope, out)
            case _:
                out.append(IGNORED)

    def _refused(self, envelope: _Envelope, out: list[Output]) -> None:
        """One unknown symbol fails the whole request, and the words name all of it."""
        asked = self._pending.pop(envelope.id, [])
        reason = f"{envelope.code} {bytes(envelope.data).decode(errors='replace')}"[:200]
        if len(asked) == 1:
            out.append(SubscriptionFailed(*asked[0], reason))
        elif asked:
            out.append(SubscriptionFailed("", "", reason))
        else:
            out.append(Notice(reason))

    def history_request(
        self,
        market: Market,
        first: int,
        last: int | None,
        since: int,
        until: int | None = None,
    ) -> HistoryRequest:
        """The last 100 trades are all there is, whatever is asked for."""
        url = f"{self.where.rest}/api/v1/market/histories?symbol={quote(market.native)}"
        return HistoryRequest(market, url, first, last, since, until)

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """One page, by time."""
        rows = _unwrap(body, _decode_history, BadTrade)
        since, until, number = request.since, request.until, request.market.id
        trades = [
            Trade(
                number,
                row.time // 1000,
                row.price,
                row.size,
                _SIDES[row.side],
                row.sequence,
                received,
            )
            for row in sorted(rows, key=lambda row: (row.time, row.sequence))
            if since <= row.time // 1000 and (until is None or row.time // 1000 <= until)
        ]
        return HistoryPage(trades, None)

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """At most 1,500 rows a page."""
        base = f"{self.where.rest}/api/v1/market/candles?symbol={quote(market.native)}&type=1min"
        return [
            CandleRequest(market, f"{base}&startAt={begin // 1_000_000}&endAt={until // 1_000_000}", begin, until)
            for begin, until in spans(start, end, _CANDLES)
        ]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Rows are seconds, open, close, high, low, base volume, quote volume; newest first."""
        number = request.market.id
        candles = [
            Candle(number, row.at * 1_000_000, row.open, row.high, row.low, row.close, row.volume)
            for row in _unwrap(body, _decode_rows)
        ]
        return within(candles, request)


def _unwrap(body: bytes, decode: Callable[[msgspec.Raw], ValueT], unusable: type[BadData] = BadData) -> ValueT:
    """What an answer carries, unless its code says that something is wrong."""
    try:
        reply = _decode_reply(body)
        if reply.code == _OK:
            return decode(reply.data)
    except UNUSABLE as error:
        raise unusable("malformed", str(error)) from error
    reason = f"kucoin: {reply.code} {reply.msg}"[:200]
    if reply.code.startswith(("429", "5")):
        raise Unavailable(reason)
    raise Refused(reason)
