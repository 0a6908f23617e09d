"""Bitget v2 spot, the server's side: trades and tickers, REST history.

https://www.bitget.com/api-doc/spot/websocket/public/Trades-Channel, …/Tickers-Channel, …/spot/market/. The newest
trades come first; a subscription is answered with a snapshot of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.simulator.ledger import Bar, Ledger, Print
from pricewatch.simulator.listings import Listing, parted
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue, whole
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.text import short

_CHANNELS = ("trade", "ticker")
_EVENTS = ("subscribe", "unsubscribe", "error")
_SNAPSHOT = 50
_UNPINGED = 120 * SECOND
_MOST_BYTES = 4_096
_MOST = 1_000
_WEEK = 7 * 86_400_000


class _Row(msgspec.Struct, rename="camel"):
    ts: int
    price: float
    size: float
    side: Literal["buy", "sell"]
    trade_id: int


class _Arg(msgspec.Struct, rename="camel"):
    inst_type: str
    channel: str
    inst_id: str


class _Frame(msgspec.Struct):
    event: str = ""
    action: str = ""
    arg: _Arg | None = None
    data: msgspec.Raw = msgspec.Raw(b"[]")


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_rows = msgspec.json.Decoder(list[_Row], strict=False).decode


class Bitget(Venue):
    """Speaks Bitget v2 spot; a topic is `channel:instId`."""

    id = "bitget"
    hosts = ("bitget.com",)
    lot = 6
    step = 1_000

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        self._settings = settings
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
        """Told by an `arg` with the type of instrument; a snapshot of trades is no news."""
        del memory
        if frame == b"pong":
            return None
        told = _decode_frame(frame)
        arg = told.arg
        if told.event in _EVENTS:
            return None
        if told.event or arg is None or not told.action:
            raise Foreign("no channel and action of Bitget")
        topics = ((f"{arg.channel}:{arg.inst_id}", frame),)
        if arg.channel != "trade" or told.action == "snapshot":
            return Heard((arg.inst_id,), topics)
        prints = [
            (arg.inst_id, Print(row.trade_id, row.ts * 1_000, row.price, row.size, 1 if row.side == "buy" else -1))
            for row in reversed(_decode_rows(told.data))
        ]
        return Heard((arg.inst_id,), topics, tuple(prints))

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The venue speaks when it is spoken to."""
        if path not in {"", "/", "/v2/ws/public"} or query:
            return Answer(close=(1008, "Invalid path"))
        session.pinged = now
        return NOTHING

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """The text `ping`, subscribe and unsubscribe; one answer an argument."""
        if text in {"ping", b"ping"}:
            session.pinged = now
            return Answer((b"pong",))
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            request = None
        if not isinstance(request, dict) or request.get("op") not in {"subscribe", "unsubscribe"}:
            return Answer((_error(30003, "Invalid op", {}),))
        args = request.get("args")
        if not isinstance(args, list) or not args or not all(isinstance(arg, dict) for arg in args):
            return Answer((_error(30016, "Param error", {"op": request["op"]}),))
        if len(text) > _MOST_BYTES:
            return Answer((_error(30016, "Param error", {"op": request["op"]}),))
        return Answer([frame for arg in args for frame in self._argument(session, str(request["op"]), arg, now)])

    def _argument(self, session: Session, op: str, asked: dict[str, Any], now: int) -> Iterator[bytes]:
        kind, channel, native = (str(asked.get(key)) for key in ("instType", "channel", "instId"))
        arg = {"instType": kind, "channel": channel, "instId": native}
        ledger = self._ledgers.get(native)
        if ledger is None or channel not in _CHANNELS or kind != "SPOT":
            words = f"instType:{kind},channel:{channel},instId:{native} doesn't exist"
            yield _error(30001, words, {"arg": arg, "op": op})
            return
        yield msgspec.json.encode({"event": op, "arg": arg})
        topic = f"{channel}:{native}"
        if op == "unsubscribe":
            session.topics.pop(topic, None)
            return
        session.topics[topic] = None
        if ledger.last is None:
            return
        if channel == "trade":
            yield trade_frame(ledger.listing, ledger.newest(_SNAPSHOT), "snapshot", now)
        elif ledger.bid:
            yield ticker_frame(ledger, ledger.last.at)

    def beat(self, session: Session, now: int) -> Answer:
        """Closed 2 min after the last `ping`, whatever was sent since, and after 24 h."""
        if now - session.pinged >= _UNPINGED or now - session.opened >= self._settings.session * SECOND:
            return Answer(close=(1001, ""))
        return NOTHING

    def publish(self, live: Live, audience: Audience) -> None:
        """The trades of one taker in one frame, newest first; the ticker whenever the best prices change."""
        ledger, event = live.ledger, live.event
        native = ledger.listing.native
        at = event.prints[-1].at if isinstance(event, Sweep) else event.at
        if isinstance(event, Sweep) and audience.hears(f"trade:{native}"):
            frame = trade_frame(ledger.listing, event.prints, "update", at)
            for _ in range(event.copies):
                audience.send(f"trade:{native}", frame, trade=True)
        if audience.hears(f"ticker:{native}"):
            audience.send(f"ticker:{native}", ticker_frame(ledger, at))

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/api/v2/…`."""
        match path:
            case "/api/v2/public/time":
                return _result({"serverTime": str(now // 1_000)}, now)
            case "/api/v2/spot/public/symbols":
                return _result([_symbol(ledger.listing) for ledger in self._ledgers.values()], now)
            case "/api/v2/spot/market/fills-history" | "/api/v2/spot/market/candles":
                return self._of_symbol(path, query, now)
            case _:
                return _refusal("40404", "Request URL NOT FOUND", now, 404)

    def _of_symbol(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        ledger = self._ledgers.get(query.get("symbol", ""))
        if ledger is None:
            return _refusal("40034", f"Parameter {query.get('symbol', '')[:40]} does not exist", now)
        try:
            rows = _fills(ledger, query, now) if path.endswith("history") else _candles(ledger, query)
        except ValueError as exc:
            return _refusal("40017", f"Parameter verification failed {str(exc)[:40]}", now)
        return _result(rows, now)

    def limited(self, retry_after: int) -> Reply:
        """429; how long to wait is told as HTTP does it."""
        body = {"code": "429", "msg": "Too Many Requests", "requestTime": 0, "data": None}
        return Reply(body, 429, {"Retry-After": str(retry_after)})


def trade_frame(listing: Listing, prints: Sequence[Print], action: str, at: int) -> bytes:
    """A frame of channel `trade`."""
    rows = [
        {
            "ts": str(trade.at // 1_000),
            "price": short(trade.price, listing.decimals),
            "size": short(trade.size, listing.lot),
            "side": _side(trade),
            "tradeId": str(trade.id),
        }
        for trade in reversed(prints)
    ]
    return _pushed(action, "trade", listing.native, rows, at)


def ticker_frame(ledger: Ledger, at: int) -> bytes:
    """A frame of channel `ticker`."""
    listing, last = ledger.listing, ledger.last
    decimals, lot = listing.decimals, listing.lot
    price = last.price if last else ledger.bid
    change = f"{(price - ledger.open) / ledger.open:.5f}"
    row = {
        "instId": listing.native,
        "lastPr": short(price, decimals),
        "open24h": short(ledger.open, decimals),
        "high24h": short(ledger.high, decimals),
        "low24h": short(ledger.low, decimals),
        "change24h": change,
        "bidPr": short(ledger.bid, decimals),
        "askPr": short(ledger.ask, decimals),
        "bidSz": short(ledger.bid_size, lot),
        "askSz": short(ledger.ask_size, lot),
        "baseVolume": short(ledger.volume, lot),
        "quoteVolume": short(ledger.turnover, lot),
        "openUtc": short(ledger.open, decimals),
        "changeUtc24h": change,
        "ts": str(at // 1_000),
    }
    return _pushed("snapshot", "ticker", listing.native, [row], at)


def _pushed(action: str, channel: str, native: str, rows: list[dict[str, str]], at: int) -> bytes:
    arg = {"instType": "SPOT", "channel": channel, "instId": native}
    return msgspec.json.encode({"action": action, "arg": arg, "data": rows, "ts": at // 1_000 + 1})


def _error(code: int, message: str, extra: Mapping[str, Any]) -> bytes:
    arg = {"arg": extra["arg"]} if "arg" in extra else {}
    op = {"op": extra["op"]} if "op" in extra else {}
    return msgspec.json.encode({"event": "error", **arg, "code": code, "msg": message, **op})


def _side(trade: Print) -> str:
    return "buy" if trade.side > 0 else "sell"


def _fills(ledger: Ledger, query: Mapping[str, str], now: int) -> list[dict[str, str]]:
    """The newest between two instants and before an id, newest first."""
    listing, limit = ledger.listing, _limit(query, 500)
    end = whole(query, "endTime")
    end = now // 1_000 if end is None else end
    start = whole(query, "startTime")
    start = end - _WEEK if start is None else start
    if end - start > _WEEK:
        raise ValueError("startTime")
    older = ledger.between(None, whole(query, "idLessThan"), ledger.printed)
    page = [trade for trade in older if start <= trade.at // 1_000 <= end][-limit:]
    return [
        {
            "symbol": listing.native,
            "tradeId": str(trade.id),
            "side": _side(trade),
            "price": short(trade.price, listing.decimals),
            "size": short(trade.size, listing.lot),
            "ts": str(trade.at // 1_000),
        }
        for trade in reversed(page)
    ]


def _candles(ledger: Ledger, query: Mapping[str, str]) -> list[list[str]]:
    """The newest between two instants, oldest first."""
    if query.get("granularity") != "1min":
        raise ValueError("granularity")
    start, end = whole(query, "startTime"), whole(query, "endTime")
    bars = ledger.bars(1, None if start is None else start * 1_000, None if end is None else end * 1_000)
    return [_candle(bar, ledger.listing) for bar in bars[-_limit(query, 100) :]]


def _candle(bar: Bar, listing: Listing) -> list[str]:
    prices = [short(value, listing.decimals) for value in (bar.open, bar.high, bar.low, bar.close)]
    turnover = short(bar.turnover, 8)
    return [str(bar.at // 1_000), *prices, short(bar.volume, listing.lot), turnover, turnover]


def _symbol(listing: Listing) -> dict[str, str]:
    return {
        "symbol": listing.native,
        "baseCoin": listing.base,
        "quoteCoin": listing.quote,
        "minTradeAmount": "0.0001",
        "maxTradeAmount": "10000",
        "takerFeeRate": "0.001",
        "makerFeeRate": "0.001",
        "pricePrecision": str(listing.decimals),
        "quantityPrecision": str(listing.lot),
        "quotePrecision": "4",
        "minTradeUSDT": "5",
        "status": "online",
        "buyLimitPriceRatio": "0.05",
        "sellLimitPriceRatio": "0.05",
    }


def _limit(query: Mapping[str, str], usual: int) -> int:
    limit = whole(query, "limit")
    return usual if limit is None else min(max(limit, 1), _MOST)


def _result(data: Any, now: int) -> Reply:
    return Reply({"code": "00000", "msg": "success", "requestTime": now // 1_000, "data": data})


def _refusal(code: str, message: str, now: int, status: int = 400) -> Reply:
    return Reply({"code": code, "msg": message, "requestTime": now // 1_000, "data": None}, status)
