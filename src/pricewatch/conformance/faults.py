"""What may happen between a feed and a client, as plans: which acts follow when a signal is due. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Send(NamedTuple):
    """The frame of this signal."""

    seq: int
    pieces: int = 1
    """WebSocket fragments it travels in."""


class Say(NamedTuple):
    """A frame that is no signal."""

    text: str


class Cut(NamedTuple):
    """The connection breaks without a word."""


class Bye(NamedTuple):
    """The server closes."""

    code: int


class Stall(NamedTuple):
    """Nothing comes any more, not even heartbeats, though the connection stands."""


class Down(NamedTuple):
    """The server says `going_away`, closes, and answers 503 for so many seconds."""

    seconds: float


Act = Send | Say | Cut | Bye | Stall | Down


class Plan:
    """Everything goes well."""

    def __init__(self) -> None:
        self._done: set[int] = set()

    def opened(self, number: int) -> list[Act]:
        """After the welcome of connection `number` (from 1)."""
        _ = number
        return []

    def due(self, seq: int) -> list[Act]:
        """Signal `seq` is due on the open connection."""
        return [Send(seq)]

    def acked(self, seqs: Iterable[int]) -> list[Act]:
        """Before an acknowledgement is taken; what ends the connection loses it."""
        _ = seqs
        return []

    def once(self, seq: int) -> bool:
        """Whether this is the first time, so that a resumed stream gets on."""
        if seq in self._done:
            return False
        self._done.add(seq)
        return True


class Drops(Plan):
    """The connection breaks before a signal, and after one."""

    def due(self, seq: int) -> list[Act]:
        """As the plan says."""
        if seq in {8, 22} and self.once(seq):
            return [Cut()]
        return [Send(seq), Cut()] if seq in {15, 33} and self.once(seq) else [Send(seq)]


class Duplicates(Plan):
    """Signals come twice, and old ones come again."""

    def due(self, seq: int) -> list[Act]:
        """As the plan says."""
        return [Send(seq), Send(seq), *([Send(seq - 3)] if seq > 3 else [])]


class Reorders(Plan):
    """Now and then a signal comes after its successor."""

    def due(self, seq: int) -> list[Act]:
        """As the plan says."""
        if seq % 12 == 0 and self.once(seq):
            return []
        return [Send(seq), Send(seq - 1)] if seq % 12 == 1 and seq > 1 and self.once(seq) else [Send(seq)]


class Gaps(Plan):
    """Now and then a signal does not come, until it is asked for again."""

    def due(self, seq: int) -> list[Act]:
        """As the plan says."""
        return [] if seq % 12 == 0 and self.once(seq) else [Send(seq)]


class Silence(Plan):
    """Twice the server falls silent without closing."""

    def due(self, seq: int) -> list[Act]:
        """As the plan says."""
        return [Stall()] if seq in {10, 20} and self.once(seq) else [Send(seq)]


class TooSlow(Plan):
    """The server closes with 4008, 1011 and 4011, which all mean: come back."""

    def due(self, seq: int) -> list[Act]:
        """As the plan says."""
        codes = {8: 4008, 16: 1011, 24: 4010}
        return [Bye(codes[seq])] if seq in codes and self.once(seq) else [Send(seq)]


class Restarts(Plan):
    """Three restarts, with a while in which the server is not there."""

    def due(self, seq: int) -> list[Act]:
        """As the plan says."""
        return [Down(0.3)] if seq in {8, 16, 24} and self.once(seq) else [Send(seq)]


class Storm(Plan):
    """The first connections are closed right after their welcome."""

    def opened(self, number: int) -> list[Act]:
        """As the plan says."""
        return [Bye(1011)] if number <= 4 else []


class Novelties(Plan):
    """Frames and fields of a later version come in between, and long frames in pieces."""

    def opened(self, number: int) -> list[Act]:
        """As the plan says."""
        return [Say(f'{{"type":"novelty","channel":"rumours","seq":{number},"data":[1,2,3]}}')]

    def due(self, seq: int) -> list[Act]:
        """As the plan says."""
        return [Say('{"type":"moon","channel":"signals","phase":0.5}'), Send(seq, pieces=1 + seq % 4)]


class Revoked(Plan):
    """The key is revoked: 4001 means never again."""

    def due(self, seq: int) -> list[Act]:
        """As the plan says."""
        return [Send(seq), Bye(4001)] if seq == 10 else [Send(seq)]


class LostAcks(Plan):
    """Acknowledgements are lost with their connections, so that signals are redelivered."""

    def acked(self, seqs: Iterable[int]) -> list[Act]:
        """As the plan says."""
        return [Cut()] if any(seq in {5, 20} and self.once(seq) for seq in seqs) else []
