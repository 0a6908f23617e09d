"""Batches into their tables: by COPY, redone through a staging table, row by row around a refused one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import asyncpg
import structlog

from pricewatch.domain.errors import ConfigError, Fenced, Unavailable
from pricewatch.domain.time import to_datetime
from pricewatch.store.copyrows import HEADER, QUOTES, TRADES, TRAILER, Table, place, rows
from pricewatch.store.pool import Connection, Database
from pricewatch.store.sql import load

log = structlog.get_logger(__name__)

SQL = load("ticks")
_ABOUT_A_ROW = {"22", "23"}
"""SQLSTATE classes that speak of what is in a row; every other error speaks of the server, and is tried again."""
_TYPE_NAMES = {
    "timestamp with time zone": "timestamptz",
    "bigint": "int8",
    "integer": "int4",
    "double precision": "float8",
    "smallint": "int2",
}


class _Poison(Exception):  # noqa: N818 - never leaves this file
    """The server refuses some row of the batch for what is in it."""


class Reconnected(Exception):  # noqa: N818 - what it is
    """Another server connection than last time: the server may have lost its last moments."""


class Outcome(NamedTuple):
    """What became of a batch."""

    stored: int
    quarantined: int = 0


class Copier:
    """Idempotent: whatever ended in doubt may be put again."""

    def __init__(self, database: Database, write_timeout: float) -> None:
        self._database = database
        self._within = write_timeout
        self._server: int | None = None
        self.fence: tuple[int, int] | None = None
        """Shard and term: rows are written only while that term is in force, where there is one."""

    async def put(self, table: Table, payload: bytes, *, redo: bool) -> Outcome:
        """All rows of one batch; a row the server refuses is left out alone, and counted.

        `redo`: the table most likely has them already. Raises `Unavailable`, `Reconnected` or `Fenced`.
        """
        try:
            return Outcome(await self._call(table, payload, redo=redo))
        except _Poison as exc:
            pieces = list(rows(table, payload))
            if len(pieces) == 1:
                where = place(payload)
                log.warning(
                    "store.quarantined",
                    table=table.name,
                    market=where.market,
                    seen=where.seen,
                    error=str(exc.__cause__),
                )
                return Outcome(0, 1)
        middle = len(pieces) // 2
        first = await self.put(table, b"".join(pieces[:middle]), redo=True)
        second = await self.put(table, b"".join(pieces[middle:]), redo=True)
        return Outcome(first.stored + second.stored, first.quarantined + second.quarantined)

    async def _call(self, table: Table, payload: bytes, *, redo: bool) -> int:
        for _ in range(3):
            try:
                if redo:
                    return await self._database.call(
                        lambda c: self._copy_staged(c, table, payload), within=self._within
                    )
                return await self._database.call(lambda c: self._copy(c, table, payload), within=self._within)
            except asyncpg.UniqueViolationError:
                redo = True
            except asyncpg.CheckViolationError as exc:
                if exc.constraint_name:
                    raise _Poison from exc
                days = sorted({_day(place(row).ts) for row in rows(table, payload)})
                await self._database.fetchval(SQL["make_days"], table.name, days)
                log.info("store.partitions_made", table=table.name, days=days[:10])
            except asyncpg.PostgresError as exc:
                if (exc.sqlstate or "")[:2] in _ABOUT_A_ROW:
                    raise _Poison from exc
                raise Unavailable(f"the server refuses ticks: {exc}") from exc
        raise Unavailable(f"the partitions of {table.name} cannot be made")

    async def _copy(self, connection: Connection, table: Table, payload: bytes) -> int:
        self._same_server(connection)
        if self.fence is None:
            return await _copy_into(connection, table.name, table, payload)
        async with connection.transaction():
            await self._hold(connection)
            return await _copy_into(connection, table.name, table, payload)

    async def _hold(self, connection: Connection) -> None:
        """Whoever takes the shard over waits for the end of this transaction, or ends it."""
        if self.fence is not None and not await connection.fetchval(SQL["hold"], *self.fence):
            raise Fenced(f"shard {self.fence[0]} is another process's: term {self.fence[1]} has ended")

    async def _copy_staged(self, connection: Connection, table: Table, payload: bytes) -> int:
        """How many of the rows the table now holds as ours: put there now, or by an earlier try."""
        self._same_server(connection)
        staged = f"staged_{table.name}"
        identity = table.identity.split(", ")
        same = " AND ".join(f"t.{column} = s.{column}" for column in (*identity, "seen"))
        async with connection.transaction():
            await self._hold(connection)
            await connection.execute(
                f"CREATE TEMP TABLE IF NOT EXISTS {staged} (LIKE {table.name}) ON COMMIT DELETE ROWS;"
                "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off"
            )
            await _copy_into(connection, staged, table, payload)
            columns = ", ".join(table.columns)
            await connection.execute(
                f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {staged} ORDER BY seen "  # noqa: S608 - our own names
                f"ON CONFLICT ({table.identity}) DO NOTHING"
            )
            ours: int = await connection.fetchval(f"SELECT count(*) FROM {staged} s JOIN {table.name} t ON {same}")  # noqa: S608
        return ours

    def _same_server(self, connection: Connection) -> None:
        server = connection.get_server_pid()
        known, self._server = self._server, server
        if known not in {None, server}:
            raise Reconnected

    async def check_types(self) -> None:
        """Raises `ConfigError` when the tables are not those that rows are packed for."""
        for table in (TRADES, QUOTES):
            found = await self._database.fetch(SQL["column_types"], table.name)
            if not found:
                raise ConfigError("the database has no tick tables: run the migrations")
            actual = [(row["attname"], _TYPE_NAMES.get(row["type"], row["type"])) for row in found]
            if actual != list(zip(table.columns, table.types, strict=True)):
                raise ConfigError(f"the table {table.name} has other columns than pricewatch made: {actual}")


async def _copy_into(connection: Connection, name: str, table: Table, payload: bytes) -> int:
    async def source() -> AsyncIterator[bytes]:
        yield HEADER + payload + TRAILER  # one write: the server wakes up once

    tag = await connection.copy_to_table(name, source=source(), columns=table.columns, format="binary")
    return int(tag.rpartition(" ")[2])


def _day(instant: int) -> str:
    return to_datetime(instant).strftime("%Y-%m-%d")
