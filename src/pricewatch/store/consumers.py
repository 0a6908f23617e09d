"""Named consumers in PostgreSQL: each change is one transaction under the lock of the consumer's row."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec

from pricewatch.domain.consumer import Consumer, ConsumerState, Delivered, Filter
from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.signal import FeedEntry, Signal
from pricewatch.domain.time import SECOND
from pricewatch.domain.watch import SYSTEM
from pricewatch.ports.clock import Clock
from pricewatch.ports.consumers import Joined, Lot, Settlement, Start, Wish
from pricewatch.store import sql
from pricewatch.store.pool import Connection, Database, Row

_SQL = sql.load("consumers")
_LOG = sql.load("feedlog")
_PAGE = 500
_MOST = 100
_ACK_WAIT = 30 * SECOND

_signal = msgspec.json.Decoder(Signal).decode
_filter = msgspec.json.Decoder(Filter).decode


class PostgresConsumers:
    """Keeps `ports.consumers.Consumers`. Due times come from the given clock."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def join(self, wish: Wish) -> Joined:
        """A hundred consumers an account; 30 s to acknowledge where nothing else is asked."""

        async def work(connection: Connection) -> Joined:
            epoch, head, first = await self._place(connection, wish.account, wish.channel)
            row = await connection.fetchrow(_SQL["locked"], wish.account, wish.name)
            if row is None and await self._create(connection, wish, epoch, _begin(wish.start, epoch, head, first)):
                row = await self._locked(connection, wish.account, wish.name)
                return Joined(_consumer(row), row["lease"], None, None, 0)
            row = row or await self._locked(connection, wish.account, wish.name)  # made meanwhile
            if row["channel"] != wish.channel:
                raise Invalid("consumer", f"{wish.name!r} is one of the channel {row['channel']}; take another name")
            reason = "epoch" if row["epoch"] != epoch else "expired" if row["seq"] < first - 1 else None
            seq = min(max(row["seq"], first - 1), head)
            wait = row["ack_wait"] if wish.ack_wait is None else wish.ack_wait
            lease = row["lease"] + 1
            kept = msgspec.json.encode(wish.filter)
            await connection.execute(_SQL["rejoin"], wish.account, wish.name, kept, wait, epoch, seq, lease)
            lost = await connection.execute(_SQL["drop_lost"], wish.account, wish.name, first, seq)
            if reason is None and lost != "DELETE 0":
                reason = "expired"
            flying = await connection.fetchval(_SQL["in_flight"], wish.account, wish.name)
            consumer = msgspec.structs.replace(_consumer(row), filter=wish.filter, ack_wait=wait, epoch=epoch, seq=seq)
            return Joined(consumer, lease, reason is None, reason, flying)

        return await self._database.transaction(work)

    async def take(self, joined: Joined, *, limit: int) -> Lot:
        """Looks through at most 500 places of the feed at once."""
        account, name = joined.consumer.account, joined.consumer.name

        async def work(connection: Connection) -> Lot:
            row = await self._locked(connection, account, name)
            if joined.lease < row["since_lease"]:
                raise NotFound(f"the consumer {name!r} was reset: join it again")
            consumer, now = _consumer(row), self._clock.now()
            feed, due = _feed(account, consumer.channel), now + consumer.ack_wait
            again = await connection.fetch(_SQL["redeliver"], account, name, now, limit, joined.lease, due, feed)
            delivered = [Delivered(_entry(one), one["attempt"], due) for one in again]
            room = limit - len(delivered)
            rows = await connection.fetch(_LOG["read"], feed, consumer.seq, _PAGE) if room > 0 else []
            if rows and rows[0]["seq"] != consumer.seq + 1:
                raise NotFound(f"signals expired before the consumer {name!r} came to them: join it again")
            seq, fresh = _choose([_entry(one) for one in rows], consumer.filter, room, consumer.seq)
            if fresh:
                seqs = [entry.seq for entry in fresh]
                await connection.execute(_SQL["deliver"], account, name, seqs, joined.lease, due)
                delivered.extend(Delivered(entry, 1, due) for entry in fresh)
            if seq != consumer.seq:
                await connection.execute(_SQL["move"], account, name, seq)
            more = len(again) == limit or bool(rows and (seq < rows[-1]["seq"] or len(rows) == _PAGE))
            return Lot(delivered, more, await connection.fetchval(_SQL["next_due"], account, name))

        return await self._database.transaction(work)

    async def ack(self, joined: Joined, seqs: Sequence[int], *, lease: int, upto: int | None = None) -> Settlement:
        """Repeating it changes nothing."""
        account, name = joined.consumer.account, joined.consumer.name

        async def work(connection: Connection) -> Settlement:
            row = await self._locked(connection, account, name)
            done = await connection.fetch(_SQL["ack"], account, name, seqs, lease, upto)
            held = await connection.fetch(_SQL["still_held"], account, name, seqs)
            lost = sorted({one["seq"] for one in held} | {seq for seq in seqs if seq > row["seq"]})
            return Settlement(len(set(seqs) - set(lost)) if upto is None else len(done), lost)

        return await self._database.transaction(work)

    async def delay(
        self, joined: Joined, seqs: Sequence[int], *, lease: int, until: int, release: bool, upto: int | None = None
    ) -> Settlement:
        """What was acknowledged before is among the lost."""
        account, name = joined.consumer.account, joined.consumer.name

        async def work(connection: Connection) -> Settlement:
            await self._locked(connection, account, name)
            done = await connection.fetch(_SQL["delay"], account, name, seqs, lease, upto, until, release)
            found = {one["seq"] for one in done}
            return Settlement(len(found), sorted(set(seqs) - found))

        return await self._database.transaction(work)

    async def leave(self, joined: Joined) -> None:
        """Nothing happens where there is no such consumer any more."""
        await self._database.execute(_SQL["leave"], joined.consumer.account, joined.consumer.name, joined.lease)

    async def listing(self, account: uuid.UUID) -> list[ConsumerState]:
        """By name."""
        rows = await self._database.fetch(_SQL["states"], account, None, SYSTEM, self._clock.now())
        return [_state(row) for row in rows]

    async def reset(self, account: uuid.UUID, name: str, start: Start) -> ConsumerState:
        """Connections that had joined it are told to join again."""

        async def work(connection: Connection) -> ConsumerState:
            row = await self._locked(connection, account, name)
            epoch, head, first = await self._place(connection, account, row["channel"])
            seq = _begin(start, epoch, head, first)
            await connection.execute(_SQL["clear"], account, name)
            await connection.execute(_SQL["restart"], account, name, epoch, seq)
            rows = await connection.fetch(_SQL["states"], account, name, SYSTEM, self._clock.now())
            return _state(rows[0])

        return await self._database.transaction(work)

    async def delete(self, account: uuid.UUID, name: str) -> None:
        """With all it holds."""
        if await self._database.fetchval(_SQL["delete"], account, name) is None:
            raise _missing(name)

    async def _create(self, connection: Connection, wish: Wish, epoch: int, seq: int) -> bool:
        """False when another connection made it at the same time."""
        if await connection.fetchval(_SQL["count"], wish.account) >= _MOST:
            raise Invalid("consumer", f"there are {_MOST} already; delete one: DELETE /api/v1/consumers/{{name}}")
        kept, wait = msgspec.json.encode(wish.filter), wish.ack_wait or _ACK_WAIT
        tag = await connection.execute(
            _SQL["create"], wish.account, wish.name, wish.channel, kept, wait, epoch, seq, self._clock.now()
        )
        return tag == "INSERT 0 1"

    async def _place(self, connection: Connection, account: uuid.UUID, channel: str) -> tuple[int, int, int]:
        """Epoch, newest and first place of the feed."""
        row = await connection.fetchrow(_SQL["place"], _feed(account, channel))
        if row is None:
            raise NotFound(f"there is no account {account}")
        return row["epoch"], row["seq"], row["first"]

    async def _locked(self, connection: Connection, account: uuid.UUID, name: str) -> Row:
        row: Row | None = await connection.fetchrow(_SQL["locked"], account, name)
        if row is None:
            raise _missing(name)
        return row


def _missing(name: str) -> NotFound:
    return NotFound(f"there is no consumer {name!r}, or it is not yours")


def _feed(account: uuid.UUID, channel: str) -> uuid.UUID:
    return SYSTEM if channel == "system" else account


def _begin(start: Start, epoch: int, head: int, first: int) -> int:
    """The last place that is left out."""
    if start == "newest":
        return head
    if start == "oldest":
        return first - 1
    begin_epoch, seq = start
    if begin_epoch != epoch or not first - 1 <= seq <= head:
        raise Invalid(
            "start", f"{{epoch {begin_epoch}, seq {seq}}} is not in the feed: it has epoch {epoch}, {first} to {head}"
        )
    return int(seq)


def _choose(entries: Sequence[FeedEntry], kept: Filter, room: int, seq: int) -> tuple[int, list[FeedEntry]]:
    """The first `room` wanted entries, and the last place looked at."""
    fresh: list[FeedEntry] = []
    for entry in entries:
        if kept.wants(entry.signal):
            if len(fresh) == room:
                break
            fresh.append(entry)
        seq = entry.seq
    return seq, fresh


def _entry(row: Row) -> FeedEntry:
    feed, epoch, seq, payload, committed = row[:5]
    return FeedEntry(feed=feed, epoch=epoch, seq=seq, signal=_signal(payload), committed=committed)


def _consumer(row: Row) -> Consumer:
    return Consumer(
        account=row["account_id"],
        name=row["name"],
        channel=row["channel"],
        filter=_filter(row["filter"]),
        ack_wait=row["ack_wait"],
        epoch=row["epoch"],
        seq=row["seq"],
        created=row["created"],
    )


def _state(row: Row) -> ConsumerState:
    return ConsumerState(
        consumer=_consumer(row),
        acknowledged=row["seq"] if row["first"] is None else row["first"] - 1,
        in_flight=row["flying"],
        waiting=row["ripe"],
        redelivered=row["again"],
        behind=max(0, row["head"] - row["seq"]),
    )
