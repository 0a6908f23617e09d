"""The spool: what was packed, on disk before anything depends on it, until the table has held it for a while."""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import structlog

from pricewatch.store.folder import FolderLock

log = structlog.get_logger(__name__)

_FRAME = struct.Struct(">4sHxxIIQI")
_MAGIC = b"pwF1"
_CHUNK = 1 << 20


class Frame(NamedTuple):
    """What one `append` wrote."""

    sequence: int
    kind: int
    rows: int
    payload: bytes | bytearray


class _Segment:
    """One file: frames from `first` on, up to before the next segment's."""

    __slots__ = ("descriptor", "emptied", "first", "last", "opened", "path", "rows", "sealed", "size")

    def __init__(self, path: Path, first: int) -> None:
        self.path = path
        self.first = first
        self.last = first - 1
        self.size = 0
        self.rows = 0
        """Rows not yet acknowledged."""
        self.emptied: float | None = None
        """When the last frame was acknowledged."""
        self.opened: float | None = None
        self.sealed = False
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)


class Spool:
    """Frames in order, numbered without a hole, read by one reader, acknowledged in order.

    What is acknowledged stays `keep` seconds more, so that it can be read again (`rewind`) should the database have
    lost its last moments. Memory is bounded by `memory`; the rest is read back from the files.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_size: int,
        cap: int,
        keep: float,
        memory: int,
        given_up: Callable[[Frame], None] | None = None,
    ) -> None:
        """`given_up` is told of every frame that goes at the cap without having been acknowledged."""
        self._given_up = given_up
        self._folder = folder
        self._segment_size = segment_size
        self._cap = cap
        self._keep = keep
        self._memory = memory
        self._lock = FolderLock(folder)
        self._segments: deque[_Segment] = deque()
        self._ready: deque[Frame] = deque()
        self._ready_bytes = 0
        self._bookmark = (0, 0, 0)
        """Where reading from files stopped: the segment's first frame, the next frame, its offset."""
        self._size = 0
        self._unsynced = False
        self._next = 1
        self.last = 0
        """The newest frame."""
        self.acknowledged = 0
        """Frames up to this one are in the table."""
        self.torn = 0
        """Bytes cut off because no frame was whole there."""
        self.dropped = 0
        """Rows given up at the cap."""

    def open(self) -> None:
        """Take the folder, cut torn tails, and be ready to read everything left in it."""
        self._lock.hold()
        for path in sorted(self._folder.glob("*.spool")):
            segment = _Segment(path, int(path.stem))
            self._scan(segment)
            segment.sealed = True
            self._segments.append(segment)
            self._size += segment.size
            self.last = max(self.last, segment.last)
        self.acknowledged = self._segments[0].first - 1 if self._segments else 0
        self.rewind()

    def close(self) -> None:
        """Let go of the folder; what is in it stays. Doing so twice is fine."""
        while self._segments:
            os.close(self._segments.pop().descriptor)
        self._lock.release()

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._size

    @property
    def behind(self) -> int:
        """Rows not yet acknowledged."""
        return sum(segment.rows for segment in self._segments)

    def append(self, kind: int, count: int, payload: bytes | bytearray) -> int:
        """Write one frame, all of it or nothing, and return its number. Raises `OSError` when the disk takes no more.

        After this a kill of the process does not lose it.
        """
        size = _FRAME.size + len(payload)
        segment = self._room(size)
        number = self.last + 1
        head = _FRAME.pack(_MAGIC, kind, len(payload), count, number, _checksum(kind, count, number, payload))
        try:
            written = os.writev(segment.descriptor, (head, payload))
        except OSError:
            os.ftruncate(segment.descriptor, segment.size)
            raise
        if written != size:
            os.ftruncate(segment.descriptor, segment.size)
            raise OSError(f"only {written} of {size} bytes could be written to {segment.path}")
        self.last = segment.last = number
        if self._next + len(self._ready) == number and self._ready_bytes + len(payload) <= self._memory:
            self._ready.append(Frame(number, kind, count, payload))
            self._ready_bytes += len(payload)
        segment.size += size
        segment.rows += count
        segment.emptied = None
        self._size += size
        self._unsynced = True
        return number

    def read(self, rows: int) -> list[Frame]:
        """The next frames, of one kind, together at most `rows` rows unless the first alone has more."""
        frames: list[Frame] = []
        count = 0
        while (frame := self._peek()) is not None:
            if frames and (count + frame.rows > rows or frame.kind != frames[0].kind):
                break
            frames.append(frame)
            count += frame.rows
            self._advance(frame)
        return frames

    def rewind(self) -> None:
        """Read again everything that is left, acknowledged or not."""
        self._seek(self._segments[0].first if self._segments else self.last + 1)

    def unread(self, frames: list[Frame]) -> None:
        """Put back what `read` just gave."""
        if frames:
            self._seek(frames[0].sequence)

    def acknowledge(self, frames: list[Frame], now: float) -> None:
        """These are in the table (`now` on any clock that only goes forward)."""
        for frame in frames:
            if frame.sequence <= self.acknowledged:
                continue
            self.acknowledged = frame.sequence
            segment = self._segment_of(frame.sequence)
            if segment is not None:
                segment.rows -= frame.rows
                if segment.last <= frame.sequence:
                    segment.emptied = now

    def unsynced(self) -> list[int]:
        """Descriptors for `sync`, which closes them; none when nothing was written since the last time."""
        if not self._unsynced:
            return []
        self._unsynced = False
        return [os.open(self._folder, os.O_RDONLY), *(os.dup(one.descriptor) for one in list(self._segments)[-2:])]

    def clean(self, now: float) -> list[Path]:
        """Let go of segments whose last frame was acknowledged `keep` seconds ago; end the newest in time for that.

        Returns their files, for `delete`; one that is left behind is only read again.
        """
        if self._segments:
            newest = self._segments[-1]
            if newest.opened is None:
                newest.opened = now
            newest.sealed = newest.sealed or now - newest.opened > 2 * self._keep
        gone = []
        while self._segments:
            oldest = self._segments[0]
            if oldest.emptied is None or now - oldest.emptied < self._keep or oldest.last >= self._next:
                break
            gone.append(self._drop_oldest())
        return gone

    def discard(self) -> tuple[int, list[Path]]:
        """Let go of everything: rows that were not acknowledged, and the files, for `delete`."""
        rows = self.behind
        gone = [self._drop_oldest() for _ in range(len(self._segments))]
        self.acknowledged = self.last
        return rows, gone

    # -- within -----------------------------------------------------------------------------------------------------

    def _room(self, size: int) -> _Segment:
        """The segment to write to; old ones go when the cap would be passed."""
        while self._segments and self._size + size > self._cap:
            oldest = self._segments[0]
            if oldest.rows:
                self.dropped += oldest.rows
                self._tell(oldest)
                log.error("spool.dropped", rows=oldest.rows, reason="cap", first=oldest.first, last=oldest.last)
            self.acknowledged = max(self.acknowledged, oldest.last)
            delete([self._drop_oldest()])
        newest = self._segments[-1] if self._segments else None
        if newest is None or newest.sealed or newest.size + size > self._segment_size:
            newest = _Segment(self._folder / f"{self.last + 1:020d}.spool", self.last + 1)
            self._segments.append(newest)
        return newest

    def _tell(self, segment: _Segment) -> None:
        if self._given_up is not None:
            for frame, _ in _frames(segment.descriptor, 0, segment.size, since=self.acknowledged + 1):
                self._given_up(frame)

    def _drop_oldest(self) -> Path:
        oldest = self._segments.popleft()
        self._size -= oldest.size
        os.close(oldest.descriptor)
        if self._next <= oldest.last:
            self._seek(oldest.last + 1)
        return oldest.path

    def _segment_of(self, number: int) -> _Segment | None:
        return next((one for one in self._segments if one.first <= number <= one.last), None)

    def _peek(self) -> Frame | None:
        if not self._ready:
            self._fill()
        return self._ready[0] if self._ready else None

    def _advance(self, frame: Frame) -> None:
        self._ready.popleft()
        self._ready_bytes -= len(frame.payload)
        self._next = frame.sequence + 1

    def _seek(self, number: int) -> None:
        self._ready.clear()
        self._ready_bytes = 0
        self._next = number

    def _fill(self) -> None:
        """Read the next frames back from their file, about a chunk of them."""
        if self._next > self.last:
            return
        segment = next((one for one in self._segments if one.last >= self._next), None)
        if segment is None:
            return
        self._next = max(self._next, segment.first)
        first, sequence, offset = self._bookmark
        if first != segment.first or sequence > self._next:
            offset = 0
        for frame, end in _frames(segment.descriptor, offset, segment.size, since=self._next):
            self._bookmark = (segment.first, frame.sequence + 1, end)
            self._ready.append(frame)
            self._ready_bytes += len(frame.payload)
            if self._ready_bytes >= min(_CHUNK, self._memory):
                return

    def _scan(self, segment: _Segment) -> None:
        actual = os.fstat(segment.descriptor).st_size
        for frame, end in _frames(segment.descriptor, 0, actual):
            if frame.sequence != segment.last + 1:
                break
            segment.last = frame.sequence
            segment.rows += frame.rows
            segment.size = end
        if segment.size < actual:
            self.torn += actual - segment.size
            log.warning("spool.torn", path=str(segment.path), bytes=actual - segment.size)
            os.ftruncate(segment.descriptor, segment.size)


def _checksum(kind: int, count: int, number: int, payload: bytes | bytearray) -> int:
    return zlib.crc32(payload, zlib.crc32(struct.pack(">HIQ", kind, count, number)))


def _frames(descriptor: int, offset: int, end: int, *, since: int = 0) -> Iterator[tuple[Frame, int]]:
    """Whole frames from `offset` on, numbered `since` and up, each with where it ends."""
    while offset + _FRAME.size <= end:
        magic, kind, length, count, number, checksum = _FRAME.unpack(os.pread(descriptor, _FRAME.size, offset))
        finish = offset + _FRAME.size + length
        if magic != _MAGIC or finish > end:
            return
        if number >= since:
            payload = os.pread(descriptor, length, offset + _FRAME.size)
            if len(payload) != length or _checksum(kind, count, number, payload) != checksum:
                return
            yield Frame(number, kind, count, payload), finish
        offset = finish


def delete(paths: list[Path]) -> None:
    """Remove files that are let go; milliseconds each, for a thread. Raises `OSError`."""
    for path in paths:
        path.unlink(missing_ok=True)


def sync(descriptors: list[int]) -> None:
    """Make what was written survive a power cut, and close these; slow, for a thread. Raises `OSError`."""
    try:
        for descriptor in descriptors:
            os.fsync(descriptor)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
