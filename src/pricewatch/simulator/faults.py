"""Trouble on purpose: what a bad day does to frames, sockets, handshakes and REST requests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Literal, get_args

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import Answer, Live, Session, Venue, named
from pricewatch.simulator.settings import FaultSettings

Accident = Literal["drop", "close", "stall", "notice", "garbage", "bomb"]
ACCIDENTS: tuple[Accident, ...] = get_args(Accident)


class Trouble:
    """What goes wrong at one venue at the moment; `change` takes effect on living connections."""

    def __init__(self, settings: FaultSettings, markets: Mapping[str, str]) -> None:
        """`markets`: native names by `venue:BASE-QUOTE`."""
        self.markets = markets
        self._origin = settings
        self._frozen: dict[str, int] = {}
        self.settings = settings
        self.framing = False
        self._set(settings)

    def change(self, changes: Mapping[str, Any]) -> None:
        """Set some of the faults; raises pydantic's `ValidationError` or `Invalid`."""
        wanted = FaultSettings.model_validate({**self.settings.model_dump(), **changes})
        if (wanted.seed, wanted.deflate) != (self._origin.seed, self._origin.deflate):
            raise Invalid("faults", "'seed' and 'deflate' are settled at the start of the simulator")
        self._set(wanted)

    def reset(self) -> None:
        """Back to what was wrong at the start."""
        self._set(self._origin)

    def _set(self, settings: FaultSettings) -> None:
        self.settings = settings
        self.framing = bool(settings.gap or settings.duplicate or settings.reorder)
        """Whether trade frames must pass through `Faults.frames`."""
        self.muted = self.markets.keys() & set(settings.mute)
        self._frozen = {key: at for key, at in self._frozen.items() if key in settings.freeze}

    def touched(self, live: Live) -> Live:
        """An event with the times its market shows: frozen ones stand still."""
        key = live.ledger.listing.key
        if key not in self.settings.freeze:
            return live
        event = live.event
        at = self._frozen.setdefault(key, event.prints[0].at if isinstance(event, Sweep) else event.at)
        if not isinstance(event, Sweep):
            return Live(live.ledger, msgspec.structs.replace(event, at=at))
        prints = tuple(msgspec.structs.replace(trade, at=at) for trade in event.prints)
        return Live(live.ledger, msgspec.structs.replace(event, prints=prints))


class Faults:
    """The luck of one connection (or of a venue's handshakes, or its REST service); calm draws cost no luck."""

    def __init__(self, trouble: Trouble, *, salt: str) -> None:
        self._trouble = trouble
        self.rng = Random(f"{trouble.settings.seed}/{salt}")
        self._held: bytes | None = None

    @property
    def framing(self) -> bool:
        """Whether trade frames must pass through `frames`."""
        return self._trouble.framing or self._held is not None

    @property
    def settings(self) -> FaultSettings:
        """What goes wrong at the moment."""
        return self._trouble.settings

    def frames(self, frame: bytes) -> Iterator[bytes]:
        """What becomes of a trade frame: nothing, itself, twice itself, or itself after the next one."""
        luck = self.settings
        if self._chance(luck.gap):
            return
        if self._held is None and self._chance(luck.reorder):
            self._held = frame
            return
        yield frame
        if self._chance(luck.duplicate):
            yield frame
        if self._held is not None:
            held, self._held = self._held, None
            yield held

    def accident(self, seconds: float) -> Accident | None:
        """What happens to a socket within so many seconds."""
        luck = self.settings
        for name in ACCIDENTS:
            if self._chance(1 - (1 - getattr(luck, name)) ** seconds):
                return name
        return None

    def refuses(self) -> bool:
        """Whether a new socket is accepted and closed at once."""
        return self._chance(self.settings.refuse)

    def turns_away(self) -> bool:
        """Whether a handshake meets the rate limit."""
        return self._chance(self.settings.handshake_limit)

    def limits(self) -> bool:
        """Whether a REST request meets the rate limit."""
        return self._chance(self.settings.rest_limit)

    def answer(self, venue: Venue, session: Session, answer: Answer, before: Collection[str]) -> Answer:
        """What a client hears of an answer; `before`: the topics it had when it asked."""
        frames = self._halved(venue, session, answer.frames, [topic for topic in session.topics if topic not in before])
        return msgspec.structs.replace(answer, frames=self._silenced(venue, session, frames))

    def _halved(self, venue: Venue, session: Session, frames: Sequence[bytes], fresh: Iterable[str]) -> Sequence[bytes]:
        if not self.settings.half_ack:
            return frames
        natives = self._trouble.markets.values()
        asked = dict.fromkeys(named(topic.encode(), natives) for topic in fresh)
        lost = {native for native in asked if native is not None and self._chance(self.settings.half_ack)}
        if not lost:
            return frames
        kept: set[str] = set()
        for topic in list(session.topics):
            native = named(topic.encode(), natives)
            if native in lost:
                del session.topics[topic]
            elif native is not None:
                kept.add(native)
        return venue.withhold(session, frames, lost, kept)

    def _silenced(self, venue: Venue, session: Session, frames: Sequence[bytes]) -> Sequence[bytes]:
        """Without the snapshots of mute markets; the venue's reading of the frames is kept for later answers."""
        memory = session.notes.setdefault("heard", {})
        markets, muted = self._trouble.markets, self._trouble.muted
        silent = {markets[key] for key in muted}
        others = [native for key, native in markets.items() if key not in muted]
        kept = []
        for frame in frames:
            try:
                heard = venue.read(frame, memory)
            except (ValueError, LookupError):  # not yet as it goes out: told by name
                about = silent if named(frame, silent) and not named(frame, others) else set()
            else:
                about = set(heard.natives) if heard and heard.topics else set()
            if not about or not about <= silent:
                kept.append(frame)
        return kept

    def _chance(self, chance: float) -> bool:
        return chance > 0 and self.rng.random() < chance
