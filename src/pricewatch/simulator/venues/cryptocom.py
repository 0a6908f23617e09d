"""Crypto.com Exchange v1 spot, the server's side: trades, tickers, heartbeats, REST history.

https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html. The first frame of a subscription carries the id of the
request and what came before it; what is pushed later carries -1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.simulator.ledger import Bar, Ledger, Print
from pricewatch.simulator.listings import Listing
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue, whole
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.text import short

_CHANNELS = ("trade", "ticker")
_METHODS = ("subscribe", "unsubscribe", "public/heartbeat", "public/respond-heartbeat")
_MOST_CHANNELS = 400
_SNAPSHOT = 50
_HEARTBEAT = 30 * SECOND
_UNANSWERED = 2
_DAY = 86_400_000
_MOST_TRADES, _MOST_CANDLES = 150, 300


class _Row(msgspec.Struct):
    d: int
    t: int
    p: float
    q: float
    s: Literal["BUY", "SELL"]


class _Result(msgspec.Struct):
    instrument_name: str
    subscription: str
    channel: str
    data: msgspec.Raw


class _Frame(msgspec.Struct):
    id: int
    method: str
    result: _Result | None = None


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_rows = msgspec.json.Decoder(list[_Row], strict=False).decode


class CryptoCom(Venue):
    """Speaks Crypto.com Exchange v1; a topic is named as its channel."""

    id = "cryptocom"
    hosts = ("crypto.com",)
    lot = 5
    step = 1_000

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        del settings
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}

    @staticmethod
    def native(base: str, quote: str) -> str:
        """`BTC_USD`."""
        return f"{base}_{quote}"

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """Data has a result; with the id of a request it is an answer, which the server makes itself."""
        del memory
        told = _decode_frame(frame)
        if told.method not in _METHODS:
            raise Foreign("no method of Crypto.com")
        if told.result is None or told.id != -1:
            return None
        native, topics = told.result.instrument_name, ((told.result.subscription, frame),)
        if told.result.channel != "trade":
            return Heard((native,), topics)
        prints = [
            (native, Print(row.d, row.t * 1_000, row.p, row.q, 1 if row.s == "BUY" else -1))
            for row in reversed(_decode_rows(told.result.data))
        ]
        return Heard((native,), topics, tuple(prints))

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The venue speaks when it is spoken to."""
        if path not in {"", "/", "/exchange/v1/market"} or query:
            return Answer(close=(1008, "Invalid path"))
        session.pinged = now
        session.messages = 0
        return NOTHING

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """Subscribe and unsubscribe (one answer a channel), the answer to a heartbeat; no word to what is not JSON."""
        del now
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return NOTHING
        if not isinstance(request, dict):
            return NOTHING
        number = request.get("id")
        number = number if isinstance(number, int) else -1
        method = str(request.get("method"))
        if method == "public/respond-heartbeat":
            session.messages = 0
            return NOTHING
        if method not in {"subscribe", "unsubscribe"}:
            return Answer((_answer(number, method, 40003, message="No such method"),))
        params = request.get("params")
        channels = params.get("channels") if isinstance(params, dict) else None
        if not isinstance(channels, list) or not channels:
            return Answer((_answer(number, method, 40004, message="Missing or invalid argument"),))
        if method == "unsubscribe":
            for channel in channels:
                session.topics.pop(str(channel), None)
            return Answer((_answer(number, method, 0),))
        return Answer([self._subscribe(session, number, str(channel)) for channel in channels])

    def _subscribe(self, session: Session, number: int, topic: str) -> bytes:
        channel, _, native = topic.partition(".")
        ledger = self._ledgers.get(native)
        if channel not in _CHANNELS:
            return _answer(number, "subscribe", 40003, topic, "Unrecognized channel")
        if ledger is None:
            return _answer(number, "subscribe", 40003, topic, "Unknown symbol")
        if len(session.topics) >= _MOST_CHANNELS:
            return _answer(number, "subscribe", 40107, message="Maximum subscriptions exceeded")
        session.topics[topic] = None
        if channel == "trade":
            return trade_frame(ledger.listing, ledger.newest(_SNAPSHOT), number)
        return ticker_frame(ledger, ledger.last.at if ledger.last else 0, number)

    def beat(self, session: Session, now: int) -> Answer:
        """A heartbeat every 30 s; closed at the third one after which none was answered."""
        if now - session.pinged < _HEARTBEAT:
            return NOTHING
        if session.messages >= _UNANSWERED:
            return Answer(close=(1000, ""))
        session.pinged = now
        session.messages += 1
        return Answer((msgspec.json.encode({"id": now // 1_000, "method": "public/heartbeat", "code": 0}),))

    def publish(self, live: Live, audience: Audience) -> None:
        """The trades of one taker in one frame, newest first; the ticker whenever the best prices change."""
        ledger, event = live.ledger, live.event
        native = ledger.listing.native
        if isinstance(event, Sweep) and audience.hears(f"trade.{native}"):
            frame = trade_frame(ledger.listing, event.prints)
            for _ in range(event.copies):
                audience.send(f"trade.{native}", frame, trade=True)
        if audience.hears(f"ticker.{native}"):
            at = event.prints[-1].at if isinstance(event, Sweep) else event.at
            audience.send(f"ticker.{native}", ticker_frame(ledger, at))

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/exchange/v1/public/…`; the venue's REST address ends before `/public`."""
        method = path.removeprefix("/exchange/v1").lstrip("/")
        match method:
            case "public/get-instruments":
                rows = [_instrument(ledger.listing) for ledger in self._ledgers.values()]
                return _result(method, {"data": rows})
            case "public/get-trades" | "public/get-candlestick":
                return self._of_instrument(method, query, now)
            case _:
                return _refusal(method, 40003, "Invalid request", 404)

    def _of_instrument(self, method: str, query: Mapping[str, str], now: int) -> Reply:
        native = query.get("instrument_name", "")
        ledger = self._ledgers.get(native)
        if ledger is None:
            return _refusal(method, 40004, "Invalid instrument_name", 400)
        try:
            rows = _past(ledger, query, now) if method.endswith("trades") else _candles(ledger, query)
        except ValueError as exc:
            return _refusal(method, 40004, f"Invalid {str(exc)[:40]}", 400)
        kind = {} if method.endswith("trades") else {"interval": "1m"}
        return _result(method, {**kind, "instrument_name": native, "data": rows})

    def limited(self, retry_after: int) -> Reply:
        """429 with code 42901."""
        body = {"id": -1, "method": "", "code": 42901, "message": "Rate limit exceeded"}
        return Reply(body, 429, {"Retry-After": str(retry_after)})


def trade_frame(listing: Listing, prints: Sequence[Print], number: int = -1) -> bytes:
    """A frame of `trade.<instrument>`."""
    rows = [
        {
            "d": str(trade.id),
            "t": trade.at // 1_000,
            "p": f"{trade.price:.{listing.decimals}f}",
            "q": short(trade.size, listing.lot),
            "s": _side(trade),
            "i": listing.native,
        }
        for trade in reversed(prints)
    ]
    return _pushed(number, "trade", listing.native, rows)


def ticker_frame(ledger: Ledger, at: int, number: int = -1) -> bytes:
    """A frame of `ticker.<instrument>`; a side without orders is null."""
    listing, last = ledger.listing, ledger.last
    decimals, lot = listing.decimals, listing.lot
    price = last.price if last else ledger.bid
    change = (price - ledger.open) / ledger.open if ledger.open else 0.0
    row = {
        "h": f"{ledger.high:.{decimals}f}",
        "l": f"{ledger.low:.{decimals}f}",
        "a": f"{price:.{decimals}f}",
        "c": f"{change:.4f}",
        "b": f"{ledger.bid:.{decimals}f}" if ledger.bid else None,
        "bs": short(ledger.bid_size, lot) if ledger.bid else None,
        "k": f"{ledger.ask:.{decimals}f}" if ledger.ask else None,
        "ks": short(ledger.ask_size, lot) if ledger.ask else None,
        "i": listing.native,
        "v": f"{ledger.volume:.4f}",
        "vv": f"{ledger.turnover:.2f}",
        "oi": "0.0",
        "t": at // 1_000,
    }
    return _pushed(number, "ticker", listing.native, [row])


def _pushed(number: int, channel: str, native: str, rows: list[dict[str, Any]]) -> bytes:
    result = {"instrument_name": native, "subscription": f"{channel}.{native}", "channel": channel, "data": rows}
    return msgspec.json.encode({"id": number, "method": "subscribe", "code": 0, "result": result})


def _answer(number: int, method: str, code: int, channel: str = "", message: str = "") -> bytes:
    body: dict[str, Any] = {"id": number, "method": method, "code": code}
    if channel:
        body["channel"] = channel
    if message:
        body["message"] = message
    return msgspec.json.encode(body)


def _side(trade: Print) -> str:
    return "BUY" if trade.side > 0 else "SELL"


def _past(ledger: Ledger, query: Mapping[str, str], now: int) -> list[dict[str, Any]]:
    """The newest with `start_ts <= t < end_ts`, newest first; a day where no start is told."""
    listing = ledger.listing
    end = whole(query, "end_ts")
    end = now // 1_000 + 1 if end is None else end
    start = whole(query, "start_ts")
    start = end - _DAY if start is None else start
    page = [trade for trade in ledger.newest(ledger.printed) if start <= trade.at // 1_000 < end]
    return [
        {
            "d": str(trade.id),
            "t": trade.at // 1_000,
            "tn": str(trade.at * 1_000),
            "q": short(trade.size, listing.lot),
            "p": f"{trade.price:.{listing.decimals}f}",
            "s": _side(trade),
            "i": listing.native,
        }
        for trade in reversed(page[-_limit(query, 25, _MOST_TRADES) :])
    ]


def _candles(ledger: Ledger, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """The newest with `start_ts <= t < end_ts`, oldest first."""
    if query.get("timeframe", "1m") != "1m":
        raise ValueError("timeframe")
    start, end = whole(query, "start_ts"), whole(query, "end_ts")
    bars = ledger.bars(1, None if start is None else start * 1_000, None if end is None else end * 1_000 - 1)
    return [_candle(bar, ledger.listing) for bar in bars[-_limit(query, 25, _MOST_CANDLES) :]]


def _candle(bar: Bar, listing: Listing) -> dict[str, Any]:
    names = zip("ohlc", (bar.open, bar.high, bar.low, bar.close), strict=True)
    prices = {name: f"{value:.{listing.decimals}f}" for name, value in names}
    return {**prices, "v": short(bar.volume, listing.lot), "t": bar.at // 1_000}


def _instrument(listing: Listing) -> dict[str, Any]:
    return {
        "symbol": listing.native,
        "inst_type": "CCY_PAIR",
        "display_name": f"{listing.base}/{listing.quote}",
        "base_ccy": listing.base,
        "quote_ccy": listing.quote,
        "quote_decimals": listing.decimals,
        "quantity_decimals": listing.lot,
        "price_tick_size": short(listing.tick, listing.decimals),
        "qty_tick_size": short(10.0**-listing.lot, listing.lot),
        "max_leverage": "50",
        "tradable": True,
        "expiry_timestamp_ms": 0,
        "underlying_symbol": "",
    }


def _limit(query: Mapping[str, str], usual: int, most: int) -> int:
    limit = whole(query, "count")
    return usual if limit is None else min(max(limit, 1), most)


def _result(method: str, result: dict[str, Any]) -> Reply:
    return Reply({"id": -1, "method": method, "code": 0, "result": result})


def _refusal(method: str, code: int, message: str, status: int) -> Reply:
    return Reply({"id": -1, "method": method, "code": code, "message": message}, status)
