"""The frames that are measured: recorded ones where they are at hand, else the simulator's."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pricewatch.domain.market import Market
from pricewatch.exchanges.base import Exchange
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.registry import VENUES
from pricewatch.simulator.session import Live
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import SeededTape

START = 1_800_000_000_000_000
_RECORDINGS = {
    "binance": ("binance/binance-btcusdt-20240808T235413Z.jsonl.gz", ("BTC-USDT",)),
}
_SYMBOLS = {"binance": ("BTC-USDT",), "coinbase": ("BTC-USD", "ETH-USD"), "kraken": ("BTC-USD", "SOL-USD")}


class Frames(NamedTuple):
    """Trade frames of one venue, and where they are from."""

    frames: list[bytes]
    origin: str
    symbols: tuple[str, ...]


class _Collector:
    """An `Audience` that listens to trades and keeps the frames."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def hears(self, topic: str) -> bool:
        return topic.endswith("+") or "@" not in topic

    def send(self, topic: str, frame: bytes, *, trade: bool = False) -> None:
        if trade and self.hears(topic):
            self.frames.append(frame)


def frames(venue: str, count: int) -> Frames:
    """At least one trade frame of a venue, at most `count`."""
    found = _recorded(venue, count)
    if found is None or len(found.frames) < count // 10:
        return made(venue, count, _SYMBOLS[venue])
    return found


def made(venue: str, count: int, symbols: tuple[str, ...]) -> Frames:
    """From the simulator's seeded market."""
    settings = SimulatorSettings.model_validate(
        {
            "seed": 3,
            "markets": {venue: symbols},
            "rate": 2,
            "quote_rate": 0,
            "programme": False,
            "history_minutes": 0,
            "lead": 0,
            "first_id": 1_000,
        }
    )
    tape = SeededTape(settings, start=START)
    venue_side = VENUES[venue](tape.ledgers, settings)
    collector = _Collector()
    while len(collector.frames) < count:
        for item in tape.take(START + 86_400_000_000, 100, heard=True):
            if isinstance(item, Live) and isinstance(item.event, Sweep):
                venue_side.publish(item, collector)
    return Frames(collector.frames[:count], "made by the simulator", symbols)


def adapter(venue: str, symbols: Iterable[str]) -> Exchange:
    """Ours, for symbols numbered from 1."""
    kind = EXCHANGES[venue]
    return kind([Market(n, venue, s, kind.native(s), kind.step) for n, s in enumerate(symbols, 1)])


def _recorded(venue: str, count: int) -> Frames | None:
    name, symbols = _RECORDINGS.get(venue, ("", ()))
    shared = os.environ.get("PRICEWATCH_SHARED")
    folder = Path(shared) if shared else Path(__file__).resolve().parents[2] / "shared"
    path = folder / "data" / name
    if not symbols or not path.is_file():
        return None
    found: list[bytes] = []
    with gzip.open(path, "rt") as file:
        for line in file:
            row = json.loads(line)
            if row["dir"] == "in" and '"e":"trade"' in row["raw"]:
                found.append(row["raw"].encode())
                if len(found) == count:
                    break
    return Frames(found, f"recorded ({name})", symbols) if found else None
