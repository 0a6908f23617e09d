"""Hyperliquid: trades and best bid/ask of perpetuals, and of spot pairs whose name no perpetual has.

https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket/subscriptions
https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint: candles only, the newest 5,000; no
history of everybody's trades is documented.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
    Instrument,
    Keepalive,
    Output,
    Request,
    Send,
    Subscription,
    spans,
    torn,
    within,
)
from pricewatch.exchanges.rows import salvaged
from pricewatch.exchanges.symbols import canonical, split

_TAKER = {"B": int(Side.BUY), "A": int(Side.SELL)}
_Millis = Annotated[int, msgspec.Meta(ge=0, lt=10**15)]
_SETTLED = "USDC"
_SPOT = frozenset({"PURR"})
"""Spot bases whose pair goes by its name; all others have an index (`@107`) that only the listing tells."""
_THOUSANDS = frozenset({"KBONK", "KDOGS", "KFLOKI", "KLUNC", "KNEIRO", "KPEPE", "KSHIB"})
"""Perpetuals on a thousand coins; the venue writes their k small."""
_PAGE = 500
_DUPLICATE = "Already subscribed"
_MARK = b'"trades"'
"""In every frame of trades."""


class _Row(msgspec.Struct, gc=False):
    coin: str
    side: Literal["B", "A"]
    px: float
    sz: float
    time: _Millis
    tid: int


class _Trades(msgspec.Struct, tag_field="channel", tag="trades"):
    data: list[_Row]


class _Level(msgspec.Struct, gc=False):
    px: float
    sz: float


class _Best(msgspec.Struct):
    coin: str
    time: _Millis
    bbo: tuple[_Level | None, _Level | None]


class _Bbo(msgspec.Struct, tag_field="channel", tag="bbo"):
    data: _Best


class _Topic(msgspec.Struct):
    type: str
    coin: str


class _Answer(msgspec.Struct):
    method: str
    subscription: _Topic


class _Envelope(msgspec.Struct):
    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Candle(msgspec.Struct, gc=False):
    t: _Millis
    o: float
    c: float
    h: float
    l: float  # noqa: E741 - the venue's name
    v: float
    n: int = 0


class _Perp(msgspec.Struct, rename="camel"):
    name: str
    is_delisted: bool = False


class _Perps(msgspec.Struct):
    universe: list[_Perp]


class _Token(msgspec.Struct):
    name: str
    index: int


class _Pair(msgspec.Struct):
    name: str
    tokens: tuple[int, int]


class _Spot(msgspec.Struct):
    tokens: list[_Token]
    universe: list[_Pair]


_decode = msgspec.json.Decoder(_Trades | _Bbo, strict=False).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_topic = msgspec.json.Decoder(_Topic).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_row = msgspec.json.Decoder(_Row, strict=False).decode
_decode_candles = msgspec.json.Decoder(list[_Candle], strict=False).decode
_decode_perps = msgspec.json.Decoder(_Perps).decode
_decode_spot = msgspec.json.Decoder(_Spot).decode


class Hyperliquid(Exchange):
    """A perpetual goes by its coin and is quoted in USDC. Trade ids are hashes: they do not even grow."""

    id = "hyperliquid"
    endpoints = Endpoints(socket="wss://api.hyperliquid.xyz/ws", rest="https://api.hyperliquid.xyz")
    channels = ("trades", "bbo")
    step = 1000
    consecutive = False
    # The venue closes a connection on which it sent nothing for 60 s.
    keepalive = Keepalive(probe='{"method":"ping"}', every=50.0)
    markets_per_connection = 100  # 1,000 subscriptions an address
    send_interval = 0.05  # 2,000 messages a minute an address
    open_interval = 2.0  # 30 a minute
    history_interval = 1.5  # a page of candles weighs 29 of 1,200 a minute

    def __init__(self, markets: Sequence[Market], endpoints: Endpoints | None = None) -> None:
        self._asked = Asked()
        self._heard: dict[str, int | None] = {}
        super().__init__(markets, endpoints)

    def drop(self, natives: Collection[str]) -> None:
        """A later subscription begins with past trades again."""
        super().drop(natives)
        for native in natives:
            self._heard.pop(native, None)

    @staticmethod
    def native(symbol: str) -> str:
        """`BTC-USDC` -> `BTC`, the perpetual; `PURR-USDC` -> `PURR/USDC`, a spot pair."""
        base, quote = split(symbol)
        if quote != _SETTLED or base in _SPOT:
            return f"{base}/{quote}"
        return f"k{base[1:]}" if base in _THOUSANDS else base

    def instrument_requests(self) -> list[Request]:
        """Perpetuals, then spot pairs."""
        return [Request(f"{self.where.rest}/info", body) for body in ('{"type":"meta"}', '{"type":"spotMeta"}')]

    def parse_instruments(self, bodies: Sequence[bytes]) -> list[Instrument]:
        """Where a perpetual and a spot pair have one name, the perpetual has it."""
        try:
            perps, spot = _decode_perps(bodies[0]).universe, _decode_spot(bodies[1])
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        listed = [(perp.name, f"{perp.name}-{_SETTLED}", not perp.is_delisted) for perp in perps]
        tokens = {token.index: token.name for token in spot.tokens}
        for pair in spot.universe:
            base, quote = (tokens.get(index, "") for index in pair.tokens)
            listed.append((pair.name, f"{base}-{quote}", True))
        found: dict[str, Instrument] = {}
        for native, name, active in listed:
            with suppress(Invalid):
                symbol = canonical(name)
                found.setdefault(symbol, Instrument(native, symbol, active))
        return list(found.values())

    def subscribe(self, wanted: Collection[Subscription], *, alone: bool = False) -> list[Send]:  # noqa: ARG002
        """A message a coin and channel."""
        self._asked.ask(wanted)
        return _requests("subscribe", wanted)

    def unsubscribe(self, gone: Collection[Subscription]) -> list[Send]:
        """A message a coin and channel."""
        self._asked.forget(gone)
        return _requests("unsubscribe", gone)

    def receive(self, frame: bytes | str, received: int, out: list[Output]) -> None:
        """One typed pass; a second one for answers, foreign channels and broken frames."""
        try:
            message: _Trades | _Bbo = _decode(frame)
        except UNUSABLE as error:
            self._other(frame, error, received, out)
            return
        if isinstance(message, _Trades):
            self._trades(message.data, received, out)
        else:
            self._best(message.data, received, out)

    def _trades(self, rows: list[_Row], received: int, out: list[Output], lost: int = 0) -> None:
        strange = 0
        if len(rows) > 1:
            if rows[0].time > rows[-1].time:
                rows.reverse()
            rows.sort(key=lambda row: row.time)
        since: dict[str, int] = {}
        for row in rows:
            market = self.markets.get(row.coin)
            if market is None:
                strange += 1
                continue
            if row.coin not in since:
                since[row.coin] = self._first(row.coin, received)
            at = row.time * 1000
            flags = int(Flag.HISTORY) if at <= since[row.coin] else 0
            out.append(Trade(market.id, at, row.px, row.sz, _TAKER[row.side], row.tid, received, flags))
        if lost or strange:
            raise BadTrade("malformed" if lost else "unknown market", f"{lost + strange} rows", count=lost + strange)

    def _first(self, coin: str, received: int) -> int:
        """The instant up to which the trades of this frame are past ones: those from before the subscription.

        A coin's first frame holds them; later frames have none.
        """
        if coin in self._heard and self._heard[coin] is None:
            return -1
        confirmed = self._heard.get(coin)
        self._heard[coin] = None
        return received if confirmed is None else confirmed

    def _best(self, best: _Best, received: int, out: list[Output]) -> None:
        market = self.markets.get(best.coin)
        if market is None:
            raise BadData("unknown market", best.coin[:40])
        bid, ask = best.bbo
        if bid is None or ask is None:
            out.append(IGNORED)
        else:
            out.append(Quote(market.id, best.time * 1000, bid.px, bid.sz, ask.px, ask.sz, received))

    def _other(self, frame: bytes | str, error: Exception, received: int, out: list[Output]) -> None:
        try:
            envelope = _decode_envelope(frame)
        except UNUSABLE:
            raise torn(frame, error, _MARK) from error
        match envelope.channel:
            case "trades":
                self._salvage(envelope.data, error, received, out)
            case "bbo":
                raise BadData("malformed", str(error)) from error
            case "pong":
                out.append(HEARTBEAT)
            case "subscriptionResponse":
                self._answered(envelope.data, received, out)
            case "error":
                self._refused(envelope.data, out)
            case _:
                out.append(IGNORED)

    def _salvage(self, data: msgspec.Raw, error: Exception, received: int, out: list[Output]) -> None:
        """One broken row does not take the others with it."""
        try:
            rows, lost = salvaged(data, _decode_row)
        except UNUSABLE:
            raise BadTrade("malformed", str(error)) from error
        self._trades(rows, received, out, lost=max(1, lost))

    def _named(self, topic: _Topic) -> Subscription | None:
        """The subscription, where it is one of ours."""
        known = topic.type in self.channels and topic.coin in self.markets
        return Subscription(topic.coin, topic.type) if known else None

    def _answered(self, data: msgspec.Raw, received: int, out: list[Output]) -> None:
        try:
            answer = _decode_answer(data)
        except UNUSABLE:
            out.append(IGNORED)  # of a subscription that has no coin, so not ours
            return
        named = self._named(answer.subscription)
        if named is None or answer.method != "subscribe":
            out.append(IGNORED)
            return
        if named.channel == "trades":
            self._heard.setdefault(named.native, received)
        self._asked.confirmed(named, out)

    def _refused(self, data: msgspec.Raw, out: list[Output]) -> None:
        """A sentence, which often quotes the subscription or the whole request."""
        reason = "refused"
        with suppress(*UNUSABLE):
            reason = _decode_text(data)
        named = self._quoted(reason[reason.find("{") :])
        if named is None:
            self._asked.refused(reason[:200], out)
        elif reason.startswith(_DUPLICATE):
            self._asked.confirmed(named, out)
        else:
            self._asked.failed(named, reason[:200], out)

    def _quoted(self, text: str) -> Subscription | None:
        quoted = text.encode(errors="surrogatepass")
        with suppress(*UNUSABLE):
            return self._named(_decode_topic(quoted))
        with suppress(*UNUSABLE):
            return self._named(_decode_answer(quoted).subscription)
        return None

    def candle_requests(self, market: Market, start: int, end: int) -> list[CandleRequest]:
        """500 rows a page; both ends of a page are inclusive."""
        return [
            CandleRequest(market, f"{self.where.rest}/info", begin, until, _candles(market.native, begin, until))
            for begin, until in spans(start, end, _PAGE)
        ]

    def parse_candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        """Oldest first."""
        try:
            rows = _decode_candles(body)
        except UNUSABLE as error:
            raise BadData("malformed", str(error)) from error
        number = request.market.id
        candles = [Candle(number, row.t * 1000, row.o, row.h, row.l, row.c, row.v, row.n) for row in rows]
        return within(candles, request)


def _candles(coin: str, start: int, end: int) -> str:
    wanted = {"coin": coin, "interval": "1m", "startTime": start // 1000, "endTime": end // 1000 - 1}
    return msgspec.json.encode({"type": "candleSnapshot", "req": wanted}).decode()


def _requests(method: str, subscriptions: Collection[Subscription]) -> list[Send]:
    messages: list[dict[str, Any]] = [
        {"method": method, "subscription": {"type": channel, "coin": native}} for native, channel in subscriptions
    ]
    return [Send(msgspec.json.encode(message).decode()) for message in messages]
