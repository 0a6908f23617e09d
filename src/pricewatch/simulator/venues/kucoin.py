"""KuCoin spot, the server's side: a token by REST, then matches and best prices, pings that must come, REST history.

https://www.kucoin.com/docs-new/websocket-api/base-info/introduction
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.simulator.ledger import Bar, Ledger, Print
from pricewatch.simulator.listings import Listing
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue, whole
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.text import short

_MATCH, _TICKER = "/market/match", "/market/ticker"
_PING, _PATIENCE = 18_000, 10_000
_TOKENS = 1_000
_TOPICS = 300
_A_MESSAGE = 100
_PAST = 100
_MOST_CANDLES = 1_500


class _Data(msgspec.Struct, rename={"trade": "tradeId"}):
    sequence: int = 0
    side: str = ""
    price: float = 0.0
    size: float = 0.0
    time: int = 0
    trade: str = ""


class _Control(msgspec.Struct):
    type: str
    topic: str = ""


class _Frame(msgspec.Struct):
    data: _Data


_decode_control = msgspec.json.Decoder(_Control).decode
_decode_frame = msgspec.json.Decoder(_Frame, strict=False).decode


class KuCoin(Venue):
    """Speaks KuCoin's classic protocol; a topic is `/market/match:BTC-USDT`, as on the wire."""

    id = "kucoin"
    hosts = ("ws-api-spot.kucoin.com", "ws-api.kucoin.com", "push-private.kucoin.com")

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        del settings
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}
        self._tokens: dict[str, None] = {}
        self._told = 0

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """A message about one symbol, whatever its topic."""
        del memory
        control = _decode_control(frame)
        if control.type in {"welcome", "ack", "pong", "error"}:
            return None
        if control.type != "message":
            raise Foreign("it has no type of this venue's")
        kind, _, native = control.topic.partition(":")
        if kind == "/market/candles":
            native = native.rpartition("_")[0]
        if not native or "," in native:
            raise Foreign("its topic names no symbol")
        prints: tuple[tuple[str, Print], ...] = ()
        if kind == _MATCH:
            row = _decode_frame(frame).data
            side = 1 if row.side == "buy" else -1
            prints = ((native, Print(row.sequence, row.time // 1_000, row.price, row.size, side, ref=row.trade)),)
        return Heard((native,), ((control.topic, frame),), prints)

    # --- the socket ------------------------------------------------------------------------------------------------

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """A token that was given out, then a welcome."""
        session.pinged = now
        identity = query.get("connectId") or f"{now:x}"
        if path not in {"", "/", "/endpoint"} or query.get("token") not in self._tokens:
            refusal = {"id": identity, "type": "error", "code": 401, "data": "token is invalid"}
            return Answer((msgspec.json.encode(refusal),), close=(1008, "token is invalid"))
        return Answer((msgspec.json.encode({"id": identity, "type": "welcome"}),))

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """Subscribe, unsubscribe (all symbols of a topic or none) and ping."""
        try:
            request = msgspec.json.decode(text)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            return Answer((_failure("", 415, "type is not supported"),))
        identity = str(request.get("id", ""))
        match request.get("type"):
            case "ping":
                session.pinged = now
                return Answer((msgspec.json.encode({"id": identity, "type": "pong", "timestamp": now}),))
            case "subscribe" | "unsubscribe":
                return self._subscription(session, identity, request)
            case _:
                return Answer((_failure(identity, 415, "type is not supported"),))

    def _subscription(self, session: Session, identity: str, request: dict[str, Any]) -> Answer:
        topic = str(request.get("topic", ""))
        kind, _, names = topic.partition(":")
        natives = names.split(",")
        if kind not in {_MATCH, _TICKER} or any(native not in self._ledgers for native in natives):
            return Answer((_failure(identity, 404, f"topic {topic[:200]} is not found"),))
        wanted = [f"{kind}:{native}" for native in natives]
        if request["type"] == "unsubscribe":
            for one in wanted:
                session.topics.pop(one, None)
        elif len(natives) > _A_MESSAGE:
            words = f"exceed max subscription count limitation of {_A_MESSAGE} per time"
            return Answer((_failure(identity, 509, words),))
        elif len(session.topics.keys() | set(wanted)) > _TOPICS:
            words = f"exceed max subscription count limitation of {_TOPICS} per session"
            return Answer((_failure(identity, 509, words),))
        else:
            session.topics |= dict.fromkeys(wanted)
        return Answer((msgspec.json.encode({"id": identity, "type": "ack"}),)) if request.get("response") else NOTHING

    def beat(self, session: Session, now: int) -> Answer:
        """A client that did not ping in time is left."""
        late = now - session.pinged > (_PING + _PATIENCE) * 1_000
        return Answer(close=(1001, "ping timeout")) if late else NOTHING

    def publish(self, live: Live, audience: Audience) -> None:
        """A frame a match; the best prices with the last trade on each change."""
        ledger, event = live.ledger, live.event
        match, ticker = f"{_MATCH}:{ledger.listing.native}", f"{_TICKER}:{ledger.listing.native}"
        if isinstance(event, Sweep) and audience.hears(match):
            for trade in event.prints:
                for _ in range(event.copies):
                    audience.send(match, _matched(ledger.listing, match, trade), trade=True)
        if audience.hears(ticker) and ledger.last is not None:
            at = event.prints[-1].at if isinstance(event, Sweep) else event.at
            audience.send(ticker, _best(ledger, ledger.last, ticker, at))

    # --- REST ------------------------------------------------------------------------------------------------------

    def post(self, path: str, query: Mapping[str, str], body: bytes, now: int) -> Reply:
        """The token and where to bring it."""
        if path != "/api/v1/bullet-public":
            return super().post(path, query, body, now)
        self._told += 1
        token = f"2neAiuYvAU61ZDXANAGAsiL4-{now:x}{self._told:06x}=="
        self._tokens[token] = None
        if len(self._tokens) > _TOKENS:
            del self._tokens[next(iter(self._tokens))]
        server = {
            "endpoint": self.socket,
            "encrypt": self.socket.startswith("wss"),
            "protocol": "websocket",
            "pingInterval": _PING,
            "pingTimeout": _PATIENCE,
        }
        return _result({"token": token, "instanceServers": [server]})

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/api/v1/…` and `/api/v2/symbols`."""
        if path in {"/api/v1/symbols", "/api/v2/symbols"}:
            return _result([_symbol(ledger.listing) for ledger in self._ledgers.values()])
        if path not in {"/api/v1/market/histories", "/api/v1/market/candles"}:
            return Reply({"code": "404000", "msg": "URL not found"}, 404)
        ledger = self._ledgers.get(query.get("symbol", ""))
        if ledger is None:
            return Reply({"code": "900001", "msg": "symbol not exists"})
        if path.endswith("histories"):
            return _result([_past(trade, ledger.listing) for trade in ledger.newest(_PAST)])
        try:
            return _candles(ledger, query, now)
        except ValueError as exc:
            return Reply({"code": "400100", "msg": f"Param error: {str(exc)[:40]}"})

    def limited(self, retry_after: int) -> Reply:
        """The venue's own words; it tells the time to wait in milliseconds, in a header of its own."""
        headers = {"Retry-After": str(retry_after), "gw-ratelimit-reset": str(retry_after * 1_000)}
        return Reply({"code": "429000", "msg": "Too many requests"}, 429, headers)


def _matched(listing: Listing, topic: str, trade: Print) -> bytes:
    data = {
        "sequence": str(trade.id),
        "type": "match",
        "symbol": listing.native,
        "side": "buy" if trade.side > 0 else "sell",
        "price": short(trade.price, listing.decimals),
        "size": short(trade.size, listing.lot),
        "tradeId": str(trade.id),
        "takerOrderId": f"{trade.id:024x}",
        "makerOrderId": f"{trade.sequence:024x}",
        "time": str(trade.at * 1_000),
    }
    return msgspec.json.encode({"type": "message", "topic": topic, "subject": "trade.l3match", "data": data})


def _best(ledger: Ledger, last: Print, topic: str, at: int) -> bytes:
    decimals, lot = ledger.listing.decimals, ledger.listing.lot
    data = {
        "sequence": str(max(ledger.sequence, last.id)),
        "price": short(last.price, decimals),
        "size": short(last.size, lot),
        "bestAsk": short(ledger.ask, decimals),
        "bestAskSize": short(ledger.ask_size, lot),
        "bestBid": short(ledger.bid, decimals),
        "bestBidSize": short(ledger.bid_size, lot),
        "time": at // 1_000,
    }
    return msgspec.json.encode({"type": "message", "topic": topic, "subject": "trade.ticker", "data": data})


def _failure(identity: str, code: int, words: str) -> bytes:
    return msgspec.json.encode({"id": identity, "type": "error", "code": code, "data": words})


def _past(trade: Print, listing: Listing) -> dict[str, Any]:
    return {
        "sequence": str(trade.id),
        "price": short(trade.price, listing.decimals),
        "size": short(trade.size, listing.lot),
        "side": "buy" if trade.side > 0 else "sell",
        "time": trade.at * 1_000,
    }


def _candles(ledger: Ledger, query: Mapping[str, str], now: int) -> Reply:
    if query.get("type") != "1min":
        raise ValueError("type")
    start, end = whole(query, "startAt"), whole(query, "endAt")
    until = (now if not end else end * SECOND) - 1
    bars = ledger.bars(1, None if start is None else start * SECOND, until)[-_MOST_CANDLES:]
    return _result([_candle(bar, ledger.listing) for bar in reversed(bars)])


def _candle(bar: Bar, listing: Listing) -> list[str]:
    prices = [short(value, listing.decimals) for value in (bar.open, bar.close, bar.high, bar.low)]
    return [str(bar.at // SECOND), *prices, short(bar.volume, listing.lot), short(bar.turnover, 12)]


def _symbol(listing: Listing) -> dict[str, Any]:
    step = short(listing.tick, listing.decimals)
    return {
        "symbol": listing.native,
        "name": listing.native,
        "baseCurrency": listing.base,
        "quoteCurrency": listing.quote,
        "feeCurrency": listing.quote,
        "market": listing.quote,
        "baseMinSize": "0.00001",
        "quoteMinSize": "0.01",
        "baseMaxSize": "10000000000",
        "quoteMaxSize": "99999999",
        "baseIncrement": short(10.0**-listing.lot, listing.lot),
        "quoteIncrement": step,
        "priceIncrement": step,
        "priceLimitRate": "0.1",
        "isMarginEnabled": False,
        "enableTrading": True,
    }


def _result(data: Any) -> Reply:
    return Reply({"code": "200000", "data": data})
