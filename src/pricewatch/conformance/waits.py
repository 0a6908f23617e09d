"""How long the server waits for what it handed to a consumer. Time is handed in, in seconds. No I/O."""

from __future__ import annotations

from collections.abc import Iterable


class Waits:
    """When each signal would be handed to somebody else."""

    def __init__(self, ack_wait: float) -> None:
        self.ack_wait = ack_wait
        self.lapsed: set[int] = set()
        """Signals that the client held for longer than it had said it would."""
        self._due: dict[int, float] = {}

    def hand(self, seq: int, now: float) -> None:
        """It was delivered."""
        self._due[seq] = now + self.ack_wait

    def extend(self, seqs: Iterable[int], delay: float | None, now: float) -> list[int]:
        """The client needs longer for these; those it does not hold any more."""
        lost = self._settle(seqs, now)
        for seq in seqs:
            if seq not in lost:
                self._due[seq] = now + (self.ack_wait if delay is None else delay)
        return lost

    def ack(self, seqs: Iterable[int], now: float) -> None:
        """Done with these."""
        self._settle(seqs, now)
        for seq in seqs:
            self._due.pop(seq, None)

    def _settle(self, seqs: Iterable[int], now: float) -> list[int]:
        late = [seq for seq in seqs if self._due.get(seq, now) < now]
        self.lapsed.update(late)
        return late
