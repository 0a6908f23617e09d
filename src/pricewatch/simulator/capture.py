"""A recording as a tape: every connection's frames verbatim, at any speed, with the trades so far as history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pricewatch.domain.errors import ConfigError, Invalid
from pricewatch.domain.time import SECOND
from pricewatch.simulator.ledger import Ledger
from pricewatch.simulator.programme import Event
from pricewatch.simulator.recordings import Leg, legs
from pricewatch.simulator.registry import VENUES
from pricewatch.simulator.session import Foreign, Heard
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
    for file in files:
        for leg in legs(file):
            venue = _named(leg) or _guessed(leg)
            by_venue.setdefault(venue, []).extend(_read(leg, venue))
    by_venue = {venue: frames for venue, frames in by_venue.items() if any(frame.heard.topics for frame in frames)}
    if not by_venue:
        raise ConfigError(f"replay: there is no frame of {', '.join(VENUES)} in the given files")
    for frames in by_venue.values():
        frames.sort(key=lambda frame: frame.at)
    return [CaptureTape(venue, frames, settings) for venue, frames in by_venue.items()]


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
    """The venue that understands most of a connection's first frames; raises `ConfigError` where none does."""
    scores: dict[str, int] = {}
    refusal: ConfigError | None = None
    for name, venue in VENUES.items():
        memory: dict[str, object] = {}
        for line in leg.lines[:_TASTE]:
            try:
                heard = venue.read(line.frame, memory)
            except ConfigError as exc:
                refusal = refusal or _at(leg, line.number, str(exc))
                break
            except _UNREADABLE:
                continue
            scores[name] = scores.get(name, 0) + (1 if heard is None else 2)
    if not scores:
        first = leg.lines[0]
        kind = "a binary frame and " if first.binary else ""
        text = f"{kind}{first.frame[:80]!r} is no frame of {', '.join(VENUES)}"
        raise refusal or _at(leg, first.number, text)
    return max(scores, key=lambda name: scores[name])


def _read(leg: Leg, venue: str) -> Iterator[_Frame]:
    """What the venue hears in a connection's frames; its own control frames are left to the server."""
    house, memory = VENUES[venue], dict[str, object]()
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
            yield Recorded(self.name, frame.heard.topics, bool(frame.heard.prints), frame.binary, frame.at)

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
