"""The last few refused ticks and frames of each kind, as they came: what an operator wants to see."""

from __future__ import annotations

from collections import deque

from pricewatch.domain.market import Tick
from pricewatch.domain.time import rfc3339

_KEPT = 3
_LONGEST = 240

Refused = Tick | bytes | str


class Rejects:
    """Bounded by the closed set of reasons; nothing is rendered before somebody looks."""

    __slots__ = ("_rings",)

    def __init__(self) -> None:
        self._rings: dict[str, deque[tuple[int, Refused]]] = {}

    def note(self, reason: str, what: Refused, now: int) -> None:
        """Keep it, and forget the oldest of its kind."""
        ring = self._rings.get(reason)
        if ring is None:
            ring = self._rings[reason] = deque(maxlen=_KEPT)
        ring.append((now, what[:_LONGEST] if isinstance(what, (bytes, str)) else what))

    def shown(self) -> dict[str, list[dict[str, str]]]:
        """By reason, oldest first."""
        return {
            reason: [{"at": rfc3339(now), "what": _text(what)} for now, what in ring]
            for reason, ring in sorted(self._rings.items())
        }


def _text(what: Refused) -> str:
    """Printable and short, whatever it was."""
    return repr(what)[:_LONGEST]
