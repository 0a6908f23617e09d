from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pricewatch.domain.market import Market
from pricewatch.exchanges.base import Exchange, Output, as_bytes
from pricewatch.exchanges.registry import EXCHANGES

SEEN = 1_800_000_000_000_000


@pytest.fixture(scope="session")
def recorded(shared: Path) -> Callable[[str], list[str]]:
    """The frames of a recording, as text."""

    def read(name: str) -> list[str]:
        def lines() -> Iterator[dict[str, Any]]:
            with gzip.open(shared / "data" / name, "rt") as file:
                yield from map(json.loads, file)

        return [line["raw"] for line in lines() if line["dir"] == "in"]

    return read


def listen(venue: str, *symbols: str) -> Exchange:
    """An adapter for symbols numbered from 1."""
    kind = EXCHANGES[venue]
    return kind([Market(n, venue, s, kind.native(s), kind.step) for n, s in enumerate(symbols, 1)])


@pytest.fixture
def adapter() -> Callable[..., Exchange]:
    return listen


@pytest.fixture
def read() -> Callable[[Exchange, str | bytes | Sequence[str | bytes]], list[Output]]:
    """What frames mean, as bytes: so the transports hand them out."""

    def outputs(exchange: Exchange, frames: str | bytes | Sequence[str | bytes]) -> list[Output]:
        out: list[Output] = []
        for frame in [frames] if isinstance(frames, (str, bytes)) else frames:
            exchange.receive(as_bytes(frame), SEEN, out)
        return out

    return outputs


@pytest.fixture(scope="session")
def recorded_bodies(shared: Path) -> Callable[[str], list[bytes]]:
    """The REST answers of a recording, in their order."""

    def read(name: str) -> list[bytes]:
        with gzip.open(shared / "data" / name, "rt") as file:
            lines = [json.loads(line) for line in file]
        return [line["raw"].encode() for line in lines if line["dir"] == "http"]

    return read
