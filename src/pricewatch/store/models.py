"""Model state, forecasts and scores, in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from pricewatch.domain.features import Features
from pricewatch.domain.model import Activation, BarScore, Forecast, ForecastRow, Snapshot
from pricewatch.ports.models import FORGOTTEN_AT_ONCE, OVERLAP, AlarmCount
from pricewatch.store.pool import Connection, Database
from pricewatch.store.sql import load

SQL = load("models")
_SWEEP = 120.0
"""Seconds a sweep may take: a day's rows of many markets are a million."""


class PostgresModelStore:
    """Keeps `ModelStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """The newest snapshot per (market, model) replaces an older one (never a newer one)."""
        await self._database.execute(
            SQL["save_snapshots"],
            [one.market for one in snapshots],
            [one.model for one in snapshots],
            [one.schema for one in snapshots],
            [one.seen for one in snapshots],
            [one.payload for one in snapshots],
        )

    async def snapshots(self) -> list[Snapshot]:
        """The newest snapshot of every (market, model)."""
        return [Snapshot(*row) for row in await self._database.fetch(SQL["snapshots"])]

    async def save_forecast(self, forecast: Forecast) -> None:
        """Store a version with all its rows in one transaction; a version already there is kept."""
        await self._database.execute(
            SQL["save_forecast"],
            *(forecast.version, forecast.market, forecast.model, forecast.trained_from, forecast.trained_to),
            *(forecast.rows_used, forecast.level, forecast.step, forecast.expires, forecast.source),
            [row.at for row in forecast.rows],
            [row.centre for row in forecast.rows],
            [row.lower for row in forecast.rows],
            [row.upper for row in forecast.rows],
        )

    async def activate(self, activations: Sequence[Activation]) -> None:
        """Journal from where in the order a version is used; doing so again changes nothing."""
        await self._database.execute(
            SQL["activate"],
            [one.market for one in activations],
            [one.version for one in activations],
            [one.from_seen for one in activations],
        )

    async def active_forecasts(self, at_seen: int) -> list[tuple[Activation, Forecast]]:
        """Per market the activation in force at that place in the order, with its forecast; later ones too."""
        activations = [Activation(*row) for row in await self._database.fetch(SQL["active"], at_seen)]
        forecasts = await self.forecasts({one.version for one in activations})
        return [(one, forecasts[one.version]) for one in activations]

    async def forecast(self, market: int) -> Forecast | None:
        """The newest stored forecast of a market."""
        version = await self._database.fetchval(SQL["newest"], market)
        return None if version is None else (await self.forecasts({version}))[version]

    async def forget_forecasts(self, before: int, *, limit: int = FORGOTTEN_AT_ONCE) -> int:
        """Forget at most `limit` versions that expired before that instant, the longest expired first.

        Each market's newest stays. Returns how many there were.
        """
        tag = await self._sweep(SQL["forget"], before, limit)
        return int(tag.rpartition(" ")[2])

    async def thin_forecasts(self, since: int) -> None:
        """Forget rows of versions in use since then that their successor has taken over, but for a few minutes."""
        await self._sweep(SQL["thin"], since, OVERLAP)

    async def forecast_row(self, version: uuid.UUID, at: int) -> ForecastRow | None:
        """One stored row of a version, by where it begins."""
        row = await self._database.fetchrow(SQL["row"], version, at)
        return None if row is None else ForecastRow(*row)

    async def bar_score(self, market: int, at: int) -> float | None:
        """The highest score stored for the minute that begins at `at`."""
        found: float | None = await self._database.fetchval(SQL["bar_score"], market, at)
        return found

    async def count_alarms(
        self, markets: Sequence[int], weekly: float, start: int, end: int
    ) -> Mapping[int, AlarmCount]:
        """How often minutes with `start <= at < end` alarmed a reader who bears `weekly` alarms a week, by market."""
        rows = await self._database.fetch(SQL["count_alarms"], list(markets), weekly, start, end)
        return {market: AlarmCount(alarms, minutes) for market, alarms, minutes in rows}

    async def save_bar_scores(self, scores: Sequence[BarScore]) -> None:
        """Upsert, the higher score wins."""
        await self._database.execute(
            SQL["save_bar_scores"],
            [one.market for one in scores],
            [one.at for one in scores],
            [one.score for one in scores],
            [one.model for one in scores],
            [one.seen for one in scores],
            [one.alarms for one in scores],
        )

    async def save_features(self, features: Mapping[int, Features]) -> None:
        """What is known at each market's newest closed minute replaces what was known at an older one."""
        await self._database.execute(
            SQL["save_features"],
            list(features),
            [one.at for one in features.values()],
            [msgspec.msgpack.encode(one) for one in features.values()],
        )

    async def features(self, market: int) -> Features | None:
        """What was saved last; None where there is nothing that this version can read."""
        found = await self._database.fetchval(SQL["features"], market)
        try:
            return None if found is None else msgspec.msgpack.decode(found, type=Features)
        except msgspec.DecodeError:
            return None  # another version's: the next closed minute replaces it

    async def forecasts(self, versions: Iterable[uuid.UUID]) -> dict[uuid.UUID, Forecast]:
        """Stored versions with their rows."""
        wanted = list(versions)
        if not wanted:
            return {}
        rows: dict[uuid.UUID, list[ForecastRow]] = {version: [] for version in wanted}
        for version, *numbers in await self._database.fetch(SQL["rows"], wanted):
            rows[version].append(ForecastRow(*numbers))
        found = await self._database.fetch(SQL["versions"], wanted)
        return {row["version"]: Forecast(**row, rows=rows[row["version"]]) for row in found}

    async def _sweep(self, sql: str, *args: object) -> str:
        """A statement that may find much to delete, and may take its time."""

        async def work(connection: Connection) -> str:
            return await connection.execute(sql, *args)

        return await self._database.call(work, within=_SWEEP)
