"""What the tests of the simulated OKX, Bybit, Bitget and Crypto.com share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from tests.simulator.sim_support import START, seeded

from pricewatch.domain.market import Market, Trade
from pricewatch.exchanges.base import Endpoints, Exchange
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.simulator.ledger import Print
from pricewatch.simulator.registry import VENUES
from pricewatch.simulator.session import Session, Venue
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import SeededTape

NAMES = ("bitget", "bybit", "cryptocom", "okx")
SYMBOLS = ("BTC-USDT", "ETH-USDT")
SECOND = 1_000_000
Row = tuple[int, float, float, int, int]


def listen(venue: str, *symbols: str, endpoints: Endpoints | None = None) -> Exchange:
    kind = EXCHANGES[venue]
    markets = [Market(n, venue, symbol, kind.native(symbol), kind.step) for n, symbol in enumerate(symbols, 1)]
    return kind(markets, endpoints)


class Everybody:
    """An audience that hears everything."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def hears(self, topic: str) -> bool:
        return True

    def send(self, topic: str, frame: bytes, *, trade: bool = False) -> None:
        self.frames.append(frame)


def settings(venue: str, **changes: Any) -> SimulatorSettings:
    return SimulatorSettings(**{"markets": {venue: SYMBOLS}, "programme": False, "history_minutes": 120, **changes})


def house(venue: str, **changes: Any) -> tuple[Venue, SeededTape]:
    tape = seeded(markets={venue: SYMBOLS}, **changes)
    return VENUES[venue](tape.ledgers, settings(venue, **changes)), tape


def outline(value: Any) -> Any:
    """Names in their order and JSON types."""
    if isinstance(value, dict):
        return [(key, outline(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [outline(inner) for inner in value[:1]]
    return type(value).__name__


def rows(trades: Sequence[Trade]) -> list[Row]:
    return [(trade.key, trade.price, trade.size, trade.side, trade.at) for trade in trades]


def printed(prints: Sequence[Print]) -> list[Row]:
    return [(trade.id, trade.price, trade.size, trade.side, trade.at) for trade in prints]


def joined(prints: Sequence[Print]) -> list[Row]:
    """As OKX says it: a taker's trades at one price are one."""
    found: list[Row] = []
    for trade in prints:
        same = found and found[-1][1] == trade.price
        size = round(trade.size + (found.pop()[2] if same else 0.0), 8)
        found.append((trade.id, trade.price, size, trade.side, trade.at))
    return found


def answer(server: Venue, url: str, now: int) -> bytes:
    """What the server's REST service says to an adapter's request."""
    address = urlsplit(url)
    reply = server.rest(address.path, dict(parse_qsl(address.query)), now)
    assert reply.status == 200, reply.body
    return msgspec.json.encode(reply.body)


def pages(server: Venue, exchange: Exchange, market: Market, since: int, until: int | None, now: int) -> list[Trade]:
    found: dict[int, Trade] = {}
    request = exchange.history_request(market, 0, None, since, until)
    while request is not None:
        page = exchange.parse_history(request, answer(server, request.url, now), now)
        found |= {trade.key: trade for trade in page.trades}
        request = page.next
    return [found[key] for key in sorted(found)]


class Client:
    """A client of one venue, without a socket."""

    def __init__(self, venue: str, path: str = "", **query: str) -> None:
        self.venue, _ = house(venue)
        self.session = Session(opened=START)
        self.opened = self.venue.open(self.session, path, query, START)

    def say(self, text: Any) -> list[Any]:
        said = text if isinstance(text, (str, bytes)) else json.dumps(text)
        frames = self.venue.receive(self.session, said, START).frames
        return [frame.decode() if frame == b"pong" else json.loads(frame) for frame in frames]

    def beat(self, seconds: float) -> Any:
        return self.venue.beat(self.session, START + round(seconds * SECOND))


def okx(*args: dict[str, str], op: str = "subscribe") -> dict[str, Any]:
    return {"op": op, "args": args}


def bybit(*args: str, op: str = "subscribe") -> dict[str, Any]:
    return {"req_id": "7", "op": op, "args": args}


def bitget(*args: tuple[str, str], op: str = "subscribe") -> dict[str, Any]:
    return {"op": op, "args": [{"instType": "SPOT", "channel": name, "instId": native} for name, native in args]}


def cryptocom(*channels: str, method: str = "subscribe", number: int = 5) -> dict[str, Any]:
    return {"id": number, "method": method, "params": {"channels": channels}}
