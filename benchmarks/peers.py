"""Frame to tick beside cryptofeed's and ccxt's parsers, on the same recorded frames in the same run.

The peers live in an environment of their own (`make bench-peers` makes it): pricewatch installs nothing of theirs.
"""

from __future__ import annotations

import base64
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import plain
from pricewatch.domain.market import Market, Quote, Trade
from pricewatch.exchanges.base import Exchange, Output
from pricewatch.exchanges.registry import EXCHANGES

ROUNDS = 5
LEAST = 1.0
"""Seconds of CPU a round takes: few frames are read again and again."""
HEAD = ["venue", "frames", "pricewatch", "cryptofeed", "ccxt", "to cryptofeed", "to ccxt"]
RECORDINGS = {
    "binance_us": ("binance_us/binance_us-20210814T144513Z.jsonl.gz", ("@bookTicker",)),
    "binance": ("binance/binance-btcusdt-20240808T235413Z.jsonl.gz", ("@bookTicker",)),
    "bitstamp": ("bitstamp/bitstamp-20220105T004817Z.jsonl.gz", ('"event":"trade"',)),
    "gateio": ("gateio/gateio-20210422T121212Z-a.jsonl.gz", ('"channel":"spot.trades"',)),
    "htx": ("htx/htx-20210417T164750Z-a.jsonl.gz", (".trade.detail",)),
    "kucoin": ("kucoin/kucoin-20210425T191846Z.jsonl.gz", ("trade.ticker", "trade.l3match")),
    "deribit": ("deribit/deribit-20210722T224203Z.jsonl.gz", ('"channel":"ticker.',)),
    "gemini": ("gemini/gemini-20210417T164542Z.jsonl.gz", ('{"type":"trade"',)),
    "okx": ("okx/okx-20220513T162705Z.jsonl.gz", ('"channel":"trades"',)),
}
"""Per venue a recording, and the words of the frames that all three read."""


class Sample(NamedTuple):
    """The frames of one venue."""

    frames: list[str | bytes]
    natives: list[str]


def sample(path: Path, venue: str, words: Sequence[str]) -> Sample:
    """The recorded frames with trades or quotes that our adapter and the peers read."""
    count = dict(plain.RECORDINGS.values())[venue]
    natives = sorted(count(plain.read(path)).natives)
    exchange = adapter(venue, natives)
    frames: list[str | bytes] = []
    for line in plain.read(path):
        if line["dir"] != "in":
            continue
        frame = plain.frame(line)
        text = plain.text(frame)
        out: list[Output] = []
        exchange.receive(frame, 1, out)
        if any(word in text.replace(": ", ":") for word in words) and any(isinstance(o, (Trade, Quote)) for o in out):
            frames.append(frame)
    return Sample(frames, natives)


def adapter(venue: str, natives: Sequence[str]) -> Exchange:
    kind = EXCHANGES[venue]
    exchange = kind([Market(n, venue, f"M{n}-USD", native, kind.step) for n, native in enumerate(natives, 1)])
    exchange.subscribe(exchange.expected())
    return exchange


def ours(venue: str, data: Sample, least: float) -> float:
    """Seconds of CPU a frame, decoded and normalised. Our transports hand out bytes, those of the peers text."""
    exchange = adapter(venue, data.natives)
    frames = [frame.encode() if isinstance(frame, str) else frame for frame in data.frames]
    now = round(time.time() * 1e6)
    best = math.inf
    for _ in range(ROUNDS):
        count, began = 0, time.process_time()
        while (took := time.process_time() - began) < least:
            for frame in frames:
                out: list[Output] = []
                exchange.receive(frame, now, out)
            count += len(frames)
        best = min(best, took / count)
    return best


def theirs(python: Path, library: str, venue: str, data: Sample, folder: Path, least: float) -> float:
    """The same by a peer, in its own environment."""
    path = folder / f"{venue}.frames"
    raw = [frame if isinstance(frame, bytes) else frame.encode() for frame in data.frames]
    path.write_bytes(b"\n".join(map(base64.b64encode, raw)))
    worker = Path(__file__).with_name("peers_worker.py")
    command = [str(python), str(worker), library, venue, str(path), str(ROUNDS), str(least), *data.natives]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(f"{library} on {venue}: {answer.stderr[-2000:]}")
    found = json.loads(answer.stdout)
    if found["items"] < len(data.frames):
        raise RuntimeError(f"{library} read {found['items']} of {len(data.frames)} frames of {venue}")
    return float(found["seconds"])


def run(*, quick: bool = False) -> list[list[str]]:
    """A row a venue and the geometric means; none without the recordings or the peers."""
    shared = Path(os.environ.get("PRICEWATCH_SHARED", "../shared")) / "data"
    python = Path(os.environ.get("PRICEWATCH_PEERS", ".venv-peers/bin/python"))
    if not shared.is_dir() or not python.exists():
        sys.stderr.write(f"... peers: {shared} or {python} is missing; make bench-peers installs the peers\n")
        return []
    rows: list[list[str]] = []
    ratios: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        for venue, (recording, words) in RECORDINGS.items():
            data = sample(shared / recording, venue, words)
            least = 0.2 if quick else LEAST
            mine = ours(venue, data, least)
            feed = theirs(python, "cryptofeed", venue, data, Path(name), least)
            other = theirs(python, "ccxt", venue, data, Path(name), least)
            ratios.append((feed / mine, other / mine))
            figures = [f"{seconds * 1e6:.2f} µs" for seconds in (mine, feed, other)]
            rows.append([venue, str(len(data.frames)), *figures, f"{feed / mine:.1f}", f"{other / mine:.1f}"])
    feeds, others = zip(*ratios, strict=True)
    means = [f"{statistics.geometric_mean(some):.1f}" for some in (feeds, others)]
    return [*rows, ["**geometric mean**", "", "", "", "", *means]]
