"""The database as the store's keepers use it: a pool behind a guard, up or down."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

import asyncpg
import structlog

from pricewatch.domain.errors import ConfigError, Unavailable
from pricewatch.store.copyrows import EPOCH_2000
from pricewatch.store.guard import gone, guard, guard_held, unavailable
from pricewatch.store.settings import StoreSettings
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)

Connection: TypeAlias = "asyncpg.Connection[Any]"
Row = asyncpg.Record
T = TypeVar("T")


class Database:
    """Calls return, fail, or raise `Unavailable` within their time; the pool recovers by itself.

    Opening makes no connection: a service starts while its database is down, and `trouble` says why.
    """

    name = "database"

    def __init__(
        self,
        url: str,
        settings: StoreSettings | None = None,
        *,
        size: int | None = None,
        ticks: bool = False,
        by_index: bool = False,
    ) -> None:
        self._settings = settings or StoreSettings()
        self._url = url
        self._size = size or self._settings.pool_size
        self._ticks = ticks
        self._by_index = by_index
        self._where = _where(url)
        self._pool: asyncpg.Pool[Any] | None = None
        self._trouble: str | None = None
        self._calls = 0
        self._failures = 0

    async def open(self) -> None:
        """Make the pool; raises `ConfigError` for a URL that can never work."""
        parameters = {
            "application_name": "pricewatch",
            "idle_in_transaction_session_timeout": str(int(self._settings.idle_in_transaction * 1000)),
            "timezone": "UTC",
            "jit": "off",
            "max_parallel_workers_per_gather": "0",  # no report takes every core from the trades
        }
        if self._ticks:
            parameters["synchronous_commit"] = "off"
        if self._by_index:
            parameters["enable_seqscan"] = "off"
        try:
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=0,
                max_size=self._size,
                max_inactive_connection_lifetime=300,
                timeout=self._settings.connect_timeout,
                server_settings=parameters,
                init=_instants if self._ticks else None,
                reset=_roll_back,
            )
        except (ValueError, asyncpg.InterfaceError) as exc:
            raise ConfigError(f"database.url ({self._where}) cannot be used: {exc}") from exc

    def for_ticks(self, size: int, *, by_index: bool = False) -> Database:
        """A pool of its own on the same database, still to be opened.

        Its commits do not wait for the disk, and a timestamptz there is our integer of microseconds, both ways. With
        `by_index` nothing there reads whole tables: of fresh rows there are no statistics, and the planner would.
        """
        return Database(self._url, self._settings, size=size, ticks=True, by_index=by_index)

    def alone(self) -> Line:
        """One connection of its own on the same database, still to be opened, for what must not wait for others."""
        return Line(self._url, self._settings)

    async def close(self) -> None:
        """Close every connection, by force where one does not go; doing so twice is fine."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(2):
                await pool.close()
        except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as exc:
            log.warning("database.close_forced", error=str(exc))
            pool.terminate()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self) -> None:
        """Probe, so that `trouble` is true without traffic, until cancelled."""
        while True:
            with contextlib.suppress(Unavailable):
                await self.fetchval("SELECT 1")
            await asyncio.sleep(self._settings.probe_interval)

    async def call(self, work: Callable[[Connection], Awaitable[T]], *, within: float | None = None) -> T:
        """Do `work` on one connection, in at most `within` seconds (the setting's when None).

        Raises `Unavailable` when the database is away or slow: what was done is then unknown. Raises
        `ConfigError` when it refuses the login. Errors of SQL and data come as asyncpg raises them.
        """
        self._calls += 1
        try:
            result = await self._do(work, within or self._settings.call_timeout)
        except Unavailable as exc:
            self._failed(exc)
            raise
        if self._trouble is not None:
            log.info("database.back", where=self._where)
            self._trouble = None
        return result

    async def transaction(self, work: Callable[[Connection], Awaitable[T]], *, within: float | None = None) -> T:
        """As `call`, in one transaction."""

        async def whole(connection: Connection) -> T:
            async with connection.transaction():
                return await work(connection)

        return await self.call(whole, within=within)

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        """All rows."""
        return await self.call(lambda connection: connection.fetch(sql, *args))

    async def fetchrow(self, sql: str, *args: object) -> Row | None:
        """The first row."""
        return await self.call(lambda connection: connection.fetchrow(sql, *args))

    async def fetchval(self, sql: str, *args: object) -> Any:
        """The first row's first column."""
        return await self.call(lambda connection: connection.fetchval(sql, *args))

    async def execute(self, sql: str, *args: object) -> str:
        """The command tag, as `UPDATE 3`."""
        return await self.call(lambda connection: connection.execute(sql, *args))

    async def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """One statement for many rows, all or none."""
        await self.call(lambda connection: connection.executemany(sql, rows))

    def status(self) -> Mapping[str, Any]:
        """JSON-ready facts, without the password."""
        return {"where": self._where, "connections": self._pool.get_size() if self._pool is not None else 0}

    def trouble(self) -> str | None:
        """Why the last call did not get through."""
        return self._trouble

    def samples(self) -> Iterable[Sample]:
        """Counters."""
        yield Sample("calls", self._calls, help="Calls made")
        yield Sample("failures", self._failures, help="Calls that found the database away or too slow")

    async def _do(self, work: Callable[[Connection], Awaitable[T]], within: float) -> T:
        async with self._connection() as connection:
            return await guard(connection, work, within=within)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        pool = self._pool
        if pool is None:
            raise Unavailable("the database is closed")
        connection = await self._acquire(pool)
        try:
            yield connection
        finally:
            await _release(pool, connection)

    async def _acquire(self, pool: asyncpg.Pool[Any]) -> Any:
        try:
            return await pool.acquire(timeout=self._settings.connect_timeout)
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as exc:
            self._trouble = f"{self._where} refuses us: {exc}"
            raise ConfigError(f"database.url ({self._where}) is refused by the server: {exc}") from exc
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as exc:
            away = unavailable(exc, closed=True)
            if away is None:
                raise
            if pool.get_idle_size() == 0 and pool.get_size() >= self._size:
                away = Unavailable(f"all {self._size} connections are busy")
            raise away from exc

    def _failed(self, error: Unavailable) -> None:
        self._failures += 1
        if self._trouble is None:
            log.warning("database.lost", where=self._where, error=str(error))
        self._trouble = f"{self._where}: {error}"


class Line(Database):
    """One connection, held: a call takes it without asking the pool, and its answer comes in one turn of the loop.

    Calls wait for each other. After any error the connection goes back to the pool, which makes it clean or new.
    """

    def __init__(self, url: str, settings: StoreSettings | None = None) -> None:
        super().__init__(url, settings, size=1)
        self._turn = asyncio.Lock()
        self._held: Any = None

    async def close(self) -> None:
        """As the pool's; what is under way is not waited for."""
        await self._give_back()
        await super().close()

    async def _do(self, work: Callable[[Connection], Awaitable[T]], within: float) -> T:
        async with self._turn:
            connection = await self._take()
            try:
                return await guard_held(connection, work, within=within)
            except BaseException:
                await self._give_back()
                raise

    async def _take(self) -> Connection:
        pool = self._pool
        if pool is None:
            raise Unavailable("the database is closed")
        if self._held is not None and gone(self._held):
            await self._give_back()
        if self._held is None:
            self._held = await self._acquire(pool)
        held: Connection = self._held
        return held

    async def _give_back(self) -> None:
        held, self._held = self._held, None
        if held is not None and self._pool is not None:
            await _release(self._pool, held)


async def _release(pool: asyncpg.Pool[Any], connection: Any) -> None:
    """Give it back; one that does not come clean within its time is cut."""
    try:
        await pool.release(connection, timeout=2)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as exc:
        log.debug("database.release_failed", error=str(exc))


async def _roll_back(connection: Connection) -> None:
    """What the pool does with a connection that comes back: nothing, in nearly every case."""
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")


async def _instants(connection: Connection) -> None:
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        encoder=lambda instant: (instant - EPOCH_2000,),
        decoder=lambda parts: parts[0] + EPOCH_2000,
        format="tuple",
    )


def _where(url: str) -> str:
    """The URL without its password; raises `ConfigError` for what is no such URL."""
    example = "write for example postgresql://user:password@host:5432/pricewatch"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as exc:
        raise ConfigError(f"database.url is no URL: {exc}; {example}") from exc
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ConfigError(f"database.url begins with {url.partition(':')[0][:20]!r}; {example}")
    query = f"?{parts.query}" if parts.query.startswith("host=") and "password" not in parts.query else ""
    user = f"{parts.username}@" if parts.username else ""
    return f"{user}{parts.netloc.rpartition('@')[2]}{parts.path}{query}"
