"""`frames`: from a frame to a checked tick, beside `json.loads` and digging."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from functools import partial

from benchmarks.machine import median
from benchmarks.source import START, Frames, adapter, frames
from pricewatch.domain.market import Trade
from pricewatch.exchanges.base import Exchange, Output

VENUES = ("binance", "coinbase", "kraken")


def run(*, quick: bool) -> list[list[str]]:
    """Rows: venue, frames, trades, ours, reference, ratio."""
    count, repetitions = (200, 2) if quick else (9_000, 5)
    rows = []
    for venue in VENUES:
        source = frames(venue, count)
        exchange = adapter(venue, source.symbols)
        known = set(exchange.markets)
        ours, theirs = [], []
        trades = 0
        for _ in range(repetitions):
            out: list[Output] = []
            ours.append(_timed(source, partial(_ours, exchange, out)))
            found: list[Trade] = []
            theirs.append(_timed(source, partial(_DIGGERS[venue], known, found)))
            trades = sum(isinstance(one, Trade) for one in out)
            if trades != len(found):
                raise RuntimeError(f"{venue}: {trades} trades here, {len(found)} there")
        mine, reference = (1e6 * median(one) / trades for one in (ours, theirs))
        rows.append(
            [venue, source.origin, str(trades), f"{mine:.2f} µs", f"{reference:.2f} µs", f"{reference / mine:.1f}"]
        )
    return rows


HEAD = ["venue", "frames", "trades", "ours, a trade", "json.loads, a trade", "ratio"]


def _ours(exchange: Exchange, out: list[Output], frame: bytes) -> None:
    exchange.receive(frame, START, out)


def _timed(source: Frames, take: Callable[[bytes], None]) -> float:
    began = time.perf_counter()
    for frame in source.frames:
        take(frame)
    return time.perf_counter() - began


def _trade(key: int, at: int, price: str, size: str, side: int, found: list[Trade]) -> None:
    value, amount = float(price), float(size)
    if not (0 < value < 1e15 and 0 < amount < math.inf and 0 <= key < 2**63):
        raise ValueError(price)
    found.append(Trade(1, at, value, amount, side, key, START))


def _micros(text: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(text).timestamp() * 1e6)


def _binance(known: set[str], found: list[Trade], frame: bytes) -> None:
    row = json.loads(frame)["data"]
    if row["s"] in known:
        _trade(int(row["t"]), int(row["T"]) * 1_000, row["p"], row["q"], -1 if row["m"] else 1, found)


def _coinbase(known: set[str], found: list[Trade], frame: bytes) -> None:
    row = json.loads(frame)
    if row["type"] == "match" and row["product_id"] in known:
        side = 1 if row["side"] == "sell" else -1
        _trade(int(row["trade_id"]), _micros(row["time"]), row["price"], row["size"], side, found)


def _kraken(known: set[str], found: list[Trade], frame: bytes) -> None:
    message = json.loads(frame)
    if message["channel"] == "trade":
        for row in message["data"]:
            if row["symbol"] in known:
                side = 1 if row["side"] == "buy" else -1
                _trade(int(row["trade_id"]), _micros(row["timestamp"]), row["price"], row["qty"], side, found)


_DIGGERS: dict[str, Callable[[set[str], list[Trade], bytes], None]] = {
    "binance": _binance,
    "coinbase": _coinbase,
    "kraken": _kraken,
}
