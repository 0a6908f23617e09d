"""Hyperliquid, the server's side: trades, best prices, pongs; candles and markets by POST.

https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket/subscriptions and …/info-endpoint. Trade
ids are a hash of the trade's number, since the venue's do not grow. Books and mids are served from recordings only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from pricewatch.domain.time import MINUTE, SECOND
from pricewatch.simulator.ledger import Bar, Ledger, Print
from pricewatch.simulator.market import Book, Sweep
from pricewatch.simulator.session import NOTHING, Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.text import short

_CHANNELS = ("bbo", "candle", "l2Book", "trades")
_SNAPSHOT = 30
_SILENT = 60 * SECOND
_MOST_CANDLES = 5_000
_USERS = '"0xe9ed7e16612d676df804f5aecd16e1f9bf9ec9dd","0x6802b4267f7f2bf7003dcf993c51542245b38329"'
_SPREAD = 0x9E3779B97F4A7C15
"""Odd, so that multiplying by it renames the numbers below 2^50 without making two of them one."""


class _Recorded(msgspec.Struct):
    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _RecordedTrade(msgspec.Struct):
    coin: str
    side: str
    px: float
    sz: float
    time: int
    tid: int


class _RecordedTopic(msgspec.Struct):
    coin: str = ""
    s: str = ""


_decode_recorded = msgspec.json.Decoder(_Recorded).decode
_decode_trades = msgspec.json.Decoder(list[_RecordedTrade], strict=False).decode
_decode_topic = msgspec.json.Decoder(_RecordedTopic).decode


def tid(number: int) -> int:
    """The id by which the venue calls a trade of a seeded market."""
    return number * _SPREAD % 2**50


class Hyperliquid(Venue):
    """Speaks Hyperliquid; a topic is `type:coin`."""

    id = "hyperliquid"
    hosts = ("api.hyperliquid.xyz",)
    lot = 5
    step = 1_000

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        del settings
        self._ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}

    @staticmethod
    def native(base: str, quote: str) -> str:
        """A perpetual by its coin; `PURR/USDC`."""
        return base if quote == "USDC" and base != "PURR" else f"{base}/{quote}"

    @staticmethod
    def legs(native: str) -> tuple[str, str]:
        """A coin is a perpetual, quoted in USDC; of a spot pair's index nothing is told."""
        base, _, quote = native.partition("/")
        return (base, "") if native.startswith("@") else (base, quote or "USDC")

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        """Everything with a coin; a coin's first frame of several trades holds past ones."""
        line = _decode_recorded(frame)
        if line.channel in {"subscriptionResponse", "pong", "error"}:
            return None
        if line.channel == "trades":
            trades = _decode_trades(line.data)
            if not trades:
                return None
            coin = trades[0].coin
            news = memory.get(coin, False)
            memory[coin] = True
            prints = tuple(
                (
                    coin,
                    Print(0, one.time * 1_000, one.px, one.sz, 1 if one.side == "B" else -1, ref=str(one.tid)),
                )
                for one in trades
                if news
            )
            return Heard((coin,), ((f"trades:{coin}", frame),), prints)
        topic = _decode_topic(line.data)
        coin = topic.coin or topic.s
        if not coin:
            raise Foreign(f"channel {line.channel[:40]!r} without a coin")
        return Heard((coin,), ((f"{line.channel}:{coin}", frame),))

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Nothing is said before the client speaks."""
        session.busy = now
        return Answer(close=(1008, "Invalid path")) if path not in {"", "/", "/ws"} or query else NOTHING

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        """Subscribe, unsubscribe (one coin a message) and ping."""
        del now
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            request = None
        method = request.get("method") if isinstance(request, dict) else None
        if method == "ping":
            return Answer((b'{"channel":"pong"}',))
        wanted = request.get("subscription") if isinstance(request, dict) else None
        if method not in {"subscribe", "unsubscribe"} or not isinstance(wanted, dict):
            words = text if isinstance(text, str) else text.decode(errors="replace")
            return _error(f"Error parsing JSON into valid websocket request: {words[:200]}")
        return self._subscription(session, request, method, wanted)

    def _subscription(self, session: Session, request: Any, method: str, wanted: dict[str, Any]) -> Answer:
        kind, coin = wanted.get("type"), wanted.get("coin")
        ledger = self._ledgers.get(coin) if isinstance(coin, str) else None
        quoted = msgspec.json.encode(wanted).decode()
        if kind not in _CHANNELS or ledger is None:
            return _error(f"Invalid subscription {quoted}")
        topic = f"{kind}:{coin}"
        if (topic in session.topics) is (method == "subscribe"):
            return _error(f"Already {method}d: {quoted}")
        answer = msgspec.json.encode({"channel": "subscriptionResponse", "data": request})
        if method == "unsubscribe":
            del session.topics[topic]
            return Answer((answer,))
        session.topics[topic] = None
        return Answer((answer, *_first(ledger, str(kind))))

    def beat(self, session: Session, now: int) -> Answer:
        """Who was told nothing for a minute is closed."""
        return Answer(close=(1000, "Inactive")) if now - session.busy >= _SILENT else NOTHING

    def publish(self, live: Live, audience: Audience) -> None:
        """The trades of one taker in one frame; the best prices whenever they change."""
        ledger, event = live.ledger, live.event
        topic = f"trades:{ledger.listing.native}"
        if isinstance(event, Sweep) and audience.hears(topic):
            for _ in range(event.copies):
                audience.send(topic, _trades(ledger, event.prints), trade=True)
        topic = f"bbo:{ledger.listing.native}"
        if audience.hears(topic):
            audience.send(topic, _best(ledger, event.book if isinstance(event, Sweep) else event))

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        """Nothing is to be had by GET."""
        del path, query, now
        return Reply("Method Not Allowed", 405)

    def post(self, path: str, query: Mapping[str, str], body: bytes, now: int) -> Reply:
        """`/info`, told apart by `type`."""
        del query, now
        try:
            request = msgspec.json.decode(body)
            kind = request["type"]
            if path != "/info" or kind not in {"meta", "spotMeta", "candleSnapshot"}:
                return _unreadable()
            if kind == "meta":
                return Reply({"universe": [_perpetual(one) for one in self._ledgers.values() if "/" not in _name(one)]})
            if kind == "spotMeta":
                return Reply(self._spot())
            wanted = request["req"]
            ledger, width = self._ledgers.get(wanted["coin"]), {"1m": 1, "1h": 60}[wanted["interval"]]
            start, end = int(wanted["startTime"]), int(wanted["endTime"])
        except (ValueError, TypeError, KeyError):
            return _unreadable()
        if ledger is None:
            return Reply(None, 500)
        bars = ledger.bars(width)[-_MOST_CANDLES:]
        return Reply([_candle(ledger, bar, width) for bar in bars if start <= bar.at // 1_000 <= end])

    def _spot(self) -> dict[str, Any]:
        pairs = [name.split("/") for name in map(_name, self._ledgers.values()) if "/" in name]
        names = list(dict.fromkeys(["USDC", *(leg for pair in pairs for leg in pair)]))
        tokens = [{"name": name, "szDecimals": 5, "weiDecimals": 8, "index": n} for n, name in enumerate(names)]
        universe = [
            {"name": "/".join(pair), "tokens": [names.index(leg) for leg in pair], "index": n, "isCanonical": True}
            for n, pair in enumerate(pairs)
        ]
        return {"tokens": tokens, "universe": universe}


def _name(ledger: Ledger) -> str:
    return ledger.listing.native


def _perpetual(ledger: Ledger) -> dict[str, Any]:
    return {"szDecimals": ledger.listing.lot, "name": _name(ledger), "maxLeverage": 40, "marginTableId": 56}


def _ident(trade: Print) -> str:
    """The venue's own id: the recording's, else one made of the number."""
    return trade.ref or str(tid(trade.id))


def _first(ledger: Ledger, kind: str) -> Iterator[bytes]:
    """What a new listener gets at once."""
    last = ledger.last
    if kind == "trades" and last is not None:
        yield _trades(ledger, ledger.newest(_SNAPSHOT))
    elif kind == "bbo" and last is not None and ledger.bid:
        yield _best(ledger, Book(last.at, ledger.bid, ledger.bid_size, ledger.ask, ledger.ask_size, ledger.sequence))


def _trades(ledger: Ledger, trades: Sequence[Print]) -> bytes:
    listing = ledger.listing
    rows = ",".join(
        f'{{"coin":"{listing.native}","side":"{"B" if trade.side > 0 else "A"}"'
        f',"px":"{max(trade.price, 0.0):.{max(listing.decimals, 1)}f}","sz":"{short(trade.size, listing.lot)}"'
        f',"time":{trade.at // 1_000},"hash":"0x{int(_ident(trade)):064x}","tid":{_ident(trade)},"users":[{_USERS}]}}'
        for trade in trades
    )
    return f'{{"channel":"trades","data":[{rows}]}}'.encode()


def _best(ledger: Ledger, book: Book) -> bytes:
    listing = ledger.listing
    bid, ask = (
        f'{{"px":"{price:.{max(listing.decimals, 1)}f}","sz":"{short(size, listing.lot)}","n":1}}'
        for price, size in ((book.bid, book.bid_size), (book.ask, book.ask_size))
    )
    stamp = book.at // 1_000
    return f'{{"channel":"bbo","data":{{"coin":"{listing.native}","time":{stamp},"bbo":[{bid},{ask}]}}}}'.encode()


def _candle(ledger: Ledger, bar: Bar, width: int) -> dict[str, Any]:
    places = max(ledger.listing.decimals, 1)
    opened, closed, high, low = (f"{value:.{places}f}" for value in (bar.open, bar.close, bar.high, bar.low))
    start = bar.at // 1_000
    return {
        "t": start,
        "T": start + width * MINUTE // 1_000 - 1,
        "s": _name(ledger),
        "i": "1m" if width == 1 else "1h",
        "o": opened,
        "c": closed,
        "h": high,
        "l": low,
        "v": short(bar.volume, ledger.listing.lot),
        "n": bar.trades,
    }


def _unreadable() -> Reply:
    return Reply("Failed to deserialize the JSON body into the target type", 422)


def _error(words: str) -> Answer:
    return Answer((msgspec.json.encode({"channel": "error", "data": words}),))
