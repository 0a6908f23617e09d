"""OKX v5 spot, the server's side: trades and tickers on the public socket, REST history.

https://www.okx.com/docs-v5/en/#order-book-trading-market-data. The recorded fields are those of 2022, when each trade
had an entry of its own; the current ones put the trades of one taker at one price together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.simulator.ledger import Bar, Ledger, Print
from pricewatch.simulator.listings import Listing
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue, whole
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.text import short

_CHANNELS = ("trades", "tickers")
_EVENTS = ("subscribe", "unsubscribe", "error", "notice", "channel-conn-count", "channel-conn-count-error")
_QUIET = 30 * SECOND
_PAGE, _MOST_CANDLES = 100, 300


class _Row(msgspec.Struct, rename="camel"):
    inst_id: str
    trade_id: int
    px: float
    sz: float
    side: Literal["buy", "sell"]
    ts: int


class _Arg(msgspec.Struct, rename="camel"):
    channel: str
    inst_id: str = ""
    inst_type: str = ""


class _Frame(msgspec.Struct):
    event: str = ""
    arg: _Arg | None = None
    data: msgspec.Raw = msgspec.Raw(b"[]")


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_rows = msgspec.json.Decoder(list[_Row], strict=False).decode


class Okx(Venue):
    """Speaks OKX v5; a topic is `channel:instId`."""

    id = "okx"
    hosts = ("okx.com",)
    step = 1_000

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}
        self._current = settings.fields == "current"
        self._connections = 0

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """Told by an `arg` without the type of instrument, which Bitget has."""
        del memory
        if frame == b"pong":
            return None
        told = _decode_frame(frame)
        arg = told.arg
        if told.event in _EVENTS and (arg is None or not arg.inst_type):
            return None
        if told.event or arg is None or arg.inst_type or not arg.inst_id:
            raise Foreign("no channel and instrument of OKX")
        topics = ((f"{arg.channel}:{arg.inst_id}", frame),)
        if arg.channel != "trades":
            return Heard((arg.inst_id,), topics)
        prints = [
            (row.inst_id, Print(row.trade_id, row.ts * 1_000, row.px, row.sz, 1 if row.side == "buy" else -1))
            for row in _decode_rows(told.data)
        ]
        return Heard((arg.inst_id,), topics, tuple(prints))

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The venue speaks when it is spoken to."""
        if path not in {"", "/", "/ws/v5/public"} or query:
            return Answer(close=(1008, "Invalid path"))
        session.busy = session.pinged = now
        return NOTHING

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """The text `ping`, subscribe and unsubscribe; one answer an argument."""
        session.pinged = now
        if text in {"ping", b"ping"}:
            return Answer((b"pong",))
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            request = None
        if not isinstance(request, dict) or request.get("op") not in {"subscribe", "unsubscribe"}:
            return Answer((_error("60012", f"Invalid request: {_quoted(text)}"),))
        args = request.get("args")
        if not isinstance(args, list) or not args or not all(isinstance(arg, dict) for arg in args):
            return Answer((_error("60012", f"Invalid request: {_quoted(text)}"),))
        return Answer([frame for arg in args for frame in self._argument(session, str(request["op"]), arg)])

    def _argument(self, session: Session, op: str, arg: dict[str, Any]) -> Iterator[bytes]:
        channel, native = str(arg.get("channel")), str(arg.get("instId"))
        ledger = self._ledgers.get(native)
        if ledger is None or channel not in _CHANNELS:
            words = (
                f"Wrong URL or channel:{channel},instId:{native} doesn't exist. Please use the correct URL, channel and"
            )
            yield _error("60018", f"{words} parameters referring to API document.")
            return
        told: dict[str, Any] = {"event": op, "arg": {"channel": channel, "instId": native}}
        yield msgspec.json.encode(told | {"connId": "a4d3ae55"} if self._current else told)
        topic = f"{channel}:{native}"
        if op == "unsubscribe":
            session.topics.pop(topic, None)
            return
        again = topic in session.topics
        session.topics[topic] = None
        if ledger.last is None or again:
            return
        if channel == "trades":
            yield from self.trades(ledger, [ledger.last])
        elif ledger.bid:
            yield self.ticker(ledger, ledger.last.at)

    def beat(self, session: Session, now: int) -> Answer:
        """Closed after 30 s without a word from either side."""
        if now - max(session.busy, session.pinged) >= _QUIET:
            return Answer(close=(4004, "No data received in 30s"))
        return NOTHING

    def publish(self, live: Live, audience: Audience) -> None:
        """Each entry in a frame of its own; the ticker whenever the best prices change."""
        ledger, event = live.ledger, live.event
        native = ledger.listing.native
        if isinstance(event, Sweep) and audience.hears(f"trades:{native}"):
            for frame in self.trades(ledger, event.prints) * event.copies:
                audience.send(f"trades:{native}", frame, trade=True)
        if audience.hears(f"tickers:{native}"):
            at = event.prints[-1].at if isinstance(event, Sweep) else event.at
            audience.send(f"tickers:{native}", self.ticker(ledger, at))

    def announce(self, now: int) -> bytes:
        """The notice before an upgrade."""
        del now
        words = "The connection will soon be closed for a service upgrade. Please reconnect."
        return msgspec.json.encode({"event": "notice", "code": "64008", "msg": words, "connId": "a4d3ae55"})

    def trades(self, ledger: Ledger, prints: Sequence[Print]) -> list[bytes]:
        """Frames of `trades` for what one taker took."""
        listing = ledger.listing
        groups = groupby(prints, key=lambda trade: trade.price if self._current else trade.id)
        return [self._trade(listing, list(group)) for _, group in groups]

    def _trade(self, listing: Listing, prints: list[Print]) -> bytes:
        last = prints[-1]
        row: dict[str, Any] = {
            "instId": listing.native,
            "tradeId": str(last.id),
            "px": short(last.price, listing.decimals),
            "sz": short(sum(trade.size for trade in prints), listing.lot),
            "side": _side(last),
            "ts": str(last.at // 1_000),
        }
        if self._current:
            row |= {"count": str(len(prints)), "source": "0", "seqId": last.sequence}
        return _pushed("trades", listing.native, row)

    def ticker(self, ledger: Ledger, at: int) -> bytes:
        """A frame of `tickers`."""
        listing, last = ledger.listing, ledger.last
        decimals, lot = listing.decimals, listing.lot
        row = {
            "instType": "SPOT",
            "instId": listing.native,
            "last": short(last.price if last else ledger.bid, decimals),
            "lastSz": short(last.size if last else 0.0, lot),
            "askPx": short(ledger.ask, decimals),
            "askSz": short(ledger.ask_size, lot),
            "bidPx": short(ledger.bid, decimals),
            "bidSz": short(ledger.bid_size, lot),
            "open24h": short(ledger.open, decimals),
            "high24h": short(ledger.high, decimals),
            "low24h": short(ledger.low, decimals),
            "sodUtc0": short(ledger.open, decimals),
            "sodUtc8": short(ledger.open, decimals),
            "volCcy24h": short(ledger.turnover, lot),
            "vol24h": short(ledger.volume, lot),
            "ts": str(at // 1_000),
        }
        return _pushed("tickers", listing.native, row)

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/api/v5/…`."""
        match path:
            case "/api/v5/public/time":
                return _result([{"ts": str(now // 1_000)}])
            case "/api/v5/public/instruments":
                if query.get("instType") != "SPOT":
                    return _refusal("51000", "Parameter instType error")
                return _result([_instrument(ledger.listing) for ledger in self._ledgers.values()])
            case "/api/v5/market/history-trades" | "/api/v5/market/candles" | "/api/v5/market/history-candles":
                return self._of_instrument(path, query)
            case _:
                return Reply({"code": "404", "data": {}, "msg": "Not Found"}, 404)

    def _of_instrument(self, path: str, query: Mapping[str, str]) -> Reply:
        ledger = self._ledgers.get(query.get("instId", ""))
        if ledger is None:
            return _refusal("51001", "Instrument ID does not exist")
        try:
            return _history(ledger, query) if path.endswith("trades") else _candles(ledger, query, path)
        except ValueError as exc:
            return _refusal("51000", f"Parameter {str(exc)[:40]} error")

    def limited(self, retry_after: int) -> Reply:
        """429 with code 50011."""
        return Reply({"code": "50011", "data": [], "msg": "Too Many Requests"}, 429, {"Retry-After": str(retry_after)})


def _pushed(channel: str, native: str, row: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"arg": {"channel": channel, "instId": native}, "data": [row]})


def _error(code: str, message: str) -> bytes:
    return msgspec.json.encode({"event": "error", "msg": message, "code": code, "connId": "a4d3ae55"})


def _quoted(text: str | bytes) -> str:
    return (text if isinstance(text, str) else text.decode(errors="replace"))[:200]


def _side(trade: Print) -> str:
    return "buy" if trade.side > 0 else "sell"


def _history(ledger: Ledger, query: Mapping[str, str]) -> Reply:
    """Newest first; `after` and `before` are trade ids, or with type 2 `after` an instant."""
    listing, limit = ledger.listing, _limit(query, _PAGE)
    after, before = whole(query, "after"), whole(query, "before")
    if query.get("type", "1") == "2":
        if before is not None:
            return _refusal("50039", "The before parameter isn't available for timestamp pagination")
        page = ledger.newest(ledger.printed)
        page = [trade for trade in page if after is None or trade.at < after * 1_000][-limit:]
    else:
        page = ledger.between(before, after, limit)
    rows = [
        {
            "instId": listing.native,
            "side": _side(trade),
            "sz": short(trade.size, listing.lot),
            "source": "0",
            "px": short(trade.price, listing.decimals),
            "tradeId": str(trade.id),
            "ts": str(trade.at // 1_000),
        }
        for trade in reversed(page)
    ]
    return _result(rows)


def _candles(ledger: Ledger, query: Mapping[str, str], path: str) -> Reply:
    """Newest first; `after` and `before` exclude the instant they name."""
    if query.get("bar", "1m") != "1m":
        return _refusal("51000", "Parameter bar error")
    limit = _limit(query, _PAGE if path.endswith("history-candles") else _MOST_CANDLES)
    after, before = whole(query, "after"), whole(query, "before")
    start = None if before is None else before * 1_000 + 1
    end = None if after is None else after * 1_000 - 1
    newest = ledger.minutes[-1].at if ledger.minutes else 0
    bars = [bar for bar in ledger.bars(1, start, end) if bar.at < newest or path.endswith("/candles")]
    return _result([_candle(bar, ledger.listing, done=bar.at < newest) for bar in reversed(bars[-limit:])])


def _candle(bar: Bar, listing: Listing, *, done: bool) -> list[str]:
    prices = [short(value, listing.decimals) for value in (bar.open, bar.high, bar.low, bar.close)]
    turnover = short(bar.turnover, 8)
    return [str(bar.at // 1_000), *prices, short(bar.volume, listing.lot), turnover, turnover, "1" if done else "0"]


def _instrument(listing: Listing) -> dict[str, str]:
    lot = short(10.0**-listing.lot, listing.lot)
    return {
        "alias": "",
        "baseCcy": listing.base,
        "category": "1",
        "ctMult": "",
        "ctType": "",
        "ctVal": "",
        "ctValCcy": "",
        "expTime": "",
        "instId": listing.native,
        "instType": "SPOT",
        "lever": "10",
        "listTime": "1548133413000",
        "lotSz": lot,
        "maxIcebergSz": "9999999999",
        "maxLmtSz": "9999999999",
        "maxMktSz": "1000000",
        "maxStopSz": "1000000",
        "maxTriggerSz": "9999999999",
        "maxTwapSz": "9999999999",
        "minSz": "0.00001",
        "optType": "",
        "quoteCcy": listing.quote,
        "settleCcy": "",
        "state": "live",
        "stk": "",
        "tickSz": short(listing.tick, listing.decimals),
        "uly": "",
    }


def _limit(query: Mapping[str, str], most: int) -> int:
    limit = whole(query, "limit")
    return min(_PAGE if limit is None else max(limit, 1), most)


def _result(data: list[Any]) -> Reply:
    return Reply({"code": "0", "data": data, "msg": ""})


def _refusal(code: str, message: str) -> Reply:
    return Reply({"code": code, "data": [], "msg": message})
