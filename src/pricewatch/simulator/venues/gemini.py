"""Gemini market data version 2, the server's side: books, trades, heartbeats; REST trades, candles, symbols.

https://developer.gemini.com/websocket/archived/v2 and https://developer.gemini.com/trading/rest-api/market-data. A
request passes over names it does not know, unless it knows none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.simulator.depth import depth
from pricewatch.simulator.ledger import Ledger, Print
from pricewatch.simulator.listings import Listing, parted
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue, whole
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.text import short

_BEATS = 5
"""A heartbeat is due every five of the settings' (which are a second by default)."""
_LEVELS = 10
_SNAPSHOT = 50
_PATH = re.compile(r"/(?:v1/trades/(?P<trades>[a-zA-Z0-9]+)|v2/candles/(?P<candles>[a-zA-Z0-9]+)/1m)\Z")
_MOST_TRADES = 500
_DAY_MINUTES = 1_440
_Levels = dict[tuple[str, float], float]


class _Recorded(msgspec.Struct):
    type: str = ""
    symbol: str = ""
    result: str = ""


class _RecordedTrade(msgspec.Struct):
    timestamp: int
    price: float
    quantity: float
    side: str
    tid: int | None = None
    event_id: int = 0


_decode_recorded = msgspec.json.Decoder(_Recorded).decode
_decode_trade = msgspec.json.Decoder(_RecordedTrade, strict=False).decode


class Gemini(Venue):
    """Speaks Gemini's version 2; a topic is `l2:symbol`."""

    id = "gemini"
    hosts = ("api.gemini.com",)
    step = 1_000

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}
        self._beat = settings.heartbeat * _BEATS * SECOND
        self._current = settings.fields == "current"
        self._shown: dict[str, _Levels] = {}
        """The levels that subscribers of a market know."""

    @staticmethod
    def native(base: str, quote: str) -> str:
        """`BTCUSD`."""
        return f"{base}{quote}"

    @staticmethod
    def legs(native: str) -> tuple[str, str]:
        """By the known quotes."""
        return parted(native)

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """Books and trades, which have one topic; the trades of a market's first frame are past ones."""
        del memory
        line = _decode_recorded(frame)
        if line.type == "heartbeat" or line.result == "error":
            return None
        if not line.type or not line.symbol:
            raise Foreign("neither type nor symbol")
        prints: tuple[tuple[str, Print], ...] = ()
        if line.type == "trade":
            trade = _decode_trade(frame)
            side = {"buy": 1, "sell": -1}.get(trade.side, 0)
            number = trade.event_id if trade.tid is None else trade.tid
            prints = ((line.symbol, Print(number, trade.timestamp * 1_000, trade.price, trade.quantity, side)),)
        name = "l2" if line.type in {"trade", "l2_updates"} else line.type
        return Heard((line.symbol,), ((f"{name}:{line.symbol}", frame),), prints)

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Nothing is said before the client speaks."""
        session.pinged = now
        return Answer(close=(1008, "Invalid path")) if path not in {"", "/", "/v2/marketdata"} or query else NOTHING

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """Subscribe and unsubscribe; what confirms a market is its whole book."""
        del now
        try:
            request = msgspec.json.decode(text)
            names = [
                symbol for one in request["subscriptions"] if one["name"] == "l2" for symbol in map(str, one["symbols"])
            ]
            kind = request["type"]
        except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, KeyError):
            return _error("InvalidJson")
        known = [name for name in names if name in self._ledgers]
        if not known:
            return _error("NoValidTradingPairs")
        if kind == "unsubscribe":
            for name in known:
                session.topics.pop(f"l2:{name}", None)
            return NOTHING
        session.topics |= {f"l2:{name}": None for name in known}
        return Answer([self._first(self._ledgers[name]) for name in known])

    def _first(self, ledger: Ledger) -> bytes:
        """The whole book and the last trades."""
        listing = ledger.listing
        shown = self._shown.setdefault(listing.native, _levels(ledger))
        trades = [self._trade(listing, trade) for trade in reversed(ledger.newest(_SNAPSHOT))]
        return (
            f'{{"type":"l2_updates","symbol":"{listing.native}","changes":{_changes(listing, shown)}'
            f',"trades":[{",".join(trades)}],"auction_events":[]}}'
        ).encode()

    def beat(self, session: Session, now: int) -> Answer:
        """A heartbeat every five seconds to who listens."""
        if not session.topics or now - session.pinged < self._beat:
            return NOTHING
        session.pinged = now
        return Answer((f'{{"type":"heartbeat","timestamp":{now // 1_000}}}'.encode(),))

    def publish(self, live: Live, audience: Audience) -> None:
        """Each trade in a frame of its own; the levels that changed."""
        ledger, event = live.ledger, live.event
        listing = ledger.listing
        topic = f"l2:{listing.native}"
        before, after = self._shown.get(listing.native, {}), _levels(ledger)
        self._shown[listing.native] = after
        if not audience.hears(topic):
            return
        if isinstance(event, Sweep):
            for _ in range(event.copies):
                for trade in event.prints:
                    audience.send(topic, self._trade(listing, trade).encode(), trade=True)
        changed = {level: 0.0 for level in before if level not in after}
        changed |= {level: size for level, size in after.items() if before.get(level) != size}
        if changed:
            frame = f'{{"type":"l2_updates","symbol":"{listing.native}","changes":{_changes(listing, changed)}}}'
            audience.send(topic, frame.encode())

    def _trade(self, listing: Listing, trade: Print) -> str:
        ident = f',"tid":{trade.id}' if self._current else ""
        return (
            f'{{"type":"trade","symbol":"{listing.native}","event_id":{trade.id},"timestamp":{trade.at // 1_000}'
            f',"price":"{trade.price:.{listing.decimals}f}","quantity":"{short(trade.size, listing.lot)}"'
            f',"side":"{_side(trade)}"{ident}}}'
        )

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/v1/symbols`, `/v1/trades/…`, `/v2/candles/…/1m`."""
        del now
        if path == "/v1/symbols":
            return Reply([native.lower() for native in self._ledgers])
        found = _PATH.match(path)
        ledger = self._ledgers.get((found["trades"] or found["candles"]).upper()) if found else None
        if found is None or ledger is None:
            return _refusal(404 if found is None else 400, "EndpointNotFound" if found is None else "InvalidSymbol")
        try:
            return _trades(ledger, query) if found["trades"] else Reply(_candles(ledger))
        except ValueError:
            return _refusal(400, "InvalidTimestampInPayload")

    def limited(self, retry_after: int) -> Reply:
        """429 with a reason."""
        reply = _refusal(429, "RateLimit")
        return Reply(reply.body, 429, {"Retry-After": str(retry_after)})


def _levels(ledger: Ledger) -> _Levels:
    if not ledger.bid:
        return {}
    bids, asks = depth(ledger.listing, ledger.bid, ledger.bid_size, ledger.ask, ledger.ask_size, _LEVELS)
    return {("buy", price): size for price, size in bids} | {("sell", price): size for price, size in asks}


def _changes(listing: Listing, levels: _Levels) -> str:
    rows = (
        f'["{side}","{price:.{listing.decimals}f}","{short(size, listing.lot)}"]'
        for (side, price), size in levels.items()
    )
    return f"[{','.join(rows)}]"


def _side(trade: Print) -> str:
    return "buy" if trade.side > 0 else "sell"


def _trades(ledger: Ledger, query: Mapping[str, str]) -> Reply:
    """Newest first: those that follow an instant or an id, else the last ones."""
    limit = min(whole(query, "limit_trades") or 50, _MOST_TRADES)
    since, after = whole(query, "timestamp"), whole(query, "since_tid")
    if after is not None:
        page: Sequence[Print] = ledger.starting(after + 1, limit)
    elif since is not None:
        instant = since * 1_000 if since > 10**11 else since * SECOND
        page, _ = ledger.since((instant + 1_000) * 1_000 - 1, limit)
    else:
        page = ledger.newest(limit)
    return Reply([_past(ledger.listing, trade) for trade in reversed(page)])


def _past(listing: Listing, trade: Print) -> dict[str, Any]:
    return {
        "timestamp": trade.at // SECOND,
        "timestampms": trade.at // 1_000,
        "tid": trade.id,
        "price": f"{trade.price:.{listing.decimals}f}",
        "amount": short(trade.size, listing.lot),
        "exchange": "gemini",
        "type": _side(trade),
    }


def _candles(ledger: Ledger) -> list[list[Any]]:
    """Newest first."""
    bars = ledger.bars(1)[-_DAY_MINUTES:]
    return [[bar.at // 1_000, bar.open, bar.high, bar.low, bar.close, bar.volume] for bar in reversed(bars)]


def _refusal(status: int, reason: str) -> Reply:
    return Reply({"result": "error", "reason": reason, "message": reason}, status)


def _error(reason: str) -> Answer:
    return Answer((msgspec.json.encode({"reason": reason, "result": "error"}),))
