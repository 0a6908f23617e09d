"""Binance spot, the server's side: raw and combined streams, trade and bookTicker, REST history.

Streams and errors: https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-streams.md.
Any well-formed stream is accepted, as on the venue; those of other kinds and of unknown symbols stay silent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.simulator.ledger import Ledger, Print
from pricewatch.simulator.listings import parted
from pricewatch.simulator.market import Book
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.venues import binance_rest

_STREAM = re.compile(r"(?:!\w+@arr|[^\s@!/]+@\w+(?:@\w+)?)\Z")
_MOST_STREAMS = 1_024
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,36}\Z")


class _Frame(msgspec.Struct):
    stream: str
    data: msgspec.Raw


class _Trade(msgspec.Struct):
    t: int
    p: float
    q: float
    T: int
    s: str
    m: bool


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_trade = msgspec.json.Decoder(_Trade, strict=False).decode


class Binance(Venue):
    """Speaks Binance spot; a topic is a stream's name, with a `+` behind it in the combined envelope."""

    id = "binance"
    hosts: ClassVar[tuple[str, ...]] = ("stream.binance.com", "data-stream.binance.vision")
    lot = 5
    step = 1_000

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        self._settings = settings
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}

    @staticmethod
    def native(base: str, quote: str) -> str:
        """`BTCUSDT`."""
        return f"{base}{quote}"

    @staticmethod
    def legs(native: str) -> tuple[str, str]:
        """The quote is told by its name."""
        return parted(native)

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """A frame of a combined stream, for those who listen to it combined or raw."""
        del memory
        if b'"stream"' not in frame:
            if b'"result"' in frame or b'"code"' in frame:
                return None
            raise Foreign("it names no stream")
        found = _decode_frame(frame)
        stream, data = found.stream, bytes(found.data)
        if stream.startswith("!"):
            return None
        native = stream.partition("@")[0].upper()
        prints: tuple[tuple[str, Print], ...] = ()
        if stream.endswith("@trade"):
            trade = _decode_trade(data)
            prints = ((trade.s, Print(trade.t, trade.T * 1_000, trade.p, trade.q, -1 if trade.m else 1)),)
        return Heard((native,), ((f"{stream}+", frame), (stream, data)), prints)

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """`/stream?streams=a/b` is combined, `/ws/a` raw; both may start empty."""
        session.pinged = now
        if path == "/stream":
            session.combined = True
            names = query.get("streams", "")
        elif path == "/ws" or path.startswith("/ws/"):
            session.combined = False
            names = path.removeprefix("/ws").strip("/")
        else:
            return Answer(close=(1008, "Invalid path"))
        streams = [name for name in names.split("/") if name]
        if not all(_STREAM.match(name) for name in streams) or len(streams) > _MOST_STREAMS:
            return Answer(close=(1008, "Invalid request"))
        _listen(session, streams)
        return NOTHING

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY and GET_PROPERTY."""
        second = now // SECOND
        session.messages = session.messages + 1 if session.window == second else 1
        session.window = second
        if session.messages > self._settings.message_limit:
            return Answer(close=(1008, "Too many requests"))
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return _error(3, "Invalid JSON: expected value at line 1 column 1", None)
        if not isinstance(request, dict):
            return _error(2, "Invalid request: request must be an object", None)
        return self._request(session, request)

    def _request(self, session: Session, request: dict[str, Any]) -> Answer:
        if "method" not in request:
            return _error(2, "Invalid request: missing field `method` at line 1 column 1", None)
        ident, method = request.get("id", False), request["method"]
        if not _is_ident(ident):
            return _error(2, "Invalid request: request ID must be an unsigned integer", None)
        if method not in _METHODS:
            known = ", ".join(f"`{name}`" for name in _METHODS)
            return _error(2, f"Invalid request: unknown variant `{method}`, expected one of {known}", ident)
        params = request.get("params", [])
        if method == "LIST_SUBSCRIPTIONS":
            return _result([topic.removesuffix("+") for topic in session.topics], ident)
        if not isinstance(params, list):
            return _error(2, "Invalid request: params must be a list", ident)
        if method.endswith("_PROPERTY"):
            return _property(session, method, params, ident)
        return _subscription(session, method, params, ident)

    def beat(self, session: Session, now: int) -> Answer:
        """A ping every 20 s, a close after 24 h."""
        if now - session.opened >= self._settings.session * SECOND:
            return Answer(close=(1001, "Connection lifetime exceeded"))
        if now - session.pinged >= self._settings.ping * SECOND:
            session.pinged = now
            return Answer(ping=str(now // 1_000).encode())
        return NOTHING

    def publish(self, live: Live, audience: Audience) -> None:
        """Each trade in a frame of its own; the best prices whenever they change."""
        native = live.ledger.listing.native
        if isinstance(live.event, Book):
            _send(audience, f"{native.lower()}@bookTicker", book_frame(native, live.event), trade=False)
            return
        stream = f"{native.lower()}@trade"
        if audience.hears(stream) or audience.hears(f"{stream}+"):
            for _ in range(live.event.copies):
                for trade in live.event.prints:
                    _send(audience, stream, trade_frame(native, trade), trade=True)

    def announce(self, now: int) -> bytes:
        """`serverShutdown`."""
        return f'{{"stream":"!serverShutdown","data":{{"e":"serverShutdown","E":{now // 1_000}}}}}'.encode()

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/api/v3/…`."""
        return binance_rest.answer(self._ledgers, path, query, now)

    def limited(self, retry_after: int) -> Reply:
        """429 with code -1003."""
        body = {"code": -1003, "msg": "Too many requests; current limit of IP is 6000 request weight per 1 MINUTE."}
        return Reply(body, 429, {"Retry-After": str(retry_after)})


def trade_frame(native: str, trade: Print) -> str:
    """The payload of `<symbol>@trade`."""
    at = trade.at // 1_000
    return (
        f'{{"e":"trade","E":{at + 1},"s":"{native}","t":{trade.id},"p":"{trade.price:.8f}","q":"{trade.size:.8f}"'
        f',"T":{at},"m":{"true" if trade.side < 0 else "false"},"M":true}}'
    )


def book_frame(native: str, book: Book) -> str:
    """The payload of `<symbol>@bookTicker`."""
    return (
        f'{{"u":{book.sequence},"s":"{native}","b":"{book.bid:.8f}","B":"{book.bid_size:.8f}"'
        f',"a":"{book.ask:.8f}","A":"{book.ask_size:.8f}"}}'
    )


def _send(audience: Audience, stream: str, payload: str, *, trade: bool) -> None:
    if audience.hears(f"{stream}+"):
        audience.send(f"{stream}+", f'{{"stream":"{stream}","data":{payload}}}'.encode(), trade=trade)
    if audience.hears(stream):
        audience.send(stream, payload.encode(), trade=trade)


def _listen(session: Session, streams: list[str]) -> None:
    for name in streams:
        session.topics[f"{name}+" if session.combined else name] = None


def _is_ident(ident: Any) -> bool:
    if isinstance(ident, bool):
        return False
    return ident is None or isinstance(ident, int) or (isinstance(ident, str) and bool(_NAME.match(ident)))


def _subscription(session: Session, method: str, params: list[Any], ident: Any) -> Answer:
    if not params or not all(isinstance(name, str) and _STREAM.match(name) for name in params):
        return _error(2, "Invalid request: invalid stream", ident)
    if method == "SUBSCRIBE":
        if len(session.topics) + len(params) > _MOST_STREAMS:
            return _error(2, "Invalid request: too many parameters", ident)
        _listen(session, params)
    else:
        for name in params:
            session.topics.pop(f"{name}+" if session.combined else name, None)
    return _result(None, ident)


def _property(session: Session, method: str, params: list[Any], ident: Any) -> Answer:
    if not params or not isinstance(params[0], str):
        return _error(2, "Invalid request: property name must be a string", ident)
    if params[0] != "combined":
        return _error(0, "Unknown property", ident)
    if method == "GET_PROPERTY":
        return _result(session.combined, ident)
    if len(params) != 2 or not isinstance(params[1], bool):
        return _error(1, "Invalid value type: expected Boolean", ident)
    names = [topic.removesuffix("+") for topic in session.topics]
    session.topics.clear()
    session.combined = params[1]
    _listen(session, names)
    return _result(None, ident)


def _result(result: Any, ident: Any) -> Answer:
    return Answer((msgspec.json.encode({"result": result, "id": ident}),))


def _error(code: int, message: str, ident: Any) -> Answer:
    body: dict[str, Any] = {"code": code, "msg": message}
    if ident is not None:
        body["id"] = ident
    return Answer((msgspec.json.encode(body),))
