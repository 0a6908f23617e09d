"""Bybit v5 spot, the server's side: public trades, the best level of the book, REST.

https://bybit-exchange.github.io/docs/v5/websocket/public/trade, …/orderbook, …/v5/market/. An unknown topic fails the
whole of its request, as on the venue. An unchanged book is not repeated after 3 s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.simulator.ledger import Bar, Ledger, Print
from pricewatch.simulator.listings import Listing, parted
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue, whole
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.text import short

_TOPICS = ("publicTrade", "orderbook.1")
_MOST_TOPICS = 10
_QUIET = 600 * SECOND
_RECENT, _MOST_CANDLES = 60, 1_000
_CONNECTION = "2324d924-aa4d-45b0-a858-7b8be29ab52b"


class _Row(msgspec.Struct):
    T: int
    s: str
    S: Literal["Buy", "Sell"]
    v: float
    p: float
    i: str


class _Frame(msgspec.Struct):
    topic: str = ""
    op: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_rows = msgspec.json.Decoder(list[_Row], strict=False).decode


class Bybit(Venue):
    """Speaks Bybit v5 spot; topics are named as the venue does."""

    id = "bybit"
    hosts = ("bybit.com", "bytick.com")
    lot = 6
    step = 1_000

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        self._current = settings.fields == "current"
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}

    @staticmethod
    def native(base: str, quote: str) -> str:
        """`BTCUSDT`."""
        return base + quote

    @staticmethod
    def legs(native: str) -> tuple[str, str]:
        """Told by the known quotes."""
        return parted(native)

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """Told by its topic; answers have an operation."""
        del memory
        told = _decode_frame(frame)
        if told.op:
            return None
        kind, _, native = told.topic.rpartition(".")
        if not kind:
            raise Foreign("no topic of Bybit")
        topics = ((told.topic, frame),)
        if kind != "publicTrade":
            return Heard((native,), topics)
        return Heard((native,), topics, tuple((row.s, _print(row)) for row in _decode_rows(told.data)))

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The venue speaks when it is spoken to."""
        if path not in {"", "/", "/v5/public/spot"} or query:
            return Answer(close=(1008, "Invalid path"))
        session.busy = session.pinged = now
        return NOTHING

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """Ping, subscribe and unsubscribe; one answer a request."""
        session.pinged = now
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            request = None
        if not isinstance(request, dict):
            return Answer((_answer("", {}, "Request not valid", success=False),))
        op = request.get("op")
        if op == "ping":
            return Answer((_answer("ping", request, "pong"),))
        if op not in {"subscribe", "unsubscribe"}:
            return Answer((_answer(str(op), request, f"unknown operation {op}", success=False),))
        args = request.get("args")
        topics = [str(topic) for topic in args] if isinstance(args, list) else []
        if not 0 < len(topics) <= _MOST_TOPICS:
            return Answer((_answer(op, request, f"args size >{_MOST_TOPICS}", success=False),))
        bad = [topic for topic in topics if self._ledger(topic) is None]
        if bad:
            return Answer((_answer(op, request, f"error:handler not found,topic:{bad[0]}", success=False),))
        return Answer([_answer(op, request, op if op == "subscribe" else ""), *self._follow(session, op, topics, now)])

    def _ledger(self, topic: str) -> Ledger | None:
        kind, _, native = topic.rpartition(".")
        return self._ledgers.get(native) if kind in _TOPICS else None

    def _follow(self, session: Session, op: str, topics: Sequence[str], now: int) -> list[bytes]:
        """The book comes at once, trades when there are new ones."""
        frames = []
        for topic in topics:
            ledger = self._ledger(topic)
            if op == "unsubscribe":
                session.topics.pop(topic, None)
                continue
            session.topics[topic] = None
            if topic.startswith("orderbook.") and ledger is not None and ledger.bid:
                frames.append(book_frame(ledger, now))
        return frames

    def beat(self, session: Session, now: int) -> Answer:
        """Closed after 10 min without a word from either side."""
        if now - max(session.busy, session.pinged) >= _QUIET:
            return Answer(close=(1000, ""))
        return NOTHING

    def publish(self, live: Live, audience: Audience) -> None:
        """The trades of one taker in one frame, oldest first; the book whenever the best prices change."""
        ledger, event = live.ledger, live.event
        native = ledger.listing.native
        if isinstance(event, Sweep) and audience.hears(f"publicTrade.{native}"):
            frame = trade_frame(ledger.listing, event.prints, current=self._current)
            for _ in range(event.copies):
                audience.send(f"publicTrade.{native}", frame, trade=True)
        if audience.hears(f"orderbook.1.{native}"):
            at = event.prints[-1].at if isinstance(event, Sweep) else event.at
            audience.send(f"orderbook.1.{native}", book_frame(ledger, at))

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/v5/market/…`."""
        match path:
            case "/v5/market/time":
                return _result({"timeSecond": str(now // SECOND), "timeNano": str(now * 1_000)}, now)
            case "/v5/market/instruments-info":
                rows = [_instrument(ledger.listing) for ledger in self._ledgers.values()]
                return _result({"category": "spot", "list": rows}, now)
            case "/v5/market/recent-trade" | "/v5/market/kline":
                return self._of_symbol(path, query, now)
            case _:
                return Reply("", 404)

    def _of_symbol(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        ledger = self._ledgers.get(query.get("symbol", ""))
        if ledger is None or query.get("category") != "spot":
            return _refusal(10001, "Not supported symbols", now)
        try:
            result = _recent(ledger, query) if path.endswith("trade") else _kline(ledger, query)
        except ValueError as exc:
            return _refusal(10001, f"params error: {str(exc)[:40]}", now)
        return _result(result, now)

    def limited(self, retry_after: int) -> Reply:
        """200 with code 10006; how long to wait is not told."""
        del retry_after
        return _refusal(10006, "Too many visits. Exceeded the API Rate Limit.", 0)


def _print(row: _Row) -> Print:
    """Ids that are no numbers do not tell the order: the ledger numbers them."""
    number = int(row.i) if row.i.isascii() and row.i.isdigit() else 0
    side = 1 if row.S == "Buy" else -1
    return Print(number, row.T * 1_000, row.p, row.v, side, ref="" if number else row.i)


def trade_frame(listing: Listing, prints: Sequence[Print], *, current: bool = False) -> bytes:
    """A frame of `publicTrade.<symbol>`; the example of the documentation has the field of futures, `L`, too."""
    rows = []
    for trade in prints:
        row: dict[str, Any] = {
            "T": trade.at // 1_000,
            "s": listing.native,
            "S": _side(trade),
            "v": short(trade.size, listing.lot),
            "p": f"{trade.price:.{listing.decimals}f}",
        }
        extra = {"BT": False, "RPI": False, "seq": trade.sequence} if current else {"BT": False}
        rows.append(row | ({} if current else {"L": "PlusTick"}) | {"i": trade.ref or str(trade.id)} | extra)
    at = prints[-1].at // 1_000 + 3
    return msgspec.json.encode({"topic": f"publicTrade.{listing.native}", "type": "snapshot", "ts": at, "data": rows})


def book_frame(ledger: Ledger, at: int) -> bytes:
    """A frame of `orderbook.1.<symbol>`."""
    listing = ledger.listing
    decimals, lot = listing.decimals, listing.lot
    data = {
        "s": listing.native,
        "b": [[f"{ledger.bid:.{decimals}f}", short(ledger.bid_size, lot)]],
        "a": [[f"{ledger.ask:.{decimals}f}", short(ledger.ask_size, lot)]],
        "u": ledger.sequence,
        "seq": ledger.sequence,
    }
    stamp = at // 1_000
    frame = {"topic": f"orderbook.1.{listing.native}", "ts": stamp + 2, "type": "snapshot", "data": data, "cts": stamp}
    return msgspec.json.encode(frame)


def _answer(op: str, request: Mapping[str, Any], words: str, *, success: bool = True) -> bytes:
    number = request.get("req_id")
    told = {"req_id": number} if isinstance(number, str) else {}
    return msgspec.json.encode({"success": success, "ret_msg": words, "conn_id": _CONNECTION, **told, "op": op})


def _side(trade: Print) -> str:
    return "Buy" if trade.side > 0 else "Sell"


def _recent(ledger: Ledger, query: Mapping[str, str]) -> dict[str, Any]:
    """The newest trades, newest first."""
    listing = ledger.listing
    rows = [
        {
            "execId": trade.ref or str(trade.id),
            "symbol": listing.native,
            "price": f"{trade.price:.{listing.decimals}f}",
            "size": short(trade.size, listing.lot),
            "side": _side(trade),
            "time": str(trade.at // 1_000),
            "isBlockTrade": False,
            "isRPITrade": False,
            "seq": str(trade.sequence),
        }
        for trade in reversed(ledger.newest(_limit(query, _RECENT, _RECENT)))
    ]
    return {"category": "spot", "list": rows}


def _kline(ledger: Ledger, query: Mapping[str, str]) -> dict[str, Any]:
    """The newest within both ends, newest first."""
    if query.get("interval") != "1":
        raise ValueError("interval")
    limit = _limit(query, 200, _MOST_CANDLES)
    start, end = whole(query, "start"), whole(query, "end")
    bars = ledger.bars(1, None if start is None else start * 1_000, None if end is None else end * 1_000)
    rows = [_candle(bar, ledger.listing) for bar in reversed(bars[-limit:])]
    return {"symbol": ledger.listing.native, "category": "spot", "list": rows}


def _candle(bar: Bar, listing: Listing) -> list[str]:
    prices = [short(value, listing.decimals) for value in (bar.open, bar.high, bar.low, bar.close)]
    return [str(bar.at // 1_000), *prices, short(bar.volume, listing.lot), short(bar.turnover, 8)]


def _instrument(listing: Listing) -> dict[str, Any]:
    lot = short(10.0**-listing.lot, listing.lot)
    return {
        "symbolId": 9,
        "symbol": listing.native,
        "baseCoin": listing.base,
        "quoteCoin": listing.quote,
        "innovation": "0",
        "status": "Trading",
        "marginTrading": "utaOnly",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": lot,
            "quotePrecision": "0.0000001",
            "minOrderQty": lot,
            "maxOrderQty": "83",
            "minOrderAmt": "5",
            "maxOrderAmt": "8000000",
        },
        "priceFilter": {"tickSize": short(listing.tick, listing.decimals)},
    }


def _limit(query: Mapping[str, str], usual: int, most: int) -> int:
    limit = whole(query, "limit")
    return usual if limit is None else min(max(limit, 1), most)


def _result(result: dict[str, Any], now: int) -> Reply:
    return Reply({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now // 1_000})


def _refusal(code: int, message: str, now: int) -> Reply:
    return Reply({"retCode": code, "retMsg": message, "result": {}, "retExtInfo": {}, "time": now // 1_000})
