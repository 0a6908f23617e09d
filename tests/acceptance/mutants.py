"""Real frames, spoilt in every way a seed finds, through the whole of ingest: what comes out and what it costs."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import math
import random
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import psutil
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.acceptance.virtual import START
from tests.exchanges.cases import Frame, cases
from tests.ingest.conftest import Collected, MemoryGaps, StillClock, running

from benchmarks import plain
from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Market, Quote, Trade
from pricewatch.exchanges.base import BadTrade, Exchange, Output
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.ingest.worker import Ingest

_MOST_RECORDED = 3_000
"""Frames of one recording that are spoilt."""
_LIFE = ("ping", "pong", "heartbeat", "public/test")
"""Words of what is sent to keep a connection alive: no subscription, and not answered."""
_WARM = 0.2
"""Share of the frames after which memory is looked at first."""


class Outcome(NamedTuple):
    """What became of one venue's frames."""

    venue: str
    originals: int
    frames: int
    """As the product counted them."""
    given: int
    trades: int
    """What the adapter gave out as trades, or as trades it could not use, and frames it was never shown; counted
    outside the product."""
    received: int
    offered: int
    duplicates: int
    rejected: dict[str, int]
    unusable: int
    """Frames that were bad data."""
    sunk: list[Trade]
    slowest: float
    """Seconds of processor time from taking a frame to asking for the next."""
    growth: int
    """Bytes."""

    def check(self) -> None:
        """What the service promises of any frame."""
        assert self.frames == self.given
        assert self.received == self.trades
        assert self.received == self.offered + self.duplicates + sum(self.rejected.values())
        assert self.offered == len(self.sunk)
        assert all(math.isfinite(one.price) and one.price > 0 for one in self.sunk)
        assert all(math.isfinite(one.size) and one.size >= 0 for one in self.sunk)
        assert self.slowest < 0.05
        assert self.growth < 50_000_000
        assert self.unusable > 0
        if self.trades > self.unusable:  # else the recording holds quotes alone, and what was counted is spoilt ones
            assert self.offered + self.duplicates > 0

    def line(self) -> str:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(self.rejected.items()))
        return (
            f"{self.venue:12} {self.frames:6} frames of {self.originals:5}: {self.unusable:5} unusable, "
            f"{self.received:6} trades = {self.offered} accepted + {self.duplicates} known + "
            f"{sum(self.rejected.values())} rejected ({reasons}); slowest frame {self.slowest * 1e3:.1f} ms, "
            f"memory {self.growth / 1e6:+.1f} MB"
        )


class Source(NamedTuple):
    """A venue's frames, and the markets they are of."""

    natives: tuple[str, ...]
    greeting: tuple[Frame, ...]
    answer: Callable[[str], Sequence[Frame]]
    """What the venue says to a request."""
    frames: tuple[Frame, ...]


def sources(venue: str, shared: Path | None) -> list[Source]:
    """The documented frames, and those of each recording at hand."""
    case = cases()[venue]
    documented = [frame for frame, _ in [*case.trades, *case.quotes, *case.pings]]
    documented += [*case.closing, *case.ignored, *map(json.dumps, case.templates)]
    found = [Source(case.natives, tuple(case.greeting), lambda sent: case.answer([sent]), tuple(documented))]
    for name, (owner, count) in plain.RECORDINGS.items():
        if owner != venue or shared is None:
            continue
        lines = [line for line in plain.read(shared / "data" / name) if line["dir"] == "in"]
        natives = count(lines).natives
        frames = [plain.frame(line) for line in lines]
        # Bitfinex numbers its channels in its answers: without them nothing else means anything.
        answers = [frame for frame in frames if isinstance(frame, str) and '"event":"subscribed"' in frame]
        ours, others = _sorted(venue, natives, frames)
        some = [*ours[:_MOST_RECORDED], *others[: min(len(ours), _MOST_RECORDED)]]
        found.append(_recorded(case.greeting, natives, answers, some))
    return found


def _sorted(venue: str, natives: Iterable[str], frames: Sequence[Frame]) -> tuple[list[Frame], list[Frame]]:
    """The frames that hold trades or quotes, and those of channels that nobody asks for: mostly order books."""
    kind = EXCHANGES[venue]
    exchange = kind([Market(n, venue, f"M{n}-USD", native, kind.step) for n, native in enumerate(sorted(natives), 1)])
    exchange.subscribe(exchange.expected())
    ours: list[Frame] = []
    others: list[Frame] = []
    for frame in frames:
        out: list[Output] = []
        with contextlib.suppress(BadData):
            exchange.receive(frame, START, out)
        (ours if any(isinstance(one, Trade | Quote) for one in out) else others).append(frame)
    return ours, others


def _recorded(
    greeting: Sequence[Frame], natives: Iterable[str], answers: Sequence[Frame], frames: Sequence[Frame]
) -> Source:
    return Source(tuple(sorted(natives)), tuple(greeting), lambda _: answers, tuple(frames))


# -- spoiling ---------------------------------------------------------------------------------------------------------

_ODD: tuple[Any, ...] = (
    None, True, "", "NaN", "nan", "Infinity", "-inf", "1e400", "-1", "0", 0, -5, 1e300, 10**30, -(10**30), 2**63, "\0",
    "9" * 400, "0." + "0" * 300 + "1", "2021-13-01T00:00:00Z", "9999-12-31T23:59:59Z", [], {}, [[]], 1e-320, "٣",
    "0x10", "1_000", " 1", "1e5", "BTC", "\ud800",
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        yield (*path, key)
        yield from _places(inner, (*path, key))


def _put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


def _get(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _values(luck: random.Random, raw: bytes) -> bytes:
    """Change, swap or nest values of a JSON frame; others are cut."""
    try:
        value = json.loads(raw)
    except ValueError:
        return _cut(luck, raw)
    places = list(_places(value))
    if not places:
        return _cut(luck, raw)
    mark = "\x01mark\x01"
    text: Callable[[Any], str] = lambda one: json.dumps(one, separators=(",", ":"))  # noqa: E731
    kind = luck.randrange(5)
    path = luck.choice(places)
    if kind == 0:
        other = luck.choice(places)
        first, second = text(_get(value, path)), text(_get(value, other))
        _put(value, path, json.loads(second))
        if other[: len(path)] != path:
            _put(value, other, json.loads(first))
        return text(value).encode()
    if kind in (1, 2):
        _put(value, path, luck.choice(_ODD))
        return text(value).encode()
    _put(value, path, mark)
    deep = luck.choice([10, 500, 5_000, 100_000])
    long = luck.choice([30, 500, 5_000, 200_000])
    new = luck.choice(
        ["[" * deep + "]" * deep, '{"a":' * deep + "1" + "}" * deep, "[" * deep]
        if kind == 3
        else [
            "9" * long,
            f"1e{'9' * min(long, 500)}",
            "0." + "3" * long,
            f'"{"9" * long}"',
            "NaN",
            "-Infinity",
            "1e300",
        ]
    )
    return text(value).replace(text(mark), new).encode()


def _flip(luck: random.Random, raw: bytes) -> bytes:
    some = bytearray(raw)
    for _ in range(luck.choice([1, 1, 2, 8])):
        some[luck.randrange(len(some))] ^= 1 << luck.randrange(8)
    return bytes(some)


def _cut(luck: random.Random, raw: bytes) -> bytes:
    start, end = sorted(luck.randrange(len(raw) + 1) for _ in range(2))
    return luck.choice([raw[:start], raw[end:], raw[:start] + raw[end:], raw[:end] + raw[start:]])


def spoilt(luck: random.Random, frame: Frame) -> Frame:
    """The frame, or what noise made of it; text may come as text or as its bytes."""
    raw = frame.encode() if isinstance(frame, str) else frame
    if not raw or luck.random() < 0.1:
        return frame
    spoil = luck.choice([_values, _values, _values, _flip, _cut])
    if raw[:2] == b"\x1f\x8b" and luck.random() < 0.7:
        return gzip.compress(spoil(luck, zlib.decompress(raw, wbits=31)), compresslevel=1)
    changed = spoil(luck, raw)
    return changed.decode(errors="replace") if isinstance(frame, str) and luck.random() < 0.5 else changed


# -- the run ----------------------------------------------------------------------------------------------------------


class _Supply:
    """Hands frames to whoever reads, one connection or two while one replaces the other, and times each."""

    def __init__(self, frames: Iterator[Frame], count: int) -> None:
        self.done = asyncio.Event()
        self.slowest = 0.0
        self.given = 0
        self.memory = 0
        self._frames = frames
        self._warm = round(count * _WARM)
        self._began: float | None = None

    async def next(self) -> Frame:
        if self._began is not None:
            self.slowest = max(self.slowest, time.thread_time() - self._began)
        if self.given == self._warm:
            self.memory = psutil.Process().memory_info().rss
        frame = next(self._frames, None)
        if frame is None:
            self._began = None
            self.done.set()
            await asyncio.Event().wait()
        assert frame is not None
        self.given += 1
        self._began = time.thread_time()
        return frame


class _Mouth:
    """A connection: greeting, answers, then whatever there is."""

    def __init__(self, source: Source, supply: _Supply, count: Counter[str]) -> None:
        self._source = source
        self._supply = supply
        self._count = count
        self._first = list(source.greeting)
        self._asked = asyncio.Event()

    async def receive(self) -> Frame:
        if not self._first:
            await self._asked.wait()
        if self._first:
            self._count["given"] += 1
            return self._first.pop(0)
        return await self._supply.next()

    async def send(self, frame: str | bytes) -> None:
        assert isinstance(frame, str)
        if "subscribe" in frame or not any(word in frame for word in _LIFE):
            self._first += self._source.answer(frame)
            self._asked.set()


class _Mouths:
    def __init__(self, source: Source, supply: _Supply, count: Counter[str]) -> None:
        self._made = source, supply, count

    @asynccontextmanager
    async def connect(self, url: str) -> AsyncIterator[_Mouth]:
        del url
        yield _Mouth(*self._made)


def _counting(kind: type[Exchange], count: Counter[str]) -> type[Exchange]:
    """The adapter, with its trades counted."""

    def receive(self: Exchange, frame: bytes | str, received: int, out: list[Output]) -> None:
        before = len(out)
        count["shown"] += 1
        try:
            kind.receive(self, frame, received, out)
        except BadTrade as error:
            count["trades"] += error.count
            raise
        except BadData:
            count["unusable"] += 1
            raise
        finally:
            count["trades"] += sum(isinstance(item, Trade) for item in out[before:])

    return type(kind.__name__, (kind,), {"receive": receive})


async def spoil(venue: str, source: Source, count: int, seed: int) -> Outcome:
    """So many frames of one source; raises whatever ingest lets out."""
    luck = random.Random(f"{seed}/{venue}/{len(source.frames)}")
    given = (spoilt(luck, luck.choice(source.frames)) for _ in range(count))
    kind, counted, sink = EXCHANGES[venue], Counter[str](), Collected()
    markets = [Market(n, venue, f"M{n}-USD", native, kind.step) for n, native in enumerate(source.natives, 1)]
    supply = _Supply(given, count)

    async def prepared(_: web.Request) -> web.Response:
        return web.Response(body=cases()[venue].prepared or b"")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", prepared)
    server = TestServer(app)
    await server.start_server()
    settings = VenueSettings(
        symbols=tuple(market.symbol for market in markets),
        rest_url=f"http://{server.host}:{server.port}",
        history=False,
        open_interval=0.0,
        send_interval=0.0,
        backoff_base=0.001,
        backoff_cap=0.002,
        forgive_after=0.001,
        attempts=1_000_000,
        rotate_overlap=0.01,
        markets_per_connection=10_000,
    )
    with mock.patch.dict(EXCHANGES, {venue: _counting(kind, counted)}):
        ingest = Ingest(
            IngestSettings(venues={venue: settings}, backfill_candles=0),
            markets,
            sink=sink,
            clock=StillClock(),
            marks={},
            gaps=MemoryGaps(),
            connect=lambda _: _Mouths(source, supply, counted),
        )
        try:
            async with running(ingest), asyncio.timeout(600):
                await supply.done.wait()
                growth = psutil.Process().memory_info().rss - supply.memory
        finally:
            await server.close()
    counters = ingest.venues[0].venue.counters
    return Outcome(
        venue,
        len(source.frames),
        counters.frames,
        counted["given"] + supply.given,
        counted["trades"] + counters.frames - counted["shown"],
        counters.received,
        counters.offered,
        counters.duplicates,
        dict(counters.rejected),
        counters.bad_frames,
        sink.trades,
        supply.slowest,
        growth,
    )
