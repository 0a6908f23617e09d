"""What a channel promises: render without I/O, send once, name each failure by what to do about it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from pricewatch.domain.errors import Unavailable
from pricewatch.ports.outbox import Delivery


class Away(Unavailable):
    """The other side cannot be reached or does not let us in: says nothing about this delivery."""


class Letter(msgspec.Struct, frozen=True):
    """A delivery ready for the wire."""

    target: str
    body: bytes


class Channel(Protocol):
    """One way to reach people."""

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
