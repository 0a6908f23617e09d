"""Coinbase Exchange, the server's side: ticker, matches, heartbeat, REST history.

Channels: https://docs.cdp.coinbase.com/exchange/websocket-feed/channels. The words of errors other than
"is not a valid product" and "No channels provided" are not documented and may differ on the venue.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.simulator.ledger import Ledger, Print
from pricewatch.simulator.listings import Listing
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.text import iso, micros, short
from pricewatch.simulator.venues import coinbase_rest

_CHANNELS = ("ticker", "matches", "heartbeat", "level2")
_OF_TYPE = {"match": "matches", "last_match": "matches", "l2update": "level2", "snapshot": "level2"}
_MASK = (1 << 128) - 1


class _Frame(msgspec.Struct):
    type: str
    product_id: str | None = None


class _Trade(msgspec.Struct):
    trade_id: int
    price: float
    size: float
    side: str
    time: str
    sequence: int = 0


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_trade = msgspec.json.Decoder(_Trade, strict=False).decode


class Coinbase(Venue):
    """Speaks Coinbase Exchange; a topic is `channel:product`."""

    id = "coinbase"
    hosts = ("ws-feed.exchange.coinbase.com", "ws-feed.pro.coinbase.com")
    quotes = False  # its ticker speaks with each trade

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        self._settings = settings
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}
        self._sizes = settings.fields == "current"

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """A frame about one product."""
        del memory
        found = _decode_frame(frame)
        if found.type in {"subscriptions", "heartbeat", "error"}:
            return None
        if found.product_id is None:
            raise Foreign("it names no product")
        channel, native = _OF_TYPE.get(found.type, found.type), found.product_id
        prints: tuple[tuple[str, Print], ...] = ()
        if channel == "matches":
            trade = _decode_trade(frame)
            side = 1 if trade.side == "sell" else -1
            prints = (
                (native, Print(trade.trade_id, micros(trade.time), trade.price, trade.size, side, trade.sequence)),
            )
        return Heard((native,), ((f"{channel}:{native}", frame),), prints)

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Nothing is sent before the client subscribes."""
        session.pinged = now
        return NOTHING if path in {"", "/"} and not query else Answer(close=(1008, "Invalid path"))

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """Subscribe and unsubscribe; one wrong product refuses the whole request."""
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return _error("Malformed JSON", None)
        kind = request.get("type") if isinstance(request, dict) else None
        if kind not in {"subscribe", "unsubscribe"}:
            return _error("Type has to be either subscribe or unsubscribe", None)
        failure = f"Failed to {kind}"
        pairs, reason = self._pairs(request)
        if reason:
            return _error(failure, reason)
        if kind == "unsubscribe":
            for channel, product in pairs:
                session.topics.pop(f"{channel}:{product}", None)
            return Answer((_subscriptions(session.topics),))
        session.subscribed = True
        fresh = [pair for pair in pairs if f"{pair[0]}:{pair[1]}" not in session.topics]
        session.topics.update(dict.fromkeys(f"{channel}:{product}" for channel, product in pairs))
        session.pinged = now
        return Answer((_subscriptions(session.topics), *self._snapshots(fresh)))

    def _pairs(self, request: dict[str, Any]) -> tuple[list[tuple[str, str]], str]:
        """Channels with products, or why not."""
        channels, common = request.get("channels"), request.get("product_ids") or []
        if not isinstance(channels, list) or not channels:
            return [], "No channels provided"
        pairs: list[tuple[str, str]] = []
        for entry in channels:
            name, products = entry, common
            if isinstance(entry, dict):
                name, products = entry.get("name"), entry.get("product_ids") or common
            if name not in _CHANNELS:
                return [], f"{name} is not a valid channel"
            if not isinstance(products, list) or not products:
                return [], "No product_ids provided"
            for product in products:
                if not isinstance(product, str) or product not in self._ledgers:
                    return [], f"{product} is not a valid product"
                pairs.append((name, product))
        return pairs, ""

    def withhold(
        self, session: Session, frames: Sequence[bytes], lost: Collection[str], kept: Collection[str]
    ) -> Sequence[bytes]:
        """The list of subscriptions is written anew."""
        return [_subscriptions(session.topics), *super().withhold(session, frames[1:], lost, kept)]

    def _snapshots(self, pairs: Iterable[tuple[str, str]]) -> Iterator[bytes]:
        """The last ticker and the last match of each product."""
        for channel, product in pairs:
            ledger = self._ledgers[product]
            if ledger.last is not None and channel == "ticker" and ledger.bid:
                yield self.ticker(ledger, ledger.last).encode()
            elif ledger.last is not None and channel == "matches":
                yield match_frame(ledger.listing, ledger.last, "last_match").encode()

    def beat(self, session: Session, now: int) -> Answer:
        """A heartbeat a second for each product that asked; a close for who never subscribed."""
        if not session.subscribed and now - session.opened >= self._settings.subscribe_deadline * SECOND:
            return Answer(close=(1008, "failed to subscribe in time"))
        if now - session.pinged < self._settings.heartbeat * SECOND:
            return NOTHING
        session.pinged = now
        names = [topic.removeprefix("heartbeat:") for topic in session.topics if topic.startswith("heartbeat:")]
        return Answer([_heartbeat(self._ledgers[name], now) for name in names])

    def publish(self, live: Live, audience: Audience) -> None:
        """A match and a ticker for each trade."""
        if not isinstance(live.event, Sweep):
            return
        listing = live.ledger.listing
        matches, ticker = f"matches:{listing.native}", f"ticker:{listing.native}"
        for trade in live.event.prints * live.event.copies:
            if audience.hears(matches):
                audience.send(matches, match_frame(listing, trade).encode(), trade=True)
            if audience.hears(ticker):
                audience.send(ticker, self.ticker(live.ledger, trade).encode())

    def ticker(self, ledger: Ledger, trade: Print) -> str:
        """The ticker after a trade, with the best prices of the ledger."""
        listing = ledger.listing
        decimals, lot = listing.decimals, listing.lot
        bid_size = f'"best_bid_size":"{ledger.bid_size:.{lot}f}",' if self._sizes else ""
        ask_size = f'"best_ask_size":"{ledger.ask_size:.{lot}f}",' if self._sizes else ""
        return (
            f'{{"type":"ticker","sequence":{trade.sequence},"product_id":"{listing.native}"'
            f',"price":"{short(trade.price, decimals)}","open_24h":"{short(ledger.open, decimals)}"'
            f',"volume_24h":"{ledger.volume:.8f}","low_24h":"{short(ledger.low, decimals)}"'
            f',"high_24h":"{short(ledger.high, decimals)}","volume_30d":"{ledger.month_volume:.8f}"'
            f',"best_bid":"{ledger.bid:.{decimals}f}",{bid_size}"best_ask":"{ledger.ask:.{decimals}f}",{ask_size}'
            f'"side":"{"buy" if trade.side > 0 else "sell"}","time":"{iso(trade.at)}"'
            f',"trade_id":{trade.id},"last_size":"{short(trade.size, lot)}"}}'
        )

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """`/products…`."""
        return coinbase_rest.answer(self._ledgers, path, query, now)

    def limited(self, retry_after: int) -> Reply:
        """429 with the venue's words."""
        return Reply({"message": "Public rate limit exceeded"}, 429, {"Retry-After": str(retry_after)})


def match_frame(listing: Listing, trade: Print, kind: str = "match") -> str:
    """A match; its side is the maker's."""
    return (
        f'{{"type":"{kind}","trade_id":{trade.id},"maker_order_id":"{_order(trade.id * 2)}"'
        f',"taker_order_id":"{_order(trade.id * 2 + 1)}","side":"{"sell" if trade.side > 0 else "buy"}"'
        f',"size":"{short(trade.size, listing.lot)}","price":"{short(trade.price, listing.decimals)}"'
        f',"product_id":"{listing.native}","sequence":{trade.sequence},"time":"{iso(trade.at)}"}}'
    )


def _order(number: int) -> str:
    """An order id: a version 4 UUID made from a number."""
    text = f"{(number * 0x9E3779B97F4A7C15F39CC0605CEDC835 + 0x5851F42D4C957F2D) & _MASK:032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _heartbeat(ledger: Ledger, now: int) -> bytes:
    last = ledger.last.id if ledger.last else 0
    return (
        f'{{"type":"heartbeat","sequence":{ledger.sequence},"last_trade_id":{last}'
        f',"product_id":"{ledger.listing.native}","time":"{iso(now)}"}}'
    ).encode()


def _subscriptions(topics: Iterable[str]) -> bytes:
    channels: dict[str, list[str]] = {}
    for topic in topics:
        channel, _, product = topic.partition(":")
        channels.setdefault(channel, []).append(product)
    listed = [{"name": name, "product_ids": products} for name, products in channels.items()]
    return msgspec.json.encode({"type": "subscriptions", "channels": listed})


def _error(message: str, reason: str | None) -> Answer:
    body = {"type": "error", "message": message}
    if reason is not None:
        body["reason"] = reason
    return Answer((msgspec.json.encode(body),))
