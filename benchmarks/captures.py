"""Every recorded capture through its adapter, beside what a plain script counts in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import plain
from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Market, Quote, Trade
from pricewatch.exchanges.base import Output
from pricewatch.exchanges.registry import EXCHANGES

HEAD = ["recording", "venue", "markets", "trades", "plain script", "quotes", "plain script", "unusable frames", "note"]


class Found(NamedTuple):
    """What the adapter found in a recording."""

    trades: int
    quotes: int
    unusable: int


def replayed(path: Path, venue: str, natives: set[str]) -> Found:
    """The recording's frames through a new adapter, in their order."""
    kind = EXCHANGES[venue]
    markets = [Market(n, venue, f"M{n}-USD", native, kind.step) for n, native in enumerate(sorted(natives), 1)]
    exchange = kind(markets)
    exchange.subscribe(exchange.expected())
    trades = quotes = unusable = 0
    for line in plain.read(path):
        if line["dir"] != "in":
            continue
        out: list[Output] = []
        try:
            exchange.receive(plain.frame(line), round(float(line["t"]) * 1e6), out)
        except BadData:
            unusable += 1
        trades += sum(isinstance(item, Trade) for item in out)
        quotes += sum(isinstance(item, Quote) for item in out)
    return Found(trades, quotes, unusable)


def run(*, quick: bool = False) -> list[list[str]]:
    """A row a recording; none where the recordings are not at hand."""
    return list(_rows(Path(os.environ.get("PRICEWATCH_SHARED", "../shared")) / "data", quick=quick))


def _rows(folder: Path, *, quick: bool) -> Iterator[list[str]]:
    for name, (venue, count) in plain.RECORDINGS.items():
        path = folder / name
        if not path.is_file() or (quick and path.stat().st_size > 500_000):
            continue
        wanted = count(plain.read(path))
        found = replayed(path, venue, wanted.natives)
        yield [
            name.rpartition("/")[2],
            venue,
            str(len(wanted.natives)),
            str(found.trades),
            str(wanted.trades),
            str(found.quotes),
            str(wanted.quotes),
            str(found.unusable),
            plain.NOTES.get(name, ""),
        ]
