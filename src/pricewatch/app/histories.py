"""Candle files, and stored candles, as series that models can be measured on."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

from pricewatch.app.wiring import Store, open_store
from pricewatch.appraisal.series import Series, series_of
from pricewatch.config import Settings
from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Candle
from pricewatch.ingest.candlefile import CandleFile

_SEVEN = (
    ("time", "open", "high", "low", "close", "volume", "trades"),
    ("time", "open", "close", "low", "high", "volume", "trades"),
)
"""Orders of seven columns without a header that occur; the first in which every candle is sound is taken."""

_PAGE = 10_000


def histories(paths: Sequence[Path], columns: Sequence[str] | None = None) -> list[Series]:
    """Every candle file (`.csv`, `.csv.gz`, or in folders), by name. Raises `Invalid`, naming file, line and column."""
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise Invalid(str(path), "there is no such file or folder")
        files = [file for file in path.rglob("*") if _is_candles(file)] if path.is_dir() else [path]
        found.update({file: path if path.is_dir() else file.parent for file in files})
    if not found:
        raise Invalid(", ".join(map(str, paths)), "there is no .csv or .csv.gz file; give candle files or their folder")
    return [_series(file, str(file.relative_to(root)), columns) for file, root in sorted(found.items())]


async def stored_histories(
    settings: Settings, markets: Sequence[str], start: int, end: int, *, span: int
) -> list[Series]:
    """Stored candles of `span` (one minute or one hour, µs) with `start <= at < end`, a series a market.

    Raises `Invalid` for markets nobody knows and for too few candles, `ConfigError` or `Unavailable`.
    """
    async with open_store(settings) as store:
        known = {market.key: market for market in await store.catalog.markets()}
        for name in markets:
            if name not in known:
                raise Invalid("--market", f"there is no market {name!r}; known: {', '.join(sorted(known)) or 'none'}")
        return [series_of(name, await _stored(store, known[name].id, start, end, span)) for name in markets]


async def _stored(store: Store, market: int, start: int, end: int, span: int) -> list[Candle]:
    found: list[Candle] = []
    while page := await store.history.candles(market, start, end, span=span, limit=_PAGE):
        found += page
        start = page[-1].at + 1
    return found


def _is_candles(file: Path) -> bool:
    return file.name.removesuffix(".gz").endswith(".csv")


def _series(file: Path, name: str, columns: Sequence[str] | None) -> Series:
    try:
        raw = file.read_bytes()
        lines = (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode("utf-8-sig").splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise Invalid(str(file), f"no text in UTF-8, or a damaged archive: {error}") from error
    return series_of(name.removesuffix(".gz").removesuffix(".csv"), _candles(file, lines, columns))


def _candles(file: Path, lines: Sequence[str], columns: Sequence[str] | None) -> list[Candle]:
    first = lines[0].split(",") if lines else []
    if columns is None and len(first) == len(_SEVEN[0]) and first[0].strip().isdecimal():
        for order in _SEVEN[:-1]:
            try:
                return list(CandleFile(file.name, 0, order).candles(lines))
            except Invalid:
                continue
        columns = _SEVEN[-1]
    return list(CandleFile(file.name, 0, columns).candles(lines))
