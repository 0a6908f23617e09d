"""All that is stored of one account: counted, read out, erased."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from pricewatch.domain.account import Account
from pricewatch.domain.errors import NotFound
from pricewatch.domain.time import rfc3339
from pricewatch.ports.clock import Clock
from pricewatch.ports.records import Holdings
from pricewatch.store import sql
from pricewatch.store.accounts import PostgresAccounts, keep_one_admin
from pricewatch.store.pool import Connection, Database, Row

_SQL = sql.load("dossiers")
_RECORDS = sql.load("records")
_PAGE = 500
_NOBODY = uuid.UUID(int=0)
_EVER = 2**62
_INSTANTS = frozenset({"created", "committed", "queued", "sent", "acknowledged", "changed", "at", "disabled"})
_TEXTS = frozenset({"document", "payload", "detail"})

Cursor = tuple[Any, ...]


class PostgresDossiers:
    """Keeps `ports.records.Dossiers`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._accounts = PostgresAccounts(database, clock)

    async def holdings(self, account: uuid.UUID) -> Holdings:
        """Three counts."""
        row = await self._database.fetchrow(_SQL["holdings"], account)
        return Holdings(*row) if row is not None else Holdings(0, 0, 0)

    async def export(self, account: Account) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Page by page: what is written meanwhile may or may not be in it."""
        created = rfc3339(account.created)
        yield "account", {**msgspec.to_builtins(account), "created": created}
        for key in await self._accounts.keys(account.id):
            yield "key", {"id": str(key.id), "prefix": key.prefix, "title": key.title, "created": rfc3339(key.created)}
        for row in await self._database.fetch(_RECORDS["page_of_watchlists"], account.id, None, _EVER):
            yield "watchlist", _document(row)
        for row in await self._database.fetch(_SQL["webhooks"], account.id):
            yield "webhook", _document(row)
        sections: tuple[tuple[str, str, Cursor, Callable[[Row], Cursor]], ...] = (
            ("rule", "rule_versions", (_NOBODY, 0), lambda row: (row["rule_id"], row["version"])),
            ("signal", "signals", (0,), lambda row: (row["seq"],)),
            ("verdict", "verdicts", (_NOBODY,), lambda row: (row["signal_id"],)),
            ("delivery", "deliveries", (0,), lambda row: (row["number"],)),
        )
        for kind, query, start, place in sections:
            async for row in self._pages(query, account.id, start, place):
                yield kind, _document(row)
        before = _EVER
        while rows := await self._database.fetch(_RECORDS["audit_page"], account.id, before, _PAGE):
            for row in rows:
                yield "audit", _document(row)
            before = rows[-1]["number"]

    async def _pages(
        self, query: str, account: uuid.UUID, start: Cursor, place: Callable[[Row], Cursor]
    ) -> AsyncIterator[Row]:
        while rows := await self._database.fetch(_SQL[query], account, *start, _PAGE):
            for row in rows:
                yield row
            start = place(rows[-1])

    async def erase(self, account: uuid.UUID, *, by: uuid.UUID | None = None) -> None:
        """One transaction."""

        async def work(connection: Connection) -> object:
            await keep_one_admin(connection, account, "id")
            return await connection.fetchval(_SQL["erase"], account, self._clock.now(), by)

        if await self._database.transaction(work, within=60.0) is None:
            raise NotFound(f"there is no account {account}")


def _document(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name in _INSTANTS and value is not None:
            found[name] = rfc3339(value)
        elif name in _TEXTS and isinstance(value, str):
            found[name] = msgspec.Raw(value.encode())
        elif isinstance(value, uuid.UUID):
            found[name] = str(value)
        else:
            found[name] = value
    return found
