"""Deliveries owed, in PostgreSQL: claimed with a lease by any number of workers."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence

import msgspec

from pricewatch.domain.errors import NotFound
from pricewatch.domain.signal import FeedEntry, Signal
from pricewatch.domain.time import SECOND
from pricewatch.ports.clock import Clock
from pricewatch.ports.outbox import Attempt, Delivery, DeliveryRow, DeliveryState
from pricewatch.store import sql
from pricewatch.store.pool import Database, Row

_SQL = sql.load("outbox")
_LONGEST = 2_000
_NOTHING_TO_REPEAT = "there is no delivery of yours under this id that was sent or given up"

_decode = msgspec.json.Decoder(Signal).decode


class PostgresOutbox:
    """Keeps `ports.outbox.Outbox`. Longest due first; every attempt is written down when it begins and ends.

    Due times come from the given clock. A mark made twice under one lease counts as one.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def claim(
        self, channel: str, *, limit: int, lease: float, each: int | None = None, skip: Collection[str] = ()
    ) -> list[Delivery]:
        """Never waits for another worker: what that one is claiming is passed over."""
        now = self._clock.now()
        fields = (channel, now, limit, now + round(lease * SECOND), uuid.uuid4())
        if each is None:
            rows = await self._database.fetch(_SQL["claim"], *fields)
        else:
            rows = await self._database.fetch(_SQL["claim_apart"], *fields, each, list(skip))
        return [_delivery(row) for row in rows]

    async def sent(self, delivery: Delivery, reply: str) -> bool:
        """The reply is kept with the delivery and the attempt."""
        return await self._mark("sent", delivery, _plain(reply), self._clock.now())

    async def retry(self, delivery: Delivery, error: str, *, delay: float) -> bool:
        """`delay` counts from now."""
        now = self._clock.now()
        return await self._mark("retry", delivery, _plain(error), now, now + round(delay * SECOND))

    async def dead(self, delivery: Delivery, error: str) -> bool:
        """Stays until revived."""
        return await self._mark("dead", delivery, _plain(error), self._clock.now())

    async def expire(self, channel: str, targets: Collection[str], *, before: int, error: str) -> int:
        """What is being sent just now is left alone."""
        gone: int = await self._database.fetchval(_SQL["expire"], channel, list(targets), before, _plain(error))
        return gone

    async def revive(self, delivery: uuid.UUID, *, account: uuid.UUID | None = None) -> None:
        """Its attempts go on counting; raises `NotFound` for what is no dead letter."""
        if await self._database.fetchval(_SQL["revive"], delivery, self._clock.now(), account) is None:
            raise NotFound(f"there is no dead letter {delivery}" if account is None else _NOTHING_TO_REPEAT)

    async def listing(
        self,
        account: uuid.UUID | None = None,
        *,
        state: DeliveryState | None = None,
        limit: int = 100,
        before: uuid.UUID | None = None,
        signal: uuid.UUID | None = None,
    ) -> Sequence[DeliveryRow]:
        """Newest first; nothing is older than what is not there."""
        rows = await self._database.fetch(_SQL["listing"], account, state and state.value, limit, before, signal)
        return [_row(row) for row in rows]

    async def get(self, account: uuid.UUID, delivery: uuid.UUID) -> tuple[DeliveryRow, list[Attempt]]:
        """Raises `NotFound`."""
        row = await self._database.fetchrow(_SQL["get"], account, delivery)
        if row is None:
            raise NotFound(f"there is no delivery {delivery}")
        attempts = await self._database.fetch(_SQL["attempts"], delivery)
        return _row(row), [
            Attempt(
                attempt=one["attempt"],
                begun=one["begun_at"],
                ended=one["ended_at"],
                outcome=one["outcome"],
                detail=one["detail"],
            )
            for one in attempts
        ]

    async def counts(self) -> dict[DeliveryState, int]:
        """Every state is there, also with 0."""
        found = dict.fromkeys(DeliveryState, 0)
        found.update({DeliveryState(state): count for state, count in await self._database.fetch(_SQL["counts"])})
        return found

    async def _mark(self, query: str, delivery: Delivery, *arguments: object) -> bool:
        marked = await self._database.fetchval(_SQL[query], delivery.id, delivery.token, *arguments)
        return marked is not None


def _delivery(row: Row) -> Delivery:
    signal = _decode(row["payload"])
    entry = None
    if row["seq"] is not None:
        entry = FeedEntry(
            feed=row["feed_id"], epoch=row["epoch"], seq=row["seq"], signal=signal, committed=row["committed_at"]
        )
    return Delivery(
        id=row["id"],
        account_id=row["account_id"],
        channel=row["channel"],
        target=row["target"],
        signal=signal,
        attempts=row["attempts"],
        queued=row["queued_at"],
        token=row["lease_token"],
        entry=entry,
    )


def _row(row: Row) -> DeliveryRow:
    return DeliveryRow(
        id=row["id"],
        signal_id=row["signal_id"],
        channel=row["channel"],
        target=row["target"],
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        queued=row["queued_at"],
        not_before=row["not_before"],
        sent=row["sent_at"],
        last_error=row["last_error"],
    )


def _plain(text: str) -> str:
    """What other servers say, made storable: no NUL, no broken Unicode, no novel."""
    return text[:_LONGEST].replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
