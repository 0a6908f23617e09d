"""Captures: every frame as it came, one JSON object a line, gzipped."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec


class Recorder:
    """Writes a capture file; `t` is in unix seconds with microseconds. A binary frame is kept as base64."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames = 0
        self._file = gzip.open(path, "ab", compresslevel=6)  # noqa: SIM115 - closed by close()

    def opened(self, connection: str, url: str, at: int) -> None:
        """A connection was opened."""
        self._write({"t": _seconds(at), "dir": "open", "conn": connection, "url": url})

    def sent(self, connection: str, url: str, frame: str, at: int) -> None:
        """A frame went to the venue."""
        self._write({"t": _seconds(at), "dir": "out", "conn": connection, "url": url, "raw": frame})

    def received(self, connection: str, frame: bytes | str, at: int) -> None:
        """A frame came from the venue. Text may come as its UTF-8 bytes."""
        self.frames += 1
        line: dict[str, Any] = {"t": _seconds(at), "dir": "in", "conn": connection}
        try:
            line["raw"] = frame if isinstance(frame, str) else frame.decode()
        except UnicodeDecodeError:
            line["b64"] = base64.b64encode(bytes(frame)).decode()  # type: ignore[arg-type]
        self._write(line)

    def close(self) -> None:
        """Everything is in the file afterwards."""
        self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(_encode(line) + b"\n")


_encode = msgspec.json.Encoder(decimal_format="number").encode


def _seconds(at: int) -> Decimal:
    return Decimal(at).scaleb(-6)
