"""Until when each venue wants to be left alone: kept across restarts, for a venue counts from its own word on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from pricewatch.domain.errors import Refused
from pricewatch.domain.time import SECOND
from pricewatch.ingest.pace import Pace
from pricewatch.ingest.transport.refusal import LONGEST, Banned
from pricewatch.ports.clock import Clock

log = structlog.get_logger(__name__)


class Embargo(msgspec.Struct, frozen=True):
    """One venue's word."""

    until: int
    """Microseconds since 1970."""
    reason: str


class StayAway:
    """The embargoes in force, in one small file that is replaced as a whole; without a path, in memory only.

    A file that cannot be read or written is told in the log and lived without: an embargo never stops the service.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._writing = asyncio.Lock()
        self._embargoes: dict[str, Embargo] = {} if path is None else _read(path)

    def remaining(self, key: str) -> float:
        """Seconds left; never more than a day, whatever the clock has done since."""
        embargo = self._embargoes.get(key)
        if embargo is None:
            return 0.0
        return min(max(0.0, (embargo.until - self._clock.now()) / SECOND), LONGEST)

    async def note(self, key: str, seconds: float, reason: str) -> None:
        """In force at once, on disk when this returns."""
        until = self._clock.now() + round(min(seconds, LONGEST) * SECOND)
        known = self._embargoes.get(key)
        if known is not None and known.until >= until:
            return
        self._embargoes[key] = Embargo(until, reason[:300])
        if self._path is not None:
            async with self._writing:
                now = self._clock.now()
                self._embargoes = {key: one for key, one in self._embargoes.items() if one.until > now}
                await asyncio.to_thread(_write, self._path, dict(self._embargoes))


class Distance:
    """Where one venue is asked: its handshakes and its REST requests, each kept away as the venue said."""

    def __init__(self, venue: str, *, opening: Pace, asking: Pace, book: StayAway) -> None:
        self.opening = opening
        """For handshakes."""
        self.asking = asking
        """For REST requests."""
        self._book = book
        self._sockets, self._rest = f"{venue} socket", f"{venue} rest"
        opening.stay_away(book.remaining(self._sockets))
        asking.stay_away(book.remaining(self._rest))

    async def refused_handshake(self, error: Refused) -> None:
        """Keep to what a handshake was answered; a ban is for REST, too."""
        await self._keep(error, sockets=True, rest=isinstance(error, Banned))

    async def refused_request(self, error: Refused) -> None:
        """Keep to what a REST request was answered; a ban is for handshakes, too."""
        await self._keep(error, sockets=isinstance(error, Banned), rest=True)

    async def _keep(self, error: Refused, *, sockets: bool, rest: bool) -> None:
        seconds = error.retry_after
        if seconds is None:
            return
        for key, pace, concerned in ((self._sockets, self.opening, sockets), (self._rest, self.asking, rest)):
            if concerned:
                pace.stay_away(seconds)
                await self._book.note(key, seconds, str(error))


def _read(path: Path) -> dict[str, Embargo]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Embargo])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("stay_away.unreadable", path=str(path), error=str(error))
        return {}


def _write(path: Path, embargoes: Mapping[str, Embargo]) -> None:
    beside = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(msgspec.json.encode(embargoes))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        log.warning("stay_away.unwritten", path=str(path), error=str(error))
