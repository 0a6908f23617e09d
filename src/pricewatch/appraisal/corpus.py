"""Files of labelled series: `DIR/data/GROUP/FILE.csv` (`timestamp,value`) and `DIR/labels/combined_windows.json`."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.models.scoring import Labelled

LABELS = Path("labels") / "combined_windows.json"
_COLUMNS = ("timestamp", "value")
_decode_labels = msgspec.json.Decoder(dict[str, list[tuple[str, str]]]).decode


class Row(NamedTuple):
    """One row as it stands in its file, and as numbers."""

    stamp: str
    text: str
    at: float
    """Seconds since 1970; a time without a zone counts as UTC."""
    value: float


def series_of(folder: Path) -> list[str]:
    """The series under `folder/data` as `GROUP/FILE.csv`, in order. Raises `Invalid` where there is none."""
    found = sorted(f"{path.parent.name}/{path.name}" for path in (folder / "data").glob("*/*.csv"))
    if not found:
        raise Invalid("DIR", f"no file {folder}/data/GROUP/FILE.csv; give the folder that contains data and labels")
    return found


def read(path: Path) -> list[Row]:
    """All rows of a file. Raises `Invalid`, naming file, line and field."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(_rows(path, csv.DictReader(file)))
    except UnicodeDecodeError as error:
        raise Invalid(str(path), f"not a text file in UTF-8: {error}") from error


def _rows(path: Path, reader: csv.DictReader[str]) -> Iterator[Row]:
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise Invalid(str(path), f"no column {' and '.join(missing)}; the first line must be timestamp,value")
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        stamp, text = row["timestamp"], row["value"]
        try:
            moment = datetime.fromisoformat((stamp or "").strip())
        except ValueError:
            raise Invalid(where, f"timestamp {stamp!r} is no time; write for example 2015-02-26 21:42:53") from None
        try:
            value = float(text or "")
        except ValueError:
            raise Invalid(where, f"value {text!r} is no number") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        yield Row(stamp, text, moment.timestamp(), value if math.isfinite(value) else math.nan)


def labels_of(folder: Path) -> Mapping[str, Sequence[tuple[str, str]]] | None:
    """The labelled windows by series, as times; None where the folder has no labels. Raises `Invalid`."""
    path = folder / LABELS
    if not path.is_file():
        return None
    try:
        return _decode_labels(path.read_bytes())
    except msgspec.MsgspecError as error:
        raise Invalid(str(path), f"not a mapping of series to windows of two times: {error}") from error


def labelled(name: str, rows: Sequence[Row], windows: Sequence[tuple[str, str]]) -> Labelled:
    """The windows as ranges of rows. Raises `Invalid` where a window's ends are no rows of the series."""
    places: dict[datetime, int] = {}
    for number, row in enumerate(rows):
        places.setdefault(_to_the_second(row.stamp), number)
    try:
        found = sorted((places[_to_the_second(first)], places[_to_the_second(last)]) for first, last in windows)
    except (KeyError, ValueError) as error:
        raise Invalid(f"{LABELS}, {name}", f"a window ends at no row of the series: {error}") from error
    return Labelled(len(rows), found)


def _to_the_second(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp.strip()).replace(microsecond=0, tzinfo=None)
