"""Candles in CSV files as their origins have them: with a header or without, times in half a dozen ways."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Candle
from pricewatch.domain.time import DAY, SECOND, from_datetime
from pricewatch.ingest.candles import is_sound

_PRICES = ("open", "high", "low", "close")
_QUOTE = ("time", *(f"bid_{name}" for name in _PRICES), "bid_size", *(f"ask_{name}" for name in _PRICES), "ask_size")
LAYOUTS: dict[int, tuple[str, ...]] = {6: ("time", *_PRICES, "volume"), 11: _QUOTE}
"""What a file without a header is taken for, by its number of columns."""
_TIMES = {"time", "datetime", "date", "timestamp", "open_time"}
_NAMES = {"time", *_PRICES, "volume", "trades", *_QUOTE, "-"}
_DATE = re.compile(r"(?<!\d)(\d{8})(?!\d)")
_COMPACT = re.compile(r"(\d{8}) (\d\d):?(\d\d)\Z")
_MILLIS, _MICROS = 10**11, 10**14


def columns_of(text: str) -> tuple[str, ...]:
    """The columns a user named, in the file's order, `-` for one to pass over; raises `Invalid`."""
    names = tuple(name.strip().lower() for name in text.split(","))
    for name in names:
        if name not in _NAMES:
            raise Invalid("--columns", f"{name!r} is no column; there are {', '.join(sorted(_NAMES))}")
    _complete(names, "--columns")
    return names


class CandleFile:
    """One file's candles for one market; every error names the file, the line and the column."""

    def __init__(self, name: str, market: int, columns: Sequence[str] | None = None) -> None:
        """`name` is told in errors; where times are milliseconds of a day, the day stands in it as YYYYMMDD."""
        self._name = name
        self._market = market
        self._columns = columns
        day = _DATE.search(name.rpartition("/")[2])
        self._day = _instant(f"{day[1]} 00:00") if day else None

    def candles(self, lines: Iterable[str]) -> Iterator[Candle]:
        """In the file's order; raises `Invalid`."""
        rows = csv.reader(lines)
        try:
            for row in rows:
                if not row:
                    continue
                if self._columns is None:
                    self._columns, is_header = self._layout(row, rows.line_num)
                    if is_header:
                        continue
                yield self._candle(row, rows.line_num)
        except csv.Error as exc:
            raise Invalid("", f"{self._name}, line {rows.line_num}: no CSV: {exc}") from exc

    def _layout(self, row: Sequence[str], line: int) -> tuple[Sequence[str], bool]:
        """The columns, and whether this row names them."""
        words = [cell.strip().lower() for cell in row]
        if _TIMES & set(words):
            names = ["time" if word in _TIMES else word if word in _NAMES else "-" for word in words]
            _complete(names, f"{self._name}, line {line}")
            return names, True
        if len(row) not in LAYOUTS:
            known = "; ".join(f"{count}: {','.join(names)}" for count, names in LAYOUTS.items())
            raise Invalid(
                f"{self._name}, line {line}",
                f"{len(row)} columns and no header; name them with --columns, for example "
                f"--columns time,open,high,low,close,volume,trades (known without: {known})",
            )
        return LAYOUTS[len(row)], False

    def _candle(self, row: Sequence[str], line: int) -> Candle:
        columns = self._columns or ()
        if len(row) != len(columns):
            raise self._wrong(line, "columns", f"{len(row)} instead of {len(columns)}")
        found = dict(zip(columns, row, strict=True))
        at = self._time(found["time"], line)
        if "bid_open" in found:  # the middle between bid and ask
            prices = [
                (self._number(found, f"bid_{name}", line) + self._number(found, f"ask_{name}", line)) / 2
                for name in _PRICES
            ]
        else:
            prices = [self._number(found, name, line) for name in _PRICES]
        volume = self._number(found, "volume", line) if "volume" in found else 0.0
        trades = int(self._number(found, "trades", line)) if "trades" in found else 0
        first, high, low, last = prices
        candle = Candle(self._market, at, first, high, low, last, volume, trades)
        if not is_sound(candle):
            shown = ", ".join(f"{name} {value!r}" for name, value in zip(_PRICES, prices, strict=True))
            text = f"{shown}, volume {volume!r}: not low <= open, close <= high above 0; is the column order right?"
            raise self._wrong(line, "high", text)
        return candle

    def _number(self, found: dict[str, str], column: str, line: int) -> float:
        text = found[column].strip()
        try:
            value = float(text) if len(text) <= 40 else math.nan
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self._wrong(line, column, f"{text[:40]!r} is no number")
        return value

    def _time(self, text: str, line: int) -> int:
        try:
            # Eight digits are a date, but for files of one day, which count its milliseconds.
            is_date = self._day is None and _DATE.fullmatch(text.strip()) is not None
            at = _instant(f"{text.strip()} 00:00" if is_date else text.strip())
        except ValueError as exc:
            raise self._wrong(line, "time", f"{text[:40]!r} is no time") from exc
        if at < DAY:
            if self._day is None:
                raise self._wrong(
                    line, "time", f"{text!r} are milliseconds of a day, and the file's name has no YYYYMMDD"
                )
            return self._day + at
        return at

    def _wrong(self, line: int, column: str, text: str) -> Invalid:
        return Invalid(f"{self._name}, line {line}, column {column!r}", text)


def _complete(names: Sequence[str], field: str) -> None:
    wanted = [*_QUOTE[:5], *_QUOTE[6:10]] if "bid_open" in names else ["time", *_PRICES]
    missing = [name for name in wanted if names.count(name) != 1]
    if missing:
        raise Invalid(field, f"{', '.join(missing)}: each is needed exactly once")


def _instant(text: str) -> int:
    """Microseconds of a time; less than a day for milliseconds since midnight. Raises ValueError."""
    compact = _COMPACT.match(text)
    if compact:
        return from_datetime(datetime.strptime("".join(compact.groups()) + "+0000", "%Y%m%d%H%M%z"))
    if text.isdecimal() and len(text) <= 18:
        number = int(text)
        if number < DAY // 1_000:
            return number * 1_000
        return number if number >= _MICROS else number * 1_000 if number >= _MILLIS else number * SECOND
    moment = datetime.fromisoformat(text)
    return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
