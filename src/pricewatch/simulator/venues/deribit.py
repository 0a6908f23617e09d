"""Deribit, the server's side: JSON-RPC, trades and tickers gathered over 100 ms, heartbeats on request, REST.

https://docs.deribit.com/subscriptions/trades/tradesinstrument_nameinterval, …/ticker/tickerinstrument_nameinterval;
https://docs.deribit.com/api-reference/session-management/public-set_heartbeat. Sizes of inverse contracts are in USD.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.simulator.ledger import Ledger, Print
from pricewatch.simulator.listings import Listing
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.text import number
from pricewatch.simulator.venues.deribit_rest import answer, trade_text

_PATHS = {"", "/", "/ws/api/v2"}
_LEAST_HEARTBEAT = 10
_TEST_REQUEST = b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}'
_HEARTBEAT = b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}'


_INTERVALS = ("100ms", "agg2")


class _Trade(msgspec.Struct):
    instrument_name: str
    trade_seq: int
    trade_id: str
    timestamp: int
    price: float
    amount: float
    direction: str


class _Params(msgspec.Struct):
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


class _Frame(msgspec.Struct):
    jsonrpc: str
    method: str = ""
    params: _Params = msgspec.field(default_factory=_Params)


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_trades = msgspec.json.Decoder(list[_Trade]).decode


class Deribit(Venue):
    """Speaks Deribit; a topic is a channel's name."""

    id = "deribit"
    hosts = ("www.deribit.com", "streams.deribit.com")
    lot = 4
    step = 1_000

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        self._settings = settings
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}

    @staticmethod
    def native(base: str, quote: str) -> str:
        """`BTC-PERPETUAL` and `BTC-27JUN25`, but `BTC_USDC`."""
        contract = quote == "PERPETUAL" or quote[:1].isdecimal()
        return f"{base}-{quote}" if contract else f"{base}_{quote}"

    @classmethod
    def listed(cls, symbol: str) -> Listing:
        """Contracts are of whole dollars."""
        listing = super().listed(symbol)
        return msgspec.structs.replace(listing, lot=0) if listing.inverse else listing

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """A pushed frame, for those who gather it over either interval, whatever the recorded one was."""
        del memory
        found = _decode_frame(frame)
        if found.method != "subscription":
            return None
        channel = found.params.channel
        kind, _, rest = channel.partition(".")
        native = rest.partition(".")[0]
        if not native:
            raise Foreign("its channel names no instrument")
        prints: tuple[tuple[str, Print], ...] = ()
        if kind == "trades":
            prints = tuple((row.instrument_name, _print(row)) for row in _decode_trades(found.params.data))
        names = [f"{kind}.{native}.{interval}" for interval in _INTERVALS]
        topics = tuple((name, frame.replace(channel.encode(), name.encode(), 1)) for name in names)
        return Heard((native,), topics, tuple(sorted(prints, key=lambda pair: pair[1].id)))

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Nothing is sent before the client asks."""
        session.pinged = now
        return NOTHING if path in _PATHS and not query else Answer(close=(1008, "Invalid path"))

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """Subscriptions, heartbeats, tests and the time."""
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return _failure(None, -32700, "Parse error", now)
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _failure(None, -32600, "request entity does not conform to JSON-RPC", now)
        ident, params = request.get("id"), request.get("params")
        params = params if isinstance(params, dict) else {}
        match request["method"]:
            case "public/subscribe" | "public/unsubscribe" as method:
                return self._subscription(session, method, params, ident, now)
            case "public/set_heartbeat":
                return self._set_heartbeat(session, params, ident, now)
            case "public/test":
                session.notes["owing"] = False
                return Answer((_result({"version": "1.2.26"}, ident, now),))
            case "public/get_time":
                return Answer((_result(now // 1_000, ident, now),))
            case _:
                return _failure(ident, -32601, "Method not found", now)

    def _subscription(self, session: Session, method: str, params: dict[str, Any], ident: Any, now: int) -> Answer:
        channels = params.get("channels")
        if not isinstance(channels, list) or not channels or not all(isinstance(one, str) for one in channels):
            return _failure(
                ident, -32602, "Invalid params", now, {"reason": "value must be a list", "param": "channels"}
            )
        if any(name.endswith(".raw") for name in channels):
            return _failure(ident, 13778, "raw_subscriptions_not_available_for_unauthorized", now)
        accepted = [name for name in dict.fromkeys(channels) if self._ledger(name) is not None]
        if method == "public/unsubscribe":
            gone = [name for name in accepted if session.topics.pop(name, 0) is None]
            return Answer((_result(gone, ident, now),))
        fresh = [name for name in accepted if name not in session.topics]
        session.topics.update(dict.fromkeys(accepted))
        return Answer((_result(accepted, ident, now), *self._snapshots(fresh)))

    def _ledger(self, channel: str) -> Ledger | None:
        kind, _, rest = channel.partition(".")
        native, _, interval = rest.rpartition(".")
        return self._ledgers.get(native) if kind in {"trades", "ticker"} and interval in _INTERVALS else None

    def _snapshots(self, channels: Iterable[str]) -> list[bytes]:
        """The ticker as it stands; of trades nothing."""
        frames = []
        for name in channels:
            ledger = self._ledger(name)
            if ledger is not None and name.startswith("ticker.") and ledger.last is not None:
                frames.append(ticker_frame(name, ledger, ledger.last.at).encode())
        return frames

    def _set_heartbeat(self, session: Session, params: dict[str, Any], ident: Any, now: int) -> Answer:
        interval = params.get("interval")
        if not isinstance(interval, int) or interval < _LEAST_HEARTBEAT:
            return _failure(ident, -32602, "Invalid params", now, {"reason": "value too small", "param": "interval"})
        session.notes["every"], session.pinged = interval, now
        return Answer((_result("ok", ident, now),))

    def beat(self, session: Session, now: int) -> Answer:
        """A heartbeat and a test request each interval, where asked for; a close for who left one unanswered."""
        every = session.notes.get("every", 0)
        if not every or now - session.pinged < every * SECOND:
            return NOTHING
        if session.notes.get("owing"):
            return Answer(close=(1000, "test_request unanswered"))
        session.pinged, session.notes["owing"] = now, True
        return Answer((_HEARTBEAT, _TEST_REQUEST))

    def publish(self, live: Live, audience: Audience) -> None:
        """The trades of one taker in one frame; a ticker on each change."""
        ledger, event = live.ledger, live.event
        for interval in _INTERVALS:
            trades = f"trades.{ledger.listing.native}.{interval}"
            if isinstance(event, Sweep) and audience.hears(trades):
                for _ in range(event.copies):
                    audience.send(trades, trades_frame(trades, ledger, event.prints).encode(), trade=True)
            ticker = f"ticker.{ledger.listing.native}.{interval}"
            if audience.hears(ticker):
                at = event.prints[-1].at if isinstance(event, Sweep) else event.at
                audience.send(ticker, ticker_frame(ticker, ledger, at).encode())

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/public/…`."""
        return answer(self._ledgers, path.removeprefix("/api/v2"), query, now)

    def limited(self, retry_after: int) -> Reply:
        """429 with code 10028."""
        body = {"jsonrpc": "2.0", "error": {"message": "too_many_requests", "code": 10028}}
        return Reply(body, 429, {"Retry-After": str(retry_after)})


def _print(row: _Trade) -> Print:
    side = 1 if row.direction == "buy" else -1
    return Print(row.trade_seq, row.timestamp * 1_000, row.price, row.amount, side, ref=row.trade_id)


def trades_frame(channel: str, ledger: Ledger, trades: Sequence[Print]) -> str:
    """Trades of one instrument."""
    rows = ",".join(trade_text(ledger.listing, trade) for trade in trades)
    return _pushed(channel, f"[{rows}]")


def ticker_frame(channel: str, ledger: Ledger, at: int) -> str:
    """The best prices and what is around them; a perpetual's funding is nought."""
    listing, places = ledger.listing, ledger.listing.decimals
    price = ledger.last.price if ledger.last else ledger.bid
    change = 100 * (price - ledger.open) / ledger.open if ledger.open else 0.0
    mark = number(price, places)
    stats = (
        f'{{"volume":{number(ledger.volume, 8)},"price_change":{number(change, 4)},"low":{number(ledger.low, places)}'
        f',"high":{number(ledger.high, places)}}}'
    )
    return _pushed(
        channel,
        f'{{"timestamp":{at // 1_000},"stats":{stats},"state":"open","settlement_price":{mark},"open_interest":0.0'
        f',"min_price":{number(price * 0.98, places)},"max_price":{number(price * 1.02, places)},"mark_price":{mark}'
        f',"last_price":{mark},"interest_rate":0.0,"instrument_name":"{listing.native}","index_price":{mark}'
        f',"estimated_delivery_price":{mark},"best_bid_price":{number(ledger.bid, places)}'
        f',"best_bid_amount":{number(ledger.bid_size, listing.lot)},"best_ask_price":{number(ledger.ask, places)}'
        f',"best_ask_amount":{number(ledger.ask_size, listing.lot)}}}',
    )


def _pushed(channel: str, data: str) -> str:
    return f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}'


def _result(result: Any, ident: Any, now: int) -> bytes:
    times = {"usIn": now, "usOut": now + 40, "usDiff": 40, "testnet": False}
    return msgspec.json.encode({"jsonrpc": "2.0", "id": ident, "result": result, **times})


def _failure(ident: Any, code: int, message: str, now: int, data: Any = None) -> Answer:
    error = {"message": message, **({"data": data} if data else {}), "code": code}
    body = {"jsonrpc": "2.0", "id": ident, "error": error, "usIn": now, "usOut": now + 40, "usDiff": 40}
    return Answer((msgspec.json.encode(body),))
