"""Bitstamp, the server's side: live trades, order books, heartbeats; REST trades of the last day, candles, pairs.

https://www.bitstamp.net/websocket/v2/ and https://www.bitstamp.net/api/. Any well-formed channel is accepted, as on the
venue; those of unknown markets stay silent. The words of REST errors may differ on the venue.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from pricewatch.domain.time import DAY, HOUR, MINUTE, SECOND
from pricewatch.simulator.depth import Side, depth
from pricewatch.simulator.ledger import Ledger, Print
from pricewatch.simulator.listings import Listing, parted
from pricewatch.simulator.market import Book, Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue, whole
from pricewatch.simulator.settings import SimulatorSettings

_CHANNEL = re.compile(r"[a-z_]+_[a-z0-9-]+\Z")
_MOST_BYTES = 512
_LEVELS = 20
_PATH = re.compile(r"/api/v2/(transactions|ohlc)/([a-z0-9-]+)/?\Z")
_SPANS = {"minute": MINUTE, "hour": HOUR, "day": DAY}
_STEPS = {60, 180, 300, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 259_200}
_MOST_CANDLES = 1_000


class _Recorded(msgspec.Struct):
    event: str
    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _RecordedTrade(msgspec.Struct):
    id: int
    amount_str: float
    price_str: float
    type: int
    microtimestamp: int


_decode_recorded = msgspec.json.Decoder(_Recorded).decode
_decode_trade = msgspec.json.Decoder(_RecordedTrade, strict=False).decode


class Bitstamp(Venue):
    """Speaks Bitstamp's version 2; a topic is a channel's name."""

    id = "bitstamp"
    hosts = ("ws.bitstamp.net",)
    step = 1_000

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        del settings
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}

    @staticmethod
    def native(base: str, quote: str) -> str:
        """`btcusd`."""
        return f"{base}{quote}".lower()

    @staticmethod
    def legs(native: str) -> tuple[str, str]:
        """By the known quotes."""
        return parted(native)

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """Trades and books of any kind; words about subscriptions are left out."""
        del memory
        line = _decode_recorded(frame)
        if line.event.startswith("bts:"):
            return None
        kind, _, native = line.channel.rpartition("_")
        if not kind or not native:
            raise Foreign(f"channel {line.channel[:40]!r}")
        prints: tuple[tuple[str, Print], ...] = ()
        if line.event == "trade":
            trade = _decode_trade(line.data)
            side = -1 if trade.type else 1
            prints = ((native, Print(trade.id, trade.microtimestamp, trade.price_str, trade.amount_str, side)),)
        return Heard((native,), ((line.channel, frame),), prints)

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Nothing is said before the client speaks."""
        session.busy = now
        return Answer(close=(1008, "Invalid path")) if path not in {"", "/"} or query else NOTHING

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """Subscribe, unsubscribe, heartbeat; a channel a message."""
        del now
        if len(text) > _MOST_BYTES:
            return Answer(close=(1009, "read limited at 513 bytes"))
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return _error("Incorrect JSON format.")
        event = request.get("event") if isinstance(request, dict) else None
        if event == "bts:heartbeat":
            return _word("bts:heartbeat", "", {"status": "success"})
        data = request.get("data") if isinstance(request, dict) else None
        channel = data.get("channel") if isinstance(data, dict) else None
        if event not in {"bts:subscribe", "bts:unsubscribe"} or not isinstance(channel, str):
            return _error("Bad subscription string.")
        if not _CHANNEL.match(channel):
            return _error("Invalid channel provided.")
        if event == "bts:unsubscribe":
            session.topics.pop(channel, None)
            return _word("bts:unsubscription_succeeded", channel, {})
        session.topics[channel] = None
        return _word("bts:subscription_succeeded", channel, {})

    def announce(self, now: int) -> bytes:
        """The word that asks clients to connect anew."""
        del now
        return b'{"event":"bts:request_reconnect","channel":"","data":""}'

    def publish(self, live: Live, audience: Audience) -> None:
        """Each trade in a frame of its own; the whole book whenever the best prices change."""
        listing = live.ledger.listing
        event = live.event
        channel = f"live_trades_{listing.native}"
        if isinstance(event, Sweep) and audience.hears(channel):
            for _ in range(event.copies):
                for trade in event.prints:
                    audience.send(channel, _trade(channel, listing, trade).encode(), trade=True)
        channel = f"order_book_{listing.native}"
        if audience.hears(channel):
            audience.send(channel, _book(channel, listing, event.book if isinstance(event, Sweep) else event).encode())

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/api/v2/…`."""
        if path in {"/api/v2/trading-pairs-info/", "/api/v2/trading-pairs-info"}:
            return Reply([_pair(ledger.listing) for ledger in self._ledgers.values()])
        found = _PATH.match(path)
        ledger = self._ledgers.get(found[2]) if found else None
        if found is None or ledger is None:
            return Reply({"status": "error", "reason": "Not found.", "code": "API0000"}, 404)
        try:
            return _transactions(ledger, query, now) if found[1] == "transactions" else _candles(ledger, query)
        except ValueError as exc:
            return Reply({"status": "error", "reason": {str(exc)[:40]: ["Invalid value."]}, "code": "API0011"}, 400)

    def limited(self, retry_after: int) -> Reply:
        """Too many requests."""
        body = {"status": "error", "reason": "Too many requests.", "code": "400.002"}
        return Reply(body, 429, {"Retry-After": str(retry_after)})


def _trade(channel: str, listing: Listing, trade: Print) -> str:
    size, price = f"{trade.size:.8f}", f"{trade.price:.{listing.decimals}f}"
    maker, taker = trade.id * 1_000, trade.id * 1_000 + 1
    buyer, seller = (taker, maker) if trade.side > 0 else (maker, taker)
    return (
        f'{{"data":{{"id":{trade.id},"timestamp":"{trade.at // SECOND}","amount":{float(size)!r},"amount_str":"{size}"'
        f',"price":{float(price)!r},"price_str":"{price}","type":{0 if trade.side > 0 else 1}'
        f',"microtimestamp":"{trade.at}","buy_order_id":{buyer},"sell_order_id":{seller}}}'
        f',"channel":"{channel}","event":"trade"}}'
    )


def _book(channel: str, listing: Listing, book: Book) -> str:
    bids, asks = depth(listing, book.bid, book.bid_size, book.ask, book.ask_size, _LEVELS)
    return (
        f'{{"data":{{"timestamp":"{book.at // SECOND}","microtimestamp":"{book.at}"'
        f',"bids":{_levels(listing, bids)},"asks":{_levels(listing, asks)}}},"channel":"{channel}","event":"data"}}'
    )


def _levels(listing: Listing, side: Side) -> str:
    places = listing.decimals
    rows = (f'["{price:.{places}f}","{size:.8f}"]' for price, size in side)
    return f"[{','.join(rows)}]"


def _transactions(ledger: Ledger, query: Mapping[str, str], now: int) -> Reply:
    """Newest first; times are whole seconds."""
    span = _SPANS.get(query.get("time", "hour"))
    if span is None:
        raise ValueError("time")
    trades = [trade for trade in ledger.starting(0, 1_000_000) if trade.at > now - span]
    return Reply(
        [
            {
                "date": str(trade.at // SECOND),
                "tid": str(trade.id),
                "amount": f"{trade.size:.8f}",
                "type": "0" if trade.side > 0 else "1",
                "price": f"{trade.price:.{ledger.listing.decimals}f}",
            }
            for trade in reversed(trades)
        ]
    )


def _candles(ledger: Ledger, query: Mapping[str, str]) -> Reply:
    """Oldest first; the newest `limit` before `end`, or the oldest from `start` on."""
    step, limit, start, end = (whole(query, name) for name in ("step", "limit", "start", "end"))
    if step not in _STEPS:
        raise ValueError("step")
    if limit is None or not 1 <= limit <= _MOST_CANDLES:
        raise ValueError("limit")
    listing = ledger.listing
    low, high = (None if bound is None else bound * SECOND for bound in (start, end))
    bars = ledger.bars(step // 60, low, high)
    bars = bars[-limit:] if start is None else bars[:limit]
    rows = [
        {
            "timestamp": str(bar.at // SECOND),
            **{
                name: f"{value:.{listing.decimals}f}"
                for name, value in (("open", bar.open), ("high", bar.high), ("low", bar.low), ("close", bar.close))
            },
            "volume": f"{bar.volume:.8f}",
        }
        for bar in bars
    ]
    return Reply({"data": {"pair": f"{listing.base}/{listing.quote}", "ohlc": rows}})


def _pair(listing: Listing) -> dict[str, Any]:
    return {
        "name": f"{listing.base}/{listing.quote}",
        "url_symbol": listing.native,
        "base_decimals": listing.lot,
        "counter_decimals": listing.decimals,
        "instant_order_counter_decimals": listing.decimals,
        "minimum_order": f"10.0 {listing.quote}",
        "trading": "Enabled",
        "instant_and_market_orders": "Enabled",
        "description": f"{listing.base} / {listing.quote}",
    }


def _word(event: str, channel: str, data: Any) -> Answer:
    return Answer((msgspec.json.encode({"event": event, "channel": channel, "data": data}),))


def _error(message: str) -> Answer:
    return _word("bts:error", "", {"code": None, "message": message})
