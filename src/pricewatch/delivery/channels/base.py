"""What a channel promises: render without I/O, send once, name each failure by what to do about it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol

import msgspec

from pricewatch.domain.errors import Unavailable
from pricewatch.ports.outbox import Delivery


class Away(Unavailable):
    """The other side cannot be reached or does not let us in: says nothing about this delivery."""


class Later(Unavailable):
    """Try again later, and not before `wait` seconds have gone by: the other side said so."""

    def __init__(self, words: str, wait: float) -> None:
        super().__init__(words)
        self.wait = wait


class Manners(NamedTuple):
    """How a channel's deliveries are brought."""

    at_once: int | None = None
    """How many at the same time; None for what the operator set for all."""
    each: int | None = None
    """How many of them to one target; None for any number."""
    spread: float = 0.0
    """The share of a pause between attempts that luck may take away, so that not all come back at once."""


class Letter(msgspec.Struct, frozen=True):
    """A delivery ready for the wire."""

    target: str
    body: bytes
    id: str = ""
    """The delivery's, for channels that say it beside the body."""


class Channel(Protocol):
    """One way to reach people."""

    manners: Manners

    def held(self) -> Collection[str]:
        """Targets that are left alone for now; looked at where `manners.each` is set."""
        ...

    def render(self, delivery: Delivery, *, now: int) -> Letter:
        """Pure. Raises `Refused` for what can never be sent. `now` in µs, wall clock."""
        ...

    async def send(self, letter: Letter) -> str:
        """Return the other side's reply once it has taken responsibility.

        Raises `Refused` (never as it stands), `Unavailable` (this one later) or `Away` (everything later).
        """
        ...

    async def rest(self) -> None:
        """Nothing to do just now: let go of what has been idle for long."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...
