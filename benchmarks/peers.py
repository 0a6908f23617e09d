"""Frame to tick beside cryptofeed's and ccxt's parsers, on the same recorded frames in the same run.

The peers live in an environment of their own (`make bench-peers` makes it): pricewatch installs nothing of theirs.
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import plain
from pricewatch.domain.market import Market, Quote, Trade
from pricewatch.exchanges.base import Exchange, Output
from pricewatch.exchanges.registry import EXCHANGES

ROUNDS = 5
LEAST = 1.0
"""Seconds of CPU a round takes: few frames are read again and again."""
PASS = 1_000
"""Frames between two looks at the clock, which costs as much as a frame."""
HEAD = ["venue", "frames", "pricewatch", "cryptofeed", "ccxt", "to cryptofeed", "to ccxt"]
MOST = 6
"""Venues the first mean is over."""
BOTH = ("cryptofeed", "ccxt")


class Recording(NamedTuple):
    """One venue's frames, and which of them are read."""

    path: str
    pattern: str
    """Of the frames that the peers read as well."""
    protocol: str = ""
    """The venue whose protocol it is, where not its own."""
    peers: tuple[str, ...] = BOTH


RECORDINGS = {
    "binance": Recording("binance/binance-btcusdt-20240808T235413Z.jsonl.gz", "@bookTicker"),
    "binance_us": Recording("binance_us/binance_us-20210814T144513Z.jsonl.gz", "@bookTicker", "binance"),
    "bitstamp": Recording("bitstamp/bitstamp-20220105T004817Z.jsonl.gz", '"event":"trade"'),
    "coinbase": Recording("coinbase/coinbase-20210417T164337Z-a.jsonl.gz", '"type":"(match|ticker)"', peers=("ccxt",)),
    "deribit": Recording("deribit/deribit-20210722T224203Z.jsonl.gz", r'"channel":"ticker\.'),
    "gateio": Recording("gateio/gateio-20210422T121212Z-a.jsonl.gz", '"channel":"spot.trades"'),
    "gemini": Recording("gemini/gemini-20210417T164542Z.jsonl.gz", '^{"type":"trade"'),
    "htx": Recording("htx/htx-20210417T164750Z-a.jsonl.gz", r"\.trade\.detail"),
    "kucoin": Recording("kucoin/kucoin-20210425T191846Z.jsonl.gz", r"trade\.ticker|trade\.l3match"),
    "okx": Recording("okx/okx-20220513T162705Z.jsonl.gz", '"channel":"trades"'),
    "upbit": Recording("upbit/upbit-20210417T165103Z.jsonl.gz", '"ty":"trade"', peers=("cryptofeed",)),
}


class Sample(NamedTuple):
    """The frames of one venue."""

    frames: list[str | bytes]
    natives: list[str]

    @property
    def plain(self) -> bool:
        """Nothing has to be inflated or decoded before it is text."""
        return all(isinstance(frame, str) for frame in self.frames)


def sample(path: Path, venue: str, pattern: str) -> Sample:
    """The recorded frames with trades or quotes that our adapter and the peers read."""
    count = dict(plain.RECORDINGS.values())[venue]
    natives = sorted(count(plain.read(path)).natives)
    exchange = adapter(venue, natives)
    frames: list[str | bytes] = []
    for line in plain.read(path):
        if line["dir"] != "in":
            continue
        frame = plain.frame(line)
        out: list[Output] = []
        exchange.receive(frame, 1, out)
        text = plain.text(frame).replace(": ", ":")
        if re.search(pattern, text) and any(isinstance(item, (Trade, Quote)) for item in out):
            frames.append(frame)
    return Sample(frames, natives)


def first(samples: Mapping[str, Sample]) -> list[str]:
    """The venues of the first mean: of what both peers read as plain text the most frames, a venue a protocol."""
    most: dict[str, str] = {}
    for venue, one in samples.items():
        recording = RECORDINGS[venue]
        if one.plain and recording.peers == BOTH:
            protocol = recording.protocol or venue
            most[protocol] = max(most.get(protocol, venue), venue, key=lambda name: len(samples[name].frames))
    return sorted(most.values(), key=lambda venue: -len(samples[venue].frames))[:MOST]


def adapter(venue: str, natives: Sequence[str]) -> Exchange:
    kind = EXCHANGES[venue]
    exchange = kind([Market(n, venue, f"M{n}-USD", native, kind.step) for n, native in enumerate(natives, 1)])
    exchange.subscribe(exchange.expected())
    return exchange


def ours(venue: str, data: Sample, least: float) -> float:
    """Seconds of CPU a frame, decoded and normalised. Our transports hand out bytes, those of the peers text."""
    exchange = adapter(venue, data.natives)
    frames = [frame.encode() if isinstance(frame, str) else frame for frame in data.frames]
    frames *= math.ceil(PASS / len(frames))
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
    command = [str(python), str(worker), library, venue, str(path), str(ROUNDS), str(least), str(PASS), *data.natives]
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
    samples = {venue: sample(shared / one.path, venue, one.pattern) for venue, one in RECORDINGS.items()}
    named = first(samples)
    least = 0.2 if quick else LEAST
    rows: list[list[str]] = []
    ratios: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        for venue in [*named, *(venue for venue in samples if venue not in named)]:
            data = samples[venue]
            mine = ours(venue, data, least)
            peers = {peer: theirs(python, peer, venue, data, Path(name), least) for peer in RECORDINGS[venue].peers}
            ratios.append({peer: seconds / mine for peer, seconds in peers.items()})
            figures = [_micros(mine), *(_micros(peers.get(peer)) for peer in BOTH)]
            rows.append([venue, f"{len(data.frames):,}", *figures, *(_times(ratios[-1].get(peer)) for peer in BOTH)])
            if venue == named[-1]:
                rows.append(_mean(f"these {len(named)}", ratios))
    return [*rows, _mean("all", ratios)]


def _micros(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e6:.2f} µs"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.1f}"


def _mean(of: str, ratios: Sequence[Mapping[str, float]]) -> list[str]:
    means = [_times(statistics.geometric_mean([row[peer] for row in ratios if peer in row])) for peer in BOTH]
    return [f"**geometric mean, {of}**", "", "", "", "", *means]
