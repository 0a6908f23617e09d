"""The audit log, watchlists, words on signals and repeatable answers in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.signal import Signal
from pricewatch.domain.time import DAY, MINUTE
from pricewatch.ports.clock import Clock
from pricewatch.ports.records import Answer, AuditEntry, Begun, Feedback, Records, Verdict, Watchlist
from pricewatch.store import sql
from pricewatch.store.accounts import check_text
from pricewatch.store.dossiers import PostgresDossiers
from pricewatch.store.pool import Database, Row
from pricewatch.store.sessions import PostgresSessions

_SQL = sql.load("records")
_EVER = 2**62


def postgres_records(database: Database, clock: Clock) -> Records:
    """Every keeper of `ports.records` over one database."""
    sessions = PostgresSessions(database, clock)
    return Records(
        sessions=sessions,
        tickets=sessions,
        audit=PostgresAuditLog(database),
        watchlists=PostgresWatchlists(database, clock),
        verdicts=PostgresVerdicts(database, clock),
        repeats=PostgresRepeats(database, clock),
        dossiers=PostgresDossiers(database, clock),
        trials=PostgresTrials(database, clock),
    )


class PostgresAuditLog:
    """Keeps `ports.records.AuditLog`; the table refuses to change or lose a row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(
        self,
        action: str,
        target: str,
        *,
        at: int,
        by: uuid.UUID | None,
        account: uuid.UUID | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """One row."""
        text = msgspec.json.encode(detail or {}).decode()
        await self._database.execute(_SQL["note"], at, by, account, action, target, text)

    async def page(
        self, account: uuid.UUID | None = None, *, before: int | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        """Newest first."""
        rows = await self._database.fetch(_SQL["audit_page"], account, _EVER if before is None else before, limit)
        return [
            AuditEntry(
                number=row["number"],
                at=row["at"],
                actor=row["actor"],
                account=row["account_id"],
                action=row["action"],
                target=row["target"],
                detail=msgspec.json.decode(row["detail"]),
            )
            for row in rows
        ]


class PostgresWatchlists:
    """Keeps `ports.records.Watchlists`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, account: uuid.UUID, name: str, symbols: Sequence[str]) -> Watchlist:
        """Raises `NotFound` for an unknown account."""
        check_text("name", name)
        fields = (uuid.uuid4(), account, name, list(symbols), self._clock.now())
        try:
            row = await self._database.fetchrow(_SQL["create_watchlist"], *fields)
        except asyncpg.ForeignKeyViolationError as exc:
            raise NotFound(f"there is no account {account}") from exc
        if row is None:
            raise _taken(name)
        return _watchlist(row)

    async def change(self, account: uuid.UUID, watchlist: uuid.UUID, name: str, symbols: Sequence[str]) -> Watchlist:
        """Both are replaced."""
        check_text("name", name)
        fields = (account, watchlist, name, list(symbols), self._clock.now())
        try:
            row = await self._database.fetchrow(_SQL["change_watchlist"], *fields)
        except asyncpg.UniqueViolationError as exc:
            raise _taken(name) from exc
        return _found(row, watchlist)

    async def get(self, account: uuid.UUID, watchlist: uuid.UUID) -> Watchlist:
        """Raises `NotFound`."""
        return _found(await self._database.fetchrow(_SQL["get_watchlist"], account, watchlist), watchlist)

    async def find(self, account: uuid.UUID, name: str) -> Watchlist | None:
        """None also for what can be no name."""
        if not name.isprintable():
            return None
        row = await self._database.fetchrow(_SQL["find_watchlist"], account, name)
        return None if row is None else _watchlist(row)

    async def page(self, account: uuid.UUID, *, after: uuid.UUID | None = None, limit: int = 100) -> list[Watchlist]:
        """In order of id."""
        rows = await self._database.fetch(_SQL["page_of_watchlists"], account, after, limit)
        return [_watchlist(row) for row in rows]

    async def delete(self, account: uuid.UUID, watchlist: uuid.UUID) -> None:
        """Raises `NotFound`, also the second time."""
        if await self._database.fetchval(_SQL["delete_watchlist"], account, watchlist) is None:
            raise NotFound(f"there is no watchlist {watchlist}")


class PostgresVerdicts:
    """Keeps `ports.records.Verdicts`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def acknowledge(self, account: uuid.UUID, signal: uuid.UUID) -> Verdict:
        """The first time counts."""
        row = await self._database.fetchrow(_SQL["acknowledge"], account, signal, self._clock.now())
        return _verdict(row, signal)

    async def judge(self, account: uuid.UUID, signal: uuid.UUID, feedback: Feedback | None) -> Verdict:
        """The last word counts."""
        word = feedback.value if feedback is not None else None
        return _verdict(await self._database.fetchrow(_SQL["judge"], account, signal, self._clock.now(), word), signal)

    async def get(self, account: uuid.UUID, signal: uuid.UUID) -> Verdict:
        """Empty where nothing was said."""
        return _verdict(await self._database.fetchrow(_SQL["get_verdict"], account, signal), signal)


class PostgresRepeats:
    """Keeps `ports.records.Repeats`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, account: uuid.UUID, key: str, fingerprint: bytes) -> Answer | Begun:
        """Of several at the same time one gets `NOW`."""
        now = self._clock.now()
        fields = (account, key, fingerprint, now, now - MINUTE, now - DAY)
        if await self._database.fetchval(_SQL["begin_repeatable"], *fields):
            return Begun.NOW
        row = await self._database.fetchrow(_SQL["get_repeatable"], account, key)
        if row is None:  # abandoned in this very moment: the client's next try does it
            return Begun.RUNNING
        if row["fingerprint"] != fingerprint:
            return Begun.OTHER
        return Begun.RUNNING if row["status"] is None else Answer(row["status"], row["answer"])

    async def finish(self, account: uuid.UUID, key: str, answer: Answer) -> None:
        """Kept until forgotten."""
        await self._database.execute(_SQL["finish_repeatable"], account, key, answer.status, answer.body)

    async def abandon(self, account: uuid.UUID, key: str) -> None:
        """An answer that is there stays."""
        await self._database.execute(_SQL["abandon_repeatable"], account, key)

    async def forget(self, before: int) -> None:
        """What began earlier goes."""
        await self._database.execute(_SQL["forget_repeatable"], before)


class PostgresTrials:
    """Keeps `ports.records.Trials`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def owe(self, signal: Signal) -> None:
        """The signal and what is owed are one statement."""
        await self._database.execute(
            _SQL["owe_trial"],
            *(signal.id, signal.account_id, signal.rule_id, signal.rule_version, signal.market),
            *(signal.direction.value, signal.at, signal.seen, msgspec.json.encode(signal)),
            *(self._clock.now(), list(signal.channels)),
        )


def _taken(name: str) -> Invalid:
    return Invalid("name", f"{name!r} is taken by another watchlist of yours")


def _found(row: Row | None, watchlist: uuid.UUID) -> Watchlist:
    if row is None:
        raise NotFound(f"there is no watchlist {watchlist}")
    return _watchlist(row)


def _watchlist(row: Row) -> Watchlist:
    return Watchlist(
        id=row["id"],
        account_id=row["account_id"],
        name=row["name"],
        symbols=tuple(row["symbols"]),
        created=row["created"],
        changed=row["changed"],
    )


def _verdict(row: Row | None, signal: uuid.UUID) -> Verdict:
    if row is None:
        return Verdict(signal_id=signal)
    word = row["feedback"]
    return Verdict(signal_id=signal, acknowledged=row["acknowledged"], feedback=Feedback(word) if word else None)
