"""Recording files: one JSON object a line, perhaps gzipped; read into connections with their frames."""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
import structlog

from pricewatch.domain.errors import ConfigError

log = structlog.get_logger(__name__)


class _Line(msgspec.Struct):
    dir: str
    t: float | None = None
    conn: str = ""
    url: str | None = None
    raw: str | None = None
    b64: str | None = None


class Received(NamedTuple):
    """One frame that came from a venue."""

    number: int
    """Line in its file, from 1."""
    at: float
    """Unix seconds."""
    frame: bytes
    binary: bool


class Leg:
    """One connection of a recording, from its opening to the next of the same name."""

    def __init__(self, file: Path, conn: str, url: str | None) -> None:
        self.file = file
        self.conn = conn
        self.opens = url is not None
        """It begins with the opening of the connection; else it may go on with one of the file before."""
        address = urlsplit(url or "")
        self.host = address.hostname or ""
        self.prefix = address.path.lstrip("/").partition("/")[0]
        """The first part of the address's path: the venue, where a simulator was recorded."""
        self.lines: list[Received] = []


_decode = msgspec.json.Decoder(_Line).decode


def legs(file: Path) -> list[Leg]:
    """The connections that received anything, in the order of their opening.

    A file that breaks off in the middle of a line or of its compression (its writer was killed) is read up to there,
    with a warning. Raises `ConfigError` that names file and line for anything else that is wrong.
    """
    found: list[Leg] = []
    current: dict[str, Leg] = {}
    for number, text in _lines(file):
        try:
            line = _decode(text)
            frame = _frame(line) if line.dir == "in" else None
        except ValueError as exc:
            if not text.endswith(b"\n") and number > 1:
                log.warning("recording.torn", file=str(file), line=number, meaning="the last line is not whole")
                break
            raise ConfigError(f"{file}, line {number}: not a line of a recording: {exc}") from exc
        if line.dir == "open" or (frame is not None and line.conn not in current):
            current[line.conn] = Leg(file, line.conn, (line.url or "") if line.dir == "open" else None)
            found.append(current[line.conn])
        if frame is not None:
            if line.t is None:
                raise ConfigError(f"{file}, line {number}: field 't' is missing: a received frame needs its time")
            current[line.conn].lines.append(Received(number, line.t, frame, line.raw is None))
    return [leg for leg in found if leg.lines]


def _frame(line: _Line) -> bytes:
    if line.raw is not None:
        return line.raw.encode()
    if line.b64 is None:
        raise ValueError("a received frame needs the field 'raw' (text) or 'b64' (binary)")
    return base64.b64decode(line.b64, validate=True)


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
            for number, text in enumerate(lines, start=1):
                yield number, text
    except (EOFError, zlib.error) as exc:
        log.warning("recording.torn", file=str(file), line=number, meaning=f"its compression breaks off: {exc}")
    except OSError as exc:
        raise ConfigError(f"{file}: cannot be read: {exc}") from exc
