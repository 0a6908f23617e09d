"""Gate v4 spot, the server's side: trades, best prices, spot.ping, REST history.

https://www.gate.com/docs/developers/apiv4/ws/en/, https://www.gate.com/docs/developers/apiv4/en/#spot. The words of
errors other than "unknown currency pair" are not documented and may differ on the venue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pricewatch.domain.time import MINUTE, SECOND
from pricewatch.simulator.ledger import Bar, Ledger, Print
from pricewatch.simulator.listings import Listing
from pricewatch.simulator.market import Book, Sweep
from pricewatch.simulator.session import Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue, whole
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.text import short

_TRADES, _BOOK = "spot.trades", "spot.book_ticker"
_MOST = 1_000
_MOST_SKIPPED = 100_000
_PAGING = (("limit", 100), ("page", 1))


class _Result(msgspec.Struct):
    currency_pair: str = ""
    s: str = ""
    n: str = ""
    id: int = 0
    create_time_ms: float = 0.0
    side: str = ""
    amount: float = 0.0
    price: float = 0.0


class _Control(msgspec.Struct):
    channel: str
    event: str | None = None


class _Frame(msgspec.Struct):
    channel: str
    result: _Result


_decode_control = msgspec.json.Decoder(_Control).decode
_decode_frame = msgspec.json.Decoder(_Frame, strict=False).decode


class GateIo(Venue):
    """Speaks Gate v4; a topic is `channel:BTC_USDT`."""

    id = "gateio"
    hosts = ("api.gateio.ws", "ws.gate.io")

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}
        self._current = settings.fields == "current"
        self._updates = 0

    @staticmethod
    def native(base: str, quote: str) -> str:
        """`BTC_USDT`."""
        return f"{base}_{quote}"

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """An update of one pair, whatever its channel."""
        del memory
        control = _decode_control(frame)
        if not control.channel.startswith("spot."):
            raise Foreign("it belongs to no channel of the spot market")
        if control.event != "update":
            return None
        found = _decode_frame(frame)
        row = found.result
        native = row.currency_pair or row.s or row.n.partition("_")[2]
        if not native:
            raise Foreign("it is about no currency pair")
        prints: tuple[tuple[str, Print], ...] = ()
        if found.channel == _TRADES:
            at, side = round(row.create_time_ms * 1_000), 1 if row.side == "buy" else -1
            prints = ((native, Print(row.id, at, row.price, row.amount, side)),)
        return Heard((native,), ((f"{found.channel}:{native}", frame),), prints)

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Nothing is said first."""
        session.busy = now
        return (
            Answer() if path in {"", "/", "/ws/v4", "/ws/v4/"} and not query else Answer(close=(1008, "no such path"))
        )

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """Subscribe and unsubscribe, all pairs of a request or none; ping."""
        try:
            request = msgspec.json.decode(text)
        except ValueError:
            request = None
        if not isinstance(request, dict) or not isinstance(request.get("channel"), str):
            return Answer((_said({"channel": "", "event": ""}, now, problem=(1, "invalid request")),))
        if request["channel"] == "spot.ping":
            pong = {"time": now // SECOND, "time_ms": now // 1_000, "channel": "spot.pong", "event": "", "result": None}
            return Answer((msgspec.json.encode(pong),))
        return Answer((self._subscription(session, request, now),))

    def _subscription(self, session: Session, request: dict[str, Any], now: int) -> bytes:
        channel, event, payload = request["channel"], request.get("event"), request.get("payload")
        if event not in {"subscribe", "unsubscribe"}:
            return _said(request, now, problem=(1, f"unknown event: {event}"))
        if channel not in {_TRADES, _BOOK}:
            return _said(request, now, problem=(2, f"unknown channel: {channel}"))
        if not isinstance(payload, list) or not payload:
            return _said(request, now, problem=(2, "invalid payload"))
        for pair in payload:
            if pair not in self._ledgers:
                return _said(request, now, problem=(2, f"unknown currency pair: {pair}"))
        for pair in payload:
            if event == "subscribe":
                session.topics[f"{channel}:{pair}"] = None
            else:
                session.topics.pop(f"{channel}:{pair}", None)
        return _said(request, now)

    def publish(self, live: Live, audience: Audience) -> None:
        """A frame a trade; the best prices on each change of them."""
        ledger, event = live.ledger, live.event
        native = ledger.listing.native
        if isinstance(event, Book):
            if audience.hears(f"{_BOOK}:{native}"):
                audience.send(f"{_BOOK}:{native}", self._best(ledger, event.at))
        elif audience.hears(f"{_TRADES}:{native}"):
            self._sweep(native, event, audience)

    def _sweep(self, native: str, event: Sweep, audience: Audience) -> None:
        for trade in event.prints:
            for _ in range(event.copies):
                audience.send(f"{_TRADES}:{native}", self._trade(native, trade), trade=True)

    def _trade(self, native: str, trade: Print) -> bytes:
        result: dict[str, Any] = {"id": trade.id}
        if self._current:
            result["id_market"] = trade.id
        result |= _told(trade, native)
        if self._current:
            result["range"] = f"{trade.id}-{trade.id}"
        return self._update(_TRADES, result, trade.at)

    def _best(self, ledger: Ledger, at: int) -> bytes:
        self._updates += 1
        decimals, lot = ledger.listing.decimals, ledger.listing.lot
        result = {
            "t": at // 1_000,
            "u": self._updates,
            "s": ledger.listing.native,
            "b": short(ledger.bid, decimals),
            "B": short(ledger.bid_size, lot),
            "a": short(ledger.ask, decimals),
            "A": short(ledger.ask_size, lot),
        }
        return self._update(_BOOK, result, at)

    def _update(self, channel: str, result: dict[str, Any], at: int) -> bytes:
        moment = {"time": at // SECOND, **({"time_ms": at // 1_000} if self._current else {})}
        return msgspec.json.encode({**moment, "channel": channel, "event": "update", "result": result})

    # --- REST ------------------------------------------------------------------------------------------------------

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/api/v4/spot/…`."""
        if path == "/api/v4/spot/currency_pairs":
            return Reply([_pair(ledger.listing) for ledger in self._ledgers.values()])
        if path not in {"/api/v4/spot/trades", "/api/v4/spot/candlesticks"}:
            return _refused("NOT_FOUND", "no such path", 404)
        ledger = self._ledgers.get(query.get("currency_pair", ""))
        if ledger is None:
            return _refused("INVALID_CURRENCY_PAIR", f"Invalid currency pair {query.get('currency_pair', '')[:40]}")
        try:
            return _trades(ledger, query, now) if path.endswith("trades") else _candles(ledger, query, now)
        except ValueError as exc:
            return _refused("INVALID_PARAM_VALUE", f"Invalid request parameter `{str(exc)[:40]}` value")

    def limited(self, retry_after: int) -> Reply:
        """The venue's own words."""
        body = {"label": "TOO_MANY_REQUESTS", "message": "Request Rate Limit Exceeded"}
        return Reply(body, 429, {"Retry-After": str(retry_after)})


def _told(trade: Print, native: str) -> dict[str, Any]:
    return {
        "create_time": trade.at // SECOND,
        "create_time_ms": f"{trade.at // 1_000}.{trade.at % 1_000:03d}",
        "side": "buy" if trade.side > 0 else "sell",
        "currency_pair": native,
        "amount": f"{trade.size:.10f}",
        "price": f"{trade.price:.10f}",
    }


def _said(request: Mapping[str, Any], now: int, problem: tuple[int, str] | None = None) -> bytes:
    """The answer to a request: its own fields between the venue's."""
    trace = f"{now:032x}"
    answer: dict[str, Any] = {"time": now // SECOND, "time_ms": now // 1_000}
    if "id" in request:
        answer["id"] = request["id"]
    answer |= {"conn_id": f"{now:016x}", "trace_id": trace}
    answer |= {name: request[name] for name in ("channel", "event", "payload") if name in request}
    if problem is not None:
        answer["error"] = {"code": problem[0], "message": problem[1]}
    answer["result"] = {"status": "fail" if problem else "success"}
    return msgspec.json.encode({**answer, "requestId": trace})


def _trades(ledger: Ledger, query: Mapping[str, str], now: int) -> Reply:
    limit, page = (default if (given := whole(query, name)) is None else given for name, default in _PAGING)
    start, end = whole(query, "from") or 0, whole(query, "to")
    if not 1 <= limit <= _MOST:
        raise ValueError("limit")
    if page < 1 or limit * (page - 1) > _MOST_SKIPPED:
        raise ValueError("page")
    until = now if end is None else end * SECOND
    chosen = [trade for trade in ledger.newest(_MOST_SKIPPED * 2) if start * SECOND <= trade.at <= until]
    chosen.reverse()
    return Reply([_row(trade, ledger.listing) for trade in chosen[limit * (page - 1) : limit * page]])


def _row(trade: Print, listing: Listing) -> dict[str, Any]:
    told = _told(trade, listing.native)
    text = {"amount": short(trade.size, listing.lot), "price": short(trade.price, listing.decimals)}
    return {"id": str(trade.id), **told, "create_time": str(told["create_time"]), **text, "sequence_id": str(trade.id)}


def _candles(ledger: Ledger, query: Mapping[str, str], now: int) -> Reply:
    if query.get("interval", "30m") != "1m":
        raise ValueError("interval")
    limit, start, end = whole(query, "limit"), whole(query, "from"), whole(query, "to")
    if limit is not None and (start is not None or end is not None):
        raise ValueError("limit")
    until = now if end is None else end * SECOND
    if start is None:
        bars = ledger.bars(1, None, until)[-(limit or 100) :]
    elif (until - start * SECOND) // MINUTE >= _MOST:
        raise ValueError("from")
    else:
        bars = ledger.bars(1, start * SECOND, until)
    return Reply([_candle(bar, ledger.listing, now) for bar in bars])


def _candle(bar: Bar, listing: Listing, now: int) -> list[str]:
    prices = [short(value, listing.decimals) for value in (bar.close, bar.high, bar.low, bar.open)]
    volume, closed = f"{bar.volume:.8f}", "true" if bar.at + MINUTE <= now else "false"
    return [str(bar.at // SECOND), f"{bar.turnover:.8f}", *prices, volume, closed]


def _pair(listing: Listing) -> dict[str, Any]:
    return {
        "id": listing.native,
        "base": listing.base,
        "quote": listing.quote,
        "fee": "0.2",
        "min_quote_amount": "1",
        "amount_precision": listing.lot,
        "precision": listing.decimals,
        "trade_status": "tradable",
        "sell_start": 0,
        "buy_start": 0,
    }


def _refused(label: str, message: str, status: int = 400) -> Reply:
    return Reply({"label": label, "message": message}, status)
