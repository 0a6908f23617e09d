"""A database call that always returns: with its result, its error, or `Unavailable` at the deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg

from pricewatch.domain.errors import Unavailable

T = TypeVar("T")

_AWAY: tuple[type[BaseException], ...] = (
    OSError,  # a TimeoutError is one, too
    asyncpg.PostgresConnectionError,  # 08
    asyncpg.TransactionRollbackError,  # 40: deadlock, serialisation
    asyncpg.InsufficientResourcesError,  # 53: disk full, too many connections
    asyncpg.OperatorInterventionError,  # 57: shutdown, starting up, cancelled
    asyncpg.PostgresSystemError,  # 58
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,
    asyncpg.UndefinedTableError,  # the schema is not in place yet: health is answered before it is
)


def unavailable(error: BaseException, *, closed: bool = False) -> Unavailable | None:
    """What to raise in place of an error that means the database is away; None for every other error.

    `closed`: the connection is gone, so that a complaint of the client library is about that.
    """
    if isinstance(error, _AWAY):
        return Unavailable(_words(error))
    if closed and isinstance(error, asyncpg.InterfaceError) and not isinstance(error, asyncpg.DataError):
        return Unavailable(_words(error))
    return None


async def guard(
    connection: asyncpg.Connection[Any], work: Callable[[asyncpg.Connection[Any]], Awaitable[T]], *, within: float
) -> T:
    """Do `work` on the connection for at most `within` seconds, then cut the connection and raise `Unavailable`.

    A cancelled query waits for the server to confirm, for ever when the network is cut: hence no `asyncio.timeout`.
    """

    async def call() -> T:
        return await work(connection)

    task = asyncio.create_task(call(), name="database call")  # noqa: TID251 - waited for below, whatever happens
    try:
        done, _ = await asyncio.wait({task}, timeout=within)
    except asyncio.CancelledError:
        await _abandon(connection, task)
        raise
    if not done:
        await _abandon(connection, task)
        raise Unavailable(f"no answer from the database within {within:g} s")
    try:
        return task.result()
    except Exception as exc:
        if (away := unavailable(exc, closed=gone(connection))) is not None:
            raise away from exc
        raise


async def guard_held(
    connection: asyncpg.Connection[Any], work: Callable[[asyncpg.Connection[Any]], Awaitable[T]], *, within: float
) -> T:
    """As `guard`, in the caller's own task, for a connection that is given up after any error.

    Cutting the connection ends whatever waits for it, so neither a task of its own nor its turns of the loop are
    needed: `work` must wait for nothing but the connection.
    """
    expired: list[bool] = []

    def expire() -> None:
        expired.append(True)
        connection.terminate()

    timer = asyncio.get_running_loop().call_later(within, expire)
    try:
        return await work(connection)
    except asyncio.CancelledError:
        if not gone(connection):
            connection.terminate()
        raise
    except Exception as exc:
        if expired:
            raise Unavailable(f"no answer from the database within {within:g} s") from exc
        if (away := unavailable(exc, closed=gone(connection))) is not None:
            raise away from exc
        raise
    finally:
        timer.cancel()


async def _abandon(connection: asyncpg.Connection[Any], task: asyncio.Task[Any]) -> None:
    if not gone(connection):
        connection.terminate()
    task.cancel()
    await asyncio.wait({task}, timeout=1.0)
    if task.done() and not task.cancelled():
        task.exception()  # looked at, so that nobody complains that nobody did


def gone(connection: asyncpg.Connection[Any]) -> bool:
    """Whether it is closed; also true of a pool's connection that the pool took back when it broke."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
