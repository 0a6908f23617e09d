"""Bitfinex version 2, the server's side: trades, tickers, heartbeats, sequence numbers; REST in its own file.

https://docs.bitfinex.com/docs/ws-general, …/reference/ws-public-trades, …/reference/ws-public-ticker. Books and candles
are served from recordings only. A message that is no JSON is not answered, as on the venue.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.simulator.ledger import Ledger, Print
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.text import short
from pricewatch.simulator.venues import bitfinex_rest

_CHANNELS = ("book", "candles", "ticker", "trades")
_EVENTS = ("conf", "error", "info", "pong", "subscribed", "unsubscribed")
_MOST_CHANNELS = 25
_SNAPSHOT = 30
_SEQUENCE = 65_536
_BEATS = 15
"""A heartbeat is due every fifteen of the settings' (which are a second by default)."""
_SERVER = "083bd8d4-aca7-4690-a573-eabfc8103de8"


class _Subscribed(msgspec.Struct, rename={"number": "chanId"}):
    event: str
    channel: str = ""
    symbol: str = ""
    number: int = 0
    flags: int = 0


class _Recorded(msgspec.Struct, array_like=True):
    number: int
    body: msgspec.Raw
    row: msgspec.Raw = msgspec.Raw()


_decode_event = msgspec.json.Decoder(_Subscribed).decode
_decode_frame = msgspec.json.Decoder(_Recorded).decode
_decode_row = msgspec.json.Decoder(tuple[int, int, float, float]).decode


class Bitfinex(Venue):
    """Speaks Bitfinex's version 2; a topic is `channel:symbol`."""

    id = "bitfinex"
    hosts = ("api-pub.bitfinex.com", "api.bitfinex.com")
    stamps = True
    step = 1_000

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}
        self._beat = settings.heartbeat * _BEATS * SECOND

    @staticmethod
    def native(base: str, quote: str) -> str:
        """`tBTCUST`, `tDUSK:USD`."""
        base, quote = (bitfinex_rest.CODES.get(leg, leg) for leg in (base, quote))
        return f"t{base}{quote}" if len(base) == len(quote) == 3 else f"t{base}:{quote}"

    @staticmethod
    def legs(native: str) -> tuple[str, str]:
        """Three letters each, or parted by a colon."""
        pair = native.removeprefix("t")
        base, quote = pair.split(":", 1) if ":" in pair else (pair[:3], pair[3:])
        return bitfinex_rest.NAMES.get(base, base), bitfinex_rest.NAMES.get(quote, quote)

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """Data of the channels that were acknowledged on the connection, without their sequence numbers."""
        if not frame.startswith(b"["):
            return _noted(frame, memory)
        line = _decode_frame(frame)
        body = bytes(line.body)
        if body == b'"hb"':
            return None
        if str(line.number) not in memory:
            raise Foreign(f"channel {line.number} was never acknowledged")
        channel, symbol = memory[str(line.number)]
        if memory.get("counted"):
            frame = frame[: frame.rindex(b",")] + b"]"
        prints: tuple[tuple[str, Print], ...] = ()
        if body == b'"te"':
            number, at, amount, price = _decode_row(line.row)
            prints = ((symbol, Print(number, at * 1_000, price, abs(amount), -1 if amount < 0 else 1)),)
        return Heard((symbol,), ((f"{channel}:{symbol}", frame),), prints)

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The platform's status comes first."""
        if path not in {"", "/", "/ws/2"} or query:
            return Answer(close=(1008, "Invalid path"))
        session.pinged = now
        platform = {"event": "info", "version": 2, "serverId": _SERVER, "platform": {"status": 1}}
        return Answer((msgspec.json.encode(platform),))

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """Subscribe, unsubscribe, conf and ping."""
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return NOTHING
        event = request.get("event") if isinstance(request, dict) else None
        match event:
            case "subscribe":
                return Answer(list(self._subscribe(session, request)))
            case "unsubscribe":
                return self._unsubscribe(session, request)
            case "conf":
                flags = request.get("flags", 0)
                session.notes["counted"] = isinstance(flags, int) and bool(flags & _SEQUENCE)
                return _say({"event": "conf", "status": "OK", "flags": flags})
            case "ping":
                return _say({"event": "pong", "ts": now // 1_000, "cid": request.get("cid")})
            case _:
                return _error({}, f"event: invalid ({str(event)[:40]})", 10_000)

    def _subscribe(self, session: Session, request: dict[str, Any]) -> Iterator[bytes]:
        channel, symbol = request.get("channel"), request.get("symbol")
        echo = {key: value for key, value in request.items() if key != "event"}
        if channel not in _CHANNELS:
            yield from _error(echo, "channel: unknown", 10_300).frames
            return
        ledger = self._ledgers.get(symbol) if isinstance(symbol, str) else None
        if ledger is None:
            yield from _error(echo, "symbol: invalid", 10_300, str(symbol)).frames
            return
        topic, number = f"{channel}:{symbol}", _number(ledger, str(channel))
        if topic in session.topics:
            yield from _error({**echo, "chanId": number}, "subscribe: dup", 10_301, str(symbol)).frames
            return
        if len(session.topics) >= _MOST_CHANNELS:
            yield from _error({}, "subscribe: limit", 10_305).frames
            return
        session.topics[topic] = None
        pair = {"event": "subscribed", "channel": channel, "chanId": number, "symbol": symbol, "pair": str(symbol)[1:]}
        yield msgspec.json.encode(pair)
        if channel == "trades":
            rows = ",".join(_row(ledger, trade) for trade in reversed(ledger.newest(_SNAPSHOT)))
            yield f"[{number},[{rows}]]".encode()
        elif channel == "ticker" and ledger.bid:
            yield _ticker(ledger)

    def _unsubscribe(self, session: Session, request: dict[str, Any]) -> Answer:
        number = request.get("chanId")
        for topic in session.topics:
            channel, _, symbol = topic.partition(":")
            if _number(self._ledgers[symbol], channel) == number:
                del session.topics[topic]
                return _say({"event": "unsubscribed", "status": "OK", "chanId": number})
        return _error({"chanId": number}, "unsubscribe: invalid", 10_400)

    def beat(self, session: Session, now: int) -> Answer:
        """A heartbeat on every channel."""
        if not session.topics or now - session.pinged < self._beat:
            return NOTHING
        session.pinged = now
        numbers = [
            _number(self._ledgers[symbol], channel)
            for channel, _, symbol in (topic.partition(":") for topic in session.topics)
        ]
        return Answer([f'[{number},"hb"]'.encode() for number in numbers])

    def publish(self, live: Live, audience: Audience) -> None:
        """Each trade as it is executed and once more as it is booked; a ticker whenever the best prices change."""
        ledger, event = live.ledger, live.event
        topic = f"trades:{ledger.listing.native}"
        if isinstance(event, Sweep) and audience.hears(topic):
            number = _number(ledger, "trades")
            for trade in (trade for _ in range(event.copies) for trade in event.prints):
                for word in ("te", "tu"):
                    audience.send(topic, f'[{number},"{word}",{_row(ledger, trade)}]'.encode(), trade=True)
        topic = f"ticker:{ledger.listing.native}"
        if audience.hears(topic):
            audience.send(topic, _ticker(ledger))

    def stamp(self, session: Session, frame: bytes) -> bytes:
        """The connection's sequence number behind every array, where it was asked for."""
        if not session.notes.get("counted") or not frame.startswith(b"["):
            return frame
        number = session.notes["sequence"] = session.notes.get("sequence", 0) + 1
        return frame[:-1] + b",%d]" % number

    def announce(self, now: int) -> bytes | None:
        """The word that asks clients to connect anew."""
        del now
        return b'{"event":"info","code":20051,"msg":"Stopping. Please try to reconnect"}'

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/v2/…`."""
        del now
        return bitfinex_rest.answer(self._ledgers, path, query)

    def limited(self, retry_after: int) -> Reply:
        """429 with code 11010."""
        return Reply(["error", 11_010, "ratelimit: error"], 429, {"Retry-After": str(retry_after)})


def _noted(frame: bytes, memory: dict[str, Any]) -> Heard | None:
    """What a recorded word about the connection tells of its channels."""
    event = _decode_event(frame)
    if event.event not in _EVENTS:
        raise Foreign(f"event {event.event[:40]!r}")
    if event.event == "conf":
        memory["counted"] = bool(event.flags & _SEQUENCE)
    if event.event != "subscribed":
        return None
    memory[str(event.number)] = (event.channel, event.symbol)
    return Heard((event.symbol,), marks={event.channel: str(event.number)})


def _number(ledger: Ledger, channel: str) -> int:
    """A channel's number: the recording's own, else one made of the names."""
    mark = ledger.marks.get(channel)
    return int(mark) if mark else 100_000 + zlib.crc32(f"{channel}:{ledger.listing.native}".encode()) % 900_000


def _row(ledger: Ledger, trade: Print) -> str:
    size, price = short(trade.size, ledger.listing.lot), short(trade.price, ledger.listing.decimals)
    return f"[{trade.id},{trade.at // 1_000},{'-' if trade.side < 0 else ''}{size},{price}]"


def _ticker(ledger: Ledger) -> bytes:
    listing, last = ledger.listing, ledger.last
    price = last.price if last else ledger.bid
    change = price - ledger.open
    values: Sequence[tuple[float, int]] = (
        (ledger.bid, listing.decimals),
        (ledger.bid_size, listing.lot),
        (ledger.ask, listing.decimals),
        (ledger.ask_size, listing.lot),
        (change, listing.decimals),
        (change / ledger.open if ledger.open else 0.0, 4),
        (price, listing.decimals),
        (ledger.volume, listing.lot),
        (ledger.high, listing.decimals),
        (ledger.low, listing.decimals),
    )
    row = ",".join(short(value, places) for value, places in values)
    return f"[{_number(ledger, 'ticker')},[{row}]]".encode()


def _say(message: dict[str, Any]) -> Answer:
    return Answer((msgspec.json.encode(message),))


def _error(echo: dict[str, Any], words: str, code: int, symbol: str = "") -> Answer:
    pair = {"pair": symbol.removeprefix("t")} if symbol else {}
    return _say({**echo, "event": "error", "msg": words, "code": code, **pair})
