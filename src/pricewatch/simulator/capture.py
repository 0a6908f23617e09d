"""A recording as a tape: every connection's frames verbatim, at any speed, with the trades so far as history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pricewatch.domain.errors import ConfigError, Invalid
from pricewatch.domain.time import SECOND
from pricewatch.simulator.ledger import Ledger
from pricewatch.simulator.programme import Event
from pricewatch.simulator.recordings import Leg, Received, legs
from pricewatch.simulator.registry import VENUES
from pricewatch.simulator.session import Foreign, Heard, Venue
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import Item, Recorded

_UNREADABLE = (ValueError, LookupError, RecursionError)
_TASTE = 500
"""Frames of a connection by which an unnamed venue is guessed."""


class _Frame(NamedTuple):
    at: float
    binary: bool
    heard: Heard


def load(files: Iterable[Path], settings: SimulatorSettings) -> list[CaptureTape]:
    """One tape for each venue in the recordings, held in memory; raises `ConfigError` for what cannot be served."""
    by_venue: dict[str, list[_Frame]] = {}
    memories = Memories()
    for file in recordings(files):
        for leg in legs(file):
            venue = venue_of(leg)
            by_venue.setdefault(venue, []).extend(_read(leg, venue, memories.of(leg)))
    by_venue = {venue: frames for venue, frames in by_venue.items() if any(frame.heard.topics for frame in frames)}
    if not by_venue:
        raise ConfigError(f"replay: there is no frame of {', '.join(VENUES)} in the given files")
    for frames in by_venue.values():
        frames.sort(key=lambda frame: frame.at)
    return [CaptureTape(venue, frames, settings) for venue, frames in by_venue.items()]


def recordings(files: Iterable[Path]) -> Iterator[Path]:
    """The files, with folders replaced by the recordings below them, by name."""
    for file in files:
        if file.is_dir():
            yield from sorted(found for found in file.rglob("*.jsonl*") if "-instruments." not in found.name)
        else:
            yield file


def venue_of(leg: Leg) -> str:
    """The venue of a recorded connection; raises `ConfigError` where none understands its frames."""
    return _named(leg) or _guessed(leg)


class Memories:
    """What venues remember of connections, from a daily file to the next."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, str, str], dict[str, Any]] = {}

    def of(self, leg: Leg) -> dict[str, Any]:
        """The memory of a leg's connection; a new one where the leg begins with its opening."""
        key = leg.file.parent, leg.file.name.partition("-")[0], leg.conn
        if leg.opens:
            self._known[key] = {}
        return self._known.setdefault(key, {})


def _named(leg: Leg) -> str | None:
    """The venue a recorded connection belongs to, by its address, else by the file's name or folder."""
    for name, venue in VENUES.items():
        if any(leg.host == host or leg.host.endswith(f".{host}") for host in venue.hosts):
            return name
    for word in (leg.prefix, leg.file.name.partition("-")[0], leg.file.parent.name):
        if word in VENUES:
            return word
    return None


def _guessed(leg: Leg) -> str:
    """The venue that understands most of a connection's first frames; raises `ConfigError` where none does half."""
    tasted = leg.lines[:_TASTE]
    scores: dict[str, int] = {}
    refusal: ConfigError | None = None
    for name, venue in VENUES.items():
        try:
            understood, data = _understood(tasted, venue)
        except ConfigError as exc:
            refusal = refusal or exc
            continue
        if 2 * understood >= len(tasted):
            scores[name] = understood + data
    if scores:
        return max(scores, key=lambda name: scores[name])
    first = tasted[0]
    if refusal is not None:
        raise _at(leg, first.number, str(refusal)) from refusal
    kind = "a binary frame and " if first.binary else ""
    raise _at(leg, first.number, f"{kind}{first.frame[:80]!r} is no frame of {', '.join(VENUES)}")


def _understood(lines: Sequence[Received], venue: type[Venue]) -> tuple[int, int]:
    """How many of the frames a venue knows, and how many of these are data. Raises as `Venue.read`."""
    memory: dict[str, Any] = {}
    understood = data = 0
    for line in lines:
        try:
            heard = venue.read(line.frame, memory)
        except _UNREADABLE:
            continue
        understood += 1
        data += heard is not None
    return understood, data


def _read(leg: Leg, venue: str, memory: dict[str, Any]) -> Iterator[_Frame]:
    """What the venue hears in a connection's frames; its own control frames are left to the server."""
    house = VENUES[venue]
    for line in leg.lines:
        try:
            heard = house.read(line.frame, memory)
        except ConfigError as exc:
            raise _at(leg, line.number, str(exc)) from exc
        except Foreign as exc:
            raise _at(leg, line.number, f"{line.frame[:80]!r} is no frame of {venue}: {exc}") from exc
        except _UNREADABLE as exc:
            raise _at(leg, line.number, f"not a frame of {venue} that can be served: {exc}") from exc
        if heard is not None:
            yield _Frame(line.at, line.binary or house.binary, heard)


def _at(leg: Leg, number: int, text: str) -> ConfigError:
    return ConfigError(f"{leg.file}, line {number}: {text}")


class CaptureTape:
    """The frames of one venue in the order of their recording.

    Mode `pause`: the tape stands still while nobody listens to the venue. Mode `runon`: it goes on, and what passes
    meanwhile is lost to sockets but told by REST.
    """

    def __init__(self, venue: str, frames: Sequence[_Frame], settings: SimulatorSettings) -> None:
        self.name = venue
        self._speed = None if settings.speed == "max" else settings.speed
        self._pauses = settings.mode == "pause"
        self._position = 0
        self._seen: int | None = None
        self._by_native: dict[str, Ledger] = {}
        for frame in frames:
            self._know(frame.heard, settings.history_trades)
        self._frames = [frame for frame in frames if frame.heard.topics]
        self._clock = self._frames[0].at
        self.ledgers = {ledger.listing.key: ledger for ledger in self._by_native.values()}

    def _know(self, heard: Heard, keep: int) -> None:
        for native in heard.natives:
            ledger = self._by_native.get(native)
            if ledger is None:
                ledger = self._by_native[native] = Ledger(VENUES[self.name].recognised(native), keep=keep)
            ledger.marks.update(heard.marks)

    @property
    def done(self) -> bool:
        """Every frame has been taken."""
        return self._position >= len(self._frames)

    def take(self, now: int, limit: int, *, heard: bool) -> Iterator[Item]:
        """See `Tape`."""
        passed, self._seen = (now - self._seen) / SECOND if self._seen is not None else 0.0, now
        if self._pauses and not heard:
            return
        if self._speed is not None:
            self._clock += max(passed, 0.0) * self._speed
        while limit > 0 and not self.done:
            frame = self._frames[self._position]
            if self._speed is not None and frame.at > self._clock:
                return
            for native, trade in frame.heard.prints:
                self._by_native[native].add(trade)
            self._position += 1
            limit -= 1
            heard_of = frame.heard
            markets = tuple(self._by_native[native].listing.key for native in heard_of.natives)
            yield Recorded(self.name, heard_of.topics, markets, bool(heard_of.prints), frame.binary, frame.at)

    def wait(self, now: int) -> float:
        """See `Tape`."""
        if self.done:
            return 3_600.0
        if self._speed is None:
            return 0.0
        passed = (now - self._seen) / SECOND if self._seen is not None else 0.0
        return max((self._frames[self._position].at - self._clock) / self._speed - passed, 0.0)

    def inject(self, event: Event, now: int) -> None:
        """A recording cannot be changed: raises `Invalid`."""
        raise Invalid("event", f"{event.kind} at {now}: a replay shows what was recorded and takes no events")
