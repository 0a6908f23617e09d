"""Keeps the tick tables in shape: candles brought up to date, partitions made ahead, expired data dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import asyncpg
import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.time import DAY, HOUR, MINUTE, SECOND, rfc3339, to_datetime
from pricewatch.ports.clock import Clock
from pricewatch.store.copyrows import QUOTES, TRADES
from pricewatch.store.pool import Database
from pricewatch.store.settings import TickSettings
from pricewatch.store.sql import load
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)

SQL = load("ticks")

_PATIENCE = 120.0
_POLICY_REACH = 7 * DAY
"""How far back TimescaleDB refreshes the candles by itself."""


class Stored(Protocol):
    """Who knows what has been stored since the last look: the writer."""

    def take_earliest(self) -> int | None:
        """The earliest `seen` among the trades stored since the last call."""
        ...


class Maintenance:
    """Runs until cancelled; what fails because the database is away is done the next time."""

    name = "maintenance"

    def __init__(self, database: Database, settings: TickSettings, clock: Clock, stored: Stored | None = None) -> None:
        """Opens a small pool of its own on `database` for as long as it runs."""
        self._database = database.for_ticks(2)
        self._settings = settings
        self._clock = clock
        self._stored = stored
        self._earliest: int | None = None
        self._plain: bool | None = None
        self._troubles: dict[str, str] = {}
        self.rollups = self.dropped = 0

    async def run(self) -> None:
        """Roll up every `rollup_interval`, look at the partitions every `partition_interval`."""
        async with self._database, asyncio.TaskGroup() as group:
            group.create_task(self._rollup_loop(), name="maintenance.rollup")
            group.create_task(self._partition_loop(), name="maintenance.partitions")

    async def catch_up(self) -> None:
        """Roll up once, for who does not `run`; raises `Unavailable`."""
        async with self._database:
            await self.rollup()

    async def rollup(self) -> None:
        """Bring the candles up to every trade stored so far; raises `Unavailable`."""
        await self._lower_cursor()
        await self._value("summarize")
        cursor: int = await self._value("candle_cursor")
        since = cursor - int(self._settings.rollup_overlap * SECOND)
        reached: int = await self._value("newest_seen", since) or cursor
        while since < reached:
            until = min(since + HOUR, reached)
            minutes = [row["minute"] for row in await self._rows("touched_minutes", since, until)]
            for begin, end in _ranges(minutes):
                await self._refresh(begin, end)
            since = until if minutes or until == reached else await self._value("next_seen", until) - 1
        if reached > cursor:
            await self._database.execute(SQL["move_candle_cursor"], cursor, reached)
        self.rollups += 1

    async def partitions(self) -> None:
        """Make today's and tomorrow's partitions, drop those that have expired; raises `Unavailable`."""
        now = self._clock.now()
        days = [rfc3339(now + ahead * DAY)[:10] for ahead in (0, 1)]
        for table, keep in ((TRADES, self._settings.trade_keep), (QUOTES, self._settings.quote_keep)):
            await self._value("make_days", table.name, days)
            dropped: int = await self._value("drop_days", table.name, now - int(keep * SECOND))
            if dropped:
                log.info("maintenance.dropped", table=table.name, partitions=dropped)
                self.dropped += dropped

    def status(self) -> Mapping[str, Any]:
        """JSON-ready facts."""
        return {"rollups": self.rollups, "partitions_dropped": self.dropped}

    def trouble(self) -> str | None:
        """Why it could not do its work the last time."""
        return next(iter(self._troubles.values()), None)

    def samples(self) -> Iterable[Sample]:
        """Counters."""
        yield Sample("rollups", self.rollups, help="Updates of the candle tables")
        yield Sample("partitions_dropped", self.dropped, help="Expired partitions dropped")

    async def _rollup_loop(self) -> None:
        while True:
            try:
                await self.rollup()
            except Unavailable as exc:
                self._failed("rollup", exc)
            else:
                self._done("rollup")
            await asyncio.sleep(self._settings.rollup_interval)

    async def _partition_loop(self) -> None:
        while True:
            wait = self._settings.partition_interval
            try:
                await self.partitions()
            except Unavailable as exc:
                self._failed("partitions", exc)
                wait = min(wait, 10.0)
            else:
                self._done("partitions")
            await asyncio.sleep(wait)

    def _failed(self, task: str, error: Exception) -> None:
        if task not in self._troubles:
            log.warning("maintenance.lost", task=task, error=str(error))
        self._troubles[task] = f"{task}: {error}"

    def _done(self, task: str) -> None:
        if self._troubles.pop(task, None) is not None:
            log.info("maintenance.back", task=task)

    async def _lower_cursor(self) -> None:
        """Rows may be stored behind the cursor: replays of a spool, imports, another writer that was away."""
        earliest = self._stored.take_earliest() if self._stored is not None else None
        if earliest is not None:
            self._earliest = earliest if self._earliest is None else min(self._earliest, earliest)
        if self._earliest is not None:
            await self._database.execute(SQL["lower_candle_cursor"], self._earliest - 1)
            self._earliest = None

    async def _refresh(self, begin: int, end: int) -> None:
        if self._plain is None:
            self._plain = await self._value("flavour") == "plain"
        if self._plain:
            await self._value("rollup", begin, end)
        elif end < self._clock.now() - _POLICY_REACH + DAY:
            for view, width in (("candle_1m", MINUTE), ("candle_1h", HOUR)):
                low, high = begin - begin % width, -(-end // width) * width
                await self._refresh_view(f"'{view}', '{to_datetime(low)}', '{to_datetime(high)}'")

    async def _refresh_view(self, arguments: str) -> None:
        call = f"CALL refresh_continuous_aggregate({arguments})"
        await self._database.call(lambda connection: connection.execute(call), within=_PATIENCE)

    async def _value(self, name: str, *args: object) -> Any:
        try:
            return await self._database.call(lambda connection: connection.fetchval(SQL[name], *args), within=_PATIENCE)
        except asyncpg.PostgresError as exc:
            raise Unavailable(f"{name}: {exc}") from exc

    async def _rows(self, name: str, *args: object) -> list[Any]:
        return await self._database.call(lambda connection: connection.fetch(SQL[name], *args), within=_PATIENCE)


def _ranges(minutes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Stretches of consecutive minutes, an hour at most each, as [begin, end)."""
    begin = end = None
    for minute in minutes:
        if begin is not None and end is not None and (minute != end or end - begin >= HOUR):
            yield begin, end
            begin = None
        if begin is None:
            begin = minute
        end = minute + MINUTE
    if begin is not None and end is not None:
        yield begin, end
