"""Trouble on purpose: what a bad day does to frames, sockets and REST requests."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from pricewatch.simulator.settings import FaultSettings


class Faults:
    """The luck of one connection (or of the REST service); draws nothing while everything is off."""

    def __init__(self, settings: FaultSettings, *, salt: str) -> None:
        self._settings = settings
        self._rng = Random(f"{settings.seed}/{salt}")
        self._held: bytes | None = None
        self.retry_after = settings.retry_after
        self.framing = bool(settings.gap or settings.duplicate or settings.reorder)
        """Whether trade frames must pass through `frames`."""

    def frames(self, frame: bytes) -> Iterator[bytes]:
        """What becomes of a trade frame: nothing, itself, twice itself, or itself after the next one."""
        luck = self._settings
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

    def accident(self, seconds: float) -> str | None:
        """What happens to a socket within so many seconds: `drop`, `close`, `stall`, or None."""
        luck = self._settings
        for name, chance in (("drop", luck.drop), ("close", luck.close), ("stall", luck.stall)):
            if self._chance(1 - (1 - chance) ** seconds):
                return name
        return None

    def refuses(self) -> bool:
        """Whether a new socket is accepted and closed at once."""
        return self._chance(self._settings.refuse)

    def limits(self) -> bool:
        """Whether a REST request meets the rate limit."""
        return self._chance(self._settings.rest_limit)

    def _chance(self, chance: float) -> bool:
        return chance > 0 and self._rng.random() < chance
