"""`pricewatch import`: recordings and candle files into the store."""

from __future__ import annotations

import gzip
import io
import tempfile
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from pricewatch.app.clock import SystemClock
from pricewatch.app.wiring import Store, open_store
from pricewatch.config import Settings
from pricewatch.domain.errors import BadData, ConfigError, Invalid
from pricewatch.domain.market import Candle, Market, Quote, Tick, Trade
from pricewatch.domain.time import SECOND
from pricewatch.engine.gate import Limits, check
from pricewatch.exchanges.base import BadTrade, Exchange, Output
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.exchanges.symbols import canonical
from pricewatch.ingest.candlefile import CandleFile
from pricewatch.ports.ticks import Listing
from pricewatch.simulator.capture import Memories, recordings, venue_of
from pricewatch.simulator.recordings import Leg, legs
from pricewatch.simulator.registry import VENUES
from pricewatch.simulator.session import Heard
from pricewatch.store.imports import TradeImport
from pricewatch.store.maintenance import Maintenance
from pricewatch.store.writer import TickStore

_BATCH = 10_000
_AHEAD = 3_600 * SECOND
"""Recorders' clocks are what they are: how far a trade may lie ahead of its receive time."""

Progress = Callable[[str], None]


class Counts(msgspec.Struct):
    """What an import did."""

    files: int = 0
    trades: int = 0
    """New ones."""
    known: int = 0
    """Trades and candles that were there already."""
    rejected: int = 0
    """Trades no gate lets through, or that could not be read."""
    left_out: int = 0
    """Frames about markets without a canonical symbol: options, dated futures."""
    candles: int = 0
    """New ones."""
    markets: int = 0


@asynccontextmanager
async def trade_import(settings: Settings, store: Store) -> AsyncIterator[TradeImport]:
    """The way in for past trades, with a spool of its own, so that a running service keeps its own."""
    ticks = settings.database.ticks
    with tempfile.TemporaryDirectory(prefix="pricewatch-import-") as folder:
        writer = TickStore(store.database, Path(folder), ticks, steps=store.catalog.steps)
        await writer.open()
        try:
            await writer.recover()
            way = TradeImport(
                store.bulk,
                writer,
                Maintenance(store.database, ticks, SystemClock(), writer),
                shard=settings.evaluation.shard,
            )
            await way.begin()
            yield way
            await way.finish()
        finally:
            await writer.close()


async def import_files(
    settings: Settings, files: Sequence[Path], *, market: str | None, columns: Sequence[str] | None, progress: Progress
) -> Counts:
    """Read recordings (`.jsonl`, `.jsonl.gz`, folders of them) and candle files (`.csv`, `.csv.gz`).

    `market`: `venue:BASE-QUOTE` of the candle files. Raises `Invalid` or `ConfigError` that name file, line and field.
    """
    target = listing_of(market) if market is not None else None
    counts = Counts()
    numbers: set[int] = set()
    async with open_store(settings) as store, trade_import(settings, store) as way:
        memories = Memories()
        for file in recordings(files):
            if file.name.removesuffix(".gz").endswith(".csv"):
                if target is None:
                    raise Invalid("--market", f"is needed for {file.name}: say for example --market coinbase:BTC-USD")
                (known,) = await store.catalog.register([target])
                await _candles(store, file, known, columns, counts)
                numbers.add(known.id)
            else:
                numbers |= await _capture(store, way, file, memories, counts)
            counts.files += 1
            counts.trades, counts.markets = way.added, len(numbers)
            progress(f"{file.name}: {counts.trades} trades and {counts.candles} candles are new so far")
        counts.known += way.known
    return counts


def listing_of(key: str) -> Listing:
    """The market a user named as `venue:BASE-QUOTE`; raises `Invalid`."""
    venue, _, symbol = key.partition(":")
    if venue not in EXCHANGES:
        raise Invalid("--market", f"there is no venue {venue[:40]!r}; there are {', '.join(EXCHANGES)}")
    name = canonical(symbol)
    return Listing(venue, name, EXCHANGES[venue].native(name), EXCHANGES[venue].step)


# -- candles ----------------------------------------------------------------------------------------------------------


async def _candles(store: Store, file: Path, market: Market, columns: Sequence[str] | None, counts: Counts) -> None:
    for batch in candles_of(file, market, columns):
        new = await store.history.import_candles(_once(batch))
        counts.candles += new
        counts.known += len(batch) - new


def candles_of(file: Path, market: Market, columns: Sequence[str] | None) -> Iterator[list[Candle]]:
    """A candle file, some thousands at a time; raises `Invalid` or `ConfigError` that name file, line and column."""
    with _text(file) as lines:
        found = CandleFile(str(file), market.id, columns).candles(lines)
        while batch := list(islice(found, _BATCH)):
            yield batch


def _once(candles: Sequence[Candle]) -> list[Candle]:
    """The first of those that begin at one moment."""
    first: dict[int, Candle] = {}
    for candle in candles:
        first.setdefault(candle.at, candle)
    return list(first.values())


@contextmanager
def _text(file: Path) -> Iterator[Iterator[str]]:
    try:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as raw:
            yield io.TextIOWrapper(raw, encoding="utf-8", newline="")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file}: cannot be read: {exc}") from exc


# -- recordings -------------------------------------------------------------------------------------------------------


async def _capture(store: Store, way: TradeImport, file: Path, memories: Memories, counts: Counts) -> set[int]:
    """One recording's trades; the numbers of its markets."""
    by_market: dict[Market, list[Trade]] = {}
    async for markets, ticks in ticks_of(file, store.catalog.register, memories, counts):
        numbered = {market.id: by_market.setdefault(market, []) for market in markets}
        for tick in ticks:
            if isinstance(tick, Trade):
                numbered[tick.market].append(tick)
    for market, trades in by_market.items():
        await way.add(market, trades)
    return {market.id for market in by_market}


async def ticks_of(
    file: Path, register: Callable[[Sequence[Listing]], Awaitable[list[Market]]], memories: Memories, counts: Counts
) -> AsyncIterator[tuple[list[Market], Iterator[Tick]]]:
    """Each connection of a recording: its markets and, in the order in which they came, its trades and quotes.

    Raises `ConfigError` that names the file.
    """
    for leg in legs(file):
        venue = venue_of(leg)
        if venue not in EXCHANGES:
            raise ConfigError(f"{file}: {venue} is no venue that can be read; there are {', '.join(EXCHANGES)}")
        listings, left_out = _listings(leg, venue, memories.of(leg))
        counts.left_out += len(left_out)
        markets = await register(listings)
        numbers = frozenset(market.id for market in markets)
        yield markets, _ticks(leg, EXCHANGES[venue](markets), numbers, left_out, counts)


def _listings(leg: Leg, venue: str, memory: dict[str, Any]) -> tuple[list[Listing], set[int]]:
    """The markets a connection tells of, and the lines about none but those without a canonical symbol.

    Raises `ConfigError`.
    """
    about: dict[int, tuple[str, ...]] = {}
    for line in leg.lines:
        try:
            heard: Heard | None = VENUES[venue].read(line.frame, memory)
        except ConfigError as exc:
            raise ConfigError(f"{leg.file}, line {line.number}: {exc}") from exc
        except (ValueError, LookupError, RecursionError):
            continue  # the adapter counts it
        if heard is not None and heard.topics:
            about[line.number] = heard.natives
    found: dict[str, Listing] = {}
    for native in dict.fromkeys(native for natives in about.values() for native in natives):
        base, quote = VENUES[venue].legs(native)
        try:
            found[native] = Listing(venue, canonical(f"{base}-{quote}"), native, EXCHANGES[venue].step)
        except Invalid:
            continue  # counted as left out
    return list(found.values()), {number for number, natives in about.items() if not found.keys() & natives}


def _ticks(
    leg: Leg, adapter: Exchange, markets: frozenset[int], left_out: Collection[int], counts: Counts
) -> Iterator[Tick]:
    """What the adapter makes of the frames but for the lines left out, through the gate."""
    limits = Limits(markets=markets, ahead=_AHEAD)
    adapter.subscribe(adapter.expected())  # some acknowledgements are told by what was asked
    out: list[Output] = []
    for line in leg.lines:
        if line.number in left_out:
            continue
        received = round(line.at * SECOND)
        try:
            adapter.receive(line.frame, received, out)
        except BadTrade as error:
            counts.rejected += error.count
        except BadData:
            counts.rejected += 1
        for output in (one for one in out if isinstance(one, (Trade, Quote))):
            if check(output, received, limits) is None:
                yield output
            elif isinstance(output, Trade):
                counts.rejected += 1
        out.clear()
