from __future__ import annotations

import uuid

import msgspec
import pytest

from pricewatch.domain.features import BandNow, Calibration, Features
from pricewatch.domain.model import Activation, BarScore, Forecast, ForecastRow, Snapshot
from pricewatch.domain.time import MINUTE
from pricewatch.ports.models import ModelStore
from pricewatch.store.catalog import PostgresCatalog
from pricewatch.store.models import PostgresModelStore
from pricewatch.store.pool import Database
from pricewatch.testing.models import MemoryModelStore


def forecast(market: int, *, rows: int = 3) -> Forecast:
    return Forecast(
        version=uuid.uuid4(),
        market=market,
        model="prophet",
        trained_from=1,
        trained_to=2,
        rows_used=100,
        level=0.95,
        step=60_000_000,
        expires=10**16,
        source=uuid.uuid4(),
        rows=[ForecastRow(n * 60_000_000, 100.0 + n, 99.0, 101.5) for n in range(rows)],
    )


def known(at: int) -> Features:
    numbers = dict.fromkeys(("move", "move_short", "move_long", "range", "volume", "usual_volume", "volatility"), 0.5)
    band = BandNow(0.95, MINUTE, at, "1", "2", "3", None, 0, "bank")
    return Features(
        market="coinbase:BTC-USD",
        at=at,
        end=at + MINUTE,
        close="2",
        **numbers,
        score=None,
        rarity=float("-inf"),
        parts={"move": float("-inf")},
        alarms_per_week=None,
        drifts=0,
        model="bank",
        bands=[band],
        calibration=[Calibration(21.0, 20.0, 2, 1_008)],
    )


class ModelStorePromises:
    async def test_the_newest_snapshot_stays(self, models: ModelStore) -> None:
        old, new = Snapshot(1, "ew", 1, 10, b"\x00old"), Snapshot(1, "ew", 2, 20, b"new")
        other = Snapshot(2, "ew", 1, 5, b"")
        await models.save_snapshots([new, old, other])
        await models.save_snapshots([old])
        await models.save_snapshots([])
        assert await models.snapshots() == [new, other]

    async def test_forecasts_come_back_whole(self, models: ModelStore) -> None:
        assert await models.forecast(1) is None
        first, second = forecast(1), forecast(1, rows=0)
        for one in (first, first, second):
            await models.save_forecast(one)
        assert await models.forecast(1) == second
        assert await models.forecast(2) is None

    async def test_one_row_of_a_forecast(self, models: ModelStore) -> None:
        one = forecast(1)
        await models.save_forecast(one)
        assert await models.forecast_row(one.version, 60_000_000) == one.rows[1]
        assert await models.forecast_row(one.version, 1) is None
        assert await models.forecast_row(uuid.uuid4(), 60_000_000) is None

    async def test_expired_forecasts_are_forgotten_but_for_the_newest(self, models: ModelStore) -> None:
        ages = [(1, 30), (1, 10), (1, 20), (2, 5), (1, 25)]
        some = [msgspec.structs.replace(forecast(market), expires=expires) for market, expires in ages]
        for place, one in enumerate(some):
            await models.save_forecast(one)
            await models.activate([Activation(one.market, one.version, place)])
        assert await models.forget_forecasts(10) == 0
        assert await models.forget_forecasts(26, limit=1) == 1
        left = [one for one in some if await models.forecast_row(one.version, 0)]
        assert [one.expires for one in left] == [30, 20, 5, 25], "the longest expired goes first"
        assert await models.forget_forecasts(31) == 2
        assert await models.forecast(1) == some[4]
        assert await models.forecast(2) == some[3]
        assert [one.from_seen for one, _ in await models.active_forecasts(0)] == [3, 4]

    async def test_rows_that_a_successor_took_over_are_forgotten(self, models: ModelStore) -> None:
        first, second, other = forecast(1, rows=60), forecast(1, rows=60), forecast(2, rows=60)
        for one, seen in ((first, 0), (other, 1), (second, 20 * MINUTE)):
            await models.save_forecast(one)
            await models.activate([Activation(one.market, one.version, seen)])
        await models.thin_forecasts(1)
        assert await models.forecast_row(first.version, 59 * MINUTE), "it came into use before"
        await models.thin_forecasts(0)
        assert await models.forecast_row(first.version, 29 * MINUTE)
        assert await models.forecast_row(first.version, 30 * MINUTE) is None
        assert await models.forecast(1) == second
        assert await models.forecast(2) == other

    async def test_the_score_of_a_minute(self, models: ModelStore) -> None:
        await models.save_bar_scores([BarScore(1, 60, 2.0, "ew", 5)])
        assert await models.bar_score(1, 60) == 2.0
        assert await models.bar_score(1, 120) is None

    async def test_a_cluster_of_minutes_is_one_alarm(self, models: ModelStore) -> None:
        rates = [None, 5.0, 2.0, 1.0, 2.0, None, 2.9, None, 3.1]
        rows = [BarScore(1, number * MINUTE, 1.0, "ew", 5, rate) for number, rate in enumerate(rates)]
        await models.save_bar_scores([*rows, BarScore(2, 0, 1.0, "ew", 5, 0.5), BarScore(2, 9 * MINUTE, 1.0, "ew", 5)])
        assert await models.count_alarms([1, 2, 3], 3.0, 0, 99 * MINUTE) == {1: (2, 9), 2: (1, 2)}
        assert await models.count_alarms([1], 0.9, 0, 99 * MINUTE) == {1: (0, 9)}
        assert await models.count_alarms([1], 3.0, 6 * MINUTE, 8 * MINUTE) == {1: (1, 2)}
        assert await models.count_alarms([], 3.0, 0, 99 * MINUTE) == {}

    async def test_what_is_in_force_at_a_place(self, models: ModelStore) -> None:
        one, two, other = forecast(1), forecast(1), forecast(2)
        for each in (one, two, other):
            await models.save_forecast(each)
        steps = [Activation(1, one.version, 10), Activation(1, two.version, 20), Activation(2, other.version, 30)]
        await models.activate(steps)
        await models.activate(steps[:1])
        assert await models.active_forecasts(5) == list(zip(steps, (one, two, other), strict=True))
        assert await models.active_forecasts(10) == list(zip(steps, (one, two, other), strict=True))
        assert await models.active_forecasts(25) == [(steps[1], two), (steps[2], other)]
        assert await models.active_forecasts(99) == [(steps[1], two), (steps[2], other)]

    async def test_what_is_known_at_the_newest_minute_stays(self, models: ModelStore) -> None:
        old, new = known(MINUTE), known(2 * MINUTE)
        assert await models.features(1) is None
        await models.save_features({1: new, 2: old})
        await models.save_features({1: old})
        await models.save_features({})
        assert (await models.features(1), await models.features(2)) == (new, old)


class TestMemoryModelStore(ModelStorePromises):
    @pytest.fixture
    def models(self) -> ModelStore:
        return MemoryModelStore()

    async def test_the_higher_score_wins(self) -> None:
        models = MemoryModelStore()
        await models.save_bar_scores([BarScore(1, 60, 2.0, "ew", 5), BarScore(1, 60, 1.0, "ew", 6)])
        await models.save_bar_scores([BarScore(1, 60, 3.0, "tail", 7)])
        assert models.bar_scores == {(1, 60): BarScore(1, 60, 3.0, "tail", 7)}


@pytest.mark.postgres
class TestPostgresModelStore(ModelStorePromises):
    @pytest.fixture
    def models(self, database: Database, catalog: PostgresCatalog) -> ModelStore:
        return PostgresModelStore(database)

    async def test_the_higher_score_wins(self, models: ModelStore, database: Database) -> None:
        await models.save_bar_scores([BarScore(1, 60, 2.0, "ew", 5), BarScore(1, 60, 1.0, "ew", 6)])
        await models.save_bar_scores([BarScore(1, 60, 3.0, "tail", 7), BarScore(1, 120, 1.0, "ew", 8)])
        await models.save_bar_scores([BarScore(1, 60, 0.5, "ew", 9)])
        await models.save_bar_scores([BarScore(1, 120, 1.5, "ew", 9, 2.5)])
        found = await database.fetch("SELECT instrument_id, at, score, model, seen, alarms FROM bar_score ORDER BY at")
        assert [tuple(row) for row in found] == [(1, 60, 3.0, "tail", 7, None), (1, 120, 1.5, "ew", 9, 2.5)]

    async def test_what_another_version_saved_is_not_read(self, models: ModelStore, database: Database) -> None:
        await models.save_features({1: known(MINUTE)})
        await database.execute("UPDATE bar_features SET document = '\\x81a161c0'")
        assert await models.features(1) is None
        await models.save_features({1: known(MINUTE)})
        assert await models.features(1) == known(MINUTE)
