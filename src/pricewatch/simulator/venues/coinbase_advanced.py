"""Coinbase Advanced Trade, the server's side: market trades, ticker, heartbeats; one counter a connection; REST.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels. A USDC product is spoken of
as its USD twin. The words of errors are not documented and may differ on the venue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.simulator.ledger import Ledger, Print
from pricewatch.simulator.listings import Listing
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.text import iso, micros, short
from pricewatch.simulator.venues.coinbase_advanced_rest import answer

_CHANNELS = ("market_trades", "ticker")
_HEARTBEATS = "heartbeats:heartbeats"
_SNAPSHOT = 50
_NUMBER = b"\0"
"""Where the connection's number of the message goes."""
_NUMBERED = re.compile(rb'("sequence_num" *: *)\d+')


class _Row(msgspec.Struct):
    product_id: str
    trade_id: int = 0
    price: float = 0.0
    size: float = 0.0
    side: str = ""
    time: str = ""


class _Name(msgspec.Struct):
    product_id: str


class _Event(msgspec.Struct):
    type: str = ""
    product_id: str | None = None
    trades: list[_Row] = []
    tickers: list[_Name] = []
    candles: list[_Name] = []


class _Frame(msgspec.Struct):
    channel: str
    events: list[_Event] = []


class _Control(msgspec.Struct):
    channel: str = ""
    type: str = ""


_decode_frame = msgspec.json.Decoder(_Frame, strict=False).decode
_decode_control = msgspec.json.Decoder(_Control).decode


class CoinbaseAdvanced(Venue):
    """Speaks Coinbase Advanced Trade; a topic is `channel:product`."""

    id = "coinbase_advanced"
    hosts = ("advanced-trade-ws.coinbase.com",)
    stamps = True

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        self._settings = settings
        self._listed = {ledger.listing.native: ledger for ledger in ledgers.values()}
        self._ledgers = {_wire(native): ledger for native, ledger in self._listed.items()}

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """A frame of a channel of products, to be numbered anew."""
        del memory
        control = _decode_control(frame)
        if control.channel in {"subscriptions", "heartbeats"} or control.type == "error":
            return None
        if not control.channel or b'"sequence_num"' not in frame:
            raise Foreign("it belongs to no channel")
        events = _decode_frame(frame).events
        names = [event.product_id for event in events if event.product_id]
        for event in events:
            names += [row.product_id for row in event.trades]
            names += [row.product_id for row in (*event.tickers, *event.candles)]
        natives = tuple(dict.fromkeys(names))
        prints = [
            (
                row.product_id,
                Print(row.trade_id, micros(row.time), row.price, row.size, 1 if row.side == "SELL" else -1),
            )
            for event in events
            if event.type == "update"
            for row in reversed(event.trades)
        ]
        unnumbered = _NUMBERED.sub(rb"\1" + _NUMBER, frame, 1)
        return Heard(natives, tuple((f"{control.channel}:{name}", unnumbered) for name in natives), tuple(prints))

    def stamp(self, session: Session, frame: bytes) -> bytes:
        """The frame with this connection's next number; errors have none."""
        if _NUMBER not in frame:
            return frame
        number = session.notes["number"] = session.notes.get("number", -1) + 1
        return frame.replace(_NUMBER, str(number).encode(), 1)

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Nothing is sent before the client subscribes."""
        session.pinged = now
        return NOTHING if path in {"", "/"} and not query else Answer(close=(1008, "Invalid path"))

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """Subscribe and unsubscribe, one channel a message; one wrong product refuses all of it."""
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return _error("malformed message")
        kind = request.get("type") if isinstance(request, dict) else None
        if kind not in {"subscribe", "unsubscribe"}:
            return _error("type must be subscribe or unsubscribe")
        topics = self._topics(request)
        if not topics:
            return _error(f"failure to {kind}")
        if kind == "unsubscribe":
            for topic in topics:
                session.topics.pop(topic, None)
            return Answer((_subscriptions(session.topics, now),))
        session.subscribed = True
        fresh = [topic for topic in topics if topic not in session.topics]
        session.topics.update(dict.fromkeys(topics))
        return Answer((_subscriptions(session.topics, now), *self._snapshots(fresh, now)))

    def _topics(self, request: dict[str, Any]) -> list[str]:
        """What is asked for; empty where any of it is wrong."""
        channel, products = request.get("channel"), request.get("product_ids")
        if channel == "heartbeats":
            return [_HEARTBEATS]
        if channel not in _CHANNELS or not isinstance(products, list):
            return []
        names = [_wire(product) for product in products if isinstance(product, str)]
        known = len(names) == len(products) and all(name in self._ledgers for name in names)
        return [f"{channel}:{name}" for name in dict.fromkeys(names)] if known else []

    def _snapshots(self, topics: Iterable[str], now: int) -> Iterator[bytes]:
        """The last trades, and the ticker as it stands."""
        for topic in topics:
            channel, _, product = topic.partition(":")
            ledger = self._ledgers.get(product)
            if ledger is None or ledger.last is None:
                continue
            if channel == "ticker":
                yield ticker_frame(ledger, ledger.last.at, "snapshot")
            else:
                yield trades_frame(ledger.listing, ledger.newest(_SNAPSHOT), now, "snapshot")

    def beat(self, session: Session, now: int) -> Answer:
        """A heartbeat a second for who asked; a close for who never subscribed."""
        if not session.subscribed and now - session.opened >= self._settings.subscribe_deadline * SECOND:
            return Answer(close=(1008, "failed to subscribe in time"))
        if _HEARTBEATS not in session.topics or now - session.pinged < self._settings.heartbeat * SECOND:
            return NOTHING
        session.pinged = now
        counter = now // SECOND
        moment = f"{iso(now)[:10]} {iso(now)[11:26]}000 +0000 UTC m=+{counter}.000000001"
        event = f'{{"current_time":"{moment}","heartbeat_counter":{counter}}}'
        return Answer((_envelope("heartbeats", now, event),))

    def publish(self, live: Live, audience: Audience) -> None:
        """The trades of one taker in one frame; a ticker on each change."""
        ledger, event = live.ledger, live.event
        product = _wire(ledger.listing.native)
        if isinstance(event, Sweep) and audience.hears(f"market_trades:{product}"):
            frame = trades_frame(ledger.listing, event.prints, event.prints[-1].at + 70_308, "update")
            for _ in range(event.copies):
                audience.send(f"market_trades:{product}", frame, trade=True)
        if audience.hears(f"ticker:{product}"):
            at = event.prints[-1].at if isinstance(event, Sweep) else event.at
            audience.send(f"ticker:{product}", ticker_frame(ledger, at, "update"))

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/api/v3/brokerage/…`."""
        return answer(self._listed, path, query, now)

    def limited(self, retry_after: int) -> Reply:
        """429 with the venue's form of an error."""
        body = {"error": "rate_limit_exceeded", "message": "Rate limit exceeded"}
        return Reply(body, 429, {"Retry-After": str(retry_after)})


def _wire(native: str) -> str:
    """The product the feed speaks of."""
    return native.removesuffix("C") if native.endswith("-USDC") else native


def trade_row(listing: Listing, trade: Print) -> str:
    """One trade; its side is the maker's."""
    return (
        f'{{"product_id":"{_wire(listing.native)}","trade_id":"{trade.id}"'
        f',"price":"{short(trade.price, listing.decimals)}","size":"{short(trade.size, listing.lot)}"'
        f',"time":"{iso(trade.at)}","side":"{"SELL" if trade.side > 0 else "BUY"}"}}'
    )


def trades_frame(listing: Listing, trades: Sequence[Print], at: int, kind: str) -> bytes:
    """Trades of one product, newest first."""
    rows = ",".join(trade_row(listing, trade) for trade in reversed(trades))
    return _envelope("market_trades", at, f'{{"type":"{kind}","trades":[{rows}]}}')


def ticker_frame(ledger: Ledger, at: int, kind: str) -> bytes:
    """The best prices and the day's numbers."""
    listing, places = ledger.listing, ledger.listing.decimals
    price = ledger.last.price if ledger.last else ledger.bid
    change = 100 * (price - ledger.open) / ledger.open if ledger.open else 0.0
    row = (
        f'{{"type":"ticker","product_id":"{_wire(listing.native)}","price":"{short(price, places)}"'
        f',"volume_24_h":"{ledger.volume:.8f}","low_24_h":"{short(ledger.low, places)}"'
        f',"high_24_h":"{short(ledger.high, places)}","low_52_w":"{short(ledger.low, places)}"'
        f',"high_52_w":"{short(ledger.high, places)}","price_percent_chg_24_h":"{change:.14f}"'
        f',"best_bid":"{short(ledger.bid, places)}","best_bid_quantity":"{short(ledger.bid_size, listing.lot)}"'
        f',"best_ask":"{short(ledger.ask, places)}","best_ask_quantity":"{short(ledger.ask_size, listing.lot)}"}}'
    )
    return _envelope("ticker", at, f'{{"type":"{kind}","tickers":[{row}]}}')


def _envelope(channel: str, at: int, event: str) -> bytes:
    stamp = f"{iso(at)[:-1]}123Z"
    return (
        f'{{"channel":"{channel}","client_id":"","timestamp":"{stamp}","sequence_num":\0,"events":[{event}]}}'
    ).encode()


def _subscriptions(topics: Iterable[str], now: int) -> bytes:
    channels: dict[str, list[str]] = {}
    for topic in topics:
        channel, _, product = topic.partition(":")
        channels.setdefault(channel, []).append(product)
    return _envelope("subscriptions", now, msgspec.json.encode({"subscriptions": channels}).decode())


def _error(message: str) -> Answer:
    return Answer((msgspec.json.encode({"type": "error", "message": message}),))
