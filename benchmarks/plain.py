"""Trades and quotes of a recording, counted as plainly as can be: nothing here knows the adapters.

One function a venue. It gets the lines of one recording (see `read`) and returns the markets' names on the wire and how
many trades and quotes the frames hold, array frames by element.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

Line = dict[str, Any]


class Counts(NamedTuple):
    """What one recording holds."""

    natives: set[str]
    trades: int
    quotes: int


Count = Callable[[Iterable[Line]], Counts]


def read(path: Path) -> Iterator[Line]:
    """The lines of a recording."""
    with gzip.open(path, "rt") as file:
        yield from map(json.loads, file)


def frame(line: Line) -> str | bytes:
    """A recorded frame as it came: text, or bytes where it was binary."""
    return base64.b64decode(line["b64"]) if "b64" in line else str(line["raw"])


def text(frame: str | bytes) -> str:
    """What a frame says, whatever it came as."""
    if isinstance(frame, str):
        return frame
    return (gzip.decompress(frame) if frame.startswith(b"\x1f\x8b") else frame).decode()


def received(lines: Iterable[Line]) -> Iterator[Any]:
    """The text frames from the venue, decoded."""
    for line in lines:
        if line["dir"] == "in":
            yield json.loads(line["raw"])


def binance(lines: Iterable[Line]) -> Counts:
    streams = [one.get("stream", "") for one in received(lines)]
    natives = {name.partition("@")[0].upper() for name in streams if "@" in name}
    return Counts(
        natives, sum(name.endswith("@trade") for name in streams), sum(name.endswith("@bookTicker") for name in streams)
    )


def bitfinex(lines: Iterable[Line]) -> Counts:
    """Trades by their id: the snapshot's, and the others once though they are sent twice."""
    channels: dict[int, tuple[str, str]] = {}
    trades: set[int] = set()
    quotes = 0
    for one in received(lines):
        if isinstance(one, dict):
            if one["event"] == "subscribed":
                channels[one["chanId"]] = (one["channel"], one["symbol"])
        elif one[1] != "hb":
            channel = channels[one[0]][0]
            quotes += channel == "ticker"
            if channel == "trades":
                trades.update(row[0] for row in ([one[2]] if isinstance(one[1], str) else one[1]))
    return Counts({symbol for _, symbol in channels.values()}, len(trades), quotes)


def bitstamp(lines: Iterable[Line]) -> Counts:
    frames = list(received(lines))
    natives = {one["channel"].rpartition("_")[2] for one in frames}
    books = sum(one["event"] == "data" and one["channel"].startswith("order_book_") for one in frames)
    return Counts(natives, sum(one["event"] == "trade" for one in frames), books)


def coinbase(lines: Iterable[Line]) -> Counts:
    frames = list(received(lines))
    kinds = [one["type"] for one in frames]
    natives = {one["product_id"] for one in frames if "product_id" in one}
    return Counts(natives, kinds.count("match") + kinds.count("last_match"), kinds.count("ticker"))


def deribit(lines: Iterable[Line]) -> Counts:
    pushed = [one["params"] for one in received(lines) if one.get("method") == "subscription"]
    of = {kind: [one["data"] for one in pushed if one["channel"].startswith(kind)] for kind in ("trades.", "ticker.")}
    natives = {one["channel"].split(".")[1] for one in pushed}
    full = [one for one in of["ticker."] if one["best_bid_price"] and one["best_ask_price"]]
    return Counts(natives, sum(map(len, of["trades."])), len(full))


def gateio(lines: Iterable[Line]) -> Counts:
    pushed = [one for one in received(lines) if one["event"] == "update"]
    of = {
        kind: [one["result"] for one in pushed if one["channel"] == kind]
        for kind in ("spot.trades", "spot.book_ticker")
    }
    tickers = {one["result"]["currency_pair"] for one in pushed if one["channel"] == "spot.tickers"}
    natives = tickers | {one["currency_pair"] for one in of["spot.trades"]}
    return Counts(natives, len(of["spot.trades"]), len(of["spot.book_ticker"]))


def htx(lines: Iterable[Line]) -> Counts:
    pushed = [json.loads(gzip.decompress(base64.b64decode(line["b64"]))) for line in lines if line["dir"] == "in"]
    natives = {one["ch"].split(".")[1] for one in pushed if "ch" in one}
    trades = [one["tick"]["data"] for one in pushed if one.get("ch", "").endswith(".trade.detail")]
    return Counts(natives, sum(map(len, trades)), sum(one.get("ch", "").endswith(".bbo") for one in pushed))


def kucoin(lines: Iterable[Line]) -> Counts:
    topics = [one.get("topic", "").partition(":") for one in received(lines)]
    natives = {symbol for kind, _, symbol in topics if kind in {"/market/match", "/market/ticker"}}
    kinds = [kind for kind, _, _ in topics]
    return Counts(natives, kinds.count("/market/match"), kinds.count("/market/ticker"))


def upbit(lines: Iterable[Line]) -> Counts:
    pushed = [json.loads(frame(line)) for line in lines if line["dir"] == "in"]
    kinds = [one["ty"] for one in pushed]
    return Counts({one["cd"] for one in pushed}, kinds.count("trade"), kinds.count("orderbook"))


def gemini(lines: Iterable[Line]) -> Counts:
    """A quote wherever the best bid or ask is another one, in price or size, after a frame of changes."""
    books: dict[str, dict[str, dict[float, float]]] = {}
    tops: dict[str, list[tuple[float, float]]] = {}
    trades = quotes = 0
    for one in received(lines):
        trades += (one["type"] == "trade") + len(one.get("trades", []))
        if one["type"] == "l2_updates":
            sides = books.setdefault(one["symbol"], {"buy": {}, "sell": {}})
            for side, price, size in one["changes"]:
                sides[side][float(price)] = float(size)
            bids, asks = ([level for level in sides[side].items() if level[1]] for side in ("buy", "sell"))
            top = [max(bids), min(asks)] if bids and asks else []
            quotes += bool(top) and top != tops.get(one["symbol"])
            tops[one["symbol"]] = top
    return Counts(set(books), trades, quotes)


def hyperliquid(lines: Iterable[Line]) -> Counts:
    trades = [row for one in received(lines) if one["channel"] == "trades" for row in one["data"]]
    return Counts({row["coin"] for row in trades}, len(trades), 0)


def okx(lines: Iterable[Line]) -> Counts:
    pushed = [one for one in received(lines) if "data" in one]
    natives = {one["arg"]["instId"] for one in pushed}
    rows = {
        channel: sum(len(one["data"]) for one in pushed if one["arg"]["channel"] == channel)
        for channel in ("trades", "tickers")
    }
    return Counts(natives, rows["trades"], rows["tickers"])


RECORDINGS: dict[str, tuple[str, Count]] = {
    "binance/binance-20210417T163612Z.jsonl.gz": ("binance", binance),
    "binance/binance-btcusdt-20240808T235413Z.jsonl.gz": ("binance", binance),
    "binance/binance-ethusdt-20240808T235414Z.jsonl.gz": ("binance", binance),
    "binance_us/binance_us-20210814T144513Z.jsonl.gz": ("binance_us", binance),
    "bitfinex/bitfinex-20210417T163903Z.jsonl.gz": ("bitfinex", bitfinex),
    "bitstamp/bitstamp-20220105T004817Z.jsonl.gz": ("bitstamp", bitstamp),
    "coinbase/coinbase-20210417T164337Z-a.jsonl.gz": ("coinbase", coinbase),
    "deribit/deribit-20210722T224203Z.jsonl.gz": ("deribit", deribit),
    "gateio/gateio-20210422T121212Z-a.jsonl.gz": ("gateio", gateio),
    "gemini/gemini-20210417T164542Z.jsonl.gz": ("gemini", gemini),
    "htx/htx-20210417T164750Z-a.jsonl.gz": ("htx", htx),
    "hyperliquid/hyperliquid-btcusd-20250126T191403Z.jsonl.gz": ("hyperliquid", hyperliquid),
    "kucoin/kucoin-20210425T191846Z.jsonl.gz": ("kucoin", kucoin),
    "okx/okx-20220513T162705Z.jsonl.gz": ("okx", okx),
    "upbit/upbit-20210417T165103Z.jsonl.gz": ("upbit", upbit),
}
"""Recording -> the venue whose adapter reads it, and its count."""

_AGGREGATED = "its trades are aggregated ones (aggTrade), a channel the adapter does not use"
NOTES: dict[str, str] = {
    "binance/binance-20210417T163612Z.jsonl.gz": _AGGREGATED,
    "binance_us/binance_us-20210814T144513Z.jsonl.gz": _AGGREGATED,
    "deribit/deribit-20210722T224203Z.jsonl.gz": "options; nothing was traded; a book with an empty side is no quote",
}
"""What a reader of the table should know of a recording."""
