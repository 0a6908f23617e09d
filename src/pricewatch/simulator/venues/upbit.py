"""Upbit, the server's side: JSON in binary frames, requests that replace each other, snapshots, REST history.

https://docs.upbit.com/kr/reference/websocket-guide. A seeded book has one level, however many are asked for. What the
venue does with a code it does not know is not documented: here, as there, nothing comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pricewatch.domain.time import DAY, MINUTE, SECOND, rfc3339
from pricewatch.simulator.ledger import Bar, Ledger, Print
from pricewatch.simulator.listings import Listing
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue, whole
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.text import micros, number

_TYPES = ("trade", "orderbook")
_FORMATS = ("DEFAULT", "SIMPLE")
_IDLE = 120 * SECOND
_DAYS = 7
_MOST_TRADES = 500
_MOST_CANDLES = 200
_SIMPLE = {
    "type": "ty",
    "code": "cd",
    "timestamp": "tms",
    "trade_date": "td",
    "trade_time": "ttm",
    "trade_timestamp": "ttms",
    "trade_price": "tp",
    "trade_volume": "tv",
    "ask_bid": "ab",
    "prev_closing_price": "pcp",
    "change": "c",
    "change_price": "cp",
    "sequential_id": "sid",
    "stream_type": "st",
    "total_ask_size": "tas",
    "total_bid_size": "tbs",
    "orderbook_units": "obu",
    "ask_price": "ap",
    "bid_price": "bp",
    "ask_size": "as",
    "bid_size": "bs",
}
"""The names of format DEFAULT, and what SIMPLE calls them."""


class _Brief(msgspec.Struct):
    ty: str
    cd: str
    ttms: int = 0
    tp: float = 0.0
    tv: float = 0.0
    ab: str = ""
    sid: int = 0


class _Full(msgspec.Struct):
    type: str
    code: str
    trade_timestamp: int = 0
    trade_price: float = 0.0
    trade_volume: float = 0.0
    ask_bid: str = ""
    sequential_id: int = 0


class _Control(msgspec.Struct):
    ty: str = ""
    type: str = ""
    status: str = ""
    error: dict[str, Any] = {}


_decode_brief = msgspec.json.Decoder(_Brief).decode
_decode_full = msgspec.json.Decoder(_Full).decode
_decode_control = msgspec.json.Decoder(_Control).decode


class Upbit(Venue):
    """Speaks Upbit; a topic is `type:KRW-BTC:format`."""

    id = "upbit"
    hosts = ("api.upbit.com",)
    binary = True
    step = 1_000

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}
        self._current = settings.fields == "current"

    @staticmethod
    def native(base: str, quote: str) -> str:
        """`KRW-BTC`."""
        return f"{quote}-{base}"

    @staticmethod
    def legs(native: str) -> tuple[str, str]:
        """The quote currency stands first."""
        quote, _, base = native.partition("-")
        return base, quote

    @staticmethod
    def decimals(price: float) -> int:
        """None for the large prices that won make."""
        return 0 if price >= 10_000 else Venue.decimals(price)

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """A trade or a book, in the format it was recorded in."""
        del memory
        control = _decode_control(frame)
        if control.ty:
            brief = _decode_brief(frame)
            row, style = (brief.ttms, brief.tp, brief.tv, brief.ab, brief.sid), "SIMPLE"
            kind, native = brief.ty, brief.cd
        elif control.type:
            full = _decode_full(frame)
            row = (full.trade_timestamp, full.trade_price, full.trade_volume, full.ask_bid, full.sequential_id)
            kind, native, style = full.type, full.code, "DEFAULT"
        elif control.status or control.error:
            return None
        else:
            raise Foreign("it has no type")
        prints: tuple[tuple[str, Print], ...] = ()
        if kind == "trade":
            moment, price, size, side, number_ = row
            prints = ((native, Print(0, moment * 1_000, price, size, 1 if side == "BID" else -1, ref=str(number_))),)
        return Heard((native,), ((f"{kind}:{native}:{style}", frame),), prints)

    # --- the socket ------------------------------------------------------------------------------------------------

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Nothing is said first."""
        session.pinged = now
        return NOTHING if path in {"", "/", "/websocket/v1"} and not query else Answer(close=(1008, "no such path"))

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """A request replaces what was subscribed, and is answered by the state of each market alone."""
        session.pinged = now
        if text in {"PING", b"PING"}:
            return Answer((b'{"status":"UP"}',))
        try:
            parts = msgspec.json.decode(text)
        except ValueError:
            parts = None
        problem = _problem(parts)
        if problem is not None:
            return Answer((msgspec.json.encode({"error": {"name": problem[0], "message": problem[1]}}),))
        style = next((part["format"] for part in parts if "format" in part), "DEFAULT")
        return self._subscribed(session, [part for part in parts if "type" in part], style, now)

    def _subscribed(self, session: Session, asked: list[dict[str, Any]], style: str, now: int) -> Answer:
        session.topics.clear()
        frames = []
        for part in asked:
            for code in map(str, part["codes"]):
                native = code.partition(".")[0] if part["type"] == "orderbook" else code
                ledger = self._ledgers.get(native)
                if ledger is None:
                    continue
                session.topics[f"{part['type']}:{native}:{style}"] = None
                if part["type"] == "orderbook":
                    frames.append(_written(_book(ledger, now, "SNAPSHOT"), style))
                elif ledger.last is not None:
                    frames.append(_written(self._trade(ledger, ledger.last, now, "SNAPSHOT"), style))
        return Answer(frames)

    def beat(self, session: Session, now: int) -> Answer:
        """Two minutes without a word either way end the connection."""
        return Answer(close=(1001, "idle")) if now - max(session.pinged, session.busy) > _IDLE else NOTHING

    def publish(self, live: Live, audience: Audience) -> None:
        """A frame a trade; a book on each change of the best prices."""
        ledger, event = live.ledger, live.event
        for style in _FORMATS:
            trade, book = (f"{kind}:{ledger.listing.native}:{style}" for kind in _TYPES)
            if isinstance(event, Sweep):
                if audience.hears(trade):
                    self._sweep(ledger, event, trade, style, audience)
            elif audience.hears(book):
                audience.send(book, _written(_book(ledger, event.at, "REALTIME"), style))

    def _sweep(self, ledger: Ledger, event: Sweep, topic: str, style: str, audience: Audience) -> None:
        for one in event.prints:
            frame = _written(self._trade(ledger, one, one.at, "REALTIME"), style)
            for _ in range(event.copies):
                audience.send(topic, frame, trade=True)

    def _trade(self, ledger: Ledger, trade: Print, now: int, kind: str) -> dict[str, Any]:
        listing, day = ledger.listing, rfc3339(trade.at)
        change = trade.price - ledger.open
        told: dict[str, Any] = {
            "type": "trade",
            "code": listing.native,
            "timestamp": now // 1_000,
            "trade_date": day[:10],
            "trade_time": day[11:19],
            "trade_timestamp": trade.at // 1_000,
            "trade_price": _number(trade.price, listing.decimals),
            "trade_volume": _number(trade.size, listing.lot),
            "ask_bid": "BID" if trade.side > 0 else "ASK",
            "prev_closing_price": _number(ledger.open, 8),
            "change": "RISE" if change > 0 else "FALL" if change < 0 else "EVEN",
            "change_price": _number(abs(change), 8),
            "sequential_id": _identity(trade),
        }
        if self._current:
            prices = {"best_ask_price": ledger.ask, "best_bid_price": ledger.bid}
            sizes = {"best_ask_size": ledger.ask_size, "best_bid_size": ledger.bid_size}
            told |= {name: _number(value, listing.decimals) for name, value in prices.items()}
            told |= {name: _number(value, listing.lot) for name, value in sizes.items()}
        return {**told, "stream_type": kind}

    # --- REST ------------------------------------------------------------------------------------------------------

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/v1/…`."""
        if path == "/v1/market/all":
            return Reply([_market(ledger.listing) for ledger in self._ledgers.values()])
        if path not in {"/v1/trades/ticks", "/v1/candles/minutes/1"}:
            return Reply({"error": {"name": 404, "message": "not found"}}, 404)
        ledger = self._ledgers.get(query.get("market", ""))
        if ledger is None:
            return Reply({"error": {"name": 404, "message": "Code not found"}}, 404)
        try:
            return _ticks(ledger, query, now) if path.endswith("ticks") else _candles(ledger, query, now)
        except ValueError as exc:
            return Reply({"error": {"name": 400, "message": f"invalid parameter: {str(exc)[:40]}"}}, 400)

    def limited(self, retry_after: int) -> Reply:
        """The venue's own words."""
        body = {"error": {"name": "too_many_requests", "message": "Too many API requests"}}
        return Reply(body, 429, {"Retry-After": str(retry_after)})


def _number(value: float, decimals: int) -> msgspec.Raw:
    return msgspec.Raw(number(value, decimals).encode())


def _identity(trade: Print) -> int:
    """The millisecond with three digits more, as the venue makes them; a recording's own where there is one."""
    return int(trade.ref) if trade.ref else trade.at + trade.id % 1_000


def _book(ledger: Ledger, at: int, kind: str) -> dict[str, Any]:
    decimals, lot = ledger.listing.decimals, ledger.listing.lot
    unit = {
        "ask_price": _number(ledger.ask, decimals),
        "bid_price": _number(ledger.bid, decimals),
        "ask_size": _number(ledger.ask_size, lot),
        "bid_size": _number(ledger.bid_size, lot),
    }
    return {
        "type": "orderbook",
        "code": ledger.listing.native,
        "timestamp": at // 1_000,
        "total_ask_size": unit["ask_size"],
        "total_bid_size": unit["bid_size"],
        "orderbook_units": [unit] if ledger.bid else [],
        "stream_type": kind,
    }


_BEST = {"best_ask_price": "bap", "best_ask_size": "bas", "best_bid_price": "bbp", "best_bid_size": "bbs"}


def _written(frame: dict[str, Any], style: str) -> bytes:
    return msgspec.json.encode(frame if style == "DEFAULT" else _brief(frame))


def _brief(frame: dict[str, Any]) -> dict[str, Any]:
    return {
        _SIMPLE.get(name) or _BEST[name]: [_brief(one) for one in value] if isinstance(value, list) else value
        for name, value in frame.items()
    }


def _problem(parts: Any) -> tuple[str, str] | None:
    """What is wrong with a request, in the venue's words."""
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return "WRONG_FORMAT", "The format is incorrect."
    if not any(part.get("ticket") for part in parts):
        return "NO_TICKET", "The ticket does not exist or is invalid."
    asked = [part for part in parts if "ticket" not in part and "format" not in part]
    if not asked or any(part.get("type") not in _TYPES for part in asked):
        return "NO_TYPE", "The type field does not exist."
    if any(not isinstance(part.get("codes"), list) for part in asked):
        return "NO_CODES", "The codes field does not exist."
    if any(not part["codes"] for part in asked):
        return "INVALID_PARAM", "The codes field is empty."
    if any(part.get("format", "DEFAULT") not in _FORMATS for part in parts):
        return "WRONG_FORMAT", "The format is incorrect."
    return None


def _ticks(ledger: Ledger, query: Mapping[str, str], now: int) -> Reply:
    count, days, cursor = whole(query, "count") or 1, whole(query, "days_ago") or 0, whole(query, "cursor")
    if not 1 <= count <= _MOST_TRADES:
        raise ValueError("count")
    if not 0 <= days <= _DAYS:
        raise ValueError("days_ago")
    begin = now - now % DAY - days * DAY
    end = begin + DAY
    if query.get("to"):
        end = micros(f"{rfc3339(begin)[:11]}{query['to']}Z")
    day = [trade for trade in ledger.newest(1_000_000) if begin <= trade.at < end]
    if cursor is not None:
        place = next((index for index, trade in enumerate(day) if _identity(trade) == cursor), len(day))
        day = day[:place]
    return Reply([_tick(trade, ledger) for trade in reversed(day[-count:])])


def _tick(trade: Print, ledger: Ledger) -> dict[str, Any]:
    listing, day = ledger.listing, rfc3339(trade.at)
    return {
        "market": listing.native,
        "trade_date_utc": day[:10],
        "trade_time_utc": day[11:19],
        "timestamp": trade.at // 1_000,
        "trade_price": _number(trade.price, listing.decimals),
        "trade_volume": _number(trade.size, listing.lot),
        "prev_closing_price": _number(ledger.open, 8),
        "change_price": _number(trade.price - ledger.open, 8),
        "ask_bid": "BID" if trade.side > 0 else "ASK",
        "sequential_id": _identity(trade),
    }


def _candles(ledger: Ledger, query: Mapping[str, str], now: int) -> Reply:
    count = whole(query, "count") or 1
    if not 1 <= count <= _MOST_CANDLES:
        raise ValueError("count")
    to = query.get("to", "")
    until = micros(to if to.endswith("Z") or "+" in to else f"{to}Z") if to else now + 1
    bars = ledger.bars(1, None, until - 1)[-count:]
    return Reply([_candle(bar, ledger.listing) for bar in reversed(bars)])


def _candle(bar: Bar, listing: Listing) -> dict[str, Any]:
    prices = {"opening_price": bar.open, "high_price": bar.high, "low_price": bar.low, "trade_price": bar.close}
    return {
        "market": listing.native,
        "candle_date_time_utc": rfc3339(bar.at)[:19],
        "candle_date_time_kst": rfc3339(bar.at + 540 * MINUTE)[:19],
        **{name: _number(value, listing.decimals) for name, value in prices.items()},
        "timestamp": (bar.at + MINUTE) // 1_000 - 1,
        "candle_acc_trade_price": _number(bar.turnover, 8),
        "candle_acc_trade_volume": _number(bar.volume, listing.lot),
        "unit": 1,
    }


def _market(listing: Listing) -> dict[str, str]:
    return {"market": listing.native, "korean_name": listing.base, "english_name": listing.base}
