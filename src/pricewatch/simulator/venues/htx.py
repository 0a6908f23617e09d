"""HTX spot (Huobi), the server's side: gzip in every frame, pings that must be answered, REST history.

https://huobiapi.github.io/docs/spot/v1/en/
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.simulator.ledger import Bar, Ledger, Print
from pricewatch.simulator.listings import Listing, parted
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue, whole
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.text import number

_TRADES, _BOOK = "trade.detail", "bbo"
_PING = 5 * SECOND
_UNANSWERED = 2
_MOST_TRADES = 2_000
_MOST_CANDLES = 2_000


class _Row(msgspec.Struct, rename={"trade": "tradeId"}):
    trade: int
    ts: int
    price: float
    amount: float
    direction: str


class _Tick(msgspec.Struct):
    data: list[_Row]


class _Control(msgspec.Struct):
    ch: str = ""
    status: str = ""
    ping: int = 0
    pong: int = 0


class _Frame(msgspec.Struct):
    tick: _Tick


_decode_control = msgspec.json.Decoder(_Control).decode
_decode_frame = msgspec.json.Decoder(_Frame).decode


class Htx(Venue):
    """Speaks HTX's market feed; a topic is `market.btcusdt.bbo`, as on the wire."""

    id = "htx"
    hosts = ("api.huobi.pro", "api-aws.huobi.pro")
    binary = True
    step = 1_000

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        del settings
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}
        self._changes = 0

    @staticmethod
    def native(base: str, quote: str) -> str:
        """`btcusdt`."""
        return f"{base}{quote}".lower()

    @staticmethod
    def legs(native: str) -> tuple[str, str]:
        """By the quote currencies known."""
        return parted(native)

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """A push about one symbol, whatever its topic; the trades in it stand newest first."""
        del memory
        try:
            text = gzip.decompress(frame)
        except (OSError, EOFError, zlib.error) as exc:
            raise Foreign("it is not compressed") from exc
        control = _decode_control(text)
        topic = control.ch
        if control.status or control.ping or control.pong:
            return None
        if not topic:
            raise Foreign("it has no topic")
        native = topic.split(".")[1]
        prints: list[tuple[str, Print]] = []
        if topic.endswith(f".{_TRADES}"):
            for row in reversed(_decode_frame(text).tick.data):
                side = 1 if row.direction == "buy" else -1
                prints.append((native, Print(row.trade, row.ts * 1_000, row.price, row.amount, side)))
        return Heard((native,), ((topic, frame),), tuple(prints))

    # --- the socket ------------------------------------------------------------------------------------------------

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Nothing is said first."""
        session.pinged, session.notes["unanswered"] = now, 0
        return NOTHING if path in {"", "/", "/ws"} and not query else Answer(close=(1008, "no such path"))

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """One topic a request; pings both ways. The first trades of a topic are its last print."""
        try:
            request = msgspec.json.decode(text)
        except ValueError:
            request = None
        match request:
            case {"pong": _}:
                session.notes["unanswered"] = 0
                return NOTHING
            case {"ping": moment}:
                return Answer((_packed({"pong": moment}),))
            case {"sub": str(topic)}:
                return self._subscribe(session, topic, request, now)
            case {"unsub": str(topic)}:
                session.topics.pop(topic, None)
                return Answer((_packed({**_identity(request), "status": "ok", "unsubbed": topic, "ts": now // 1_000}),))
            case _:
                return Answer((_failure({}, "invalid request", now),))

    def _subscribe(self, session: Session, topic: str, request: Mapping[str, Any], now: int) -> Answer:
        identity = _identity(request)
        _, _, rest = topic.partition("market.")
        native, _, channel = rest.partition(".")
        if channel not in {_TRADES, _BOOK}:
            return Answer((_failure(identity, f"invalid topic {topic[:80]}", now),))
        ledger = self._ledgers.get(native)
        if ledger is None:
            return Answer((_failure(identity, f"invalid symbol {native[:40]}", now),))
        session.topics[topic] = None
        frames = [_packed({**identity, "status": "ok", "subbed": topic, "ts": now // 1_000})]
        if ledger.last is not None and channel == _TRADES:
            frames.append(_push(topic, ledger.last.at, _tick(ledger.listing, [ledger.last])))
        elif ledger.bid and channel == _BOOK:
            frames.append(self._best(ledger, topic, now))
        return Answer(frames)

    def beat(self, session: Session, now: int) -> Answer:
        """A ping every 5 s; a client that left two unanswered is left."""
        if now - session.pinged < _PING:
            return NOTHING
        if session.notes["unanswered"] >= _UNANSWERED:
            return Answer(close=(1002, "ping check expired"))
        session.pinged = now
        session.notes["unanswered"] += 1
        return Answer((_packed({"ping": now // 1_000}),))

    def publish(self, live: Live, audience: Audience) -> None:
        """The trades of one taker in one frame; the best prices on each change of them."""
        ledger, event = live.ledger, live.event
        trades, best = (f"market.{ledger.listing.native}.{channel}" for channel in (_TRADES, _BOOK))
        if isinstance(event, Sweep):
            if audience.hears(trades):
                frame = _push(trades, event.prints[-1].at, _tick(ledger.listing, event.prints))
                for _ in range(event.copies):
                    audience.send(trades, frame, trade=True)
        elif audience.hears(best):
            audience.send(best, self._best(ledger, best, event.at))

    def _best(self, ledger: Ledger, topic: str, at: int) -> bytes:
        self._changes += 1
        decimals, lot = ledger.listing.decimals, ledger.listing.lot
        tick = {
            "seqId": self._changes,
            "ask": _number(ledger.ask, decimals),
            "askSize": _number(ledger.ask_size, lot),
            "bid": _number(ledger.bid, decimals),
            "bidSize": _number(ledger.bid_size, lot),
            "quoteTime": at // 1_000,
            "symbol": ledger.listing.native,
        }
        return _push(topic, at, tick)

    # --- REST ------------------------------------------------------------------------------------------------------

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/v1/common/symbols` and `/market/history/…`."""
        if path == "/v1/common/symbols":
            return Reply({"status": "ok", "data": [_symbol(ledger.listing) for ledger in self._ledgers.values()]})
        if path not in {"/market/history/trade", "/market/history/candles", "/market/history/kline"}:
            return Reply({"status": "error", "err-code": "not-found", "err-msg": "no such path"}, 404)
        ledger = self._ledgers.get(query.get("symbol", ""))
        if ledger is None:
            return _refused("invalid symbol", now)
        try:
            return _trades(ledger, query, now) if path.endswith("trade") else _candles(ledger, query, now)
        except ValueError as exc:
            return _refused(f"invalid {str(exc)[:40]}", now)

    def limited(self, retry_after: int) -> Reply:
        """The venue's own form."""
        body = {"status": "error", "err-code": "too-many-requests", "err-msg": "exceeded rate limit"}
        return Reply(body, 429, {"Retry-After": str(retry_after)})


def _packed(frame: Mapping[str, Any]) -> bytes:
    return gzip.compress(msgspec.json.encode(frame), compresslevel=1, mtime=0)


def _push(topic: str, at: int, tick: Mapping[str, Any]) -> bytes:
    return _packed({"ch": topic, "ts": at // 1_000, "tick": tick})


def _identity(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": request["id"]} if isinstance(request.get("id"), str | int) else {}


def _failure(identity: Mapping[str, Any], words: str, now: int) -> bytes:
    answer = {"status": "error", "ts": now // 1_000, **identity, "err-code": "bad-request", "err-msg": words}
    return _packed(answer)


def _number(value: float, decimals: int) -> msgspec.Raw:
    return msgspec.Raw(number(value, decimals).encode())


def _row(trade: Print, listing: Listing, name: str) -> dict[str, Any]:
    """`id` has 26 digits, which no encoder of 64 bits writes."""
    return {
        "id": msgspec.Raw(f"{trade.id % 10**13:013d}{trade.sequence % 10**13:013d}".lstrip("0").encode() or b"0"),
        "ts": trade.at // 1_000,
        name: trade.id,
        "amount": _number(trade.size, listing.lot),
        "price": _number(trade.price, listing.decimals),
        "direction": "buy" if trade.side > 0 else "sell",
    }


def _tick(listing: Listing, trades: Sequence[Print]) -> dict[str, Any]:
    rows = [_row(trade, listing, "tradeId") for trade in reversed(trades)]
    return {"id": trades[-1].sequence, "ts": trades[-1].at // 1_000, "data": rows}


def _trades(ledger: Ledger, query: Mapping[str, str], now: int) -> Reply:
    size = whole(query, "size") or 1
    if not 1 <= size <= _MOST_TRADES:
        raise ValueError("size")
    data = []
    for at, group in groupby(reversed(ledger.newest(size)), key=lambda trade: trade.at):
        rows = [_row(trade, ledger.listing, "trade-id") for trade in group]
        data.append({"id": rows[0]["trade-id"], "ts": at // 1_000, "data": rows})
    topic = f"market.{ledger.listing.native}.{_TRADES}"
    return Reply({"ch": topic, "status": "ok", "ts": now // 1_000, "data": data})


def _candles(ledger: Ledger, query: Mapping[str, str], now: int) -> Reply:
    if query.get("period") != "1min":
        raise ValueError("period")
    size, start, end = whole(query, "size") or 150, whole(query, "from"), whole(query, "to")
    if not 1 <= size <= _MOST_CANDLES:
        raise ValueError("size")
    bars = ledger.bars(1, None if start is None else start * SECOND, None if end is None else end * SECOND)[-size:]
    data = [_candle(bar, ledger.listing) for bar in reversed(bars)]
    topic = f"market.{ledger.listing.native}.kline.1min"
    return Reply({"ch": topic, "status": "ok", "ts": now // 1_000, "data": data})


def _candle(bar: Bar, listing: Listing) -> dict[str, Any]:
    prices = {"open": bar.open, "close": bar.close, "low": bar.low, "high": bar.high}
    return {
        "id": bar.at // SECOND,
        **{name: _number(value, listing.decimals) for name, value in prices.items()},
        "amount": _number(bar.volume, listing.lot),
        "vol": _number(bar.turnover, 10),
        "count": bar.trades,
    }


def _symbol(listing: Listing) -> dict[str, Any]:
    return {
        "base-currency": listing.base.lower(),
        "quote-currency": listing.quote.lower(),
        "price-precision": listing.decimals,
        "amount-precision": listing.lot,
        "symbol-partition": "main",
        "symbol": listing.native,
        "state": "online",
        "value-precision": 8,
        "api-trading": "enabled",
        "tags": "",
    }


def _refused(words: str, now: int) -> Reply:
    return Reply({"ts": now // 1_000, "status": "error", "err-code": "invalid-parameter", "err-msg": words})
