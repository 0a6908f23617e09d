"""What a named consumer's client was handed, and what the server knows of that. No I/O, no clock."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pricewatch.client.frames import Frame
from pricewatch.client.signal import Signal

Request = tuple[str, dict[str, Any], int]
"""Method, params, req_id."""


class _Held(NamedTuple):
    seq: int
    lease: int


class Leases:
    """Signals by the lease under which they were delivered last, until they are acknowledged or given back."""

    def __init__(self, consumer: str, number: Callable[[], int]) -> None:
        self._consumer = consumer
        self._number = number
        self._held: dict[uuid.UUID, _Held] = {}
        self._unconfirmed: dict[int, int] = {}
        """Acknowledged signals by seq, with their lease, until the server has said so."""
        self._acked: dict[int, list[int]] = {}
        self._extended: dict[int, list[tuple[uuid.UUID, _Held]]] = {}
        self.lost = 0
        """Signals that were acknowledged too late: somebody else may have acted on them as well."""

    def forget_questions(self) -> None:
        """A new connection: what was asked on the old one is not answered any more."""
        self._acked.clear()
        self._extended.clear()

    def hold(self, signal: Signal) -> None:
        """It was delivered, again or for the first time."""
        self._held[signal.id] = _Held(signal.seq, signal.lease)

    def let_go(self, number: uuid.UUID) -> None:
        """Nobody works on it here: it comes again when its lease has run out."""
        self._held.pop(number, None)

    def holds(self, number: uuid.UUID) -> bool:
        """Whether it is still this client's, as far as it knows."""
        return number in self._held

    def done(self, signal: Signal) -> list[Request]:
        """The program has handled it."""
        held = self._held.pop(signal.id, _Held(signal.seq, signal.lease))
        self._unconfirmed[held.seq] = held.lease
        return self._acks({held.seq: held.lease})

    def again(self) -> list[Request]:
        """Acknowledge once more what is not confirmed."""
        return self._acks(self._unconfirmed)

    def give_back(self, signal: Signal, delay: float) -> list[Request]:
        """It is to come again after so many seconds, here or elsewhere."""
        held = self._held.pop(signal.id, _Held(signal.seq, signal.lease))
        return [self._settling("nack", [held.seq], held.lease, {"delay": delay})]

    def extend(self, signal: Signal, seconds: float | None) -> list[Request]:
        """The program needs longer for it."""
        more = {} if seconds is None else {"delay": seconds}
        held = self._held.get(signal.id, _Held(signal.seq, signal.lease))
        return [self._settling("extend", [held.seq], held.lease, more)]

    def keep(self, those: Iterable[uuid.UUID]) -> list[Request]:
        """Go on holding these, where they are held."""
        by_lease: dict[int, list[tuple[uuid.UUID, _Held]]] = {}
        for number in those:
            if (held := self._held.get(number)) is not None:
                by_lease.setdefault(held.lease, []).append((number, held))
        requests = []
        for lease, mine in by_lease.items():
            request = self._settling("extend", [held.seq for _, held in mine], lease, {})
            self._extended[request[2]] = mine
            requests.append(request)
        return requests

    def settled(self, frame: Frame) -> list[uuid.UUID]:
        """The server's answer; what is somebody else's by now, as an extension tells."""
        if not isinstance(frame.req_id, int):
            return []
        extended = self._extended.pop(frame.req_id, None)
        if extended is None:
            self.lost += len(frame.lost)
            for seq in self._acked.pop(frame.req_id, []):
                self._unconfirmed.pop(seq, None)
            return []
        # Delivered anew meanwhile, it is ours under another lease.
        gone = [number for number, held in extended if held.seq in frame.lost and self._held.get(number) == held]
        for number in gone:
            del self._held[number]
        return gone

    def is_confirmed(self) -> bool:
        """The server knows of everything that was handled."""
        return not self._unconfirmed

    def _acks(self, those: dict[int, int]) -> list[Request]:
        by_lease: dict[int, list[int]] = {}
        for seq, lease in those.items():
            by_lease.setdefault(lease, []).append(seq)
        requests = [self._settling("ack", seqs, lease, {}) for lease, seqs in by_lease.items()]
        self._acked |= {number: params["seqs"] for _, params, number in requests}
        return requests

    def _settling(self, method: str, seqs: list[int], lease: int, more: dict[str, Any]) -> Request:
        return method, {"consumer": self._consumer, "seqs": seqs, "lease": lease, **more}, self._number()
