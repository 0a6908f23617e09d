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
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Reply, Session
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import Live
from pricewatch.simulator.text import number
from pricewatch.simulator.venues.deribit_rest import answer, trade_text

_PATHS = {"", "/", "/ws/api/v2"}
_LEAST_HEARTBEAT = 10
_TEST_REQUEST = b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}'
_HEARTBEAT = b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}'


class Deribit:
    """Speaks Deribit; a topic is a channel's name."""

    id = "deribit"

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        self._settings = settings
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}

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
                session.owing = 0
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
        return self._ledgers.get(native) if kind in {"trades", "ticker"} and interval in {"100ms", "agg2"} else None

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
        session.every, session.pinged = interval, now
        return Answer((_result("ok", ident, now),))

    def beat(self, session: Session, now: int) -> Answer:
        """A heartbeat and a test request each interval, where asked for; a close for who left one unanswered."""
        if not session.every or now - session.pinged < session.every * SECOND:
            return NOTHING
        if session.owing:
            return Answer(close=(1000, "test_request unanswered"))
        session.pinged, session.owing = now, 1
        return Answer((_HEARTBEAT, _TEST_REQUEST))

    def publish(self, live: Live, audience: Audience) -> None:
        """The trades of one taker in one frame; a ticker on each change."""
        ledger, event = live.ledger, live.event
        for interval in ("100ms", "agg2"):
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
