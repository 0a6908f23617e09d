"""Kraken version 2, the server's side: status, ticker, trade, heartbeat, ping, REST history.

https://docs.kraken.com/exchange/api-reference/spot-websocket-v2 (ticker, trade, status, heartbeat, ping). The words of
errors other than "Currency pair not supported" and "Malformed request" are not documented and may differ on the venue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from pricewatch.domain.errors import ConfigError
from pricewatch.domain.time import SECOND
from pricewatch.simulator.ledger import Ledger, Print
from pricewatch.simulator.listings import Listing
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.text import iso, micros, number
from pricewatch.simulator.venues import kraken_rest

_CHANNELS = ("ticker", "trade")
_TRIGGERS = ("trades", "bbo")
_SNAPSHOT = 50
_HEARTBEAT = b'{"channel":"heartbeat"}'


_VERSION_1 = (
    "this is a capture of Kraken's version 1 protocol, which cannot be served as version 2 (it has no trade ids); "
    "record it again with pricewatch record"
)


class _Row(msgspec.Struct):
    symbol: str
    side: str = ""
    price: float = 0.0
    qty: float = 0.0
    trade_id: int = 0
    timestamp: str = ""


class _Frame(msgspec.Struct):
    channel: str = ""
    method: str = ""
    event: str = ""
    data: list[_Row] | None = None


class _Control(msgspec.Struct):
    channel: str = ""


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_control = msgspec.json.Decoder(_Control).decode


class Kraken(Venue):
    """Speaks Kraken v2; a topic is `trade:symbol`, `ticker:trades:symbol` or `ticker:bbo:symbol`."""

    id = "kraken"
    hosts = ("ws.kraken.com",)

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        self._settings = settings
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}
        self._current = settings.fields == "current"
        self._connections = 0

    @staticmethod
    def native(base: str, quote: str) -> str:
        """`BTC/USD`."""
        return f"{base}/{quote}"

    @staticmethod
    def decimals(price: float) -> int:
        """One where the others have two, for bitcoin."""
        return 1 if price >= 20_000 else Venue.decimals(price)

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """A frame of version 2; its rows are about one symbol."""
        del memory
        if frame.startswith(b"["):
            raise ConfigError(_VERSION_1)
        if _decode_control(frame).channel in {"status", "heartbeat"}:
            return None
        found = _decode_frame(frame)
        if found.event in {"systemStatus", "subscriptionStatus", "heartbeat"}:
            raise ConfigError(_VERSION_1)
        if found.method:
            return None
        if found.channel not in {"ticker", "trade", "ohlc", "book"} or not found.data:
            raise Foreign("it belongs to no channel")
        symbol = found.data[0].symbol
        prints: tuple[tuple[str, Print], ...] = ()
        if found.channel == "trade":
            prints = tuple((row.symbol, _print(row)) for row in found.data)
        channels = ("ticker:bbo", "ticker:trades") if found.channel == "ticker" else (found.channel,)
        return Heard((symbol,), tuple((f"{channel}:{symbol}", frame) for channel in channels), prints)

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The system's status comes first."""
        if path not in {"", "/", "/v2"} or query:
            return Answer(close=(1008, "Invalid path"))
        session.busy = now
        self._connections += 1
        data = {
            "version": "2.0.10",
            "system": "online",
            "api_version": "v2",
            "connection_id": now * 1_000 + self._connections,
        }
        return Answer((msgspec.json.encode({"channel": "status", "type": "update", "data": [data]}),))

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """Subscribe, unsubscribe (one answer a symbol) and ping."""
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            request = None
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return Answer((_failure("error", "Malformed request", {}, now),))
        method = request["method"]
        extra = {"req_id": request["req_id"]} if isinstance(request.get("req_id"), int) else {}
        if method == "ping":
            return Answer((msgspec.json.encode({"method": "pong", **extra, **_times(now)}),))
        if method not in {"subscribe", "unsubscribe"}:
            return Answer((_failure(method, "Unsupported method", extra, now),))
        params = request.get("params")
        if not isinstance(params, dict) or params.get("channel") not in _CHANNELS:
            return Answer((_failure(method, "Subscription channel invalid", extra, now),))
        symbols = params.get("symbol")
        if not isinstance(symbols, list) or not symbols:
            return Answer((_failure(method, "Symbol(s) not found", extra, now),))
        frames: list[bytes] = []
        for symbol in dict.fromkeys(str(symbol) for symbol in symbols):
            frames += self._subscription(session, method, symbol, params, extra, now)
        return Answer(frames)

    def _subscription(
        self, session: Session, method: str, symbol: str, params: dict[str, Any], extra: dict[str, Any], now: int
    ) -> Iterator[bytes]:
        ledger, channel = self._ledgers.get(symbol), params["channel"]
        if ledger is None:
            yield _failure(method, f"Currency pair not supported {symbol}", {"symbol": symbol, **extra}, now)
            return
        trigger = params.get("event_trigger", "trades")
        if trigger not in _TRIGGERS:
            yield _failure(method, "Event trigger invalid", {"symbol": symbol, **extra}, now)
            return
        topic = f"ticker:{trigger}:{symbol}" if channel == "ticker" else f"trade:{symbol}"
        snapshot = bool(params.get("snapshot", channel == "ticker"))
        result: dict[str, Any] = {"channel": channel}
        if self._current and channel == "ticker":
            result["event_trigger"] = trigger
        result |= {"snapshot": snapshot, "symbol": symbol} if method == "subscribe" else {"symbol": symbol}
        answer = {"method": method, "result": result, "success": True, **_times(now), **extra}
        yield msgspec.json.encode(answer)
        if method == "unsubscribe":
            session.topics.pop(topic, None)
            return
        session.topics[topic] = None
        if snapshot and ledger.last is not None:
            if channel == "trade":
                yield _trades(ledger.listing, ledger.newest(_SNAPSHOT), "snapshot").encode()
            elif ledger.bid:
                yield self.ticker(ledger, ledger.last.at, "snapshot").encode()

    def beat(self, session: Session, now: int) -> Answer:
        """A heartbeat when a subscribed client heard nothing for a second."""
        if not session.topics or now - session.busy < self._settings.heartbeat * SECOND:
            return NOTHING
        session.busy = now
        return Answer((_HEARTBEAT,))

    def publish(self, live: Live, audience: Audience) -> None:
        """The trades of one taker in one frame; a ticker on trades or on each change of the best prices."""
        ledger, event = live.ledger, live.event
        native = ledger.listing.native
        trade = isinstance(event, Sweep)
        if isinstance(event, Sweep) and audience.hears(f"trade:{native}"):
            for _ in range(event.copies):
                audience.send(f"trade:{native}", _trades(ledger.listing, event.prints, "update").encode(), trade=True)
        topics = [f"ticker:bbo:{native}", *([f"ticker:trades:{native}"] if trade else [])]
        if any(audience.hears(topic) for topic in topics):
            at = event.prints[-1].at if isinstance(event, Sweep) else event.at
            frame = self.ticker(ledger, at, "update").encode()
            for topic in topics:
                audience.send(topic, frame)

    def ticker(self, ledger: Ledger, at: int, kind: str) -> str:
        """The best prices and the day's numbers."""
        listing, last = ledger.listing, ledger.last
        decimals = listing.decimals
        price = last.price if last else ledger.bid
        change = price - ledger.open
        vwap = ledger.turnover / ledger.volume if ledger.volume else price
        values = (
            ("bid", ledger.bid, decimals),
            ("bid_qty", ledger.bid_size, 8),
            ("ask", ledger.ask, decimals),
            ("ask_qty", ledger.ask_size, 8),
            ("last", price, decimals),
            ("volume", ledger.volume, 8),
            ("vwap", vwap, decimals),
            ("low", ledger.low, decimals),
            ("high", ledger.high, decimals),
            ("change", change, decimals),
            ("change_pct", 100 * change / ledger.open, 2),
        )
        body = ",".join(f'"{name}":{number(value, places)}' for name, value, places in values)
        stamp = f',"timestamp":"{iso(at)}"' if self._current else ""
        return f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{listing.native}",{body}{stamp}}}]}}'

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/0/public/…`."""
        return kraken_rest.answer(self._ledgers, path, query, now)

    def limited(self, retry_after: int) -> Reply:
        """Kraken answers 200 with an error; `retry_after` is not told."""
        del retry_after
        return Reply({"error": ["EAPI:Rate limit exceeded"]})


def _print(row: _Row) -> Print:
    return Print(row.trade_id, micros(row.timestamp), row.price, row.qty, 1 if row.side == "buy" else -1)


def _trades(listing: Listing, trades: Sequence[Print], kind: str) -> str:
    body = ",".join(
        f'{{"symbol":"{listing.native}","side":"{"buy" if trade.side > 0 else "sell"}"'
        f',"price":{number(trade.price, listing.decimals)},"qty":{number(trade.size, listing.lot)}'
        f',"ord_type":"{"limit" if trade.id % 3 == 0 else "market"}","trade_id":{trade.id}'
        f',"timestamp":"{iso(trade.at)}"}}'
        for trade in trades
    )
    return f'{{"channel":"trade","type":"{kind}","data":[{body}]}}'


def _times(now: int) -> dict[str, str]:
    return {"time_in": iso(now), "time_out": iso(now + 40)}


def _failure(method: str, error: str, extra: Mapping[str, Any], now: int) -> bytes:
    return msgspec.json.encode({"error": error, "method": method, **extra, "success": False, **_times(now)})
