"""Captures: every frame as it came, one JSON object a line, gzipped; a file a venue and day."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from pricewatch.domain.time import DAY, to_datetime

_GZIP = zlib.MAX_WBITS | 16
_TOKEN = re.compile(r"(?<=[?&]token=)[^&]+")


class Recorder:
    """Writes a new capture file; `t` is in unix seconds with microseconds. A binary frame is kept as base64.

    What came before the last `flush` survives a kill: the file then breaks off there and is readable up to it.
    """

    def __init__(self, path: Path, *, level: int = 6) -> None:
        self.path = path
        self.frames = 0
        self._file = path.open("xb")
        self._squeezer = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
        self._dirty = False

    def opened(self, connection: str, url: str, at: int) -> None:
        """A connection was opened."""
        self._write({"t": _seconds(at), "dir": "open", "conn": connection, "url": _shown(url)})

    def sent(self, connection: str, url: str, frame: str, at: int) -> None:
        """A frame went to the venue."""
        self._write({"t": _seconds(at), "dir": "out", "conn": connection, "url": _shown(url), "raw": frame})

    def received(self, connection: str, frame: bytes | str, at: int) -> None:
        """A frame came from the venue. Text may come as its UTF-8 bytes."""
        self.frames += 1
        line: dict[str, Any] = {"t": _seconds(at), "dir": "in", "conn": connection}
        try:
            line["raw"] = frame if isinstance(frame, str) else frame.decode()
        except UnicodeDecodeError:
            line["b64"] = base64.b64encode(bytes(frame)).decode()  # type: ignore[arg-type]
        self._write(line)

    def flush(self) -> None:
        """Hand everything written so far to the system, readable as it stands."""
        if self._dirty:
            self._file.write(self._squeezer.flush(zlib.Z_SYNC_FLUSH))
            self._file.flush()
            self._dirty = False

    def close(self) -> None:
        """Everything is in the file afterwards."""
        self._file.write(self._squeezer.flush(zlib.Z_FINISH))
        self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(self._squeezer.compress(_encode(line) + b"\n"))
        self._dirty = True


class Recording:
    """What all venues send, in a folder: `<venue>/<venue>-<start>.jsonl.gz`, a new file from each midnight UTC on.

    A connection's name begins with its venue. A file after midnight goes on with the connections of the one before:
    give both to whoever needs what a venue said when a connection was opened.
    """

    def __init__(self, folder: Path, *, level: int = 6, finished: Callable[[Path], None]) -> None:
        """`finished` is told of every file that is complete."""
        self._folder = folder
        self._level = level
        self._finished = finished
        self._open: dict[str, tuple[int, Recorder]] = {}
        self._frames = 0
        self.files: list[Path] = []
        """Everything written by this process, in order of creation."""

    @property
    def frames(self) -> int:
        """Frames received so far."""
        return self._frames + sum(recorder.frames for _, recorder in self._open.values())

    def opened(self, connection: str, url: str, at: int) -> None:
        """A connection was opened."""
        self._recorder(connection, at).opened(connection, url, at)

    def sent(self, connection: str, url: str, frame: str, at: int) -> None:
        """A frame went to the venue."""
        self._recorder(connection, at).sent(connection, url, frame, at)

    def received(self, connection: str, frame: bytes | str, at: int) -> None:
        """A frame came from the venue."""
        self._recorder(connection, at).received(connection, frame, at)

    def flush(self) -> None:
        """See `Recorder.flush`."""
        for _, recorder in self._open.values():
            recorder.flush()

    def close(self) -> None:
        """Complete every file."""
        for venue in list(self._open):
            self._complete(venue)

    def _recorder(self, connection: str, at: int) -> Recorder:
        venue = connection.partition(".")[0]
        day, recorder = self._open.get(venue, (0, None))
        if recorder is not None and at // DAY <= day:
            return recorder
        if recorder is not None:
            self._complete(venue)
        recorder = Recorder(self._new(venue, at), level=self._level)
        self._open[venue] = (at // DAY, recorder)
        self.files.append(recorder.path)
        return recorder

    def _new(self, venue: str, at: int) -> Path:
        folder = self._folder / venue
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{venue}-{to_datetime(at).strftime('%Y%m%dT%H%M%SZ')}"
        path, number = folder / f"{stem}.jsonl.gz", 2
        while path.exists():
            path, number = folder / f"{stem}-{number}.jsonl.gz", number + 1
        return path

    def _complete(self, venue: str) -> None:
        _, recorder = self._open.pop(venue)
        recorder.close()
        self._frames += recorder.frames
        self._finished(recorder.path)


_encode = msgspec.json.Encoder(decimal_format="number").encode


def _shown(url: str) -> str:
    """An address without its session's token."""
    return _TOKEN.sub("TOKEN", url)


def _seconds(at: int) -> Decimal:
    return Decimal(at).scaleb(-6)
