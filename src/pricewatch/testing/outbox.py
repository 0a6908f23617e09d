"""Deliveries owed, in memory."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Collection, Sequence

import msgspec

from pricewatch.domain.errors import NotFound
from pricewatch.domain.signal import FeedEntry, Signal
from pricewatch.domain.time import SECOND
from pricewatch.ports.clock import Clock
from pricewatch.ports.outbox import Attempt, Delivery, DeliveryRow, DeliveryState


def delivery_id(signal: uuid.UUID, channel: str, target: str) -> uuid.UUID:
    """A version 8 UUID: the same delivery has the same id however often it is queued."""
    digest = hashlib.sha256(f"{signal}/{channel}/{target}".encode()).hexdigest()
    return uuid.UUID(f"{digest[:12]}8{digest[13:16]}8{digest[17:32]}")


class _Owed(msgspec.Struct):
    signal: Signal
    row: DeliveryRow
    account: uuid.UUID
    entry: FeedEntry | None = None
    lease_until: int = 0
    token: uuid.UUID | None = None
    reply: str | None = None
    tries: list[Attempt] = []

    @property
    def due(self) -> int:
        return max(self.row.not_before, self.lease_until)


class MemoryOutbox:
    """Keeps `ports.outbox.Outbox`; the journal's keeper queues."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._owed: dict[uuid.UUID, _Owed] = {}

    def queue(
        self,
        signal: Signal,
        channel: str,
        target: str,
        *,
        account: uuid.UUID | None = None,
        not_before: int = 0,
        entry: FeedEntry | None = None,
    ) -> None:
        """For the journal: what is there already is left alone. `account`: who gets it, if not whose signal it is."""
        now = self._clock.now()
        row = DeliveryRow(
            id=delivery_id(signal.id, channel, target),
            signal_id=signal.id,
            channel=channel,
            target=target,
            state=DeliveryState.QUEUED,
            attempts=0,
            queued=now,
            not_before=max(now, not_before),
            sent=None,
            last_error=None,
        )
        self._owed.setdefault(row.id, _Owed(signal, row, account or signal.account_id, entry))

    def drop(self, target: str, error: str) -> None:
        """For the webhooks: what waits for this target is given up."""
        for owed in self._owed.values():
            if owed.row.target == target and owed.row.state is DeliveryState.QUEUED:
                _change(owed, state=DeliveryState.DEAD, last_error=error)

    async def claim(
        self, channel: str, *, limit: int, lease: float, each: int | None = None, skip: Collection[str] = ()
    ) -> list[Delivery]:
        """As the port says: the longest due first."""
        now, token = self._clock.now(), uuid.uuid4()
        open_states = {DeliveryState.QUEUED, DeliveryState.SENDING}
        open_ones = (owed for owed in self._owed.values() if owed.row.state in open_states)
        due = sorted((owed for owed in open_ones if owed.row.channel == channel and owed.due <= now), key=_due)
        taken = due[:limit] if each is None else _apart(due, each, skip)[:limit]
        for owed in taken:
            owed.token, owed.lease_until = token, now + round(lease * SECOND)
            _change(owed, state=DeliveryState.SENDING, attempts=owed.row.attempts + 1)
            begun = Attempt(attempt=owed.row.attempts, begun=now, ended=None, outcome=None, detail=None)
            owed.tries = [*owed.tries, begun]
        return [_delivery(owed, token) for owed in taken]

    async def sent(self, delivery: Delivery, reply: str) -> bool:
        """As the port says."""
        is_mine = self._mark(delivery, DeliveryState.SENT, "sent", reply, sent=self._clock.now())
        if is_mine:
            self._owed[delivery.id].reply = _plain(reply)
        return is_mine

    def reply(self, delivery: uuid.UUID) -> str | None:
        """For tests: what the other side said when it accepted this delivery."""
        return self._owed[delivery].reply

    async def retry(self, delivery: Delivery, error: str, *, delay: float) -> bool:
        """As the port says."""
        not_before = self._clock.now() + round(delay * SECOND)
        marks = {"not_before": not_before, "last_error": _plain(error)}
        return self._mark(delivery, DeliveryState.QUEUED, "retry", error, **marks)

    async def dead(self, delivery: Delivery, error: str) -> bool:
        """As the port says."""
        return self._mark(delivery, DeliveryState.DEAD, "dead", error, last_error=_plain(error))

    async def expire(self, channel: str, targets: Collection[str], *, before: int, error: str) -> int:
        """As the port says."""
        waiting = [owed for owed in self._owed.values() if owed.row.state is DeliveryState.QUEUED]
        late = [one for one in waiting if one.row.channel == channel and one.row.target in targets]
        gone = [owed for owed in late if owed.row.queued < before]
        for owed in gone:
            _change(owed, state=DeliveryState.DEAD, last_error=error)
        return len(gone)

    async def revive(self, delivery: uuid.UUID, *, account: uuid.UUID | None = None) -> None:
        """As the port says; its attempts go on counting."""
        owed = self._owed.get(delivery)
        states = {DeliveryState.DEAD} if account is None else {DeliveryState.DEAD, DeliveryState.SENT}
        if owed is None or owed.row.state not in states or account not in {None, owed.account}:
            raise NotFound(f"there is no dead letter {delivery}")
        owed.token = None
        _change(owed, state=DeliveryState.QUEUED, not_before=self._clock.now())

    async def listing(
        self,
        account: uuid.UUID | None = None,
        *,
        state: DeliveryState | None = None,
        limit: int = 100,
        before: uuid.UUID | None = None,
        signal: uuid.UUID | None = None,
    ) -> Sequence[DeliveryRow]:
        """As the port says."""
        newest = list(reversed(self._owed.values()))
        if before is not None:
            ids = [owed.row.id for owed in newest]
            newest = newest[ids.index(before) + 1 :] if before in ids else []
        wanted = (owed.row for owed in newest if account is None or owed.account == account)
        chosen = (row for row in wanted if signal is None or row.signal_id == signal)
        return [row for row in chosen if state is None or row.state is state][:limit]

    async def get(self, account: uuid.UUID, delivery: uuid.UUID) -> tuple[DeliveryRow, list[Attempt]]:
        """As the port says."""
        owed = self._owed.get(delivery)
        if owed is None or owed.account != account:
            raise NotFound(f"there is no delivery {delivery}")
        return owed.row, owed.tries

    async def counts(self) -> dict[DeliveryState, int]:
        """Every state is there, also with 0."""
        found = dict.fromkeys(DeliveryState, 0)
        for owed in self._owed.values():
            found[owed.row.state] += 1
        return found

    def _mark(self, delivery: Delivery, state: DeliveryState, outcome: str, detail: str, **changes: object) -> bool:
        """A mark made twice under one lease counts as one."""
        owed = self._owed.get(delivery.id)
        if owed is None or owed.token != delivery.token or owed.row.state not in {DeliveryState.SENDING, state}:
            return False
        owed.lease_until = 0
        ended = {"ended": self._clock.now(), "outcome": outcome, "detail": _plain(detail)}
        owed.tries = [*owed.tries[:-1], msgspec.structs.replace(owed.tries[-1], **ended)]
        _change(owed, state=state, **changes)
        return True


def _due(owed: _Owed) -> int:
    return owed.due


def _apart(due: Sequence[_Owed], each: int, skip: Collection[str]) -> list[_Owed]:
    """So many of each target at most, and none of those to skip."""
    seen: Counter[str] = Counter()
    found = []
    for owed in due:
        seen[owed.row.target] += 1
        if owed.row.target not in skip and seen[owed.row.target] <= each:
            found.append(owed)
    return found


def _change(owed: _Owed, **changes: object) -> None:
    owed.row = msgspec.structs.replace(owed.row, **changes)


def _delivery(owed: _Owed, token: uuid.UUID) -> Delivery:
    return Delivery(
        id=owed.row.id,
        account_id=owed.account,
        channel=owed.row.channel,
        target=owed.row.target,
        signal=owed.signal,
        attempts=owed.row.attempts,
        queued=owed.row.queued,
        token=token,
        entry=owed.entry,
    )


def _plain(text: str) -> str:
    return text[:2_000].replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
