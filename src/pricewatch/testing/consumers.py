"""Named consumers in memory."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec

from pricewatch.domain.consumer import Consumer, ConsumerState, Delivered
from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.time import SECOND
from pricewatch.domain.watch import SYSTEM
from pricewatch.ports.clock import Clock
from pricewatch.ports.consumers import Joined, Lot, Settlement, Start, Wish
from pricewatch.ports.journal import FeedLog

_PAGE = 500


class _Pending:
    def __init__(self, attempt: int, lease: int, due: int) -> None:
        self.attempt = attempt
        self.lease = lease
        self.due = due


class _Held:
    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer
        self.lease = self.since_lease = consumer.created
        self.pending: dict[int, _Pending] = {}


class MemoryConsumers:
    """Keeps `ports.consumers.Consumers` over a feed log."""

    def __init__(self, log: FeedLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._held: dict[tuple[uuid.UUID, str], _Held] = {}

    async def join(self, wish: Wish) -> Joined:
        """As the port says."""
        epoch, head, first = await self._place(wish.account, wish.channel)
        held = self._held.get((wish.account, wish.name))
        if held is None:
            return self._make(wish, epoch, _begin(wish.start, epoch, head, first))
        was = held.consumer
        if was.channel != wish.channel:
            raise Invalid("consumer", f"{wish.name!r} is one of the channel {was.channel}; take another name")
        reason = "epoch" if was.epoch != epoch else "expired" if was.seq < first - 1 else None
        seq, wait = min(max(was.seq, first - 1), head), wish.ack_wait or was.ack_wait
        held.consumer = msgspec.structs.replace(was, filter=wish.filter, ack_wait=wait, epoch=epoch, seq=seq)
        lost = [one for one in held.pending if not first <= one <= seq]
        for one in lost:
            del held.pending[one]
        if lost and reason is None:
            reason = "expired"
        held.lease += 1
        return Joined(held.consumer, held.lease, reason is None, reason, len(held.pending))

    async def take(self, joined: Joined, *, limit: int) -> Lot:
        """As the port says."""
        held = self._of(joined.consumer)
        if joined.lease < held.since_lease:
            raise NotFound("the consumer was reset: join it again")
        now, feed = self._clock.now(), _feed(held.consumer)
        due = now + held.consumer.ack_wait
        delivered = []
        for seq in sorted(seq for seq, one in held.pending.items() if one.due <= now)[:limit]:
            pending = held.pending[seq]
            pending.attempt, pending.lease, pending.due = pending.attempt + 1, joined.lease, due
            entry = (await self._log.read(feed, after_seq=seq - 1, limit=1))[0]
            delivered.append(Delivered(entry, pending.attempt, due))
        room, more = limit - len(delivered), len(delivered) == limit
        entries = await self._log.read(feed, after_seq=held.consumer.seq, limit=_PAGE) if room else []
        more = more or len(entries) == _PAGE
        if entries and entries[0].seq != held.consumer.seq + 1:
            raise NotFound("signals expired: join it again")
        for entry in entries:
            if held.consumer.filter.wants(entry.signal):
                if not room:
                    more = True
                    break
                room -= 1
                held.pending[entry.seq] = _Pending(1, joined.lease, due)
                delivered.append(Delivered(entry, 1, due))
            held.consumer = msgspec.structs.replace(held.consumer, seq=entry.seq)
        return Lot(delivered, more, min((one.due for one in held.pending.values()), default=None))

    async def ack(self, joined: Joined, seqs: Sequence[int], *, lease: int, upto: int | None = None) -> Settlement:
        """As the port says."""
        held = self._of(joined.consumer)
        done = _under(held, seqs, lease, upto)
        for seq in done:
            del held.pending[seq]
        lost = sorted({seq for seq in seqs if seq in held.pending or seq > held.consumer.seq})
        return Settlement(len(done) if upto is not None else len(set(seqs) - set(lost)), lost)

    async def delay(
        self, joined: Joined, seqs: Sequence[int], *, lease: int, until: int, release: bool, upto: int | None = None
    ) -> Settlement:
        """As the port says."""
        held = self._of(joined.consumer)
        done = _under(held, seqs, lease, upto)
        for seq in done:
            held.pending[seq].due = until
            held.pending[seq].lease = 0 if release else lease
        return Settlement(len(done), sorted(set(seqs) - set(done)))

    async def leave(self, joined: Joined) -> None:
        """As the port says."""
        held = self._held.get((joined.consumer.account, joined.consumer.name))
        for pending in held.pending.values() if held is not None else ():
            if pending.lease == joined.lease:
                pending.due = pending.lease = 0

    async def listing(self, account: uuid.UUID) -> list[ConsumerState]:
        """As the port says."""
        mine = sorted(name for owner, name in self._held if owner == account)
        return [await self._state(self._held[account, name]) for name in mine]

    async def reset(self, account: uuid.UUID, name: str, start: Start) -> ConsumerState:
        """As the port says."""
        held = self._find(account, name)
        epoch, head, first = await self._place(account, held.consumer.channel)
        seq = _begin(start, epoch, head, first)
        held.consumer = msgspec.structs.replace(held.consumer, epoch=epoch, seq=seq)
        held.pending.clear()
        held.lease += 1
        held.since_lease = held.lease
        return await self._state(held)

    async def delete(self, account: uuid.UUID, name: str) -> None:
        """As the port says."""
        self._find(account, name)
        del self._held[account, name]

    def _make(self, wish: Wish, epoch: int, seq: int) -> Joined:
        if sum(owner == wish.account for owner, _ in self._held) >= 100:
            raise Invalid("consumer", "there are 100 already; delete one: DELETE /api/v1/consumers/{name}")
        consumer = Consumer(
            account=wish.account,
            name=wish.name,
            channel=wish.channel,
            filter=wish.filter,
            ack_wait=wish.ack_wait or 30 * SECOND,
            epoch=epoch,
            seq=seq,
            created=self._clock.now(),
        )
        held = self._held[wish.account, wish.name] = _Held(consumer)
        return Joined(consumer, held.lease, None, None, 0)

    async def _place(self, account: uuid.UUID, channel: str) -> tuple[int, int, int]:
        feed = SYSTEM if channel == "system" else account
        head, oldest = await self._log.head(feed), await self._log.read(feed, after_seq=0, limit=1)
        return head.epoch, head.seq, oldest[0].seq if oldest else head.seq + 1

    async def _state(self, held: _Held) -> ConsumerState:
        now, head = self._clock.now(), await self._log.head(_feed(held.consumer))
        return ConsumerState(
            consumer=held.consumer,
            acknowledged=min(held.pending, default=held.consumer.seq + 1) - 1,
            in_flight=len(held.pending),
            waiting=sum(one.due <= now for one in held.pending.values()),
            redelivered=sum(one.attempt > 1 for one in held.pending.values()),
            behind=max(0, head.seq - held.consumer.seq),
        )

    def _of(self, consumer: Consumer) -> _Held:
        return self._find(consumer.account, consumer.name)

    def _find(self, account: uuid.UUID, name: str) -> _Held:
        held = self._held.get((account, name))
        if held is None:
            raise NotFound(f"there is no consumer {name!r}, or it is not yours")
        return held


def _under(held: _Held, seqs: Sequence[int], lease: int, upto: int | None) -> list[int]:
    return [
        seq
        for seq, one in held.pending.items()
        if one.lease == lease and (seq in seqs or (upto is not None and seq <= upto))
    ]


def _feed(consumer: Consumer) -> uuid.UUID:
    return SYSTEM if consumer.channel == "system" else consumer.account


def _begin(start: Start, epoch: int, head: int, first: int) -> int:
    if start == "newest":
        return head
    if start == "oldest":
        return first - 1
    begin_epoch, seq = start
    if begin_epoch != epoch or not first - 1 <= seq <= head:
        raise Invalid("start", f"{{epoch {begin_epoch}, seq {seq}}} is not in the feed")
    return int(seq)
